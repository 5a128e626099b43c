/*
 * Owns: the one place where rooms meet: it builds them from the configuration and routes each request to its group.
 * Never: decides anything that a room could decide.
 * Keeps true: discovery and the JWKS are answered before anything that can wait, fail or be limited.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import Koa from 'koa';
import { createAccounts, type Accounts } from './accounts/accounts.ts';
import { createAudiences } from './audiences/audiences.ts';
import { createClients, type Clients } from './clients/clients.ts';
import { ensureEmbeddedSecrets, type Config } from './config/config.ts';
import { parseKekRing } from './crypto/kek.ts';
import { LARGEST_BODY_BYTES } from './http/body.ts';
import { serveDocument } from './http/document.ts';
import { sendJson } from './http/reply.ts';
import { applyBrowserHeaders } from './http/security_headers.ts';
import { createIssuer, ROUTES, type Issuer, type ProviderEvents } from './issuer/issuer.ts';
import { createKeys, type Keys } from './keys/keys.ts';
import { systemClock, type Clock } from './lib/clock.ts';
import { Secret } from './lib/secret.ts';
import { createLogin, type LoginEvents } from './login/login.ts';
import { describeError, type Log } from './observability/log.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { SIGNING_ALGORITHMS } from './oauth2/vocabulary.ts';
import { openStorage, type Storage } from './storage/storage.ts';
import { createPages, loadAssets } from './views/views.ts';

export interface App {
  /** Answers every request of the public listener. */
  readonly handle: RequestListener;
  /** Answers the operations listener: metrics and health. */
  readonly handleOps: RequestListener;
  readonly accounts: Accounts;
  readonly clients: Clients;
  readonly keys: Keys;
  /** Files with secrets that were made at this start. */
  readonly madeSecrets: readonly string[];
  /** From now on /readyz says no, so that a balancer looks elsewhere while requests under way end. */
  beginDrain(): void;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly config: Config;
  readonly log: Log;
  readonly clock?: Clock;
}

const PURGE_INTERVAL_MS = 10 * 60_000;

/** Opens storage, brings the keys in order and joins the rooms. Throws what openStorage and createKeys throw. */
export async function createApp({ config, log, clock = systemClock }: AppOptions): Promise<App> {
  const { keks, cookieKeys, made } = ensureEmbeddedSecrets(config);
  const storage = await openStorage({
    ...config, clock,
    onRedisError: (error) => {
      log.warn({ error: describeError(error) }, 'redis does not answer');
    },
  });
  try {
    const keys = await createKeys({ store: storage.keys, keks: new Secret(parseKekRing(keks.reveal())), rings: SIGNING_ALGORITHMS, clock });
    return joinRooms({ config, log, clock, storage, keys, cookieKeys: cookieKeys.reveal(), madeSecrets: made });
  } catch (error) {
    await storage.close();
    throw error;
  }
}

interface Parts extends Required<AppOptions> {
  readonly storage: Storage;
  readonly keys: Keys;
  readonly cookieKeys: readonly string[];
  readonly madeSecrets: readonly string[];
}

function joinRooms({ config, log, clock, storage, keys, cookieKeys, madeSecrets }: Parts): App {
  const { issuer, hostedDomains, sessionSeconds } = config;
  const metrics = createMetrics();
  const accounts = createAccounts({ store: storage.accounts, hostedDomains, clock });
  const clients = createClients({ store: storage.clients, clock });
  const audiences = createAudiences({ issuer, names: config.audiences });
  const assets = loadAssets();
  const pages = createPages({ assets, productName: 'Vouch' });
  const protocol = createIssuer({
    issuer, sessionSeconds, cookieKeys, keys, accounts, clients, audiences, clock,
    durable: storage.durable, volatile: storage.volatile,
    events: createProviderEvents(log, metrics),
    renderErrorPage: ({ code, description }) =>
      pages.renderErrorPage({ title: 'This request cannot be answered', message: description ?? 'The application that sent you here asked for something wrong.', hint: 'Go back to the application and try again. If it happens again, tell its makers the code below.', reference: code }),
  });
  const renderLost = () =>
    pages.renderErrorPage({
      title: 'There is no page here',
      message: 'This is an OpenID Connect issuer. It has pages for signing in, to which applications send you.',
      hint: `Its metadata is at ${issuer}${ROUTES.openidConfiguration}`,
      reference: undefined,
    });
  const browser = new Koa();
  browser.silent = true; // login/ answers its own trouble; what is left is a client that hung up
  browser.use(createLogin({ issuer, accounts, interactions: protocol.interactions, transient: storage.transient, pages, assets, clock, events: createLoginEvents(log, metrics) }).routes());
  const health = createHealth(storage);
  const purge = setInterval(() => {
    storage.purge().catch((error: unknown) => {
      log.warn({ error: describeError(error) }, 'what has expired could not be dropped');
    });
  }, PURGE_INTERVAL_MS);
  purge.unref();

  return {
    handle: createFront({ issuer, protocol, keys, health, browser: browser.callback(), renderLost }),
    handleOps: createOps(metrics, health),
    accounts, clients, keys, madeSecrets,
    beginDrain: () => {
      health.isDraining = true;
    },
    close: async () => {
      clearInterval(purge);
      await storage.close();
    },
  };
}

