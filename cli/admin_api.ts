// The issuer's admin API (/admin/api/v1), with a sign-in of its own where one is needed.
import { readAdminToken, removeAdminToken, writeAdminToken, type KeptAdminToken } from './admin_token.ts';
import { CliError } from './errors.ts';
import { parseObject, type Fields } from './fields.ts';
import { isBearerToken } from './formats.ts';
import type { Home } from './home.ts';
import { findMaxAge, FreshSignInNeeded } from './issuer_refusal.ts';
import { classifyPassing, describeUnreachableIssuer, isPassing, REQUEST_TIMEOUT_SECONDS, suggestRetry } from './network.ts';
import { printNote } from './output.ts';
import { quoteSafely } from './redact.ts';
import { signInWithBrowser, type BrowserChoice } from './sign_in.ts';
import type { Clock } from './time.ts';
import type { Connect } from './use_session.ts';
import { findProxy, request } from './wire.ts';

// Long enough for the request that follows.
const FRESHNESS_MARGIN_MS = 30_000;

/** A stream may be as long as it likes; a line of it may not. */
const LONGEST_LINE_CHARACTERS = 1024 * 1024;

export interface AdminApiInput extends BrowserChoice {
  readonly home: Home;
  readonly clock: Clock;
  readonly connect: Connect;
  readonly issuer: string;
  /** The command that shows what there is, for hints: "`vouch keys list`". */
  readonly listing: string;
}

/**
 * Each call signs in first where there is no usable token, or where the issuer asks for a fresh one, and says why.
 * Throws `CliError`: network (unreachable, 5xx), rateLimited (429), refused (403, 404, 409, ...), or what the sign-in throws.
 */
export interface AdminApi {
  readonly issuer: string;
  readonly get: (path: string) => Promise<Fields>;
  readonly post: (path: string, body?: object) => Promise<Fields>;
  /** The lines of a streamed answer as they come, whole ones only. Throws `CliError` (network) after the last of an answer that was cut off. */
  readonly lines: (path: string) => AsyncIterable<string>;
}

export function createAdminApi(input: AdminApiInput): AdminApi {
  const ask = async (asked: Question): Promise<Answer> => {
    const token = await readUsable(input);
    const first = await send(input, { ...asked, token: token ?? (await signIn(input, { reason: NEEDS_SIGN_IN })) });
    const need = findReasonToSignIn(first);
    // Once: a second no is not for lack of a passkey.
    const answer = need === undefined ? first : await send(input, { ...asked, token: await signIn(input, need) });
    // Another account may be an admin: the next command asks for a passkey again.
    if (answer.fields?.['error'] === 'access_denied') await removeAdminToken(input.home);
    return answer;
  };
  return Object.freeze<AdminApi>({
    issuer: input.issuer,
    get: async (path) => readFields(await ask({ method: 'GET', path, isStream: false }), input),
    post: async (path, body) => readFields(await ask({ method: 'POST', path, body: body ?? {}, isStream: false }), input),
    lines: async function* (path) {
      const answer = await ask({ method: 'GET', path, isStream: true });
      if (answer.stream === undefined) throw createRefusal(answer, input);
      yield* readLines(answer.stream, input.issuer);
    },
  });
}

type Stream = AsyncIterable<Uint8Array>;

interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object;
  readonly isStream: boolean;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly fields: Fields | undefined;
  /** The body of a stream that was granted; it is then not read yet. */
  readonly stream: Stream | undefined;
}

const NEEDS_SIGN_IN = 'the admin API takes a sign-in of its own, which lasts for minutes';

async function readUsable({ home, clock, issuer }: AdminApiInput): Promise<string | undefined> {
  const kept = await readAdminToken(home);
  const isUsable = kept?.issuer === issuer && isBearerToken(kept.accessToken) && kept.expiresAt - clock() > FRESHNESS_MARGIN_MS;
  return isUsable ? kept.accessToken : undefined;
}

interface Need {
  readonly reason: string;
  readonly maxAgeSeconds?: number;
}

async function signIn(input: AdminApiInput, { reason, maxAgeSeconds }: Need): Promise<string> {
  const { home, issuer } = input;
  printNote(`This needs your passkey: ${reason}.`);
  // What is refused must not be tried again by the next command, if nobody signs in now.
  await removeAdminToken(home);
  const connection = await input.connect(issuer);
  const given = await signInWithBrowser({
    opensBrowser: input.opensBrowser,
    browser: input.browser,
    issuer,
    start: (request) => connection.startAdminSignIn({ ...request, maxAgeSeconds }),
    keep: async (token) => {
      const kept: KeptAdminToken = { issuer, ...token };
      await writeAdminToken(home, kept);
      return { sentence: `The command in the terminal goes on at ${issuer}.` };
    },
  });
  return given.accessToken;
}

