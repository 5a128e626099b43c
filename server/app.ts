/*
 * Owns: the one place where rooms meet: it builds them from the configuration and puts each request into its group.
 * Never: decides anything that a room could decide.
 * Keeps true: discovery and the JWKS are answered before anything that can wait, fail or be limited.
 */
import type { RequestListener } from 'node:http';
import Koa from 'koa';
import { ADMIN_PATH, createAdmin } from './admin/admin.ts';
import {
  createAccounts, createDirectory, createIdentities, createPasskeys, createPeople, createScimTokens, createSessions, type Accounts, type Directory, type Identities, type People, type ScimTokens, type Sessions,
} from './accounts/accounts.ts';
import { createAudiences, type Audiences } from './audiences/audiences.ts';
import { CHECKPOINT_TYPE, createAudit, type Audit, type AuditEvents } from './audit/audit.ts';
import { createClients, type Clients } from './clients/clients.ts';
import { isConsumerDomain, type Config } from './config/config.ts';
import type { KekRing } from './crypto/kek.ts';
import { readAddress } from './http/address.ts';
import { serveDocument } from './http/document.ts';
import { fetchPublic as guardedFetch, type PublicFetch } from './http/guarded_fetch.ts';
import { createFront, pathOf, type Group } from './http/front.ts';
import { createHealth, type Health } from './http/health.ts';
import { createLimiter, type Limiter, type LimiterOptions, type NetworkRule, type SharedAddressFault } from './http/limiter.ts';
import { sendJson } from './http/reply.ts';
import { createIssuer, ROUTES, type Facts, type Issuer, type ProviderEvents } from './issuer/issuer.ts';
import { createKeys, FIRST_START, type DiskSnapshot, type KeyEvents, type Keys } from './keys/keys.ts';
import { systemClock, type Clock } from './lib/clock.ts';
import { describeWait } from './lib/limits.ts';
import type { Secret } from './lib/secret.ts';
import { createLogin, type LoginEvents } from './login/login.ts';
import { describeError, type Log } from './observability/log.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { createScim, SCIM_PATH } from './scim/scim.ts';
import { openStorage, type Storage } from './storage/storage.ts';
import { createPages, loadAssets, type Assets, type Pages } from './views/views.ts';

export interface App {
  /** Answers every request of the public listener. */
  readonly handle: RequestListener;
  /** Answers the operations listener: metrics and health. */
  readonly handleOps: RequestListener;
  readonly accounts: Accounts;
  readonly people: People;
  readonly identities: Identities;
  readonly scimTokens: ScimTokens;
  readonly sessions: Sessions;
  readonly clients: Clients;
  readonly audiences: Audiences;
  readonly audit: Audit;
  readonly keys: Keys;
  /** Begins what goes on in the background. */
  start(): Promise<void>;
  beginDrain(): void;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly config: Config;
  readonly keks: Secret<KekRing>;
  readonly cookieKeys: readonly string[];
  readonly disk: DiskSnapshot;
  readonly log: Log;
  readonly clock?: Clock;
  /** How a client's jwks_uri is fetched. */
  readonly fetchPublic?: PublicFetch;
}

const HOUSEKEEPING_MS = 10 * 60_000;

/** Opens storage, brings the keys in order and joins the rooms. Throws what openStorage and createKeys throw. */
export async function createApp({ config, keks, cookieKeys, disk, log, clock = systemClock, fetchPublic = guardedFetch }: AppOptions): Promise<App> {
  const metrics = createMetrics();
  const storage = await openStorage({
    ...config, clock,
    onRedisError: (error) => {
      log.warn({ error: describeError(error) }, 'redis does not answer');
    },
  });
  try {
    const policy = { ...config.keys, longestTokenSeconds: config.longestTokenSeconds };
    const keys = await createKeys({ ...config.keys, policy, store: storage.keys, hints: storage.hints, keks, clock, events: createKeyEvents(log, metrics, config) });
    const audit = createAudit({
      store: storage.audit, clock, retentionDays: config.auditRetentionDays, checkpointSeconds: config.auditCheckpointSeconds,
      sign: (payload) => keys.statements.sign(CHECKPOINT_TYPE, payload),
      verifySignature: (jws) => keys.statements.verify(CHECKPOINT_TYPE, jws),
      events: createAuditEvents(log, metrics),
    });
    return joinRooms({ config, log, clock, metrics, storage, keys, audit, disk, cookieKeys, fetchPublic });
  } catch (error) {
    await storage.close();
    throw error;
  }
}

