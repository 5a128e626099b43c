// The issuer's admin API (/admin/api/v1), with a sign-in of its own where one is needed.
import { readAdminToken, removeAdminToken, writeAdminToken, type KeptAdminToken } from './admin_token.ts';
import { CliError } from './errors.ts';
import { asFields, Malformed, parseJson, type Fields } from './fields.ts';
import { isBearerToken } from './formats.ts';
import type { Home } from './home.ts';
import { classifyPassing, describeNetworkFailure, isPassing, suggestRetry } from './network.ts';
import { printNote } from './output.ts';
import { quoteSafely } from './redact.ts';
import { signInWithBrowser, type BrowserChoice } from './sign_in.ts';
import type { Clock } from './time.ts';
import type { Connect } from './use_session.ts';
import { findProxy, request } from './wire.ts';

// Long enough for the request that follows.
const FRESHNESS_MARGIN_MS = 30_000;

export interface AdminApiInput extends BrowserChoice {
  readonly home: Home;
  readonly clock: Clock;
  readonly connect: Connect;
  readonly issuer: string;
}

/**
 * Each call signs in first where there is no usable token, or where the issuer asks for a fresh one, and says why.
 * Throws `CliError`: network (unreachable, 5xx), rateLimited (429), refused (403, 404, 409, ...), or what the sign-in throws.
 */
export interface AdminApi {
  readonly issuer: string;
  readonly get: (path: string) => Promise<Fields>;
  readonly post: (path: string, body?: object) => Promise<Fields>;
}

export function createAdminApi(input: AdminApiInput): AdminApi {
  const ask = async (method: Request, path: string, body?: object): Promise<Fields> => {
    const token = await readUsable(input);
    const first = await send(input, { method, path, body, token: token ?? (await signIn(input, NEEDS_SIGN_IN)) });
    const reason = findReasonToSignIn(first);
    // Once: a second no is not for lack of a passkey.
    const answer = reason === undefined ? first : await send(input, { method, path, body, token: await signIn(input, reason) });
    // Another account may be an admin: the next command asks for a passkey again.
    if (answer.fields?.['error'] === 'access_denied') await removeAdminToken(input.home);
    return readAnswer(answer, input.issuer);
  };
  return Object.freeze<AdminApi>({
    issuer: input.issuer,
    get: (path) => ask('GET', path),
    post: (path, body) => ask('POST', path, body ?? {}),
  });
}

type Request = 'GET' | 'POST';
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly fields: Fields | undefined;
}

const NEEDS_SIGN_IN = 'the admin API takes a sign-in of its own, which lasts for minutes';

async function readUsable({ home, clock, issuer }: AdminApiInput): Promise<string | undefined> {
  const kept = await readAdminToken(home);
  const isUsable = kept?.issuer === issuer && isBearerToken(kept.accessToken) && kept.expiresAt - clock() > FRESHNESS_MARGIN_MS;
  return isUsable ? kept.accessToken : undefined;
}

async function signIn(input: AdminApiInput, reason: string): Promise<string> {
  const { home, issuer } = input;
  printNote(`This needs your passkey: ${reason}.`);
  // What is refused must not be tried again by the next command, if nobody signs in now.
  await removeAdminToken(home);
  const connection = await input.connect(issuer);
  const given = await signInWithBrowser({
    opensBrowser: input.opensBrowser,
    browser: input.browser,
    issuer,
    start: connection.startAdminSignIn,
    keep: async (token) => {
      const kept: KeptAdminToken = { issuer, ...token };
      await writeAdminToken(home, kept);
      return { sentence: `The command in the terminal goes on at ${issuer}.` };
    },
  });
  return given.accessToken;
}

interface Asked {
  readonly method: Request;
  readonly path: string;
  readonly body: object | undefined;
  readonly token: string;
}

async function send({ issuer }: AdminApiInput, { method, path, body, token }: Asked): Promise<Answer> {
  try {
    const response = await request(`${issuer}/admin/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, headers: response.headers, fields: parseBody(await response.text()) };
  } catch (error) {
    throw describeNetworkFailure(error, `the issuer ${issuer}`, findProxy(issuer)) ?? error;
  }
}

function parseBody(text: string): Fields | undefined {
  try {
    return asFields(parseJson(text), 'the answer');
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** RFC 6750 3.1 and RFC 9470 3: what another sign-in mends. */
function findReasonToSignIn({ status, headers, fields }: Answer): string | undefined {
  if (status !== 401) return undefined;
  const challenge = headers.get('www-authenticate') ?? '';
  const code = /\berror="([^"]*)"/.exec(challenge)?.[1] ?? fields?.['error'];
  if (code === 'invalid_token') return 'the issuer no longer takes the last admin sign-in';
  if (code !== 'insufficient_user_authentication') return undefined;
  const maxAge = /\bmax_age="(\d{1,6})"/.exec(challenge)?.[1];
  return maxAge === undefined ? 'a change takes a fresh sign-in' : `a change takes a sign-in of at most ${maxAge} s ago`;
}

function readAnswer({ status, headers, fields }: Answer, issuer: string): Fields {
  if (status >= 200 && status < 300 && fields !== undefined) return fields;
  const code = typeof fields?.['error'] === 'string' ? quoteSafely(fields['error']) : undefined;
  const description = typeof fields?.['error_description'] === 'string' ? quoteSafely(fields['error_description']) : undefined;
  if (isPassing(status)) {
    throw new CliError(classifyPassing(status), `the issuer ${issuer} cannot answer just now (${status})${description === undefined ? '' : `: ${description}`}`, { hints: suggestRetry(headers) });
  }
  if (code === 'insufficient_user_authentication') {
    throw new CliError('freshSignIn', `the issuer ${issuer} asks for a fresh sign-in: ${description ?? code}`, { hints: ['run this command again, and sign in when it asks'] });
  }
  if (code === undefined) {
    throw new CliError('refused', `the issuer ${issuer} gave an answer (${status}) that its admin API does not give`, {
      hints: ['check the address of the issuer (VOUCH_ISSUER), and that it is a Vouch issuer of this or a later version'],
    });
  }
  throw new CliError('refused', `the issuer ${issuer} refused: ${description ?? code}`, { hints: HINTS[code] ?? [] });
}

const HINTS: Readonly<Record<string, readonly string[]>> = {
  access_denied: ['ask an admin of the issuer; to use another account, run this again and sign in with its passkey'],
  insufficient_scope: ['run `vouch logout`, and then this command again'],
  not_found: ['see `vouch keys list`'],
  out_of_use: ['see `vouch keys list`'],
  conflict: ['see `vouch keys list` for what is under way'],
};
