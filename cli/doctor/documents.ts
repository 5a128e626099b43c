// The issuer's two public documents, fetched as a provider fetches them and looked at as the strictest of them does.
import type { CliError } from '../errors.ts';
import { asFields, Malformed, parseJson, type Fields } from '../fields.ts';
import { describeNetworkFailure } from '../network.ts';
import { findProxy, request } from '../wire.ts';
import { describeDifference } from './difference.ts';
import type { Cause } from './evaluate.ts';

// AWS and PyPI give up after that.
const MOST_MS = 5000;
const MOST_BYTES = 1024 * 1024;
const PUBLIC_MEMBERS: Readonly<Record<string, readonly string[]>> = { RSA: ['kty', 'use', 'alg', 'kid', 'n', 'e'], EC: ['kty', 'use', 'alg', 'kid', 'crv', 'x', 'y'] };
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
const REASONS: Readonly<Record<string, string>> = { key_ops: 'AWS refuses the key', x5c: 'Google refuses the key', x5t: 'Google refuses the key' };

/** Thrown by a check: what is wrong, and the status that vouch ends with. */
export class Found extends Error {
  override readonly cause: Cause;
  readonly kind: CliError['kind'];

  constructor(kind: CliError['kind'], sentence: string, hints: readonly string[]) {
    super(sentence);
    this.cause = { sentence, hints };
    this.kind = kind;
  }
}

export interface Document {
  readonly fields: Fields;
  readonly tookMs: number;
  /** Milliseconds that this machine's clock is ahead of the server's, to about a second; undefined if it does not say. */
  readonly aheadMs: number | undefined;
}

/** Fetches one document. Throws `Found`. */
export async function fetchDocument(url: string, clock: () => number): Promise<Document> {
  const startedAt = clock();
  const before = performance.now();
  const response = await fetchOnce(url);
  const text = await response.text();
  const tookMs = Math.round(performance.now() - before);
  if (response.status >= 300 && response.status < 400) {
    throw new Found('refused', `${url} answers with a redirect (${response.status})`, ['providers follow none: serve the document at this very address']);
  }
  if (response.status !== 200) throw new Found('refused', `${url} answers with status ${response.status}`, ['providers want 200: look at the proxy or firewall in front of the issuer']);
  if (tookMs > MOST_MS) throw new Found('network', `${url} took ${tookMs} ms`, ['AWS gives up after 5 s']);
  const type = (response.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const fields = parse(text);
  if (fields === undefined) throw new Found('refused', `${url} does not answer with a JSON object (content type ${type === '' ? 'none' : type})`, ['a page of a proxy, a portal or a bot check answers in its place']);
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(type)) throw new Found('refused', `${url} has the content type ${type === '' ? 'none' : type}`, ['it must be application/json']);
  const date = Date.parse(response.headers.get('date') ?? '');
  // The server's second began up to a second before it said so.
  return { fields, tookMs, aheadMs: Number.isNaN(date) ? undefined : startedAt + tookMs / 2 - (date + 500) };
}

async function fetchOnce(url: string): Promise<Response> {
  try {
    return await request(url, { headers: { accept: 'application/json' } });
  } catch (error) {
    const failure = describeNetworkFailure(error, new URL(url).host, findProxy(url));
    if (failure === undefined) throw error;
    throw new Found('network', failure.message, [...failure.hints, 'see whether the issuer runs, and is reached at that name']);
  }
}

function parse(text: string): Fields | undefined {
  try {
    return text.length > MOST_BYTES ? undefined : asFields(parseJson(text), 'the document');
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Returns the address of the JWKS. Throws `Found`. */
export function checkDiscovery(fields: Fields, issuer: string): string {
  const { issuer: named, jwks_uri: jwksUri } = fields;
  if (typeof named !== 'string') throw new Found('refused', 'the discovery document names no issuer', ['check that this is the address of a Vouch issuer']);
  const difference = describeDifference(issuer, named);
  if (difference !== undefined) {
    throw new Found('refused', `the discovery document names the issuer "${named}", not "${issuer}": ${difference}`, [`sign in at the issuer's own name: vouch login --issuer ${named}`, 'or correct VOUCH_ISSUER of the issuer']);
  }
  if (typeof jwksUri !== 'string' || !URL.canParse(jwksUri)) throw new Found('refused', 'the discovery document has no jwks_uri', ['check that this is the address of a Vouch issuer']);
  if (new URL(jwksUri).host !== new URL(issuer).host) throw new Found('refused', `jwks_uri leads to another host, ${new URL(jwksUri).host}`, ['AWS then wants the thumbprints of both: keep one host']);
  return jwksUri;
}

/** Returns the kids. Throws `Found`. */
export function checkJwks(fields: Fields, mostKeys: number): readonly string[] {
  const keys: unknown = fields['keys'];
  const fail = (sentence: string, hint: string): Found => new Found('refused', sentence, [hint]);
  if (!Array.isArray(keys) || keys.length === 0) throw fail('the JWKS has no key', 'see `vouch keys list`; providers ignore an empty set, and then refuse');
  if (keys.length > mostKeys) throw fail(`the JWKS has ${keys.length} keys, and at most ${mostKeys} are taken`, 'retire some: `vouch keys list`');
  const kids = keys.map((key: unknown, index) => checkKey(key, index, fail));
  const twice = kids.find((kid, index) => kids.indexOf(kid) !== index);
  if (twice !== undefined) throw fail(`two keys have the kid ${twice}`, 'providers take one of them: see `vouch keys list`');
  return kids;
}

function checkKey(value: unknown, index: number, fail: (sentence: string, hint: string) => Found): string {
  const key = (typeof value === 'object' && value !== null ? value : {}) as Fields;
  const { kid, kty, use, n } = key;
  const name = typeof kid === 'string' && kid !== '' ? `the key ${kid}` : `key ${index + 1} of the JWKS`;
  const secret = Object.keys(key).find((member) => PRIVATE_MEMBERS.includes(member));
  if (secret !== undefined) throw fail(`${name} shows its private half ("${secret}")`, 'revoke it at once: `vouch keys revoke <kid> --reason "private half published"`');
  if (typeof kid !== 'string' || kid === '') throw fail(`${name} has no kid`, 'every provider finds keys by it');
  const members = typeof kty === 'string' ? PUBLIC_MEMBERS[kty] : undefined;
  if (members === undefined) throw fail(`${name} is of the type ${JSON.stringify(kty)}`, 'providers take RSA and EC keys');
  if (use !== undefined && use !== 'sig') throw fail(`${name} has use ${JSON.stringify(use)}`, 'AWS refuses it: publish signing keys only');
  const foreign = Object.keys(key).find((member) => !members.includes(member));
  if (foreign !== undefined) throw fail(`${name} has the member ${foreign}`, REASONS[foreign] ?? 'Google takes only kty, alg, use, kid, n, e, crv, x and y');
  if (typeof n === 'string' && Buffer.from(n, 'base64url').length < 256) throw fail(`${name} is an RSA key of less than 2048 bits`, 'providers refuse it: rotate the ring');
  return kid;
}
