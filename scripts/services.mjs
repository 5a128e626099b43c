// Owns: a throw-away PostgreSQL and Redis on free loopback ports, and the path of a Chromium, for tests.
// Never: leaves a server, a port or a folder behind, however the process that asked for them ends.
// Keeps true: what is missing is installed or named; nothing is skipped.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { accessSync, chownSync, constants, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { SetupError } from './install.mjs';

const startSeconds = 30;
const attempts = 5; // a free port may be taken by someone else before the server has it

// ── What the machine has ───────────────────────────────────────────────────────────────────────────────────────────

const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
// Debian keeps servers in folders that are not on everybody's PATH.
const folders = () => [...(process.env.PATH ?? '').split(path.delimiter), '/usr/bin', '/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin'];
const findProgram = (...names) => names.flatMap((name) => folders().map((folder) => path.join(folder, name))).find(isExecutable);

/** The folder with both initdb and postgres: Debian's newest, else where pg_config or PATH says. */
function findPostgres() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const pgConfig = findProgram('pg_config');
  return [
    ...versions.map((version) => path.join(debian, version, 'bin')),
    ...(pgConfig ? [spawnSync(pgConfig, ['--bindir'], { encoding: 'utf8' }).stdout.trim()] : []),
    ...folders(),
  ].find((folder) => ['initdb', 'postgres', 'pg_isready'].every((name) => isExecutable(path.join(folder, name))));
}

/** One row for each thing that tests need: what finds it, and the Debian package that brings it. */
const needs = {
  postgres: { package: 'postgresql', find: findPostgres },
  redis: { package: 'redis-server', find: () => findProgram('redis-server') },
  chromium: {
    package: 'chromium',
    find: () => [process.env.TEST_CHROMIUM].find((file) => file && isExecutable(file)) ?? findProgram('chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'),
  },
};

/** Paths of what tests need; on Debian, as root, installs what is missing. Throws a SetupError that names the packages. */
export async function findServices({ say = () => {} } = {}) {
  const look = () => Object.fromEntries(Object.entries(needs).map(([name, need]) => [name, need.find()]));
  const missing = (found) => Object.keys(needs).filter((name) => !found[name]).map((name) => needs[name].package);
  let found = look();
  let packages = missing(found);
  if (packages.length === 0) return found;
  if (process.getuid?.() === 0 && existsSync('/etc/debian_version') && findProgram('apt-get')) {
    say(`installing ${packages.join(', ')} with apt-get (once) ...`);
    await aptInstall(packages);
    found = look();
    packages = missing(found);
    if (packages.length === 0) return found;
  }
  throw new SetupError(`the tests need ${packages.join(', ')}, which ${packages.length > 1 ? 'are' : 'is'} not installed here`, {
    hints: [`on Debian: sudo apt-get install -y --no-install-recommends ${packages.join(' ')}; elsewhere, PostgreSQL 15 or newer, Redis 7 or newer and Chromium`],
  });
}

async function aptInstall(packages) {
  await apt('update'); // a list that is a little old may still do: the install says whether it did
  const { code, output } = await apt('install', '-y', '--no-install-recommends', ...packages);
  if (code === 0) return;
  throw new SetupError(`apt-get could not install ${packages.join(', ')}`, {
    output: output.split('\n').slice(-15).join('\n'),
    hints: ['check the network and /etc/apt/sources.list, or install the packages by hand'],
  });
}

function apt(...args) {
  // Another apt-get may be at work on a machine that has just started: wait for it.
  const child = spawn('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output += data; });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => { resolve({ code, output }); });
  });
}

// ── The servers ────────────────────────────────────────────────────────────────────────────────────────────────────

const findFreePort = () => new Promise((resolve, reject) => {
  const server = createServer().once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => { resolve(port); });
  });
});

/** What a server answers to `message`, or '' if it does not. */
const ask = (port, message) => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => { socket.write(message); });
  socket.setTimeout(1000, () => { socket.destroy(); });
  socket.once('data', (data) => { resolve(String(data)); socket.destroy(); });
  socket.once('error', () => { resolve(''); });
  socket.once('close', () => { resolve(''); });
});

