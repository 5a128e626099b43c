import type { KeyCache } from './issuer_keys.ts';
import { checkIssuerUrl, checkJwks } from './issuer_keys.ts';
import { Refusal } from './refusal.ts';
import { checkHeader, checkTimes, decodeSubjectJwt, hasAudience, matchesPattern, verifySignature } from './subject_jwt.ts';
import type { Claims } from './subject_jwt.ts';

export interface OpenAiIdentityProvider {
  /** `wip_...` or `idp_...`. */
  readonly id: string;
  /** One trailing slash more or less makes no difference. */
  readonly issuerUrl: string;
  readonly audience: string;
  /** Default true. */
  readonly isEnabled?: boolean | undefined;
  /** Public https, no credentials, port, query or fragment. Default: the well-known path of `issuerUrl`. */
  readonly discoveryUrl?: string | undefined;
  /** An uploaded JWKS, used in place of discovery. */
  readonly jwks?: Readonly<Record<string, unknown>> | undefined;
  /** The documentation lists none. Default RS256 and ES256, which its guides show. */
  readonly algorithms?: readonly string[] | undefined;
  /** Stand in for the CEL transformations, by the `openai.*` name of what each derives. */
  readonly transformations?: Readonly<Record<string, (assertion: Claims) => unknown>> | undefined;
}

export interface OpenAiMapping {
  readonly identityProviderId: string;
  readonly serviceAccountId: string;
  /** Scalar claims, or `openai.*` derived ones, by name; a value may end in one `*` after a non-empty prefix. */
  readonly match: Readonly<Record<string, string>>;
  /** Default true. */
  readonly isEnabled?: boolean | undefined;
  /** Becomes `scope`, which is left out of the answer when there are none. */
  readonly permissions?: readonly string[] | undefined;
}

export interface OpenAiConfiguration {
  readonly identityProviders: readonly OpenAiIdentityProvider[];
  readonly mappings: readonly OpenAiMapping[];
}

/** The fields of an exchange request, each present. */
export interface TokenExchangeRequest {
  readonly subjectToken: string;
  readonly identityProviderId: string;
  readonly serviceAccountId: string;
}

export interface TokenExchangeGrant {
  readonly expiresIn: number;
  readonly scope: string | undefined;
}

/** The only two codes that the documentation and the SDK's types name. */
export type OpenAiErrorCode = 'invalid_subject_token' | 'invalid_grant';

/** Refuses because of a mapping or a provider; a plain `Refusal` is about the subject token. */
export class GrantRefusal extends Refusal {}

const MAX_TOKEN_SECONDS = 3600;
const SUBJECT_TOKEN_TYPES = ['urn:ietf:params:oauth:token-type:jwt', 'urn:ietf:params:oauth:token-type:id_token'];

/** Compares two issuers the way the documentation says: a trailing slash is ignored. */
export function isSameIssuer(one: string, other: string): boolean {
  return one.replace(/\/$/, '') === other.replace(/\/$/, '');
}

/** Refuses, with a `TypeError`, a configuration that the dashboard would not have let in. */
export function checkConfiguration({ identityProviders, mappings }: OpenAiConfiguration): void {
  const check = (isRight: boolean, problem: string): void => {
    if (!isRight) throw new TypeError(problem);
  };
  for (const provider of identityProviders) {
    check(provider.audience !== '', `${provider.id}: an audience is required`);
    try {
      checkIssuerUrl(provider.discoveryUrl ?? provider.issuerUrl, 'discovery');
      if (provider.jwks !== undefined) checkJwks(provider.jwks);
    } catch (cause) {
      throw new TypeError(`${provider.id}: ${(cause as Error).message}`, { cause });
    }
    const derived = Object.keys(provider.transformations ?? {});
    check(derived.every((name) => name.startsWith('openai.')), `${provider.id}: a derived name starts with 'openai.'`);
    check(mappings.filter((mapping) => mapping.identityProviderId === provider.id).length <= 50, `${provider.id}: more than 50 mappings`);
  }
  check(identityProviders.length <= 50, 'more than 50 identity providers');
  for (const { identityProviderId, serviceAccountId, match } of mappings) {
    const name = `${identityProviderId}/${serviceAccountId}`;
    check(identityProviders.some(({ id }) => id === identityProviderId), `${name}: unknown identity provider`);
    const patterns = Object.values(match);
    check(patterns.length > 0, `${name}: matches anybody`);
    check(patterns.every((pattern) => /^[^*]+\*?$/.test(pattern)), `${name}: only one trailing * after a non-empty prefix`);
  }
}

