import type { Account } from '../accounts/accounts.ts';
import { presetOf, type Audience } from '../audiences/audiences.ts';
import { isSubjectEmail } from '../oauth2/syntax.ts';
import type { Actor } from './subject_token.ts';

/** The claims of an ID token for a provider's exchange: these and no others. */
export interface FederationClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  readonly email?: string;
  readonly email_verified?: boolean;
  readonly hd?: string;
  readonly auth_time?: number;
  readonly amr?: readonly string[];
  readonly act?: Actor;
  readonly vouch_uid: string;
}

/** The claims of an access token (RFC 9068) out of an exchange. */
export interface AccessClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  readonly client_id: string;
  readonly scope?: string;
  readonly auth_time?: number;
  readonly amr?: readonly string[];
  readonly act?: Actor;
  readonly grant_id?: string;
  /** RFC 9449 6.1. */
  readonly cnf?: { readonly jkt: string };
}

export interface Description {
  readonly issuer: string;
  readonly account: Account;
  readonly audience: Audience;
  readonly clientId: string;
  readonly authTime: number | undefined;
  readonly amr: readonly string[] | undefined;
  readonly act: Actor | undefined;
  /** Unix seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly jti: string;
}

/**
 * What an ID token for a provider says. `aud` is one string (PyPI refuses an array), there is no `azp` (AWS would match it
 * in place of `aud`), `sub` is the e-mail that rules are written for, and `vouch_uid` the identity that does not change
 * hands. A service has a subject and no mailbox, so neither `email` nor `hd`: a rule that lets a company's people in does
 * not let its machines in.
 */
export function describeFederationToken({ issuer, account, audience, authTime, amr, act, issuedAt, expiresAt, jti }: Description): FederationClaims {
  return {
    iss: issuer,
    sub: account.email,
    aud: audience.name,
    iat: issuedAt,
    nbf: issuedAt,
    exp: expiresAt,
    jti,
    ...(account.kind === 'person' ? { email: account.email, email_verified: account.isEmailVerified } : {}),
    ...(account.hostedDomain === undefined ? {} : { hd: account.hostedDomain }),
    ...describeSignIn(authTime, issuedAt),
    ...(amr === undefined ? {} : { amr }),
    ...(act === undefined ? {} : { act }),
    vouch_uid: account.id,
  };
}

/** `auth_time`, never after `iat`: the instance where the person signed in may be some seconds ahead of this one. */
export function describeSignIn(authTime: number | undefined, issuedAt: number): { readonly auth_time?: number } {
  return authTime === undefined ? {} : { auth_time: Math.min(authTime, issuedAt) };
}

/** What an access token for an API, or for ourselves, says. */
export function describeAccessToken({ issuer, account, audience, clientId, authTime, amr, act, issuedAt, expiresAt, jti }: Description, { scope, grantId, jkt }: { scope: string; grantId: string | undefined; jkt: string | undefined }): AccessClaims {
  return {
    iss: issuer, sub: account.id, aud: audience.name, iat: issuedAt, exp: expiresAt, jti, client_id: clientId,
    ...(scope === '' ? {} : { scope }),
    ...describeSignIn(authTime, issuedAt),
    ...(amr === undefined ? {} : { amr }),
    ...(act === undefined ? {} : { act }),
    ...(grantId === undefined ? {} : { grant_id: grantId }),
    ...(jkt === undefined ? {} : { cnf: { jkt } }),
  };
}

/** What only a person's sign-in can show (RFC 8176). */
const OF_PEOPLE: ReadonlySet<string> = new Set(['user', 'mfa', 'pin', 'hwk', 'fpt', 'face', 'pwd']);
const CLAIM_NAMES = new Set(['iss', 'sub', 'aud', 'iat', 'nbf', 'exp', 'jti', 'email', 'email_verified', 'hd', 'auth_time', 'amr', 'act', 'vouch_uid']);
/** As a token: three parts, the first and the last of which are bounded. DESIGN.md 3 says 4 KiB for all of it. */
const LARGEST_CLAIMS_BYTES = 2_600;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const LONGEST_SECONDS = 3600;

/**
 * The last look before a federation token is signed: every fault of the finished claims, by what tokens of ours are and by
 * what the audience's provider takes. It trusts no room before it: a mistake in a policy or an account must not leave as
 * a token. Empty when they may be signed.
 */
export function lintFederationClaims(claims: Readonly<Record<string, unknown>>, audience: Audience, issuer: string): string[] {
  const faults: string[] = [];
  const demand = (isSo: boolean, fault: string) => {
    if (!isSo) faults.push(fault);
  };
  const preset = presetOf(audience.preset);
  const { iss, sub, aud, iat, nbf, exp, jti, email, email_verified: isVerified, hd, auth_time: authTime, amr, vouch_uid: uid } = claims;
  const isInteger = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  demand(iss === issuer, 'iss is not the issuer');
  demand(typeof sub === 'string' && isSubjectEmail(sub), 'sub is not a lower-case ASCII e-mail address of at most 127 bytes');
  demand(typeof sub !== 'string' || Buffer.byteLength(sub) <= preset.longestSubject, `sub is longer than ${preset.label} takes`);
  demand(aud === audience.name, 'aud is not the one audience, as a string');
  demand(audience.kind === 'federation' && audience.isEnabled, 'the audience takes no ID tokens');
  demand(isInteger(iat) && isInteger(exp) && nbf === iat, 'iat, nbf and exp are not whole seconds, or nbf is not iat');
  const lifetime = Number(exp) - Number(iat);
  demand(lifetime > 0 && lifetime <= Math.min(audience.lifetimeSeconds, preset.longestSeconds, LONGEST_SECONDS), 'it lives longer than it may, or not at all');
  demand(typeof jti === 'string' && UUID.test(jti), 'jti is not a UUID');
  demand(typeof uid === 'string' && UUID.test(uid), 'vouch_uid is not a UUID');
  demand((email === undefined) === (isVerified === undefined), 'email and email_verified do not go together');
  demand(email === undefined || email === sub, 'email is not sub');
  demand(isVerified === undefined || typeof isVerified === 'boolean', 'email_verified is not a boolean');
  demand(hd === undefined || (typeof hd === 'string' && email !== undefined && /^[a-z0-9.-]{1,253}$/.test(hd)), 'hd is not the domain of a person');
  demand(authTime === undefined || (isInteger(authTime) && authTime <= Number(iat)), 'auth_time is not a moment of the past');
  demand(amr === undefined || (Array.isArray(amr) && amr.every((method) => typeof method === 'string' && /^[a-z]{1,20}$/.test(method))), 'amr is not a list of methods');
  demand(email !== undefined || !Array.isArray(amr) || !amr.some((method) => OF_PEOPLE.has(String(method))), 'amr claims a person for a service');
  demand(preset.algorithms?.includes(audience.algorithm) !== false, `${preset.label} does not take ${audience.algorithm}`);
  for (const name of Object.keys(claims)) demand(CLAIM_NAMES.has(name), `${name} is no claim of ours`);
  demand(Buffer.byteLength(JSON.stringify(claims)) <= LARGEST_CLAIMS_BYTES, 'it is too large');
  return faults;
}
