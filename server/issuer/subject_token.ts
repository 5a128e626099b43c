import { parseJws, verifyJws } from '../crypto/jws.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { ACCESS_TOKEN_TYP } from '../oauth2/vocabulary.ts';

/** A verified access token of ours, as far as its holder can use it here. Only `verifyAccessToken` makes one. */
export interface Subject {
  readonly accountId: string;
  readonly clientId: string;
  readonly grantId: string;
  readonly jti: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  readonly scope: string;
  readonly authTime: number | undefined;
  readonly amr: readonly string[] | undefined;
}

/** Instances may disagree about the time by this much; more is an alarm and not a tolerance. */
const SKEW_SECONDS = 5;

/**
 * Checks an RFC 9068 access token of this issuer, for `audience`: signature by a key of ours with the algorithm of that
 * key (never the header's word for it), type, issuer, audience, time. Gives the reason, in a sentence, when it will not do.
 */
export function verifyAccessToken(token: string, { issuer, audience }: { issuer: string; audience: string }, keys: KeySnapshot, now: number): Subject | string {
  const jws = parseJws(token);
  if (jws === undefined) return 'it is not a JWT that this issuer could have signed';
  const verifier = keys.verifiers.get(jws.header.kid);
  if (verifier?.alg !== jws.header.alg || !verifyJws(jws, verifier.publicKey)) return 'it is not signed by a key of this issuer';
  if (jws.header.typ.toLowerCase() !== ACCESS_TOKEN_TYP) return 'it is not an access token';
  const { iss, aud, exp, iat, sub, client_id: clientId, grant_id: grantId, jti, scope, auth_time: authTime, amr } = jws.claims;
  if (iss !== issuer) return 'it is of another issuer';
  if (aud !== audience) return 'it is for another audience';
  if (typeof exp !== 'number' || exp <= now) return 'it has expired';
  if (typeof iat !== 'number' || iat > now + SKEW_SECONDS) return 'it is from the future';
  if (typeof sub !== 'string' || typeof clientId !== 'string' || typeof grantId !== 'string' || typeof jti !== 'string') {
    return 'it is not the access token of a session';
  }
  return Object.freeze({
    accountId: sub, clientId, grantId, jti, expiresAt: exp,
    scope: typeof scope === 'string' ? scope : '',
    authTime: typeof authTime === 'number' ? authTime : undefined,
    amr: Array.isArray(amr) ? amr.filter((method) => typeof method === 'string') : undefined,
  });
}