/** Reads the body of an exchange, or says in a sentence what is wrong with its shape. */
export function readTokenExchangeRequest(body: Record<string, unknown>): TokenExchangeRequest | string {
  if (body['grant_type'] !== 'urn:ietf:params:oauth:grant-type:token-exchange') {
    return 'grant_type must be urn:ietf:params:oauth:grant-type:token-exchange';
  }
  if (!SUBJECT_TOKEN_TYPES.includes(body['subject_token_type'] as string)) {
    return `subject_token_type must be one of ${SUBJECT_TOKEN_TYPES.join(' ')}`;
  }
  const [subjectToken, identityProviderId, serviceAccountId] = ['subject_token', 'identity_provider_id', 'service_account_id']
    .map((name) => (typeof body[name] === 'string' && body[name] !== '' ? body[name] : undefined));
  if (subjectToken === undefined) return 'subject_token is required';
  if (identityProviderId === undefined) return 'identity_provider_id is required';
  if (serviceAccountId === undefined) return 'service_account_id is required';
  // `client_id` and `scope` are accepted and have no effect.
  return { subjectToken, identityProviderId, serviceAccountId };
}

/** Checks the subject token, then the mappings against its claims. Throws a `Refusal`. */
export async function evaluateMappings(
  request: TokenExchangeRequest,
  configuration: OpenAiConfiguration,
  keysOf: (provider: OpenAiIdentityProvider) => KeyCache,
  now: number,
): Promise<TokenExchangeGrant> {
  const provider = configuration.identityProviders.find(({ id }) => id === request.identityProviderId);
  if (provider === undefined) throw new GrantRefusal('x_provider_unknown', `no provider ${request.identityProviderId}`);
  if (provider.isEnabled === false) throw new GrantRefusal('x_provider_disabled', `${provider.id} is disabled`);
  const { claims, exp } = await verifySubjectToken(request.subjectToken, provider, keysOf(provider), now);
  const mapping = selectMapping(request, configuration.mappings, deriveClaims(claims, provider));
  const permissions = mapping.permissions ?? [];
  return {
    expiresIn: Math.min(MAX_TOKEN_SECONDS, exp - now),
    scope: permissions.length > 0 ? permissions.join(' ') : undefined,
  };
}

async function verifySubjectToken(
  token: string,
  provider: OpenAiIdentityProvider,
  keys: KeyCache,
  now: number,
): Promise<{ claims: Claims; exp: number }> {
  const jwt = checkHeader(decodeSubjectJwt(token), provider.algorithms ?? ['RS256', 'ES256']);
  const { iss } = jwt.unverifiedClaims;
  if (typeof iss !== 'string' || !isSameIssuer(iss, provider.issuerUrl)) {
    throw new Refusal('x_iss_mismatch', `iss '${String(iss)}', configured '${provider.issuerUrl}'`);
  }
  const key = await keys.find(jwt.kid) ?? await keys.refetch(jwt.kid);
  if (key === undefined) throw new Refusal('x_kid_not_in_jwks', `no key with the kid '${jwt.kid}', even after a refresh`);
  const claims = await verifySignature(jwt, key);
  // No leeway: none is published, so none may be needed.
  const { exp } = checkTimes(claims, now, 0);
  if (!hasAudience(claims, provider.audience)) {
    throw new Refusal('x_audience_mismatch', `aud ${JSON.stringify(claims['aud'])}, expected '${provider.audience}'`);
  }
  return { claims, exp };
}

function stringifyScalar(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** The names that a mapping can match: scalar claims as strings, and what the transformations derive from them. */
function deriveClaims(claims: Claims, provider: OpenAiIdentityProvider): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [name, claim] of Object.entries(claims)) {
    const value = stringifyScalar(claim);
    // `openai.*` is the derived namespace: a token must not be able to write into it.
    if (value !== undefined && !name.startsWith('openai.')) values.set(name, value);
  }
  for (const [name, transform] of Object.entries(provider.transformations ?? {})) {
    let result: unknown;
    try {
      result = transform(claims);
    } catch (error) {
      throw new GrantRefusal('x_transformation_failed', `${name}: ${String(error)}`);
    }
    const value = stringifyScalar(result);
    if (value === undefined) throw new GrantRefusal('x_transformation_failed', `${name} is ${JSON.stringify(result)}, not a scalar`);
    values.set(name, value);
  }
  return values;
}

function selectMapping(
  request: TokenExchangeRequest,
  mappings: readonly OpenAiMapping[],
  values: ReadonlyMap<string, string>,
): OpenAiMapping {
  const pair = `${request.identityProviderId}/${request.serviceAccountId}`;
  const known = mappings.filter(({ identityProviderId, serviceAccountId }) => `${identityProviderId}/${serviceAccountId}` === pair);
  if (known.length === 0) throw new GrantRefusal('x_mapping_unknown', `no mapping for ${pair}`);
  const enabled = known.filter(({ isEnabled }) => isEnabled !== false);
  if (enabled.length === 0) throw new GrantRefusal('x_mapping_disabled', `every mapping for ${pair} is disabled`);
  const [matching, another] = enabled.filter(({ match }) => Object.entries(match).every(([name, pattern]) => {
    const value = values.get(name);
    return value !== undefined && matchesPattern(value, pattern);
  }));
  if (matching === undefined) throw new GrantRefusal('x_mapping_mismatch', `no mapping for ${pair} matches the claims`);
  if (another !== undefined) throw new GrantRefusal('x_mapping_ambiguous', `more than one mapping for ${pair} matches`);
  return matching;
}
