import { errors, interactionPolicy, type Client, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import type { Accounts } from '../accounts/accounts.ts';
import type { Audiences } from '../audiences/audiences.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import type { PublicFetch } from '../http/guarded_fetch.ts';
import { createUuid } from '../lib/identifier.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { SCOPES, SIGNING_ALGORITHMS } from '../oauth2/vocabulary.ts';
import { completeAccessToken } from './access_token.ts';
import { createAdapterFactory, type AdapterDependencies } from './adapter.ts';
import { CLIENT_AUTHENTICATION } from './discovery.ts';
import { createDeviceFlow, DEVICE_PARAMETERS, type DeviceFlowOptions } from './device_flow.ts';
import { toProtocolError } from './failure.ts';
import type { Posting } from './posting_page.ts';
import { deriveNonceSecret, PROOF_ALGORITHMS } from './proof.ts';
import { adminAudience, checkResource } from './resource.ts';
import { ROUTES } from './routes.ts';
import { toSigningKeys } from './signing_key.ts';

export interface ConfigurationOptions extends AdapterDependencies, DeviceFlowOptions {
  readonly issuer: string;
  readonly sessionSeconds: number;
  /** After how long without use a session is over. */
  readonly sessionIdleSeconds: number;
  readonly longestTokenSeconds: number;
  readonly cookieKeys: readonly string[];
  readonly accounts: Accounts;
  readonly audiences: Audiences;
  readonly clock: Clock;
  /** All that the library ever fetches is a client's jwks_uri. */
  readonly fetchPublic: PublicFetch;
  /** An HTML page for a person whose browser brought a request that cannot be answered. */
  readonly renderErrorPage: (error: { code: string; description: string | undefined }) => string;
  /** Asks a person whether to sign this browser out: a form to `action` with `xsrf`, and `logout` for yes. */
  readonly renderSignOutPage: (options: { action: string; xsrf: string }) => string;
  readonly renderSignedOutPage: () => string;
  /** A form that the browser sends on by itself. */
  readonly renderPostingPage: (posting: Posting) => string;
}

const ACCESS_TOKEN_SECONDS = 600;
const ID_TOKEN_SECONDS = 600;
const CODE_SECONDS = 60;
const DEVICE_CODE_SECONDS = 600;
const INTERACTION_SECONDS = 600;
const LARGEST_JWKS_BYTES = 64 * 1024;
const JWKS_TIMEOUT_MS = 2_500;

/** Everything oidc-provider is told. It clones this: a change of keys means a new provider (issuer/provider.ts). */
export function createConfiguration(options: ConfigurationOptions, snapshot: KeySnapshot): Configuration {
  const { issuer, sessionSeconds, sessionIdleSeconds, longestTokenSeconds, cookieKeys } = options;
  return {
    adapter: createAdapterFactory(options),
    jwks: { keys: toSigningKeys(snapshot) },
    routes: {
      authorization: ROUTES.authorization,
      token: ROUTES.token,
      jwks: ROUTES.jwks,
      revocation: ROUTES.revocation,
      pushed_authorization_request: ROUTES.pushedAuthorizationRequest,
      end_session: ROUTES.endSession,
      device_authorization: ROUTES.deviceAuthorization,
      code_verification: ROUTES.device,
    },
    scopes: [...SCOPES],
    extraParams: DEVICE_PARAMETERS,
    // `jti` and `hd` are claims like any other to the library; all of them come with `openid`.
    claims: { openid: ['sub', 'jti', 'email', 'email_verified', 'hd', 'auth_time', 'amr', 'grant_id'], email: ['email', 'email_verified'] },
    responseTypes: ['code'],
    subjectTypes: ['public'],
    clientAuthMethods: [...CLIENT_AUTHENTICATION],
    clientDefaults: { id_token_signed_response_alg: 'RS256', grant_types: ['authorization_code'], response_types: ['code'] },
    enabledJWA: { idTokenSigningAlgValues: [...snapshot.signers.keys()], clientAuthSigningAlgValues: [...SIGNING_ALGORITHMS], dPoPSigningAlgValues: [...PROOF_ALGORITHMS] },
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    clientBasedCORS: () => false,
    conformIdTokenClaims: false,
    clockTolerance: 5,
    rotateRefreshToken: true,
    // Never for the admin API: whoever administers touches their passkey again when ten minutes are over.
    issueRefreshToken: (_ctx, client: Client, code) => client.grantTypeAllowed('refresh_token') && ![code.resource].flat().includes(adminAudience(issuer)),
    // A command line goes on when the browser's session is gone; the grant ends both.
    expiresWithSession: () => false,
    findAccount: (_ctx, id, token) => findAccount(options, id, token?.grantId),
    interactions: { url: (_ctx, interaction) => `/login/${interaction.uid}`, policy: createPolicy() },
    cookies: {
      keys: [...cookieKeys],
      names: { session: nameSessionCookie(issuer), interaction: 'vouch_interaction', resume: 'vouch_resume' },
      long: { httpOnly: true, sameSite: 'lax', signed: true },
      short: { httpOnly: true, sameSite: 'lax', signed: true },
    },
    ttl: {
      AccessToken: (ctx, token) => Math.min(ACCESS_TOKEN_SECONDS, token.resourceServer?.accessTokenTTL ?? ACCESS_TOKEN_SECONDS, longestTokenSeconds, secondsOfGrantLeft(ctx, options)),
      ClientCredentials: (_ctx, token) => Math.min(ACCESS_TOKEN_SECONDS, token.resourceServer?.accessTokenTTL ?? ACCESS_TOKEN_SECONDS, longestTokenSeconds),
      IdToken: (ctx) => Math.min(ID_TOKEN_SECONDS, longestTokenSeconds, secondsOfGrantLeft(ctx, options)),
      RefreshToken: (ctx) => Math.min(sessionIdleSeconds, secondsOfGrantLeft(ctx, options)),
      AuthorizationCode: CODE_SECONDS,
      DeviceCode: DEVICE_CODE_SECONDS,
      Interaction: INTERACTION_SECONDS,
      Grant: sessionSeconds,
      Session: sessionSeconds,
    },
    formats: { customizers: { jwt: (ctx, token, jwt) => completeAccessToken(ctx, token, jwt, options) } },
    // The library's own guard rests on an agent's inner workings, and only warns when they have changed.
    fetch: (url, request) => options.fetchPublic(url instanceof Request ? url.url : url.toString(), Object.fromEntries(new Headers(request?.headers)), { largestBytes: LARGEST_JWKS_BYTES, timeoutMs: JWKS_TIMEOUT_MS }),
    features: {
      devInteractions: { enabled: false },
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      // A token that names its audience cannot be used at the library's own userinfo endpoint: ours is issuer/userinfo.ts.
      userinfo: { enabled: false },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx) => {
          const { state } = ctx.oidc.session ?? {};
          ctx.body = options.renderSignOutPage({ action: `${ROUTES.endSession}/confirm`, xsrf: String(state?.secret) });
        },
        postLogoutSuccessSource: (ctx) => {
          ctx.type = 'html';
          ctx.body = options.renderSignedOutPage();
        },
      },
      // A nonce of ours in every proof: a clock that is off, or a proof made in advance, is then no matter (RFC 9449 8).
      dPoP: { enabled: true, nonceSecret: deriveNonceSecret(cookieKeys), requireNonce: () => true },
      clientCredentials: { enabled: true },
      deviceFlow: createDeviceFlow(options),
      pushedAuthorizationRequests: { enabled: true },
      // RFC 7009 2.1: a client revokes its own tokens and no others.
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      resourceIndicators: {
        enabled: true,
        // No `resource` asked for: an access token for ourselves, so that every access token is an RFC 9068 JWT.
        defaultResource: (_ctx, _client, oneOf) => oneOf ?? issuer,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource, client) =>
          // Whoever administers has a browser on the machine: that nobody is talked into it by a code is worth more.
          ctx.oidc.route === 'device_authorization' && resource === adminAudience(issuer) ? Promise.reject(new errors.InvalidTarget('the admin API is not for device login; sign in on a machine with a browser')) : checkResource(issuer, options.audiences, resource, client).catch((error: unknown) => {
            throw toProtocolError(error);
          }),
      },
    },
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = options.renderErrorPage({ code: out.error, description: out.error_description });
    },
  };
}

