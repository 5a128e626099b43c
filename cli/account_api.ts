// What the issuer lets a person see and change of their own account (/login/account/api/v1), with the token of their session.
import { CliError } from './errors.ts';
import { parseObject, type Fields } from './fields.ts';
import { findMaxAge, FreshSignInNeeded } from './issuer_refusal.ts';
import { classifyPassing, describeUnreachableIssuer, isPassing, suggestRetry } from './network.ts';
import { quoteSafely } from './redact.ts';
import type { TokenSource } from './token_source.ts';
import { findProxy, request } from './wire.ts';

/**
 * Signs in again where the issuer asks for a fresh sign-in and a person is there to give it. Throws what the source throws, and
 * `CliError`: network, rateLimited, notSignedIn (the session has ended), freshSignIn, refused.
 */
export interface AccountApi {
  readonly get: (path: string) => Promise<Fields>;
  readonly post: (path: string, body: object) => Promise<Fields>;
}

export function createAccountApi(source: TokenSource): AccountApi {
  const ask = (path: string, body?: object): Promise<Fields> => source.withFreshSignIn(async () => {
    const { issuer } = await source.identify();
    const { token } = await source.accessToken();
    const answer = await send({ issuer, token, path, body });
    const fields = parseObject(await answer.text());
    if (answer.status === 200 && fields !== undefined) return fields;
    throw createRefusal(answer, fields, issuer);
  });
  return { get: (path) => ask(path), post: (path, body) => ask(path, body) };
}

async function send({ issuer, token, path, body }: { issuer: string; token: string; path: string; body: object | undefined }): Promise<Response> {
  try {
    return await request(`${issuer}/login/account/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    throw describeUnreachableIssuer(error, issuer, findProxy(issuer)) ?? error;
  }
}

function createRefusal({ status, headers }: Response, fields: Fields | undefined, issuer: string): CliError {
  const [code, description] = [fields?.['error'], fields?.['error_description']].map((text) => (typeof text === 'string' ? quoteSafely(text) : undefined));
  if (isPassing(status)) return new CliError(classifyPassing(status), `the issuer ${issuer} cannot answer just now (${status})${description === undefined ? '' : `: ${description}`}`, { hints: suggestRetry(headers) });
  if (code === 'insufficient_user_authentication') return new FreshSignInNeeded(issuer, description ?? code, findMaxAge(headers));
  if (code === 'invalid_token') return new CliError('notSignedIn', `the issuer ${issuer} no longer takes this session: ${description ?? code}`, { hints: ['run `vouch login`'] });
  if (code === undefined) return new CliError('refused', `the issuer ${issuer} gave an answer (${status}) that cannot be read`, { hints: ['check that it is a Vouch issuer of this or a later version'] });
  return new CliError('refused', `the issuer ${issuer} refused: ${description ?? code}`, { hints: code === 'not_found' ? ['see `vouch passkeys list`'] : [] });
}