interface FrontParts {
  readonly issuer: string;
  readonly protocol: Issuer;
  readonly keys: Keys;
  readonly health: Health;
  readonly browser: ReturnType<Koa['callback']>;
  readonly renderLost: () => string;
}

/** The route groups of the public listener, in order: documents, operations, protocol, browser, nothing. */
function createFront({ issuer, protocol, keys, health, browser, renderLost }: FrontParts): RequestListener {
  const pin = createPin(issuer);
  return (request, response) => {
    const path = pathOf(request);
    if (path === ROUTES.jwks) {
      serveDocument(request, response, keys.current().jwks);
      return;
    }
    if (path === ROUTES.openidConfiguration || path === ROUTES.authorizationServer) {
      serveDocument(request, response, protocol.discovery);
      return;
    }
    if (health.answer(request, response, path)) return;
    if (Number(request.headers['content-length'] ?? 0) > LARGEST_BODY_BYTES) {
      response.setHeader('Connection', 'close'); // the rest is not read
      sendJson(response, 413, { error: 'invalid_request', error_description: `the request is larger than ${LARGEST_BODY_BYTES} bytes` });
      return;
    }
    pin(request);
    if (protocol.handle(request, response, path)) return;
    if (path.startsWith('/login/')) {
      void browser(request, response);
      return;
    }
    sendLost(request, response, renderLost);
  };
}

/** The path alone, with no copy of the URL where there is no query. */
function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}

/**
 * oidc-provider derives every URL that it emits from the request. Whatever a client or a proxy says, the request is for
 * the issuer.
 */
function createPin(issuer: string): (request: IncomingMessage) => void {
  const { host, protocol } = new URL(issuer);
  const scheme = protocol.slice(0, -1);
  return ({ headers }) => {
    headers.host = host;
    headers['x-forwarded-proto'] = scheme;
    delete headers['x-forwarded-host'];
  };
}

function sendLost(request: IncomingMessage, response: ServerResponse, renderLost: () => string): void {
  if (!(request.headers.accept ?? '').includes('text/html')) {
    sendJson(response, 404, { error: 'not_found', error_description: 'there is nothing at this path' });
    return;
  }
  applyBrowserHeaders(response, { formAction: "'none'" });
  response.writeHead(404, { 'Content-Type': 'text/html; charset=utf-8' });
  response.end(renderLost());
}

interface Health {
  isDraining: boolean;
  /** Answers /healthz (the process lives) and /readyz (it can do its work); false for other paths. */
  answer(request: IncomingMessage, response: ServerResponse, path: string): boolean;
}

function createHealth(storage: Storage): Health {
  const health: Health = {
    isDraining: false,
    answer: (_request, response, path) => {
      if (path === '/healthz') {
        sendJson(response, 200, { status: 'ok' });
        return true;
      }
      if (path !== '/readyz') return false;
      if (health.isDraining) {
        sendJson(response, 503, { status: 'draining' });
        return true;
      }
      storage.check().then(
        () => { sendJson(response, 200, { status: 'ok' }); },
        () => { sendJson(response, 503, { status: 'storage unavailable' }); },
      );
      return true;
    },
  };
  return health;
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

function createProviderEvents(log: Log, metrics: Metrics): ProviderEvents {
  return {
    onIssued: (issued) => {
      metrics.countIssued(issued.audience);
      log.info(issued, 'federation token issued');
    },
    onRefused: ({ route, clientId, code, detail }) => {
      metrics.countRefused(route, code);
      log.info({ route, clientId, refusal: code, detail }, 'request refused');
    },
    onFailure: ({ route, error }) => {
      metrics.countFailure();
      log.error({ route, error: describeError(error) }, 'request failed');
    },
  };
}

function createLoginEvents(log: Log, metrics: Metrics): LoginEvents {
  return {
    onSignedIn: (who) => {
      metrics.countSignIn('signed_in');
      log.info(who, 'signed in with a passkey');
    },
    onEnrolled: (who) => {
      metrics.countSignIn('enrolled');
      log.info(who, 'enrolled with a passkey');
    },
    onTrouble: ({ route, code, error }) => {
      metrics.countSignIn('refused');
      const level = code === 'server_error' ? 'error' : 'info';
      log[level]({ route, refusal: code, error: describeError(error) }, 'a page could not do what was asked');
    },
  };
}