export function nameSessionCookie(issuer: string): string {
  return issuer.startsWith('https:') ? '__Host-vouch' : 'vouch';
}

async function findAccount({ accounts, clock }: ConfigurationOptions, id: string, grantId: string | undefined) {
  const account = await accounts.find(id).catch((error: unknown) => {
    throw toProtocolError(error);
  });
  if (account === undefined) return undefined;
  return {
    accountId: id,
    claims: () => ({
      sub: id,
      jti: createUuid(clock.now()),
      email: account.email,
      email_verified: account.isEmailVerified,
      ...(account.hostedDomain === undefined ? {} : { hd: account.hostedDomain }),
      // By which an ID token can be exchanged while its session lives (issuer/subject_token.ts).
      ...(grantId === undefined ? {} : { grant_id: grantId }),
    }),
  };
}

/**
 * A native client cannot prove which program it is (RFC 8252 8.6), so a browser session alone never answers it: each time
 * a person touches their passkey for it. For a device too, whatever its client: its code may have come from anybody.
 */
function createPolicy(): interactionPolicy.DefaultPolicy {
  const { Check, base } = interactionPolicy;
  const policy = base();
  policy.get('login')?.checks.add(
    new Check('native_client', 'a native client needs a person who is present', 'login_required', (ctx) =>
      (ctx.oidc.client?.applicationType === 'native' || ctx.oidc.entities.DeviceCode !== undefined) && ctx.oidc.result?.login === undefined ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  return policy;
}

/** At least one second, since the library refuses less; the grant itself is checked for expiry before. */
function secondsOfGrantLeft(ctx: KoaContextWithOIDC, { sessionSeconds, clock }: ConfigurationOptions): number {
  const expiresAt = ctx.oidc.entities.Grant?.exp;
  return expiresAt === undefined ? sessionSeconds : Math.max(1, expiresAt - toUnixSeconds(clock.now()));
}
