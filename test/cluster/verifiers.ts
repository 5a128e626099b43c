import { createLocalJWKSet, createRemoteJWKSet, customFetch, errors, jwtVerify, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** Somebody who takes our tokens, with caching habits of their own, over real HTTP. */
export interface Verifier {
  readonly name: string;
  /** Why the token is refused at the instant `at`, with the keys that it has or fetches now; undefined when it is believed. */
  readonly verify: (token: string, at: Date) => Promise<string | undefined>;
  readonly fetches: () => number;
  readonly close: () => void;
}

export interface VerifiersOptions {
  readonly issuer: string;
  /** Whom the tokens are for; each verifier takes all of them. */
  readonly audiences: readonly string[];
  /** How long a key is published before it signs: what a verifier that refreshes by the clock may count on. */
  readonly leadSeconds: number;
  /** How long after its end a token is still believed, as AWS does for the differences of clocks. */
  readonly toleranceSeconds: number;
}

/** The four habits that are seen in the wild. */
export function createVerifiers(options: VerifiersOptions): readonly Verifier[] {
  return [createJoseVerifier(options), createGoVerifier(options), createMaxAgeVerifier(options), createPeriodicVerifier(options)];
}

/** jose as it comes, but for the cool-down, which is to the lead here what its 30 s are to a lead of 20 minutes. */
function createJoseVerifier(options: VerifiersOptions): Verifier {
  let fetched = 0;
  const fetchAndCount: typeof fetch = (...request) => {
    fetched += 1;
    return fetch(...request);
  };
  const keys = createRemoteJWKSet(new URL(`${options.issuer}/oauth/jwks`), { cooldownDuration: options.leadSeconds * 25, headers: { 'user-agent': 'jose-remote-set/6' }, [customFetch]: fetchAndCount });
  return { name: 'jose', verify: (token, at) => check(token, at, keys, options), fetches: () => fetched, close: () => undefined };
}

/** As go-oidc: what it has, it keeps for ever; it fetches when no key of that set verifies the token, and only then. */
function createGoVerifier(options: VerifiersOptions): Verifier {
  const remote = createRemote(options.issuer, 'Go-http-client/2.0');
  let cached: JSONWebKeySet | undefined;
  return {
    name: 'go-oidc',
    verify: async (token, at) => {
      if (cached !== undefined && (await check(token, at, createLocalJWKSet(cached), options)) === undefined) return undefined;
      return attempt(async () => {
        cached = (await remote.fetch()).jwks;
        return check(token, at, createLocalJWKSet(cached), options);
      });
    },
    fetches: remote.count, close: () => undefined,
  };
}

/** Obeys max-age to the letter: never fetches before it is over, not for an unknown key either, and always after. */
function createMaxAgeVerifier(options: VerifiersOptions): Verifier {
  const remote = createRemote(options.issuer, 'max-age-verifier/1');
  let cached: { readonly jwks: JSONWebKeySet; readonly freshUntil: number } | undefined;
  let fetching: Promise<void> | undefined;
  const refresh = async () => {
    const askedAt = performance.now();
    const { jwks, maxAgeSeconds } = await remote.fetch();
    cached = { jwks, freshUntil: askedAt + maxAgeSeconds * 1000 };
  };
  return {
    name: 'max-age',
    verify: (token, at) =>
      attempt(async () => {
        if (cached === undefined || performance.now() >= cached.freshUntil) {
          fetching ??= refresh().finally(() => { fetching = undefined; });
          await fetching;
        }
        return check(token, at, createLocalJWKSet(cached!.jwks), options);
      }),
    fetches: remote.count, close: () => undefined,
  };
}

/** Refreshes by the clock, once in each lead, and never for a token. */
function createPeriodicVerifier(options: VerifiersOptions): Verifier {
  const remote = createRemote(options.issuer, 'periodic-verifier/1');
  let cached: JSONWebKeySet | undefined;
  let failure: unknown;
  const refresh = async () => {
    try {
      cached = (await remote.fetch()).jwks;
      failure = undefined;
    } catch (error) {
      failure = error; // the next one comes in a lead
    }
  };
  let latest = refresh();
  const timer = setInterval(() => {
    latest = refresh();
  }, options.leadSeconds * 1000);
  return {
    name: 'periodic',
    verify: async (token, at) => {
      if (cached === undefined) await latest;
      if (cached === undefined) return `no key set: ${describe(failure)}`;
      return check(token, at, createLocalJWKSet(cached), options);
    },
    fetches: remote.count,
    close: () => { clearInterval(timer); },
  };
}

function createRemote(issuer: string, userAgent: string) {
  let fetched = 0;
  return {
    count: () => fetched,
    fetch: async (): Promise<{ jwks: JSONWebKeySet; maxAgeSeconds: number }> => {
      fetched += 1;
      const response = await fetch(`${issuer}/oauth/jwks`, { headers: { 'user-agent': userAgent }, redirect: 'error' });
      if (response.status !== 200) throw new Error(`the JWKS answered ${response.status}`);
      const maxAge = /max-age=(\d+)/.exec(response.headers.get('cache-control') ?? '')?.[1];
      if (maxAge === undefined) throw new Error('the JWKS says no max-age');
      return { jwks: (await response.json()) as JSONWebKeySet, maxAgeSeconds: Number(maxAge) };
    },
  };
}

function check(token: string, at: Date, keys: JWTVerifyGetKey, { issuer, audiences, toleranceSeconds }: VerifiersOptions): Promise<string | undefined> {
  return attempt(async () => {
    await jwtVerify(token, keys, { issuer, audience: [...audiences], currentDate: at, clockTolerance: toleranceSeconds, algorithms: ['RS256', 'ES256'], typ: 'JWT' });
    return undefined;
  });
}

async function attempt(work: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await work();
  } catch (error) {
    return describe(error);
  }
}

function describe(error: unknown): string {
  if (error instanceof errors.JOSEError) return error.code;
  return error instanceof Error ? `${error.message} ${error.cause instanceof Error ? error.cause.message : ''}`.trim() : String(error);
}
