import type { Browser } from './browser.ts';
import { codeForm, getCode, postToken } from './oauth.ts';
import type { SoftwarePasskey } from './software_passkey.ts';

export interface AdminAnswer {
  readonly status: number;
  readonly body: Record<string, any>; // eslint-disable-line @typescript-eslint/no-explicit-any -- whatever the server says
}

/** Signs in for the admin API. */
export async function getAdminToken(issuer: string, admin: { browser: Browser; passkey: SoftwarePasskey }, scope = 'openid accounts:read accounts:write audiences:read audiences:write audit:read'): Promise<string> {
  const { code, verifier } = await getCode(issuer, admin, { resource: `${issuer}/admin`, scope });
  return (await postToken(issuer, codeForm(code, verifier))).body.access_token as string;
}

/** Asks the admin API: a GET without a body, else a POST. */
export async function askAdmin(issuer: string, token: string, path: string, body?: object): Promise<AdminAnswer> {
  const response = await fetch(`${issuer}/admin/api/v1${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as AdminAnswer['body'] };
}
