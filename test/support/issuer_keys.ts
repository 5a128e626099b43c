import { isIP } from 'node:net';
import { mediaTypeOf, parseJsonObject } from './http_listener.ts';
import { Refusal } from './refusal.ts';

/** A key of an issuer's JWKS that has passed `checkJwks`. */
export interface PublicJwk {
  readonly kid: string;
  readonly kty: 'RSA' | 'EC';
  readonly [member: string]: unknown;
}

export interface KeyCache {
  /** The key from the cached JWKS, which is fetched first if there is none or it is too old. */
  find(kid: string): Promise<PublicJwk | undefined>;
  /** The key from a JWKS fetched now, whatever the cache holds. */
  refetch(kid: string): Promise<PublicJwk | undefined>;
}

export interface IssuerSource {
  /** What discovery's `issuer` is compared with; its well-known path is the default discovery URL. */
  readonly issuerUrl: string;
  readonly discoveryUrl?: string | undefined;
  /** Default: byte for byte (OpenID Connect Discovery 1.0, section 4.3). */
  readonly isSameIssuer?: (configured: string, seen: string) => boolean;
  /** Per fetch, body included. Default 5000. */
  readonly timeoutMs?: number | undefined;
}

type Document = 'discovery' | 'jwks';

const MAX_DOCUMENT_CHARS = 1024 * 1024;
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
// AWS fails a key with `key_ops`, Google one with `x5c`; no provider needs either.
const FORBIDDEN_MEMBERS = ['key_ops', 'x5c'];

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
}

/**
 * Refuses a URL that the providers would not dial: not https, a port, credentials, a query or a fragment, an IP literal.
 * Loopback is let through on any port and over http, because that is where tests run.
 */
export function checkIssuerUrl(url: string, what: string): void {
  const refuse = (problem: string): never => {
    throw new Refusal('x_url_refused', `${what}: ${problem}: ${url}`);
  };
  if (!URL.canParse(url)) return refuse('not a URL');
  const parsed = new URL(url);
  if (parsed.username !== '' || parsed.password !== '') return refuse('credentials in the URL');
  if (url.includes('?') || url.includes('#')) return refuse('a query or a fragment');
  if (isLoopback(parsed.hostname)) return;
  if (parsed.protocol !== 'https:') return refuse('url must use https scheme');
  if (parsed.port !== '') return refuse('a port other than 443');
  if (isIP(parsed.hostname.replace(/^\[|\]$/g, '')) !== 0) refuse('an IP literal');
}

async function fetchDocument(what: Document, url: string, timeoutMs: number): Promise<Record<string, unknown>> {
  checkIssuerUrl(url, what);
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      redirect: 'manual',
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = await response.text();
  } catch (error) {
    const isTimeout = (error as Error).name === 'TimeoutError';
    throw new Refusal(`x_${what}_${isTimeout ? 'timeout' : 'unreachable'}`, `${url}: ${String(error)}`);
  }
  if (response.status >= 300 && response.status < 400) {
    throw new Refusal(`x_${what}_redirect`, `${url}: ${response.status} to ${response.headers.get('location') ?? '?'}`);
  }
  if (response.status !== 200) throw new Refusal(`x_${what}_status`, `${url}: ${response.status}, expected 200`);
  const contentType = response.headers.get('content-type') ?? '';
  if (mediaTypeOf(contentType) !== 'application/json') {
    throw new Refusal(`x_${what}_content_type`, `${url}: content-type '${contentType}', expected application/json`);
  }
  const document = text.length > MAX_DOCUMENT_CHARS ? undefined : parseJsonObject(text);
  if (document === undefined) throw new Refusal(`x_${what}_body`, `${url}: the body is not a JSON object of at most 1 MiB`);
  return document;
}

