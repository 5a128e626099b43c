import { compactVerify } from 'jose';
import type { JWK } from 'jose';
import { parseJsonObject } from './http_listener.ts';
import type { PublicJwk } from './issuer_keys.ts';
import { Refusal } from './refusal.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** A JWT whose signature nobody has checked yet. */
export interface DecodedJwt {
  readonly token: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly unverifiedClaims: Claims;
}

/** A decoded JWT whose header is acceptable. */
export interface HeadedJwt extends DecodedJwt {
  readonly alg: string;
  readonly kid: string;
}

export interface TokenTimes {
  readonly sub: string;
  readonly iat: number;
  readonly exp: number;
}

/** The asymmetric algorithms of RFC 7518; never an HMAC, never `none`. */
export const RSA_AND_EC_ALGORITHMS: readonly string[] = [
  'ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512',
];

// `kid` alone chooses the key: a header that brings or points to its own is an attack or a mistake (RFC 8725, 3.10).
const FORBIDDEN_HEADERS = ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'cty', 'zip', 'enc'];

function decodeSegment(segment: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(segment, 'base64url');
  // Buffer forgives padding, the other alphabet and stray bits; RFC 7515 does not.
  if (segment === '' || bytes.toString('base64url') !== segment) return undefined;
  try {
    return parseJsonObject(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Splits a JWS in compact serialization (RFC 7515, section 7.1) whose header and payload are JSON objects. */
export function decodeSubjectJwt(token: string): DecodedJwt {
  const segments = token.split('.');
  const [header, claims] = segments.slice(0, 2).map(decodeSegment);
  // `none` has an empty third segment: it is the algorithm check that should name it.
  const isSignatureEncoded = /^[A-Za-z0-9_-]*$/.test(segments[2] ?? '');
  if (segments.length !== 3 || header === undefined || claims === undefined || !isSignatureEncoded) {
    throw new Refusal('x_jwt_malformed', 'not a JWS of three base64url segments with JSON objects in the first two');
  }
  return { token, header, unverifiedClaims: claims };
}

/** Accepts a header with an allowed `alg`, a non-empty `kid`, `typ` absent or `JWT`, and no key of its own. */
export function checkHeader(jwt: DecodedJwt, algorithms: readonly string[]): HeadedJwt {
  const { alg, kid, typ } = jwt.header;
  if (typeof alg !== 'string' || !algorithms.includes(alg)) {
    throw new Refusal('x_alg_not_allowed', `alg '${String(alg)}' is not one of ${algorithms.join(' ')}`);
  }
  if (typeof kid !== 'string' || kid === '') throw new Refusal('x_kid_missing', 'the header has no kid');
  if (typ !== undefined && typ !== 'JWT') throw new Refusal('x_typ_not_jwt', `typ ${JSON.stringify(typ)} is not "JWT"`);
  const forbidden = FORBIDDEN_HEADERS.find((member) => Object.hasOwn(jwt.header, member));
  if (forbidden !== undefined) throw new Refusal('x_header_member', `the header has '${forbidden}'`);
  return { ...jwt, alg, kid };
}

/** Verifies the signature with the key that `kid` chose and returns the claims that it covers. */
export async function verifySignature(jwt: HeadedJwt, key: PublicJwk): Promise<Claims> {
  if (key['alg'] !== undefined && key['alg'] !== jwt.alg) {
    throw new Refusal('x_jwk_alg_mismatch', `the token says ${jwt.alg}, its key ${JSON.stringify(key['alg'])}`);
  }
  try {
    await compactVerify(jwt.token, key as unknown as JWK, { algorithms: [jwt.alg] });
  } catch (error) {
    throw new Refusal('x_signature_invalid', String(error));
  }
  return jwt.unverifiedClaims;
}

function readInstant(claims: Claims, name: string): number {
  const value = claims[name];
  if (value === undefined) throw new Refusal(`x_${name}_missing`, `the claim ${name} is required`);
  // Fractions are legal (RFC 7519, section 2), but some providers refuse them, so nobody may mint them.
  if (!Number.isSafeInteger(value)) throw new Refusal(`x_${name}_invalid`, `${name} is ${JSON.stringify(value)}, expected an integer`);
  return value as number;
}

/** Requires `sub`, `iat` and `exp`, and that `now` lies between `iat` (and `nbf`, if there) and `exp`, give or take the leeway. */
export function checkTimes(claims: Claims, now: number, leewaySeconds: number): TokenTimes {
  const { sub } = claims;
  if (typeof sub !== 'string' || sub === '') throw new Refusal('x_sub_missing', 'the claim sub must be a non-empty string');
  const exp = readInstant(claims, 'exp');
  const iat = readInstant(claims, 'iat');
  if (exp + leewaySeconds <= now) throw new Refusal('x_exp_passed', `exp ${exp}, now ${now}`);
  if (iat - leewaySeconds > now) throw new Refusal('x_iat_in_future', `iat ${iat}, now ${now}`);
  if (claims['nbf'] !== undefined) {
    const nbf = readInstant(claims, 'nbf');
    if (nbf - leewaySeconds > now) throw new Refusal('x_nbf_in_future', `nbf ${nbf}, now ${now}`);
  }
  return { sub, iat, exp };
}

/** Tells whether `aud`, a string or an array of which any element counts, contains the audience byte for byte. */
export function hasAudience(claims: Claims, audience: string): boolean {
  const { aud } = claims;
  return Array.isArray(aud) ? aud.includes(audience) : aud === audience;
}

/** Exact and case-sensitive, or by prefix when the pattern ends in `*`; a `*` elsewhere means itself. */
export function matchesPattern(value: string, pattern: string): boolean {
  return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}