async function send({ issuer }: AdminApiInput, { method, path, body, isStream, token }: Question & { readonly token: string }): Promise<Answer> {
  const patience = createPatience();
  try {
    const response = await request(`${issuer}/admin/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, accept: isStream ? 'application/jsonl, application/json' : 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: patience.signal,
    });
    const { status, headers } = response;
    if (isStream && status === 200) return { status, headers, fields: undefined, stream: watch(response.body as unknown as Stream, patience) };
    const fields = parseObject(await response.text());
    patience.end();
    return { status, headers, fields, stream: undefined };
  } catch (error) {
    patience.end();
    throw describeUnreachableIssuer(error, issuer, findProxy(issuer)) ?? error;
  }
}

interface Patience {
  readonly signal: AbortSignal;
  /** Something came: the time begins anew. */
  readonly renew: () => void;
  readonly end: () => void;
}

/** Breaks a request off when nothing has come of it for 30 s; a stream as a whole may take longer. */
function createPatience(): Patience {
  const breaker = new AbortController();
  const timer = setTimeout(() => { breaker.abort(new DOMException('nothing came for too long', 'TimeoutError')); }, REQUEST_TIMEOUT_SECONDS * 1000);
  return { signal: breaker.signal, renew: () => { timer.refresh(); }, end: () => { clearTimeout(timer); } };
}

async function* watch(stream: Stream, { renew, end }: Patience): Stream {
  try {
    for await (const chunk of stream) {
      renew();
      yield chunk;
    }
  } finally {
    end();
  }
}

/** Whole lines only: half of one is what an answer that was cut off ends with. */
async function* readLines(stream: Stream, issuer: string): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let [rest, count] = ['', 0];
  try {
    for await (const chunk of stream) {
      const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LONGEST_LINE_CHARACTERS) throw new CliError('refused', `the issuer ${issuer} gave a line of more than 1 MiB`, { hints: [CHECK_ISSUER] });
      count += lines.length;
      yield* lines;
    }
  } catch (error) {
    const failure = describeUnreachableIssuer(error, issuer, undefined);
    throw failure === undefined ? error : createCutOff(issuer, count, error);
  }
  if (rest !== '') throw createCutOff(issuer, count);
}

function createCutOff(issuer: string, count: number, cause?: unknown): CliError {
  return new CliError('network', `the answer of the issuer ${issuer} was cut off after ${count} ${count === 1 ? 'line' : 'lines'}: it is not complete`, { hints: ['try again; what came so far is not all there is'], cause });
}

/** RFC 6750 3.1 and RFC 9470 3: what another sign-in mends. */
function findReasonToSignIn({ status, headers, fields }: Answer): Need | undefined {
  // A sign-in from before this version asked for less.
  if (status === 403 && fields?.['error'] === 'insufficient_scope') return { reason: 'the last admin sign-in does not reach as far as this command' };
  if (status !== 401) return undefined;
  const challenge = headers.get('www-authenticate') ?? '';
  const code = /\berror="([^"]*)"/.exec(challenge)?.[1] ?? fields?.['error'];
  if (code === 'invalid_token') return { reason: 'the issuer no longer takes the last admin sign-in' };
  if (code !== 'insufficient_user_authentication') return undefined;
  const maxAgeSeconds = findMaxAge(headers);
  if (maxAgeSeconds === undefined) return { reason: 'a change takes a fresh sign-in', maxAgeSeconds: 0 };
  return { reason: `a change takes a sign-in of at most ${maxAgeSeconds} s ago`, maxAgeSeconds };
}

function readFields(answer: Answer, input: AdminApiInput): Fields {
  const { status, fields } = answer;
  if (status >= 200 && status < 300 && fields !== undefined) return fields;
  throw createRefusal(answer, input);
}

const CHECK_ISSUER = 'check the address of the issuer (VOUCH_ISSUER), and that it is a Vouch issuer of this or a later version';

function createRefusal({ status, headers, fields }: Answer, { issuer, listing }: AdminApiInput): CliError {
  const code = typeof fields?.['error'] === 'string' ? quoteSafely(fields['error']) : undefined;
  const description = typeof fields?.['error_description'] === 'string' ? quoteSafely(fields['error_description']) : undefined;
  if (isPassing(status)) {
    return new CliError(classifyPassing(status), `the issuer ${issuer} cannot answer just now (${status})${description === undefined ? '' : `: ${description}`}`, { hints: suggestRetry(headers) });
  }
  if (code === 'insufficient_user_authentication') {
    return new FreshSignInNeeded(issuer, description ?? code, findMaxAge(headers), { hints: ['run this command again, and sign in when it asks'] });
  }
  if (code === undefined) {
    return new CliError('refused', `the issuer ${issuer} gave an answer (${status}) that its admin API does not give`, { hints: [CHECK_ISSUER] });
  }
  return new CliError('refused', `the issuer ${issuer} refused: ${description ?? code}`, { hints: suggest(code, description ?? '', listing) });
}

function suggest(code: string, description: string, listing: string): readonly string[] {
  switch (code) {
    case 'access_denied':
      return ['ask an admin of the issuer; to use another account, run this again and sign in with its passkey'];
    case 'insufficient_scope':
      return ['run `vouch logout`, and then this command again'];
    case 'not_found':
    case 'out_of_use':
      return [`see ${findListing(description) ?? listing}`];
    case 'conflict':
      return [`see ${listing} for what is there, or under way`];
    default:
      return [];
  }
}

/** What is missing may be of another family than the command. */
const LISTINGS: readonly (readonly [RegExp, string])[] = [
  [/^there is no account /, '`vouch admin accounts list`'],
  [/^there is no group /, '`vouch groups list`'],
  [/^audience /, '`vouch audiences list`'],
];

function findListing(description: string): string | undefined {
  return LISTINGS.find(([pattern]) => pattern.test(description))?.[1];
}
