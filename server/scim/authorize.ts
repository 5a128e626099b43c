import type { ScimScope, ScimToken, ScimTokens } from '../accounts/accounts.ts';

export type Permission =
  | { readonly token: ScimToken; readonly refusal?: undefined }
  | { readonly token: ScimToken | undefined; readonly refusal: { readonly status: 401 | 403; readonly challenge: string; readonly detail: string } };

/** A SCIM token that lives, with the scope: in this order, each with its own answer (RFC 6750 3). */
export async function authorize(authorization: string | undefined, scope: ScimScope, tokens: Pick<ScimTokens, 'verify'>): Promise<Permission> {
  const shown = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (shown === undefined) return { token: undefined, refusal: { status: 401, challenge: 'Bearer', detail: 'send a SCIM token as: Authorization: Bearer <token>' } };
  const token = await tokens.verify(shown);
  if (token === undefined) {
    const detail = 'the SCIM token is unknown, revoked or expired; an admin makes another: vouch admin scim-tokens add';
    return { token, refusal: { status: 401, challenge: `Bearer error="invalid_token", error_description="${detail}"`, detail } };
  }
  if (token.scopes.includes(scope)) return { token };
  const detail = `the SCIM token lacks the scope ${scope}`;
  return { token, refusal: { status: 403, challenge: `Bearer error="insufficient_scope", error_description="${detail}", scope="${scope}"`, detail } };
}