interface Parts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly storage: Storage;
  readonly keys: Keys;
  readonly audit: Audit;
  readonly disk: DiskSnapshot;
  readonly cookieKeys: readonly string[];
  readonly fetchPublic: PublicFetch;
}

function joinRooms(parts: Parts): App {
  const { config, log, clock, metrics, storage, keys, audit, cookieKeys, fetchPublic } = parts;
  const { issuer, hostedDomains, sessionSeconds, sessionIdleSeconds, longestTokenSeconds, trustedProxies } = config;
  const domains = { hosted: hostedDomains, upstream: config.upstreams.flatMap((upstream) => upstream.domains).filter((domain) => !isConsumerDomain(domain)) };
  const accounts = createAccounts({ store: storage.accounts, groups: storage.groups, domains, clock });
  const sessions = createSessions({ store: storage.sessions, browsers: storage.browserSessions, idleSeconds: sessionIdleSeconds, clock });
  const people = createPeople({ store: storage.people, find: (id) => accounts.lookUp(id), endSessions: (accountId) => sessions.endAll(accountId) });
  const identities = createIdentities({ store: storage.identities, domains, people, clock });
  const directory = createDirectory({ store: storage.people, groups: storage.directoryGroups, people, clock });
  const scimTokens = createScimTokens({ store: storage.scimTokens, ownDomains: [...new Set([...domains.hosted, ...domains.upstream])], clock });
  const clients = createClients({ issuer, store: storage.clients, clock });
  const audiences = createAudiences({ store: storage.audiences, issuer, names: config.audiences, rings: config.keys.rings, longestTokenSeconds, clock });
  const assets = loadAssets();
  const pages = createPages({ assets, productName: 'Vouch' });
  const limiter = createLimiter({
    limits: storage.limits, rules: NETWORK_RULES, scale: config.rateLimitScale, trustedProxies, clock,
    renderLimitedPage: (seconds) => renderLimited(pages, seconds),
    events: createLimiterEvents(log, metrics),
  });
  const protocol = createIssuer({
    issuer, sessionSeconds, sessionIdleSeconds, longestTokenSeconds, trustedProxies, rings: config.keys.rings, cookieKeys, keys, accounts, sessions, clients, audiences, audit, clock,
    durable: storage.durable, fetchPublic, volatile: storage.volatile, devicePages: pages,
    events: createProviderEvents(log, metrics, limiter),
    limiter, findAccountWait: (accountId) => limiter.findWait(ACCOUNT_RULE, accountId),
    renderErrorPage: (error) => renderProtocolError(pages, error),
    renderSignOutPage: (options) => pages.renderSignOutPage(options),
    renderSignedOutPage: () => pages.renderSignedOutPage(),
    renderPostingPage: (posting) => pages.renderPostingPage(posting),
  });
  const browser = createBrowserGroup({ ...parts, accounts, identities, sessions, clients, protocol, limiter, pages, assets });
  const admin = createAdminGroup({ ...parts, accounts, people, identities, scimTokens, clients, audiences }, protocol);
  const scim = createScimGroup({ ...parts, directory, scimTokens, audiences });
  const health = createHealth(async () => {
    await storage.check();
    return keys.maySign(keys.current()) ? undefined : 'out of touch with the signing keys';
  });
  const documents = createDocumentGroup(protocol, keys, config.trustedProxies);
  const housekeeping = createHousekeeping(parts, protocol);
  return {
    // The groups: documents and operations before the limits, then protocol, browser, admin and SCIM.
    handle: createFront({ issuer, open: [documents, health.answer], guarded: [limiter.answer, protocol.handle, browser, admin, scim], renderLost: () => renderLost(pages, issuer) }),
    handleOps: createOps(metrics, health),
    accounts, people, identities, scimTokens, sessions, clients, audiences, audit, keys,
    start: async () => {
      await keys.start();
      audit.start();
      housekeeping.start();
    },
    beginDrain: health.beginDrain,
    close: async () => {
      housekeeping.stop();
      await audit.stop();
      await keys.stop();
      await storage.close();
    },
  };
}

