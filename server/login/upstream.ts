import * as oidc from 'openid-client';
import type { UpstreamConfig } from '../config/config.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';

/** What must be kept, on our side, until the browser comes back. */
export interface UpstreamRequest {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** What an upstream said, its signature, issuer, audience, nonce and times checked. */
export type UpstreamClaims = Readonly<Record<string, unknown>> & { readonly iss: string; readonly sub: string; readonly iat: number };

/** One issuer that people sign in with, as an OIDC relying party (code, PKCE, state, nonce, RFC 9207). */
export interface Upstream {
  readonly config: UpstreamConfig;
  /** `maxAgeSeconds`: how long ago the person may have signed in there; nought asks for it now. Throws Refused while the upstream is out of reach. */
  begin(maxAgeSeconds: number): Promise<{ url: string; request: UpstreamRequest }>;
  /** `search`: the query that the browser came back with. Throws Refused for whatever is wrong with the answer. */
  finish(search: string, request: UpstreamRequest): Promise<UpstreamClaims>;
}

const TIMEOUT_SECONDS = 5;
/** Metadata that is older is asked for again; while that fails, what there is goes on being used. */
const METADATA_SECONDS = 3600;
/** After a failure nobody asks for this long, so that a page is answered at once while an upstream is down. */
const PAUSE_SECONDS = 5;

export function createUpstream(config: UpstreamConfig, { redirectUri, clock }: { redirectUri: string; clock: Clock }): Upstream {
  const discover = createDiscovery(config, clock);
  return {
    config,
    begin: async (maxAgeSeconds) => {
      const relyingParty = await discover();
      const request = { state: oidc.randomState(), nonce: oidc.randomNonce(), verifier: oidc.randomPKCECodeVerifier() };
      const [domain, ...others] = config.domains;
      const url = oidc.buildAuthorizationUrl(relyingParty, {
        redirect_uri: redirectUri, scope: 'openid email profile', state: request.state, nonce: request.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(request.verifier), code_challenge_method: 'S256',
        // With max_age an issuer has to say when the person signed in (OIDC Core 3.1.2.1).
        max_age: String(maxAgeSeconds), ...(maxAgeSeconds === 0 ? { prompt: 'login' } : {}),
        // A hint only, to spare people a choice: what is believed is the claim.
        ...(config.kind.name === 'states_hd' && domain !== undefined && others.length === 0 ? { hd: domain } : {}),
      });
      return { url: url.href, request };
    },
    finish: async (search, { state, nonce, verifier }) => {
      const relyingParty = await discover();
      try {
        const tokens = await oidc.authorizationCodeGrant(relyingParty, new URL(redirectUri + search), {
          expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true,
        });
        const claims = tokens.claims();
        if (claims === undefined) throw rejected(config, new Error('there is no ID token'));
        if (claims.email !== undefined || relyingParty.serverMetadata().userinfo_endpoint === undefined) return { ...claims };
        // Where an access token is given, an issuer may keep the e-mail for userinfo (OIDC Core 5.4).
        // Not when they signed in, though: that is of this sign-in, and only the ID token is.
        return { ...(await oidc.fetchUserInfo(relyingParty, tokens.access_token, claims.sub)), auth_time: undefined, ...claims };
      } catch (error) {
        throw describeTrouble(config, error);
      }
    },
  };
}

/** Lazy, one at a time, cached. Throws Refused while there is no metadata and none can be had. */
function createDiscovery(config: UpstreamConfig, clock: Clock): () => Promise<oidc.Configuration> {
  let known: { configuration: oidc.Configuration; at: number } | undefined;
  let failedAt = -Infinity;
  let underWay: Promise<oidc.Configuration> | undefined;

  const ask = async () => {
    try {
      const configuration = await requestMetadata(config).catch(() => requestMetadata(config));
      known = { configuration, at: toUnixSeconds(clock.now()) };
      return configuration;
    } catch (error) {
      failedAt = toUnixSeconds(clock.now());
      throw unavailable(config, error);
    } finally {
      underWay = undefined;
    }
  };

  return async () => {
    const now = toUnixSeconds(clock.now());
    if (known !== undefined && now - known.at < METADATA_SECONDS) return known.configuration;
    if (now - failedAt < PAUSE_SECONDS) {
      if (known !== undefined) return known.configuration;
      throw unavailable(config, new Error('it did not answer a moment ago'));
    }
    underWay ??= ask();
    if (known === undefined) return underWay;
    underWay.catch(() => undefined); // refreshed behind the scenes
    return known.configuration;
  };
}

async function requestMetadata({ issuer, clientId, clientSecret }: UpstreamConfig): Promise<oidc.Configuration> {
  const isInsecure = issuer.startsWith('http:'); // loopback, as config/ sees to
  const configuration = await oidc.discovery(new URL(issuer), clientId, { [oidc.clockTolerance]: 30 }, authenticate(clientSecret?.reveal()), {
    // Its ID tokens come straight from its token endpoint; their signature is checked all the same.
    execute: [oidc.enableNonRepudiationChecks, ...(isInsecure ? [oidc.allowInsecureRequests] : [])], // eslint-disable-line @typescript-eslint/no-deprecated -- marked so to be noticed
    timeout: TIMEOUT_SECONDS,
  });
  // The library lets Entra's metadata name a template in place of an issuer; ours never is one, and ID tokens are held to it.
  if (configuration.serverMetadata().issuer !== issuer) throw new Error('its metadata names another issuer');
  return configuration;
}

/** As the upstream's metadata says it takes a secret; what says nothing takes it as `client_secret_basic` (OIDC Discovery 3). */
function authenticate(secret: string | undefined): oidc.ClientAuth {
  if (secret === undefined) return oidc.None();
  const [basic, post] = [oidc.ClientSecretBasic(secret), oidc.ClientSecretPost(secret)];
  return (server, client, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const chosen = !methods.includes('client_secret_basic') && methods.includes('client_secret_post') ? post : basic;
    chosen(server, client, body, headers);
  };
}

function describeTrouble(config: UpstreamConfig, error: unknown): Refused {
  if (error instanceof Refused) return error;
  if (error instanceof oidc.AuthorizationResponseError && error.error === 'access_denied') {
    return new Refused('upstream_denied', `You were not signed in at ${config.name}: it was cancelled, or your account there may not be used for this.`, { cause: error });
  }
  return isOutOfReach(error) ? unavailable(config, error) : rejected(config, error);
}

function isOutOfReach(error: unknown): boolean {
  if (!(error instanceof oidc.ClientError)) return error instanceof TypeError;
  if (error.code === 'OAUTH_TIMEOUT' || error.code === 'OAUTH_ABORT') return true;
  const { cause } = error;
  return cause instanceof TypeError || (cause instanceof Response && cause.status >= 500);
}

const unavailable = ({ name }: UpstreamConfig, cause: unknown) =>
  new Refused('upstream_unavailable', `${name} does not answer just now. Try again in a moment, or use your passkey.`, { cause });

const rejected = ({ name }: UpstreamConfig, cause: unknown) =>
  new Refused('upstream_rejected', `The answer of ${name} could not be verified. Start again.`, { cause });