/** Starts a server on a free port, and again on another if it ended at once (the port was taken). */
async function start(name, { signal, command, isReady, options }) {
  let said = '';
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = await findFreePort();
    const [program, ...args] = command(port);
    // A process group of its own: a Ctrl-C must end the tests first and the servers after.
    const child = spawn(program, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise((resolve) => { child.once('exit', resolve).once('error', resolve); });
    said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { said = `${said}${data}`.slice(-4000); });
    const hasEnded = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    for (const end = Date.now() + startSeconds * 1000; Date.now() < end && !hasEnded(); await sleep(50)) {
      // Readiness of this child, not of whoever took its port: it must still be there after the answer.
      if (await isReady(port) && !hasEnded()) return { port, pid: child.pid, stop: () => { child.kill(signal); return ended; }, hasEnded };
    }
    child.kill('SIGKILL');
    await ended;
  }
  throw new SetupError(`${name} did not start`, { output: said });
}

const shellQuote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A process that outlives this one by a moment: at the end of its input it stops the servers and removes the folder. */
function startWatchdog(servers, dir) {
  // SIGINT is PostgreSQL's fast shutdown, and an orderly end for Redis too.
  const pids = servers.map(({ pid }) => pid).join(' ');
  const script = `read -r _; kill -INT ${pids} 2>/dev/null; sleep 3; kill -KILL ${pids} 2>/dev/null; rm -rf ${shellQuote(dir)}`;
  const child = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  child.unref();
  child.stdin.unref?.();
  return { cancel: () => { child.kill('SIGKILL'); } };
}

/**
 * Starts what tests need, empty and only reachable from this machine.
 * @returns {Promise<{ databaseUrl: string, redisUrl: string, chromium: string, stop: () => Promise<void> }>}
 * databaseUrl: a superuser's, durable writes off unless `isDurable`. stop: may be called twice. Throws a SetupError.
 */
export async function startServices({ isDurable = false, ...options } = {}) {
  const found = await findServices(options);
  const dir = mkdtempSync(path.join(tmpdir(), 'vouch-services-'));
  const servers = [];
  let watchdog;
  const stop = async () => {
    await Promise.all(servers.splice(0).map((server) => (server.hasEnded() ? undefined : server.stop())));
    watchdog?.cancel();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const data = path.join(dir, 'postgres');
    const as = whoRunsPostgres(dir);
    await promisify(execFile)(path.join(found.postgres, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'], { ...as, cwd: dir });
    const postgres = await start('PostgreSQL', {
      signal: 'SIGINT',
      options: { ...as, cwd: dir },
      command: (port) => [path.join(found.postgres, 'postgres'), '-D', data, '-p', String(port), '-k', dir,
        ...['listen_addresses=127.0.0.1', 'max_connections=200', ...(isDurable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'])].flatMap((setting) => ['-c', setting])],
      isReady: async (port) => spawnSync(path.join(found.postgres, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)]).status === 0,
    });
    servers.push(postgres);
    const redis = await start('Redis', {
      signal: 'SIGTERM',
      options: { cwd: dir },
      command: (port) => [found.redis, '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      isReady: async (port) => (await ask(port, 'PING\r\n')).startsWith('+PONG'),
    });
    servers.push(redis);
    watchdog = startWatchdog(servers, dir);
    return {
      databaseUrl: `postgresql://postgres@127.0.0.1:${postgres.port}/postgres`,
      redisUrl: `redis://127.0.0.1:${redis.port}`,
      chromium: found.chromium,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** PostgreSQL refuses to run as root: then as the user that its package made, who must be able to write there. */
function whoRunsPostgres(dir) {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(execFileSync('id', [flag, 'postgres'], { stdio: ['ignore', 'pipe', 'ignore'] }));
  let as;
  try {
    as = { uid: id('-u'), gid: id('-g') };
  } catch {
    throw new SetupError('PostgreSQL refuses to run as root, and there is no user named postgres', { hints: ['useradd --system postgres, or run as another user'] });
  }
  chownSync(dir, as.uid, as.gid);
  return as;
}
