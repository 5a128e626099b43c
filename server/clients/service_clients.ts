import { createPublicKey } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import { GRANT_TYPE, SIGNING_ALGORITHMS } from '../oauth2/vocabulary.ts';
import type { ClientStore, JsonObject } from '../storage/storage.ts';

/** How a machine proves itself: its public keys, or where they are published. */
export type ServiceKeys = { readonly jwks: JsonObject } | { readonly jwksUri: string };

/** The clients of machine identities: `private_key_jwt` and nothing else, the client credentials grant and the exchange. */
export interface ServiceClients {
  /** `id` is the service account's own. Throws Refused for keys that will not do. */
  register(client: { readonly id: string; readonly name: string; readonly keys: ServiceKeys }): Promise<void>;
  /** Puts other keys in place. With `keepsNewest`, the newest of the former ones goes on working until the next change. Throws NotFound, Refused. */
  replaceKeys(id: string, keys: ServiceKeys, options: { readonly keepsNewest: boolean }): Promise<{ readonly kids: readonly string[] }>;
  /** The key ids that work now, or where the keys are published; none for what never got a client. */
  describeKeys(id: string): Promise<{ readonly kids: readonly string[]; readonly jwksUri: string | undefined }>;
}

const MOST_KEYS = 5;
const LARGEST_JWKS_BYTES = 20_000;

export function createServiceClients(store: ClientStore, clock: Clock): ServiceClients {
  const load = async (id: string) => {
    const metadata = await store.find(id);
    if (metadata === undefined) throw new NotFound('the service account has no client');
    return metadata;
  };
  return {
    register: async ({ id, name, keys }) => {
      await store.add(id, { ...describe(id, name), ...toMetadata(checkServiceKeys(keys)) }, clock.now());
    },
    replaceKeys: async (id, given, { keepsNewest }) => {
      const keys = checkServiceKeys(given);
      const { jwks: former, jwks_uri: _, ...rest } = await load(id);
      const newest = keepsNewest ? readKeys(former).slice(0, 1) : [];
      const added = 'jwks' in keys ? readKeys(keys.jwks) : [];
      if (newest.some(({ kid }) => added.some((key) => key.kid === kid))) throw new Refused('invalid_jwks', 'The key is in use already; make a new one.');
      const next: ServiceKeys = 'jwks' in keys ? { jwks: { keys: [...added, ...newest] } } : keys;
      if (!(await store.replace(id, { ...rest, ...toMetadata(next) }))) throw new NotFound('the service account has no client');
      return { kids: 'jwks' in next ? readKids(next.jwks) : [] };
    },
    describeKeys: async (id) => {
      const { jwks, jwks_uri: jwksUri } = (await store.find(id)) ?? {};
      return { kids: readKids(jwks), jwksUri: typeof jwksUri === 'string' ? jwksUri : undefined };
    },
  };
}

function describe(id: string, name: string): JsonObject {
  return {
    client_id: id, client_name: name, application_type: 'web', redirect_uris: [], response_types: [],
    grant_types: [GRANT_TYPE.clientCredentials, GRANT_TYPE.tokenExchange], token_endpoint_auth_method: 'private_key_jwt',
  };
}

function toMetadata(keys: ServiceKeys): JsonObject {
  return 'jwks' in keys ? { jwks: keys.jwks } : { jwks_uri: keys.jwksUri };
}

function readKids(jwks: unknown): string[] {
  return readKeys(jwks).map(({ kid }) => kid).filter((kid) => typeof kid === 'string');
}

function readKeys(jwks: unknown): JsonObject[] {
  const { keys } = (jwks ?? {}) as { keys?: JsonObject[] };
  return keys ?? [];
}

/**
 * Public keys of the algorithms that we verify, each with a `kid` of its own; or an https URL with a name for a host. What
 * is fetched from there later is bounded, and never from a private address (issuer/configuration.ts). Throws Refused.
 */
export function checkServiceKeys(keys: ServiceKeys): ServiceKeys {
  if ('jwksUri' in keys) return { jwksUri: checkJwksUri(keys.jwksUri) };
  const list = (keys.jwks as { keys?: unknown }).keys;
  if (!Array.isArray(list) || list.length === 0 || list.length > MOST_KEYS) throw invalidJwks(`give 1-${MOST_KEYS} keys`);
  if (JSON.stringify(list).length > LARGEST_JWKS_BYTES) throw invalidJwks('it is too large');
  const checked = list.map(checkKey);
  if (new Set(checked.map(({ kid }) => kid)).size < checked.length) throw invalidJwks('every key needs a kid of its own');
  return { jwks: { keys: checked } };
}

function checkKey(jwk: unknown): JsonObject {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) throw invalidJwks('a key is a JSON object');
  const { kid, alg, kty, crv, x, y, n, e, ...rest } = jwk as Record<string, unknown>;
  if (['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth'].some((name) => name in rest)) throw invalidJwks('a key holds a private half; send the public half alone, and make a new key, since this one has been seen');
  if (typeof kid !== 'string' || kid === '' || kid.length > 200) throw invalidJwks('every key needs a kid of 1-200 characters');
  const members = kty === 'EC' && crv === 'P-256' && alg === 'ES256' ? { kty, crv, x, y } : kty === 'RSA' && alg === 'RS256' ? { kty, n, e } : undefined;
  if (members === undefined) throw invalidJwks(`a key is of RS256 (RSA) or ES256 (EC, P-256), and says so in alg; it may be of ${SIGNING_ALGORITHMS.join(' or ')}`);
  try {
    const { asymmetricKeyDetails } = createPublicKey({ key: members as Record<string, string>, format: 'jwk' });
    if (kty === 'RSA' && (asymmetricKeyDetails?.modulusLength ?? 0) < 2048) throw invalidJwks('an RSA key has at least 2048 bits');
  } catch (cause) {
    throw cause instanceof Refused ? cause : invalidJwks(`key ${kid} is none`);
  }
  return { ...(members as Record<string, string>), kid, alg: String(alg), use: 'sig' };
}

function checkJwksUri(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isNamed = url !== undefined && !/^\[|^[\d.]+$/.test(url.hostname) && url.hostname.includes('.') && !/\.(localhost|local|internal)$/.test(url.hostname);
  if (url?.protocol !== 'https:' || !isNamed || url.username !== '' || url.password !== '' || url.hash !== '' || text.length > 500) {
    throw new Refused('invalid_jwks_uri', 'jwks_uri must be an https URL of a public host by its name, without user, password or fragment.');
  }
  return text;
}

const invalidJwks = (why: string) => new Refused('invalid_jwks', `The keys will not do: ${why}.`);
