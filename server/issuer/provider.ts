import { errors, Provider, type KoaContextWithOIDC, type TokenEndpointGrantContext } from 'oidc-provider';
import type { Audit } from '../audit/audit.ts';
import type { Sessions } from '../accounts/accounts.ts';
import { CLI_CLIENT_ID, isClientSecret } from '../clients/clients.ts';
import type { Limiter } from '../http/limiter.ts';
import type { Keys, KeySnapshot } from '../keys/keys.ts';
import { addSeconds } from '../lib/clock.ts';
import { Unavailable } from '../lib/errors.ts';
import { GRANT_TYPE } from '../oauth2/vocabulary.ts';
import { answerOnce, type AnswerWindowOptions } from './answer_window.ts';
import { createConfiguration, nameSessionCookie, type ConfigurationOptions } from './configuration.ts';
import { noteDenials } from './device_flow.ts';
import { limitDeviceRequests, limitGuesses, paceDevices } from './device_limits.ts';
import { factsOf } from './facts.ts';
import { InsufficientUserAuthentication, OUT_OF_TOUCH, TooMany, toProtocolError } from './failure.ts';
import { noteRefusal, originOf, recordTokens } from './issuance.ts';
import { demandProof, type Proofs } from './proof.ts';
import { replacePostingPage } from './posting_page.ts';
import { ROUTES } from './routes.ts';
import { EXCHANGE_PARAMETERS, exchangeToken, type ExchangeParameters, type Facts } from './token_exchange.ts';

export interface ProviderOptions extends ConfigurationOptions {
  readonly audit: Audit;
  readonly trustedProxies: number;
  readonly keys: Pick<Keys, 'maySign'>;
  readonly limiter: Pick<Limiter, 'take'>;
  readonly sessions: Pick<Sessions, 'note' | 'endGrant' | 'browsers'>;
  readonly proofs: Proofs;
  /** Seconds for which an account gets no more tokens, since it had too many. */
  readonly findAccountWait: (accountId: string) => number | undefined;
  /** Refreshes and redeemed device codes that this process is answering: they outlive a change of keys. */
  readonly underWay: AnswerWindowOptions['underWay'];
  readonly events: ProviderEvents;
}

/** What the protocol tells the rest of the house. Called in the middle of a request: must not throw or wait. */
export interface ProviderEvents {
  /** A token came out of an exchange. */
  onIssued(issued: Facts): void;
  /** Tokens of another grant are on record. */
  onGranted(granted: Facts): void;
  /** A request was refused: its registered code and what is not said to the client. */
  onRefused(refusal: { route: string; clientId: string | undefined; code: string; detail: string | undefined }): void;
  /** A code or a refresh token came twice, and its session was ended. */
  onReused(reuse: { clientId: string | undefined; grantId: string }): void;
  onFailure(failure: { route: string; error: Error }): void;
}

/**
 * Builds an oidc-provider for one key snapshot, with all that hangs on it. It is never changed afterwards: other keys mean
 * another provider, and requests under way finish on the one that they began with.
 */
export function createProvider(options: ProviderOptions, snapshot: KeySnapshot): Provider {
  const provider = new Provider(options.issuer, createConfiguration(options, snapshot));
  provider.proxy = true; // the front pins protocol and host to the issuer's
  // A typed, documented override: secrets are kept as hashes.
  provider.Client.prototype.compareClientSecret = function compareClientSecret(presented: string) {
    return this.clientSecret !== undefined && isClientSecret(this.clientSecret, presented);
  };
  registerTokenExchange(provider, options, snapshot);
  provider.use(addRetryAfter);
  provider.use(answerOnce({ ...options, noteRefusal: noteRefusedRepeat(options) }));
  provider.use(refuseToSign(options, snapshot));
  provider.use(recordTokens(options));
  provider.use(awaitEndings);
  provider.use(noteSessions(options));
  provider.use(addSessionEnd);
  provider.use(leaveAccessTokenUnbound);
  provider.use(replacePostingPage(options.renderPostingPage));
  provider.use(limitDeviceRequests(options));
  provider.use(limitGuesses(options, nameSessionCookie(options.issuer)));
  provider.use(paceDevices(options));
  provider.use(noteDenials(options));
  attachListeners(provider, options);
  return provider;
}