/** What verifiers fetch: bytes that are there already. */
function createDocumentGroup(protocol: Issuer, keys: Keys, trustedProxies: number): Group {
  return (request, response, path) => {
    if (path === ROUTES.openidConfiguration || path === ROUTES.authorizationServer) {
      serveDocument(request, response, protocol.discovery);
      return true;
    }
    if (path !== ROUTES.jwks) return false;
    const answer = ({ jwks, version }: ReturnType<Keys['current']>) => {
      const status = serveDocument(request, response, jwks);
      if (status !== 200 && status !== 304) return;
      keys.countFetch({ userAgent: request.headers['user-agent'], address: readAddress(request, trustedProxies), version, isNotModified: status === 304 });
    };
    const latest = keys.latest();
    if (latest instanceof Promise) void latest.then(answer);
    else answer(latest);
    return true;
  };
}

interface BrowserParts extends Parts {
  readonly accounts: Accounts;
  readonly identities: Identities;
  readonly sessions: Sessions;
  readonly clients: Clients;
  readonly protocol: Issuer;
  readonly limiter: Limiter;
  readonly pages: Pages;
  readonly assets: Assets;
}

function createBrowserGroup({ config, clock, log, metrics, storage, audit, accounts, identities, sessions, clients, protocol, limiter, pages, assets }: BrowserParts): Group {
  const koa = new Koa();
  koa.silent = true; // login/ answers its own trouble; what is left is a client that hung up
  const { issuer } = config;
  const passkeys = createPasskeys({ store: storage.passkeys, clock });
  const router = createLogin({
    issuer, accounts, passkeys, identities, sessions, clients, upstreams: config.upstreams, sessionSeconds: config.sessionSeconds, trustedProxies: config.trustedProxies, deviceLoginForbidden: config.deviceLoginForbidden,
    pages, assets, clock, limiter, interactions: protocol.interactions, browserSessions: protocol.browserSessions, verifyPerson: protocol.verifyPerson,
    transient: storage.transient, attestationRoots: config.attestationRoots, events: createLoginEvents(log, metrics, audit, clock),
  });
  koa.use(router.routes());
  const answer = koa.callback();
  return (request, response, path) => {
    if (!path.startsWith('/login/')) return false;
    void answer(request, response);
    return true;
  };
}

/** What nobody waits for: dropping what has expired, and keeping what is published on disk. */
function createHousekeeping({ storage, keys, disk, clock, log }: Parts, protocol: Issuer) {
  const keep = () => {
    const { jwks, version } = keys.current();
    const documents = [
      { path: ROUTES.jwks, body: jwks.body.toString(), cacheControl: jwks.cacheControl },
      ...[ROUTES.openidConfiguration, ROUTES.authorizationServer].map((path) => ({ path, body: protocol.discovery.body.toString(), cacheControl: protocol.discovery.cacheControl })),
    ];
    try {
      disk.write(version, documents, clock.now());
    } catch (error) {
      log.warn({ error: describeError(error) }, 'what is published could not be kept on disk; an instance that boots while every store is away will have nothing to publish');
    }
  };
  let timer: NodeJS.Timeout | undefined;
  keys.onChange(keep);
  return {
    start: () => {
      keep();
      timer = setInterval(() => {
        keep(); // again, so that its age says when the issuer last ran
        storage.purge().catch((error: unknown) => {
          log.warn({ error: describeError(error) }, 'what has expired could not be dropped');
        });
      }, HOUSEKEEPING_MS);
      timer.unref();
    },
    stop: () => {
      clearInterval(timer);
    },
  };
}

