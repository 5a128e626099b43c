import type { Account } from '../accounts/accounts.ts';
import { presetOf, type Audience } from '../audiences/audiences.ts';
import { isSubjectEmail } from '../oauth2/syntax.ts';
import { adminAudience } from './resource.ts';
import { LONGEST_CHAIN, type Actor } from './subject_token.ts';

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
/** The domain of a person. */
const HOSTED_DOMAIN = /^[a-z0-9.-]{1,253}$/;
const METHOD = /^[a-z]{1,20}$/;

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
  const { iss, sub, aud, iat, nbf, exp, jti, email, email_verified: isVerified, hd, auth_time: authTime, amr, act, vouch_uid: uid } = claims;
  demand(iss === issuer, 'iss is not the issuer');
  demand(typeof sub === 'string' && isSubjectEmail(sub), 'sub is not a lower-case ASCII e-mail address of at most 127 bytes');
  demand(typeof sub !== 'string' || Buffer.byteLength(sub) <= preset.longestSubject, `sub is longer than ${preset.label} takes`);
  demand(aud === audience.name, 'aud is not the one audience, as a string');
  demand(audience.name.length <= preset.longestAudience, `aud is longer than ${preset.label} takes`);
  demand(audience.kind === 'federation' && audience.isEnabled, 'the audience takes no ID tokens');
  demand(isInteger(iat) && isInteger(exp) && nbf === iat, 'iat, nbf and exp are not whole seconds, or nbf is not iat');
  const lifetime = Number(exp) - Number(iat);
  demand(lifetime > 0 && lifetime <= Math.min(audience.lifetimeSeconds, preset.longestSeconds, LONGEST_SECONDS), 'it lives longer than it may, or not at all');
  demand(typeof jti === 'string' && UUID.test(jti), 'jti is not a UUID');
  demand(typeof uid === 'string' && UUID.test(uid), 'vouch_uid is not a UUID');
  demand((email === undefined) === (isVerified === undefined), 'email and email_verified do not go together');
  demand(email === undefined || email === sub, 'email is not sub');
  demand(isVerified === undefined || typeof isVerified === 'boolean', 'email_verified is not a boolean');
  demand(hd === undefined || (typeof hd === 'string' && email !== undefined && HOSTED_DOMAIN.test(hd)), 'hd is not the domain of a person');
  demand(authTime === undefined || (isInteger(authTime) && authTime <= Number(iat)), 'auth_time is not a moment of the past');
  demand(amr === undefined || isMethodList(amr), 'amr is not a list of methods');
  demand(email !== undefined || !Array.isArray(amr) || !amr.some((method) => OF_PEOPLE.has(String(method))), 'amr claims a person for a service');
  demand(act === undefined || isActor(act), ACT_FAULT);
  demand(preset.algorithms?.includes(audience.algorithm) !== false, `${preset.label} does not take ${audience.algorithm}`);
  for (const name of Object.keys(claims)) demand(CLAIM_NAMES.has(name), `${name} is no claim of ours`);
  demand(Buffer.byteLength(JSON.stringify(claims)) <= LARGEST_CLAIMS_BYTES, 'it is too large');
  return faults;
}

const ACCESS_CLAIM_NAMES = new Set(['iss', 'sub', 'aud', 'iat', 'exp', 'jti', 'client_id', 'scope', 'auth_time', 'amr', 'act', 'grant_id', 'cnf']);
/** As oidc-provider names a token or a grant: 43 characters, and one of another version of it must not end the sessions that there are. */
const RANDOM_NAME = /^[A-Za-z0-9_-]{22,64}$/;
/** RFC 7638: SHA-256 in base64url. */
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
const CLIENT_ID = /^[A-Za-z0-9._-]{3,100}$/;
/** RFC 6749 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;
/**
 * Fifty scopes of a hundred characters, and twice the methods that are registered. Every other claim is short by its shape,
 * so that nothing need be written out to measure it: 8 KiB of claims at most.
 */
const LONGEST_SCOPE = 5_100;
const MOST_METHODS = 40;