function registerTokenExchange(provider: Provider, options: ProviderOptions, keys: KeySnapshot): void {
  const { issuer, accounts, audiences, audit, clock, events, trustedProxies, proofs, findAccountWait } = options;
  const handle = async (ctx: TokenEndpointGrantContext<ExchangeParameters>) => {
    const dependencies = {
      issuer, keys, accounts, audiences, audit,
      clientId: ctx.oidc.client.clientId,
      ...originOf(ctx, trustedProxies),
      proveKey: demandProof(ctx.req, issuer, proofs),
      findAccountWait,
      arrivedAt: clock.now(),
    };
    if (dependencies.proveKey !== undefined) ctx.set('DPoP-Nonce', proofs.nextNonce());
    const facts = factsOf(ctx);
    ctx.body = await exchangeToken(ctx.oidc.params, dependencies, facts).catch((error: unknown) => {
      throw toProtocolError(error);
    });
    events.onIssued(facts);
  };
  // Repeated targets reach us, so that they are refused in words of their own.
  provider.registerGrantType(GRANT_TYPE.tokenExchange, handle, EXCHANGE_PARAMETERS, ['audience', 'resource']);
}

/** A client that is told to come back is told when; one that needs a newer sign-in, how new (RFC 9470 3). */
async function addRetryAfter(ctx: KoaContextWithOIDC, next: () => Promise<unknown>): Promise<void> {
  await next();
  if (ctx.status === 503) ctx.set('Retry-After', '1');
}

/**
 * Gives no token that was signed, or would be, with keys that this instance must not sign with any more. Looks again when
 * the token is there: the process may have been stopped for an hour in between.
 */
function refuseToSign({ keys }: ProviderOptions, snapshot: KeySnapshot) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<unknown>) => {
    if (ctx.path !== ROUTES.token) {
      await next();
      return;
    }
    if (keys.maySign(snapshot)) await next();
    if (keys.maySign(snapshot)) return;
    ctx.status = 503;
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { ...OUT_OF_TOUCH };
  };
}

/** Says beside a refresh token how long its session lasts, so that a command line can tell its user. */
async function addSessionEnd(ctx: KoaContextWithOIDC, next: () => Promise<unknown>): Promise<void> {
  await next();
  const { body } = ctx;
  const oidc = ctx.oidc as KoaContextWithOIDC['oidc'] | undefined; // there is none where no route was found
  // Each refresh makes it later, until its grant ends.
  const token = oidc?.entities.RefreshToken;
  if (oidc?.route !== 'token' || ctx.status !== 200 || token === undefined || !isRecord(body) || body.refresh_token === undefined) return;
  body.refresh_token_expires_in = token.remainingTTL;
}

/** What a request's listeners began, by the request's context: a listener cannot make the answer wait. */
const ENDINGS = new WeakMap<object, Promise<unknown>>();

function awaitBeforeAnswer(ctx: KoaContextWithOIDC, ending: Promise<unknown>, events: ProviderEvents): void {
  const settled = ending.catch((error: unknown) => {
    events.onFailure({ route: ctx.oidc.route, error: error as Error });
  });
  // Signing a browser out ends several.
  ENDINGS.set(ctx, Promise.all([ENDINGS.get(ctx), settled]));
}

/** Whoever is told that a session is over sees it so at once. */
async function awaitEndings(ctx: KoaContextWithOIDC, next: () => Promise<unknown>): Promise<void> {
  await next();
  await ENDINGS.get(ctx);
}

/**
 * Says where and when a session begins and goes on, before its tokens leave: one that its person could not see or end is
 * none. The library's answer becomes 503 otherwise.
 */
