// The issuer as the CLI uses it: a public client (`vouch-cli`) of a standard OAuth server.
import { hostname, platform } from 'node:os';
import * as oauth from 'openid-client';
import type { AdminScope } from '../server/oauth2/vocabulary.ts';
import { CliError } from './errors.ts';
import { checkEndpoint, isBearerToken, isLoopback } from './formats.ts';
import { describeIssuerFailure } from './issuer_failure.ts';
import { REQUEST_TIMEOUT_SECONDS } from './network.ts';
import { createProofKey, proveKey } from './proof_key.ts';
import { quoteSafely } from './redact.ts';
import type { ProofKey } from './session.ts';
import type { Clock } from './time.ts';
import { request } from './wire.ts';

const CLIENT_ID = 'vouch-cli';
const SCOPE = 'openid email';
/** All of them at once: one sign-in serves every command of admins. */
const ADMIN_SCOPES: Readonly<Record<AdminScope, true>> = {
  'keys:read': true, 'keys:write': true, 'audiences:read': true, 'audiences:write': true, 'accounts:read': true, 'accounts:write': true, 'audit:read': true,
};
const ADMIN_SCOPE = ['openid', ...Object.keys(ADMIN_SCOPES)].join(' ');
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
const ID_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:id_token';

/** Tokens of a session, with instants in milliseconds since 1970. */
export interface TokenSet {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: number;
  readonly refreshToken: string;
  /** What the refresh token is bound to. */
  readonly proofKey: ProofKey | undefined;
  /** Undefined if this answer does not say when the session ends. */
  readonly endsAt: number | undefined;
}