interface AdminParts extends Parts {
  readonly accounts: Accounts;
  readonly people: People;
  readonly identities: Identities;
  readonly scimTokens: ScimTokens;
  readonly clients: Clients;
  readonly audiences: Audiences;
}

function createAdminGroup({ config, keys, accounts, people, identities, scimTokens, clients, audiences, audit, clock, log }: AdminParts, protocol: Issuer): Group {
  const koa = new Koa();
  koa.silent = true; // admin/ answers its own trouble
  const router = createAdmin({
    issuer: config.issuer, trustedProxies: config.trustedProxies,
    verifyAdmin: protocol.verifyAdmin, keys: keys.administration, accounts, people, identities, scimTokens, scimUrl: config.issuer + SCIM_PATH,
    clients, audiences, audit, clock,
    events: {
      onDone: (what) => {
        log.info(what, 'an admin changed something');
      },
      onRefused: ({ path, code, error }) => {
        log[code === 'server_error' ? 'error' : 'info']({ path, refusal: code, error: error === undefined ? undefined : describeError(error) }, 'an admin request was refused');
      },
    },
  });
  koa.use(router.routes()).use(router.allowedMethods());
  const answer = koa.callback();
  return (request, response, path) => {
    if (!path.startsWith(`${ADMIN_PATH}/`)) return false;
    void answer(request, response);
    return true;
  };
}

interface ScimParts extends Parts {
  readonly directory: Directory;
  readonly scimTokens: ScimTokens;
  readonly audiences: Audiences;
}

function createScimGroup({ config, directory, scimTokens, audiences, audit, clock, log }: ScimParts): Group {
  const koa = new Koa();
  koa.silent = true; // scim/ answers its own trouble
  const router = createScim({
    issuer: config.issuer, trustedProxies: config.trustedProxies, directory, tokens: scimTokens, audiences, audit, clock,
    events: {
      onDone: (what) => {
        log.info(what, 'a directory changed something');
      },
      onRefused: ({ error, ...what }) => {
        log[what.status === 500 ? 'error' : 'info']({ ...what, error: error === undefined ? undefined : describeError(error) }, 'a directory was refused');
      },
    },
  });
  koa.use(router.routes()).use(router.allowedMethods());
  const answer = koa.callback();
  return (request, response, path) => {
    if (!path.startsWith(`${SCIM_PATH}/`)) return false;
    void answer(request, response);
    return true;
  };
}

function createOps(metrics: Metrics, health: Health): RequestListener {
  return (request, response) => {
    const path = pathOf(request);
    if (health.answer(request, response, path)) return;
    if (path !== '/metrics') {
      sendJson(response, 404, { error: 'not_found', error_description: 'there is nothing at this path' });
      return;
    }
    metrics.render().then(
      ({ contentType, body }) => { response.writeHead(200, { 'Content-Type': contentType }).end(body); },
      () => { sendJson(response, 500, { error: 'server_error' }); },
    );
  };
}

const ACCOUNT_RULE = 'tokens of an account';
/** What no person and no job needs: each mints at most once a token's life. */
const TOKENS_OF_AN_ACCOUNT = { points: 3_000, seconds: 300 };

/** What a network may do in five minutes. An office of hundreds may sit behind one: requests have room, refusals less. */
const NETWORK_RULES: readonly NetworkRule[] = [
  { name: 'tokens refused', counts: 'refusals', allowance: { points: 1_000, seconds: 300 }, fits: (method, path) => method === 'POST' && path.startsWith('/oauth/') },
  { name: 'authorization', counts: 'requests', allowance: { points: 3_000, seconds: 300 }, fits: (_method, path) => path === ROUTES.authorization },
  { name: 'sign-in', counts: 'requests', allowance: { points: 3_000, seconds: 300 }, fits: (method, path) => method === 'POST' && path.startsWith('/login/') },
  // An invitation's link is in the path: looking for one is refused with 410.
  { name: 'sign-in refused', counts: 'refusals', allowance: { points: 100, seconds: 300 }, fits: (_method, path) => path.startsWith('/login/') },
  { name: 'SCIM', counts: 'requests', allowance: { points: 6_000, seconds: 300 }, fits: (_method, path) => path.startsWith(`${SCIM_PATH}/`) },
  { name: 'SCIM refused', counts: 'refusals', allowance: { points: 300, seconds: 300 }, fits: (_method, path) => path.startsWith(`${SCIM_PATH}/`) },
  { name: 'admin refused', counts: 'refusals', allowance: { points: 100, seconds: 300 }, fits: (_method, path) => path.startsWith(`${ADMIN_PATH}/`) },
];

