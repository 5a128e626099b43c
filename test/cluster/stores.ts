import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { findFreePort } from '../support/free_port.ts';

/** A Postgres and a Redis of one's own: children of this process, which may be killed and brought back. */
export interface Stores {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** As `pg_ctl stop -m immediate`: every connection is cut, and nothing is written down first. */
  killPostgres(): Promise<void>;
  /** Resolves when it takes queries again. */
  startPostgres(): Promise<void>;
  /** SIGKILL: what it held is gone. */
  killRedis(): Promise<void>;
  startRedis(): Promise<void>;
  close(): Promise<void>;
}

const START_MS = 20_000;

export async function startStores(): Promise<Stores> {
  const folder = mkdtempSync(join(tmpdir(), 'vouch-stores-'));
  const owner = findPostgresOwner();
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid);
  const bin = findPostgresPrograms();
  const data = join(folder, 'pg');
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'], { ...owner, cwd: folder, stdio: 'ignore' });
  const [postgresPort, redisPort] = [await findFreePort(), await findFreePort()];
  const databaseUrl = `postgresql://postgres@127.0.0.1:${postgresPort}/postgres`;
  // Commits are written before they are acknowledged, so that a kill loses none; only the disk itself is not waited for.
  const settings = ['listen_addresses=127.0.0.1', 'fsync=off', 'full_page_writes=off', 'max_connections=100'].flatMap((setting) => ['-c', setting]);
  const postgres = createChild(() => spawn(join(bin, 'postgres'), ['-D', data, '-p', String(postgresPort), '-k', folder, ...settings], { ...owner, cwd: folder, stdio: 'ignore' }));
  const redis = createChild(() => spawn('redis-server', ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder], { cwd: folder, stdio: 'ignore' }));

  const stores: Stores = {
    databaseUrl,
    redisUrl: `redis://127.0.0.1:${redisPort}`,
    killPostgres: () => postgres.end('SIGQUIT'),
    startPostgres: async () => {
      postgres.start();
      await waitFor('Postgres', () => takesQueries(databaseUrl));
    },
    killRedis: () => redis.end('SIGKILL'),
    startRedis: async () => {
      redis.start();
      await waitFor('Redis', () => listens(redisPort));
    },
    close: async () => {
      await Promise.all([postgres.end('SIGQUIT'), redis.end('SIGKILL')]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await Promise.all([stores.startPostgres(), stores.startRedis()]);
  return stores;
}

function createChild(create: () => ChildProcess) {
  let child: ChildProcess | undefined;
  // Whatever ends the tests, nothing that they started goes on.
  process.once('exit', () => child?.kill('SIGKILL'));
  return {
    start: () => {
      child = create();
    },
    end: async (signal: NodeJS.Signals) => {
      const ending = child;
      child = undefined;
      if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
      await new Promise<void>((resolve) => {
        ending.once('exit', () => { resolve(); });
        ending.kill(signal);
      });
    },
  };
}

/** Postgres refuses to run as root: then it runs as the user that its package made. */
function findPostgresOwner(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const ask = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: ask('-u'), gid: ask('-g') };
}

function findPostgresPrograms(): string {
  const root = '/usr/lib/postgresql'; // Debian keeps them off PATH
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'postgres')));
  return found ?? execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim();
}

export async function waitFor(what: string, isTrue: () => Promise<boolean>, limitMs = START_MS): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await sleep(25);
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => { resolve(false); });
  });
}

async function takesQueries(connectionString: string): Promise<boolean> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined); // it may be killed at any time
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