/** A token for the admin API; it cannot be refreshed. */
export interface AdminToken {
  readonly accessToken: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface SignIn<T> {
  /** Where the person's browser goes. */
  readonly url: string;
  /** Checks `state`, `iss` (RFC 9207), PKCE and `nonce`, and redeems the code of the callback. */
  readonly finish: (callback: URL) => Promise<T>;
}

export interface SignInRequest {
  readonly redirectUri: string;
  readonly state: string;
  /** How long ago the person may have signed in, wherever they do (OIDC Core 3.1.2.1 `max_age`); nought: now. Undefined: as the issuer has it. */
  readonly maxAgeSeconds?: number | undefined;
}

/** A sign-in that a person confirms in a browser elsewhere (RFC 8628). */
export interface DeviceSignIn {
  /** Where the person enters the code. */
  readonly url: string;
  readonly code: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** How long to wait between two polls; 5 s if the issuer does not say. */
  readonly intervalMs: number;
  /** Asks once. Throws `CliError`; an `IssuerRefusal` keeps the code of RFC 8628 3.5. */
  readonly poll: () => Promise<TokenSet & { readonly email: string }>;
}

/** What this machine says of itself, for the page on which it is recognised. */
export interface DeviceDescription {
  readonly name: string;
  readonly os: string;
}

/** Every method throws `CliError`: network, refused, or notSignedIn (`refresh` of an ended session). */
export interface Issuer {
  readonly startSignIn: (request: SignInRequest) => Promise<SignIn<TokenSet & { readonly email: string }>>;
  /** Signs in for the admin API (RFC 8707); whether the person is an admin is said when the token is used. */
  readonly startAdminSignIn: (request: SignInRequest) => Promise<SignIn<AdminToken>>;
  readonly startDeviceSignIn: (device: DeviceDescription) => Promise<DeviceSignIn>;
  /** The old refresh token is void from the moment this is sent. */
  readonly refresh: (session: Pick<TokenSet, 'refreshToken' | 'proofKey'>) => Promise<TokenSet>;
  /** Mints a federation ID token (RFC 8693); without an audience the issuer's default holds. */
  readonly exchange: (accessToken: string, audience: string | undefined) => Promise<string>;
  /** Ends the session at the issuer (RFC 7009). */
  readonly revoke: (refreshToken: string) => Promise<void>;
}

/** Discovers the issuer. Plain http is spoken only to this machine. */
export async function connectIssuer({ issuer, clock }: { issuer: string; clock: Clock }): Promise<Issuer> {
  const fault = checkEndpoint(issuer);
  if (fault !== undefined) throw new CliError('configuration', `the issuer's address ${fault}`, { hints: ['sign in at its right address: `vouch login --issuer https://...`'] });
  const config = await discover(issuer, CLIENT_ID, oauth.None());
  const attempt = createAttempt(issuer);
  return Object.freeze<Issuer>({
    startSignIn: (request) => attempt(() => startSignIn({
      config, request, clock, attempt, wants: { scope: SCOPE }, isBound: true,
      read: (answer, askedAt, proofKey) => ({ ...readTokens(answer, askedAt, proofKey), email: readEmail(answer) }),
    })),
    startAdminSignIn: (request) => attempt(() => startSignIn({
      config, request, clock, attempt, wants: { scope: ADMIN_SCOPE, resource: `${config.serverMetadata().issuer}/admin` }, isBound: false,
      read: (answer, askedAt) => ({ accessToken: checkToken(answer.access_token), expiresAt: readExpiry(answer, askedAt) }),
    })),
    startDeviceSignIn: (device) => attempt(() => startDeviceSignIn({ config, device, clock, attempt, issuer })),
    refresh: (session) => attempt(() => refresh(config, session, clock)),
    exchange: (accessToken, audience) => attempt(() => exchange(config, accessToken, audience)),
    revoke: (refreshToken) => attempt(() => oauth.tokenRevocation(config, refreshToken, { token_type_hint: 'refresh_token' })),
  });
}

/** By which a person tells this machine from their others, on their account page at the issuer; nobody else is told. */
const USER_AGENT = `vouch (${hostname().replace(/[^\x21-\x7e]|[();]/g, '').slice(0, 64)}; ${platform()})`;

/** The library's own options, less what `request` decides. */
const send: oauth.CustomFetch = (url, { method, headers, body, signal }) =>
  request(url, { method, headers: { ...Object.fromEntries(new Headers(headers)), 'user-agent': USER_AGENT }, ...(body === undefined ? {} : { body: body as NonNullable<RequestInit['body']> }), ...(signal === undefined ? {} : { signal }) });

/** Finds out what the issuer says of itself, for a client of it. Throws `CliError`: configuration, network, refused. */
export async function discover(issuer: string, clientId: string, authentication: oauth.ClientAuth): Promise<oauth.Configuration> {
  const url = new URL(issuer);
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so to be noticed; the loopback rule is what makes it safe
  const execute = url.protocol === 'http:' && isLoopback(url) ? [oauth.allowInsecureRequests] : [];
  try {
    return await oauth.discovery(url, clientId, undefined, authentication, { execute, timeout: REQUEST_TIMEOUT_SECONDS, [oauth.customFetch]: send });
  } catch (error) {
    throw describeIssuerFailure(error, issuer);
  }
}

export type Attempt = <T>(work: () => Promise<T>) => Promise<T>;

/** Turns what the protocol library throws into `CliError`s that name this issuer. */
export function createAttempt(issuer: string): Attempt {
  return async (work) => {
    try {
      return await work();
    } catch (error) {
      throw describeIssuerFailure(error, issuer);
    }
  };
}

interface SignInParts<T> {
  readonly config: oauth.Configuration;
  readonly request: SignInRequest;
  readonly clock: Clock;
  readonly attempt: Attempt;
  /** Scope, and the resource where it is not the issuer itself. */
  readonly wants: Readonly<Record<string, string>>;
  /** Whether what it gives is bound to a new key (DPoP), if the issuer does that. */
  readonly isBound: boolean;
  readonly read: (answer: oauth.TokenEndpointResponse & oauth.TokenEndpointResponseHelpers, askedAt: number, proofKey: ProofKey | undefined) => T;
}

async function startSignIn<T>({ config, request: { redirectUri, state, maxAgeSeconds }, clock, attempt, wants, isBound, read }: SignInParts<T>): Promise<SignIn<T>> {
  const verifier = oauth.randomPKCECodeVerifier();
  const nonce = oauth.randomNonce();
  const url = oauth.buildAuthorizationUrl(config, {
    ...wants,
    ...(maxAgeSeconds === undefined ? {} : { max_age: String(maxAgeSeconds) }),
    redirect_uri: redirectUri,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  return {
    url: url.href,
    finish: (callback) => attempt(async () => {
      const proofKey = isBound ? await createProofKey(config) : undefined;
      const askedAt = clock();
      return read(await oauth.authorizationCodeGrant(config, callback, checks, undefined, await proveKey(config, proofKey)), askedAt, proofKey);
    }),
  };
}

interface DeviceSignInParts extends Pick<SignInParts<unknown>, 'config' | 'clock' | 'attempt'> {
  readonly device: DeviceDescription;
  readonly issuer: string;
}

async function startDeviceSignIn({ config, device, clock, attempt, issuer }: DeviceSignInParts): Promise<DeviceSignIn> {
  if (config.serverMetadata().device_authorization_endpoint === undefined) {
    throw new CliError('refused', `the issuer ${issuer} does not offer sign-in by code`, { hints: ['run `vouch login` on a machine with a browser'] });
  }
  const startedAt = clock();
  const answer = await oauth.initiateDeviceAuthorization(config, { scope: SCOPE, device_name: device.name, device_os: device.os });
  const { device_code: deviceCode, user_code: code, verification_uri: url, expires_in: expiresIn, interval = 5 } = answer;
  if (checkEndpoint(url) !== undefined) throw createUnusable('names a page for the code that cannot be trusted');
  const proofKey = await createProofKey(config);
  const proof = await proveKey(config, proofKey);
  return {
    url,
    code: quoteSafely(code),
    expiresAt: startedAt + expiresIn * 1000,
    intervalMs: interval * 1000,
    poll: () => attempt(async () => {
      const askedAt = clock();
      const given = await oauth.genericGrantRequest(config, DEVICE_CODE, { device_code: deviceCode }, proof);
      return { ...readTokens(given, askedAt, proofKey), email: readEmail(given) };
    }),
  };
}

async function refresh(config: oauth.Configuration, { refreshToken, proofKey }: Pick<TokenSet, 'refreshToken' | 'proofKey'>, clock: Clock): Promise<TokenSet> {
  const askedAt = clock();
  return readTokens(await oauth.refreshTokenGrant(config, refreshToken, undefined, await proveKey(config, proofKey)), askedAt, proofKey);
}

/** One federation ID token out of an access token of the issuer (RFC 8693). */
export async function exchange(config: oauth.Configuration, accessToken: string, audience: string | undefined): Promise<string> {
  const answer = await oauth.genericGrantRequest(config, TOKEN_EXCHANGE, {
    subject_token: accessToken,
    subject_token_type: ACCESS_TOKEN_TYPE,
    requested_token_type: ID_TOKEN_TYPE,
    ...(audience === undefined ? {} : { audience }),
  });
  if (answer['issued_token_type'] !== ID_TOKEN_TYPE) throw createUnusable('holds another kind of token than the ID token asked for');
  return checkToken(answer.access_token);
}

/** Counts lifetimes from before the request was sent, so that a slow answer never makes a token look fresher. */
function readTokens(answer: oauth.TokenEndpointResponse, askedAt: number, proofKey: ProofKey | undefined): TokenSet {
  const { access_token: accessToken, refresh_token: refreshToken } = answer;
  if (refreshToken === undefined) throw createUnusable('holds no refresh token');
  const endsIn = answer['refresh_token_expires_in'];
  return {
    accessToken: checkToken(accessToken),
    accessTokenExpiresAt: readExpiry(answer, askedAt),
    refreshToken,
    proofKey,
    endsAt: typeof endsIn === 'number' && Number.isFinite(endsIn) ? askedAt + endsIn * 1000 : undefined,
  };
}

/** Counts from before the request was sent. Throws `CliError` (refused) if the answer does not say how long the token lives. */
export function readExpiry({ expires_in: expiresIn }: oauth.TokenEndpointResponse, askedAt: number): number {
  if (expiresIn === undefined) throw createUnusable('does not say when the access token expires');
  return askedAt + expiresIn * 1000;
}

/** Throws `CliError` (refused) for what cannot be a token. */
export function checkToken(token: string): string {
  if (isBearerToken(token)) return token;
  throw createUnusable('holds a token with characters that no token has');
}

function readEmail(answer: oauth.TokenEndpointResponse & oauth.TokenEndpointResponseHelpers): string {
  const claims = answer.claims();
  const email = claims?.['email'];
  if (typeof email === 'string' && email !== '') return quoteSafely(email);
  throw createUnusable("holds an ID token without the account's e-mail");
}

function createUnusable(fault: string): CliError {
  return new CliError('refused', `the issuer's answer ${fault}`, { hints: ['tell the people who run the issuer'] });
}
