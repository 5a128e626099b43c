import { parseJws, verifyJws, type ParsedJws } from '../crypto/jws.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { ACCESS_TOKEN_TYP } from '../oauth2/vocabulary.ts';

/** A verified token of ours, as far as its holder can use it here. Only the functions of this file make one. */
export interface Subject {
  readonly accountId: string;
  readonly clientId: string;
  /** The session that it belongs to; undefined for a service, which has none: its token is all there is. */
  readonly grantId: string | undefined;
  readonly jti: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  /** Empty for an ID token, which gives none. */
  readonly scope: string;
  readonly authTime: number | undefined;
  readonly amr: readonly string[] | undefined;
  /** Who acts for the account already (RFC 8693 4.1). */
  readonly act: Actor | undefined;
  /** The thumbprint of the key that its holder must prove (RFC 9449 6.1). */
  readonly jkt: string | undefined;
}

/** RFC 8693 4.1: the outermost acts now, those within acted before. */
export type Actor = Readonly<{ sub: string; vouch_uid: string; act?: Actor | undefined }>;

/** How many may have acted for each other before a chain says nothing any more. */
export const LONGEST_CHAIN = 4;

/** Instances may disagree about the time by this much; more is an alarm and not a tolerance. */
const SKEW_SECONDS = 5;

/**
 * Checks an RFC 9068 access token of this issuer, for `audience`: signature by a key of ours with the algorithm of that
 * key (never the header's word for it), type, issuer, audience, time. Gives the reason, in a sentence, when it will not do.
 */
export function verifyAccessToken(token: string, { issuer, audience }: { issuer: string; audience: string }, keys: KeySnapshot, now: number): Subject | string {
  const jws = verifySignature(token, keys);
  if (typeof jws === 'string') return jws;
  if (jws.header.typ.toLowerCase() !== ACCESS_TOKEN_TYP) return 'it is not an access token';
  const { client_id: clientId, grant_id: grantId, sub, scope } = jws.claims;
  const fault = findFault(jws.claims, { issuer, audience }, now);
  if (fault !== undefined) return fault;
  // A token without a session is a service's own: its client is its account.
  const isSession = typeof grantId === 'string' || (grantId === undefined && sub === clientId);
  if (typeof clientId !== 'string' || !isSession) return 'it is not the access token of a session or a service account';
  return toSubject(jws.claims, { clientId, grantId: grantId, scope: typeof scope === 'string' ? scope : '' });
}

/** Checks an ID token that this issuer gave to the client `clientId` with a sign-in. One for a provider is no such: it is for somebody else. */
export function verifyIdToken(token: string, { issuer, clientId }: { issuer: string; clientId: string }, keys: KeySnapshot, now: number): Subject | string {
  const jws = verifySignature(token, keys);
  if (typeof jws === 'string') return jws;
  // oidc-provider writes no `typ` into an ID token.
  if (jws.header.typ !== '' && jws.header.typ.toLowerCase() !== 'jwt') return 'it is not an ID token';
  const fault = findFault(jws.claims, { issuer, audience: clientId }, now);
  if (fault !== undefined) return fault;
  const { grant_id: grantId, nonce: _ } = jws.claims;
  if (typeof grantId !== 'string') return 'it is not the ID token of a session';
  return toSubject(jws.claims, { clientId, grantId, scope: '' });
}

function verifySignature(token: string, keys: KeySnapshot): ParsedJws | string {
  const jws = parseJws(token);
  if (jws === undefined) return 'it is not a JWT that this issuer could have signed';
  const verifier = keys.verifiers.get(jws.header.kid);
  return verifier?.alg === jws.header.alg && verifyJws(jws, verifier.publicKey) ? jws : 'it is not signed by a key of this issuer';
}

function findFault({ iss, aud, exp, iat, sub, jti }: Readonly<Record<string, unknown>>, { issuer, audience }: { issuer: string; audience: string }, now: number): string | undefined {
  if (iss !== issuer) return 'it is of another issuer';
  if (aud !== audience) return 'it is for another audience';
  if (typeof exp !== 'number' || exp <= now) return 'it has expired';
  if (typeof iat !== 'number' || iat > now + SKEW_SECONDS) return 'it is from the future';
  return typeof sub === 'string' && typeof jti === 'string' ? undefined : 'it does not say whose it is';
}

function toSubject(claims: Readonly<Record<string, unknown>>, rest: Pick<Subject, 'clientId' | 'grantId' | 'scope'>): Subject {
  const { sub, jti, exp, auth_time: authTime, amr, act, cnf } = claims;
  return Object.freeze({
    ...rest,
    accountId: sub as string, jti: jti as string, expiresAt: exp as number,
    authTime: typeof authTime === 'number' ? authTime : undefined,
    amr: Array.isArray(amr) ? amr.filter((method) => typeof method === 'string') : undefined,
    // Signed by us, and so in the form that we wrote.
    act: act as Actor | undefined,
    jkt: (cnf as { jkt?: string } | undefined)?.jkt,
  });
}