function noteSessions({ sessions, clock, trustedProxies }: ProviderOptions) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<unknown>) => {
    await next();
    if (ctx.path !== ROUTES.token || ctx.status !== 200 || !isRecord(ctx.body)) return;
    const { Grant: grant, AccessToken: token } = ctx.oidc.entities;
    if (grant?.accountId === undefined || grant.clientId === undefined || token?.grantId === undefined) return;
    // Without a refresh token it lasts as long as the access token.
    const refreshable = ctx.body.refresh_token === undefined ? undefined : ctx.oidc.entities.RefreshToken;
    const endsAt = addSeconds(clock.now(), refreshable?.remainingTTL ?? Number(ctx.body.expires_in));
    await sessions.note({ grantId: token.grantId, accountId: grant.accountId, clientId: grant.clientId, endsAt, ...originOf(ctx, trustedProxies) }).catch((error: unknown) => {
      if (!(error instanceof Unavailable)) throw error;
      ctx.status = 503;
      ctx.body = { error: 'temporarily_unavailable', error_description: 'The issuer cannot reach its storage just now. Try again in a moment.' };
    });
  };
}

/**
 * The command line proves a key that stays on its machine, to which its session, the refresh token, is bound; its access
 * tokens of ten minutes are bearer tokens all the same (RFC 9449 5 allows just that), so that a person can use them with curl.
 */
async function leaveAccessTokenUnbound(ctx: KoaContextWithOIDC, next: () => Promise<unknown>): Promise<void> {
  await next();
  if (ctx.path !== ROUTES.token || ctx.status !== 200 || !isRecord(ctx.body)) return;
  if (ctx.oidc.client?.clientId === CLI_CLIENT_ID && ctx.body.refresh_token !== undefined) ctx.body.token_type = 'Bearer';
}

function noteRefusedRepeat({ audit, clock, trustedProxies, events }: ProviderOptions): AnswerWindowOptions['noteRefusal'] {
  return (ctx, { event, clientId, code, reason }) => {
    events.onRefused({ route: 'token', clientId, code, detail: reason });
    audit.note({ kind: 'refusal', event, at: clock.now(), clientId, ...originOf(ctx, trustedProxies), code, reason });
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function attachListeners(provider: Provider, options: ProviderOptions): void {
  const { events } = options;
  const onRefused = (ctx: KoaContextWithOIDC, error: Error & { error?: string; error_description?: string | undefined; error_detail?: string | undefined }) => {
    // The answer to a device that waits, every five seconds: nobody was refused.
    if (error instanceof errors.AuthorizationPending) return;
    const code = error.error ?? error.message;
    events.onRefused({ route: ctx.oidc.route, clientId: ctx.oidc.client?.clientId, code, detail: error.error_detail });
    noteRefusal(ctx, code, error.error_detail ?? error.error_description, options);
    if (error instanceof InsufficientUserAuthentication && isRecord(ctx.body)) ctx.body.max_age = error.maxAgeSeconds;
    if (error instanceof TooMany) ctx.set('Retry-After', String(error.retryAfterSeconds));
  };
  provider.on('grant.error', (ctx, error) => {
    onRefused(ctx, error);
    // The one refusal that a person must hear of.
    if (error.error_detail === 'refresh token already used' && isRecord(ctx.body)) {
      ctx.body.error_description = 'the refresh token was used before, so that somebody else may have a copy of it: its session was ended; sign in again';
    }
  });
  provider.on('grant.revoked', (ctx, grantId) => {
    // At the token endpoint a grant is revoked when a code or a refresh token comes a second time.
    const isReuse = ctx.oidc.route === 'token';
    if (isReuse) events.onReused({ clientId: ctx.oidc.client?.clientId, grantId });
    awaitBeforeAnswer(ctx, options.sessions.endGrant(grantId, isReuse ? 'reuse' : 'client'), events);
  });
  provider.on('session.destroyed', ({ uid, accountId }) => {
    const { ctx } = Provider;
    if (accountId !== undefined && ctx !== undefined) awaitBeforeAnswer(ctx, options.sessions.browsers.end(accountId, uid, 'person'), events);
  });
  provider.on('authorization.error', onRefused);
  provider.on('revocation.error', onRefused);
  provider.on('device_authorization.error', onRefused);
  provider.on('code_verification.error', onRefused);
  provider.on('server_error', (ctx, error) => {
    events.onFailure({ route: ctx.oidc.route, error });
    noteRefusal(ctx, 'server_error', error.message, options);
  });
}
