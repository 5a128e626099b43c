import { createHmac, KeyObject, sign } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import { startHttpListener } from './http_listener.ts';
import type { HttpAnswer } from './http_listener.ts';

type Json = Readonly<Record<string, unknown>>;

export interface MintOptions {
  /** Replace or add to the usual claims; undefined leaves one out. */
  readonly claims?: Json;
  /** Replace or add to `alg`, `kid` and `typ`; undefined leaves one out. */
  readonly header?: Json;
  /** Signs with this key, `kid` included. Default: the first. HMAC uses its public JWK as the secret. */
  readonly key?: TestKey;
  /** What the signature is made with, whatever the header says. Default: the key's. */
  readonly signWith?: 'RS256' | 'ES256' | 'HS256' | 'none';
}

export interface TestKey {
  readonly kid: string;
  readonly alg: 'RS256' | 'ES256';
  readonly publicJwk: Json;
  readonly privateJwk: Json;
  readonly privateKey: KeyObject;
}

type Route = 'discovery' | 'jwks';

export interface TestIssuer {
  readonly url: string;
  /** RS256; what `mint` signs with and the JWKS shows. */
  readonly rsaKey: TestKey;
  /** ES256; in the JWKS too. */
  readonly ecKey: TestKey;
  /** How often each document was asked for since the last `reset`. */
  readonly hits: Record<Route, number>;
  mint(options?: MintOptions): string;
  /** Replaces what the JWKS holds; an entry may be anything. */
  publish(keys: readonly unknown[]): void;
  /** Replaces parts of a document's answer; `delayMs` holds it back. */
  answer(route: Route, answer: Partial<HttpAnswer> & { readonly delayMs?: number }): void;
  /** Back to the two keys and the two documents of the start. */
  reset(): void;
  close(): Promise<void>;
}

async function createTestKey(alg: TestKey['alg']): Promise<TestKey> {
  const pair = await generateKeyPair(alg, { extractable: true });
  const publicJwk = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  return {
    kid,
    alg,
    publicJwk: { ...publicJwk, use: 'sig', alg, kid },
    privateJwk: { ...(await exportJWK(pair.privateKey)), use: 'sig', alg, kid },
    privateKey: KeyObject.from(pair.privateKey),
  };
}

// By hand and not with jose, which rightly refuses to make most of what the negative tests need.
function signInput(input: string, signWith: NonNullable<MintOptions['signWith']>, key: TestKey): string {
  switch (signWith) {
    case 'RS256': return sign('sha256', Buffer.from(input), key.privateKey).toString('base64url');
    case 'ES256': return sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
    case 'HS256': return createHmac('sha256', JSON.stringify(key.publicJwk)).update(input).digest('base64url');
    case 'none': return '';
  }
}

/** A fake issuer that mints and serves whatever a test of an emulator's refusals asks for; `clock` in Unix seconds. */
export async function startTestIssuer(clock: () => number): Promise<TestIssuer> {
  const [rsaKey, ecKey] = await Promise.all([createTestKey('RS256'), createTestKey('ES256')]);
  const hits: Record<Route, number> = { discovery: 0, jwks: 0 };
  let published: readonly unknown[] = [];
  let answers: Partial<Record<Route, Partial<HttpAnswer> & { readonly delayMs?: number }>> = {};
  let serial = 0;

  async function serve(route: Route, document: unknown): Promise<HttpAnswer> {
    hits[route] += 1;
    const { delayMs, ...answer } = answers[route] ?? {};
    // Unreferenced: an answer that nobody waits for any more must not keep the process.
    if (delayMs !== undefined) await new Promise((resolve) => { setTimeout(resolve, delayMs).unref(); });
    return { status: 200, body: document, ...answer };
  }

  function reset(): void {
    published = [rsaKey.publicJwk, ecKey.publicJwk];
    answers = {};
    hits.discovery = 0;
    hits.jwks = 0;
  }

  reset();
  const listener = await startHttpListener(async ({ method, path }) => {
    if (method === 'GET' && path === '/.well-known/openid-configuration') {
      return serve('discovery', { issuer: listener.url, jwks_uri: `${listener.url}/jwks` });
    }
    return method === 'GET' && path === '/jwks' ? serve('jwks', { keys: published }) : { status: 404, body: {} };
  });

  return {
    url: listener.url,
    rsaKey,
    ecKey,
    hits,
    mint({ claims = {}, header = {}, key = rsaKey, signWith = key.alg } = {}) {
      const now = clock();
      const usual = { iss: listener.url, sub: 'dev@example.com', iat: now, nbf: now, exp: now + 600, jti: `jti-${++serial}` };
      const segments = [{ alg: key.alg, kid: key.kid, typ: 'JWT', ...header }, { ...usual, ...claims }];
      const input = segments.map((segment) => Buffer.from(JSON.stringify(segment)).toString('base64url')).join('.');
      return `${input}.${signInput(input, signWith, key)}`;
    },
    publish(keys) { published = keys; },
    answer(route, answer) { answers = { ...answers, [route]: answer }; },
    reset,
    close: () => listener.close(),
  };
}
