import { createServer, type RequestListener, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { App, AppOptions, createApp } from './app.ts';
import { ConfigError, ensureEmbeddedSecrets, loadConfig, type Config } from './config/config.ts';
import { parseKekRing } from './crypto/kek.ts';
import { documentOf, serveDocument } from './http/document.ts';
import { pathOf } from './http/front.ts';
import { sendJson } from './http/reply.ts';
import { createDiskSnapshot, findPolicyFaults, type KeptSnapshot } from './keys/keys.ts';
import { systemClock } from './lib/clock.ts';
import { Refused, Unavailable } from './lib/errors.ts';
import { Secret } from './lib/secret.ts';
import { createLog, describeError } from './observability/log.ts';

const USAGE = `Usage: node server/main.ts [--check-config | --invite-admin]

  (nothing)        run the issuer until it is told to stop
  --check-config   check the configuration, say what is wrong, and end
  --invite-admin   print a single-use link that enrols an admin, and end

The configuration comes from the environment; the README lists it.`;

/** Longer than a slow exchange, shorter than the 30 s after which orchestrators kill. */
const DRAIN_MS = 10_000;

/** A terminal's Ctrl-C reaches the process twice when npm passes it on as well: only a later one means "at once". */
const IMPATIENCE_MS = 1_000;

async function run(): Promise<void> {
  const { values } = parseArgs({ options: { 'check-config': { type: 'boolean' }, 'invite-admin': { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const config = readConfig();
  if (values['check-config']) {
    console.log(`The configuration is good. The issuer is ${config.issuer}`);
    return;
  }
  if (values['invite-admin']) await inviteAdmin(prepare(config));
  else await serve(prepare(config), listenForStop());
}

/** The configuration, also where its parts must go together. Throws a ConfigError. */
function readConfig(): Config {
  const config = loadConfig();
  const faults = findPolicyFaults({ ...config.keys, longestTokenSeconds: config.longestTokenSeconds }, config);
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

interface Prepared extends AppOptions {
  readonly now: Date;
  /** Files with secrets that were made just now. */
  readonly made: readonly string[];
}

/** All that can be had while no store is open. */
function prepare(config: Config): Prepared {
  const secrets = ensureEmbeddedSecrets(config);
  const keks = new Secret(parseKekRing(secrets.keks.reveal()));
  const disk = createDiskSnapshot(config.dataDir, config.issuer, keks);
  return { config, keks, cookieKeys: secrets.cookieKeys.reveal(), made: secrets.made, disk, log: createLog(config.logLevel), now: systemClock.now() };
}

async function inviteAdmin(prepared: Prepared): Promise<void> {
  const { createApp } = await import('./app.ts');
  const app = await createApp(prepared);
  const { link, expiresAt } = await createInvitation(app, prepared.config);
  await app.close();
  console.log(`This link enrols an admin. It works once, until ${expiresAt.toISOString()}:\n${link}`);
}

async function createInvitation({ accounts }: App, { issuer }: Config): Promise<{ link: string; expiresAt: Date }> {
  const { token, expiresAt } = await accounts.invite('admin');
  return { link: `${issuer}/login/enrol/${token.reveal()}`, expiresAt };
}

/**
 * Listens before anything else when there is something to publish: discovery and the keys, as they were last served, wait
 * for no store. The rest of the issuer is loaded and opened behind that.
 */
async function serve(prepared: Prepared, stopping: Promise<void>): Promise<void> {
  const { config, disk, log, now } = prepared;
  const kept = disk.read(now);
  const first = Promise.withResolvers<App | undefined>();
  const boot: Boot = { app: undefined, firstAttempt: first.promise };
  const open = () => listen(createEntrance(boot, kept, config), config.port, config.host, 'VOUCH_PORT');
  const early = typeof kept === 'string' ? undefined : await open();
  const openings = openApp(prepared, typeof kept !== 'string', stopping);
  void openings.firstAttempt.then(first.resolve);
  if (typeof kept === 'string') log[kept.startsWith('there is none') ? 'debug' : 'warn']({ why: kept }, 'nothing can be published before storage is open');

  boot.app = await openings.app;
  if (boot.app !== undefined) {
    const { app } = boot;
    const servers = [early ?? (await open())];
    if (config.opsPort !== undefined) servers.push(await listen(app.handleOps, config.opsPort, config.host, 'VOUCH_OPS_PORT'));
    await app.start();
    await announce(app, prepared);
    await stopping;
    app.beginDrain();
    await Promise.all(servers.map(drain));
    await app.close();
  } else if (early !== undefined) await drain(early);
}

const RETRY_MS = 2_000;

/**
 * Tries until the stores are there, if something is published meanwhile. `app` is undefined when it was told to stop before;
 * `firstAttempt` resolves when the first try has come to an end, good or bad (undefined).
 */
function openApp(options: AppOptions, retries: boolean, stopping: Promise<void>): { app: Promise<App | undefined>; firstAttempt: Promise<App | undefined> } {
  const stopped = stopping.then(() => 'stopped' as const);
  const attempt = async () => (await loadApp()).createApp(options);
  const first = attempt();
  const app = (async () => {
    for (let next = first; ; next = attempt()) {
      try {
        return await next;
      } catch (error) {
        if (!retries || !(error instanceof Unavailable)) throw error;
        options.log.warn({ error: describeError(error) }, 'storage is away; the last known keys are published meanwhile');
      }
      if ((await Promise.race([sleep(RETRY_MS), stopped])) === 'stopped') return undefined;
    }
  })();
  return { app, firstAttempt: first.catch(() => undefined) };
}

/** Long enough that whoever waits for a document is answered. */
const BREATH_MS = 10;

/** A part at a time: while modules load nothing is answered, and all of them take most of a second. */
async function loadApp(): Promise<{ createApp: typeof createApp }> {
  const parts = [() => import('./storage/storage.ts'), () => import('./issuer/issuer.ts'), () => import('./login/login.ts')];
  for (const load of parts) {
    await sleep(BREATH_MS);
    await load();
  }
  await sleep(BREATH_MS);
  return import('./app.ts');
}

interface Boot {
  app: App | undefined;
  readonly firstAttempt: Promise<App | undefined>;
}

/** Longer than a start takes where there is room to breathe, shorter than what AWS waits for keys. */
const HOLD_MS = 4_000;

/**
 * Answers with the issuer once it is there; before, with the documents that were kept. Those are served at once only while
 * every key that signs now must be among them: older ones, of an instance that was long away, wait for the first attempt
 * to reach the stores, and are what there is when that fails.
 */
function createEntrance(boot: Boot, kept: KeptSnapshot | string, { keys }: Config): RequestListener {
  const { documents, ageSeconds } = typeof kept === 'string' ? { documents: [], ageSeconds: 0 } : kept;
  const rendered = new Map(documents.map(({ path, body, cacheControl }) => [path, documentOf(body, cacheControl)]));
  const isCurrent = ageSeconds < keys.leadSeconds - keys.jwksMaxAgeSeconds;
  const held = Promise.race([boot.firstAttempt, sleep(HOLD_MS, undefined)]);
  return (request, response) => {
    if (boot.app !== undefined) {
      boot.app.handle(request, response);
      return;
    }
    const path = pathOf(request);
    const document = rendered.get(path);
    if (path === '/healthz') sendJson(response, 200, { status: 'ok' });
    else if (document === undefined) sendJson(response, 503, { error: 'temporarily_unavailable', error_description: 'The issuer is starting. Try again in a moment.' });
    else if (isCurrent) serveDocument(request, response, document);
    else {
      void held.then((opened) => {
        const app = boot.app ?? opened;
        if (app !== undefined) app.handle(request, response);
        else serveDocument(request, response, document);
      });
    }
  };
}

/** In production the log is read by others, so the link that makes an admin is never in it. */
async function announce(app: App, { config, made, log }: Prepared): Promise<void> {
  const hasAdmin = await app.accounts.hasAdmin();
  if (config.isProduction) {
    log.info({ issuer: config.issuer, createdKeys: app.keys.created.length }, 'listening');
    if (!hasAdmin) log.warn('there is no admin yet; run this program on this host with --invite-admin to enrol one');
    return;
  }
  const { printBanner } = await import('./banner.ts');
  printBanner({
    config, madeSecrets: made, createdKeys: app.keys.created.length,
    invitation: hasAdmin ? undefined : await createInvitation(app, config),
  });
}

/** Resolves at the first SIGINT or SIGTERM; a second one, later, ends the process where it stands. */
function listenForStop(): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = () => {
      const at = performance.now();
      if (firstAt !== undefined && at - firstAt > IMPATIENCE_MS) process.exit(130);
      firstAt ??= at;
      resolve();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
}

function listen(handle: RequestListener, port: number, host: string, variable: string): Promise<Server> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 65_000, maxHeaderSize: 16 * 1024 }, handle);
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? `port ${port} is in use; stop what listens there, or set ${variable}` : `cannot listen on ${host}:${port} (${error.code ?? error.message})`;
      reject(new Refused('cannot_listen', why, { cause: error }));
    });
    server.listen(port, host, () => {
      resolve(server);
    });
  });
}

function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.closeAllConnections();
    }, DRAIN_MS);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

try {
  await run();
  process.exit(0);
} catch (error) {
  const isExpected = error instanceof ConfigError || error instanceof Refused || error instanceof Unavailable;
  console.error(isExpected ? `error: ${error.message}` : `error: ${describeError(error)}`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}
