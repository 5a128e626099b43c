import { createServer, type RequestListener, type Server } from 'node:http';
import { parseArgs } from 'node:util';
import { createApp, type App } from './app.ts';
import { printBanner } from './banner.ts';
import { ConfigError, loadConfig, type Config } from './config/config.ts';
import { Refused, Unavailable } from './lib/errors.ts';
import { createLog, describeError, type Log } from './observability/log.ts';

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
  const config = loadConfig();
  if (values['check-config']) {
    console.log(`The configuration is good. The issuer is ${config.issuer}`);
    return;
  }
  const log = createLog(config.logLevel);
  const stopping = listenForStop();
  const app = await createApp({ config, log });
  if (values['invite-admin']) await inviteAdmin(app, config);
  else await serve(app, config, log, stopping);
  await app.close();
}

async function inviteAdmin(app: App, config: Config): Promise<void> {
  const { link, expiresAt } = await createInvitation(app, config);
  console.log(`This link enrols an admin. It works once, until ${expiresAt.toISOString()}:\n${link}`);
}

async function createInvitation({ accounts }: App, { issuer }: Config): Promise<{ link: string; expiresAt: Date }> {
  const { token, expiresAt } = await accounts.invite('admin');
  return { link: `${issuer}/login/enrol/${token.reveal()}`, expiresAt };
}

async function serve(app: App, config: Config, log: Log, stopping: Promise<void>): Promise<void> {
  const servers = [await listen(app.handle, config.port, config.host, 'VOUCH_PORT')];
  if (config.opsPort !== undefined) servers.push(await listen(app.handleOps, config.opsPort, config.host, 'VOUCH_OPS_PORT'));
  await announce(app, config, log);
  await stopping;
  app.beginDrain();
  await Promise.all(servers.map(drain));
}

/** In production the log is read by others, so the link that makes an admin is never in it. */
async function announce(app: App, config: Config, log: Log): Promise<void> {
  const hasAdmin = await app.accounts.hasAdmin();
  if (config.isProduction) {
    log.info({ issuer: config.issuer, createdKeys: app.keys.created.length }, 'listening');
    if (!hasAdmin) log.warn('there is no admin yet; run this program on this host with --invite-admin to enrol one');
    return;
  }
  printBanner({
    config, madeSecrets: app.madeSecrets, createdKeys: app.keys.created.length,
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