function createLimiterEvents(log: Log, metrics: Metrics): LimiterOptions['events'] {
  return {
    onLimited: (limited) => {
      metrics.countLimited(limited.rule);
      log.warn(limited, 'a rate limit was reached');
    },
    onSharedAddress: (fault) => {
      metrics.countAlarm('shared_address');
      log.warn({ fault }, SHARED_ADDRESS[fault]);
    },
  };
}

const SHARED_ADDRESS: Readonly<Record<SharedAddressFault, string>> = {
  untrusted_proxy: 'requests come with X-Forwarded-For and VOUCH_TRUSTED_PROXIES is 0: if a proxy of yours sends it, everyone seems to share its address; set VOUCH_TRUSTED_PROXIES to the number of proxies',
  missing_header: 'VOUCH_TRUSTED_PROXIES is set and requests come without X-Forwarded-For: everyone behind that proxy seems to share its address; have it send the header, or set VOUCH_TRUSTED_PROXIES=0',
  too_few_trusted: 'nearly all requests seem to come from one address, and X-Forwarded-For has more entries than VOUCH_TRUSTED_PROXIES says: if that address is a proxy of yours (a CDN, a balancer), everyone seems to share its address; set VOUCH_TRUSTED_PROXIES to the number of all proxies',
};

function renderLimited(pages: Pages, seconds: number): string {
  return pages.renderErrorPage({
    title: 'Too many attempts',
    message: `Too many requests came from your network. Try again in ${describeWait(seconds)}.`,
    hint: 'If you did nothing out of the ordinary, somebody on the same network may have. Tell an administrator if it goes on.',
    reference: 'too_many_requests',
  });
}

function renderLost(pages: Pages, issuer: string): string {
  return pages.renderErrorPage({
    title: 'There is no page here',
    message: 'This is an OpenID Connect issuer. It has pages for signing in, to which applications send you.',
    hint: `Its metadata is at ${issuer}${ROUTES.openidConfiguration}`,
    reference: undefined,
  });
}

function renderProtocolError(pages: Pages, { code, description }: { code: string; description: string | undefined }): string {
  return pages.renderErrorPage({
    title: 'This request cannot be answered',
    message: description ?? 'The application that sent you here asked for something wrong.',
    hint: 'Go back to the application and try again. If it happens again, tell its makers the code below.',
    reference: code,
  });
}

function createKeyEvents(log: Log, metrics: Metrics, { isProduction }: Pick<Config, 'isProduction'>): KeyEvents {
  return {
    onMoves: (moves) => {
      for (const move of moves) {
        // To a developer the banner says it.
        if (isProduction || move.reason !== FIRST_START) log.info(move, 'signing keys changed');
        if (move.kind === 'activate' && move.isForced) {
          metrics.countAlarm('activation_forced');
          log.warn({ ring: move.ring, kid: move.kid }, 'a signing key was activated before every known verifier had fetched it');
        }
      }
    },
    onStranger: (kid) => {
      metrics.countAlarm('key_not_proved');
      log.error({ kid }, 'the JWKS shows a key of which no key-encryption key at hand shows that this issuer made it: VOUCH_KEK lacks a line, or somebody has written to the database');
    },
    onRolledBack: ({ stored, served }) => {
      metrics.countAlarm('key_set_rolled_back');
      log.error({ stored: String(stored), served: String(served) }, 'the database holds an older key set than this instance, as after a restore: it stops signing; stop all instances and see "Restore the database" in deploy/README.md');
    },
    onSkew: (skewMs) => {
      metrics.countAlarm('clock_skew');
      log.warn({ skewMs }, 'this host’s clock and the database’s differ; tokens may be refused as not yet valid');
    },
    onTrouble: (what, error) => {
      log.warn({ error: describeError(error) }, what);
    },
  };
}