/**
 * The same for an access token, whoever made it: an exchange, or oidc-provider. `audience` is undefined for what is no
 * record of ours: the issuer itself and its admin API, when oidc-provider makes a token for them.
 */
export function lintAccessClaims(claims: Readonly<Record<string, unknown>>, audience: Audience | undefined, issuer: string): string[] {
  const faults: string[] = [];
  const demand = (isSo: boolean, fault: string) => {
    if (!isSo) faults.push(fault);
  };
  const { iss, sub, aud, iat, exp, jti, client_id: clientId, scope, auth_time: authTime, amr, act, grant_id: grantId, cnf } = claims;
  const isOurOwn = aud === issuer || aud === adminAudience(issuer);
  // A service's client is its account.
  const isService = sub === clientId;
  demand(iss === issuer, 'iss is not the issuer');
  demand(typeof sub === 'string' && UUID.test(sub), 'sub is not the UUID of an account');
  demand(audience === undefined ? isOurOwn : aud === audience.name, 'aud is not the one audience, as a string');
  demand(audience === undefined || (audience.isEnabled && (audience.kind === 'api' || audience.name === issuer)), 'the audience takes no access tokens');
  demand(isInteger(iat) && isInteger(exp), 'iat and exp are not whole seconds');
  const lifetime = Number(exp) - Number(iat);
  demand(lifetime > 0 && lifetime <= Math.min(audience?.lifetimeSeconds ?? LONGEST_SECONDS, LONGEST_SECONDS), 'it lives longer than it may, or not at all');
  demand(typeof jti === 'string' && (UUID.test(jti) || RANDOM_NAME.test(jti)), 'jti is neither a UUID nor a random name');
  demand(typeof clientId === 'string' && CLIENT_ID.test(clientId), 'client_id is not the name of a client');
  demand(scope === undefined || (typeof scope === 'string' && SCOPE.test(scope)), 'scope is not a list of scopes');
  demand(authTime === undefined || (isInteger(authTime) && authTime <= Number(iat)), 'auth_time is not a moment of the past');
  demand(amr === undefined || isMethodList(amr), 'amr is not a list of methods');
  demand(!isService || (authTime === undefined && !(Array.isArray(amr) && amr.some((method) => OF_PEOPLE.has(String(method))))), 'it claims a sign-in for a service');
  demand(act === undefined || isActor(act), ACT_FAULT);
  demand(grantId === undefined ? isService || !isOurOwn : typeof grantId === 'string' && RANDOM_NAME.test(grantId), 'it is of no session, and no service’s');
  demand(cnf === undefined || isKeyBinding(cnf), 'cnf is not the thumbprint of a key');
  // oidc-provider leaves a claim that it does not use undefined, which is not written.
  for (const [name, value] of Object.entries(claims)) demand(value === undefined || ACCESS_CLAIM_NAMES.has(name), `${name} is no claim of ours`);
  demand((typeof scope !== 'string' || scope.length <= LONGEST_SCOPE) && (!Array.isArray(amr) || amr.length <= MOST_METHODS), 'it is too large');
  return faults;
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isMethodList(value: unknown): boolean {
  return Array.isArray(value) && value.every((method) => typeof method === 'string' && METHOD.test(method));
}

const ACT_FAULT = `act is not a chain of at most ${LONGEST_CHAIN} accounts`;

/** RFC 8693 4.1: who acts, and within whoever acted before. */
function isActor(value: unknown, left = LONGEST_CHAIN): boolean {
  if (typeof value !== 'object' || value === null || left === 0) return false;
  const { sub, vouch_uid: uid, act, ...rest } = value as Record<string, unknown>;
  const isAccount = typeof sub === 'string' && isSubjectEmail(sub) && typeof uid === 'string' && UUID.test(uid) && Object.keys(rest).length === 0;
  return isAccount && (act === undefined || isActor(act, left - 1));
}

/** RFC 9449 6.1. */
function isKeyBinding(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { jkt, ...rest } = value as Record<string, unknown>;
  return typeof jkt === 'string' && THUMBPRINT.test(jkt) && Object.keys(rest).length === 0;
}