async function discoverJwksUri(source: IssuerSource, timeoutMs: number): Promise<string> {
  const url = source.discoveryUrl ?? `${source.issuerUrl.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const { issuer, jwks_uri: jwksUri } = await fetchDocument('discovery', url, timeoutMs);
  const isSame = source.isSameIssuer ?? ((configured, seen) => configured === seen);
  if (typeof issuer !== 'string' || !isSame(source.issuerUrl, issuer)) {
    throw new Refusal('x_discovery_issuer_mismatch', `discovery says '${String(issuer)}', configured is '${source.issuerUrl}'`);
  }
  if (typeof jwksUri !== 'string') throw new Refusal('x_discovery_jwks_uri_missing', `${url} has no jwks_uri`);
  return jwksUri;
}

/** Checks the JWKS (RFC 7517) of an issuer: public RSA and EC keys only, each with a unique non-empty `kid`. */
export function checkJwks(jwks: Record<string, unknown>): ReadonlyMap<string, PublicJwk> {
  if (!Array.isArray(jwks['keys']) || jwks['keys'].length === 0) {
    throw new Refusal('x_jwks_empty', 'keys is not a non-empty array');
  }
  const keys = new Map<string, PublicJwk>();
  for (const [index, entry] of (jwks['keys'] as unknown[]).entries()) {
    const key = checkJwk(entry, `keys[${index}]`);
    if (keys.has(key.kid)) throw new Refusal('x_jwk_kid_duplicate', `two keys have the kid '${key.kid}'`);
    keys.set(key.kid, key);
  }
  return keys;
}

function checkJwk(entry: unknown, where: string): PublicJwk {
  if (typeof entry !== 'object' || entry === null) throw new Refusal('x_jwk_malformed', `${where} is not an object`);
  const members = Object.keys(entry);
  // First of all: a private key in public is the worst that this check can find.
  const privateMember = members.find((member) => PRIVATE_MEMBERS.includes(member));
  if (privateMember !== undefined) {
    throw new Refusal('x_jwk_private_member', `${where} has the private member '${privateMember}'`);
  }
  const forbidden = members.find((member) => FORBIDDEN_MEMBERS.includes(member));
  if (forbidden !== undefined) throw new Refusal('x_jwk_forbidden_member', `${where} has '${forbidden}'`);
  const { kid, kty, use } = entry as Record<string, unknown>;
  if (typeof kid !== 'string' || kid === '') throw new Refusal('x_jwk_kid_missing', `${where} has no kid`);
  if (kty !== 'RSA' && kty !== 'EC') throw new Refusal('x_jwk_kty', `${where} has the kty '${String(kty)}'`);
  if (use !== undefined && use !== 'sig') throw new Refusal('x_jwk_use', `${where} has the use ${JSON.stringify(use)}`);
  return { ...entry, kid, kty };
}

/**
 * Fetches the issuer's discovery document and its JWKS over HTTP and checks both.
 *
 * Throws a `Refusal` whose reason names the document and what is wrong with it.
 */
export async function fetchIssuerKeys(source: IssuerSource): Promise<ReadonlyMap<string, PublicJwk>> {
  const timeoutMs = source.timeoutMs ?? 5000;
  const jwksUri = await discoverJwksUri(source, timeoutMs);
  return checkJwks(await fetchDocument('jwks', jwksUri, timeoutMs));
}

/**
 * Keeps what `load` returned for `maxAgeSeconds` of `clock`.
 *
 * A failed load is not kept and what was there before is not served in its place: how long the real providers
 * would go on with an old JWKS is not published, and an issuer must never need to know.
 */
export function createKeyCache(dependencies: {
  load: () => Promise<ReadonlyMap<string, PublicJwk>>;
  clock: () => number;
  maxAgeSeconds: number;
}): KeyCache {
  const { load, clock, maxAgeSeconds } = dependencies;
  let cached: { keys: ReadonlyMap<string, PublicJwk>; loadedAt: number; order: number } | undefined;
  let loads = 0;

  async function refetch(kid: string): Promise<PublicJwk | undefined> {
    const order = ++loads;
    const loadedAt = clock();
    const keys = await load();
    // Of two loads that overlap, the one that began later wins.
    if (cached === undefined || cached.order < order) cached = { keys, loadedAt, order };
    return keys.get(kid);
  }

  return {
    refetch,
    async find(kid) {
      if (cached === undefined || clock() - cached.loadedAt >= maxAgeSeconds) return refetch(kid);
      return cached.keys.get(kid);
    },
  };
}