function createAuditEvents(log: Log, metrics: Metrics): AuditEvents {
  return {
    onBatch: ({ rows, waitMs }) => {
      metrics.observeAuditBatch(rows, waitMs);
    },
    // Where the database's owner cannot write: what shows that a later checkpoint was taken away.
    onCheckpoint: (checkpoint) => {
      log.info(checkpoint, 'the issuance record was sealed');
    },
    onDropped: (count) => {
      metrics.countAlarm('audit_dropped');
      log.warn({ count }, 'refusals came faster than they can be recorded; these were not');
    },
    onTrouble: (what, error) => {
      log.warn({ error: describeError(error) }, what);
    },
  };
}

function createProviderEvents(log: Log, metrics: Metrics, limiter: Limiter): ProviderEvents {
  const countTried = ({ clause, audience }: Facts) => {
    const wouldDeny = clause?.startsWith('audit mode') === true;
    if (wouldDeny) metrics.countWouldDeny(audience ?? '');
    return wouldDeny;
  };
  return {
    onIssued: (issued) => {
      if (issued.accountId !== undefined) limiter.count({ rule: ACCOUNT_RULE, who: issued.accountId, allowance: TOKENS_OF_AN_ACCOUNT });
      metrics.countIssued(issued.audience ?? '');
      countTried(issued);
      log.info(issued, 'token exchanged');
    },
    onGranted: (granted) => {
      if (countTried(granted)) log.info(granted, 'a token was given that the policy of its audience would have denied');
    },
    onRefused: ({ route, clientId, code, detail }) => {
      metrics.countRefused(route, code);
      log.info({ route, clientId, refusal: code, detail }, 'request refused');
    },
    onReused: (reuse) => {
      metrics.countAlarm('token_reused');
      log.warn(reuse, 'a code or a refresh token came a second time; its session was ended');
    },
    onFailure: ({ route, error }) => {
      metrics.countFailure();
      log.error({ route, error: describeError(error) }, 'request failed');
    },
  };
}

function createLoginEvents(log: Log, metrics: Metrics, audit: Audit, clock: Clock): LoginEvents {
  const note = (event: string, { accountId, clientId, ...detail }: { accountId: string; clientId?: string; by?: string; what?: string; device?: { name: string | null; os: string | null; ip: string | null } }) => {
    audit.note({ kind: 'sign_in', event, at: clock.now(), accountId, clientId, detail });
  };
  return {
    onSignedIn: (who) => {
      note('signed_in', who);
      metrics.countSignIn('signed_in');
      log.info(who, 'signed in');
    },
    onDeviceRefused: (who) => {
      const { accountId, clientId, reason, device } = who;
      audit.note({ kind: 'refusal', event: 'device_login', at: clock.now(), accountId, clientId, code: 'access_denied', reason, detail: { device: { ...device } } });
      metrics.countSignIn('refused');
      log.info(who, 'somebody may not sign in a device');
    },
    onProvisioned: (who) => {
      note('provisioned', who);
      metrics.countSignIn('enrolled');
      log.info(who, 'an upstream brought somebody new');
    },
    onEnrolled: (who) => {
      note('enrolled', who);
      metrics.countSignIn('enrolled');
      log.info(who, 'enrolled with a passkey');
    },
    onAccountChanged: (change) => {
      note('account_changed', change);
      log.info(change, 'somebody changed how they sign in');
    },
    onTrouble: ({ route, code, error }) => {
      metrics.countSignIn('refused');
      const level = code === 'server_error' ? 'error' : 'info';
      log[level]({ route, refusal: code, error: describeError(error) }, 'a page could not do what was asked');
    },
  };
}
