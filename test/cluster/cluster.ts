import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBrowser, enrol } from '../support/browser.ts';
import { registerEs256Audience } from '../support/es256_audience.ts';
import { findFreePort } from '../support/free_port.ts';
import { startIssuerProcess, type IssuerProcess } from '../support/issuer_process.ts';
import { signIn, type Tokens } from '../support/oauth.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';
import { startProxy, type Proxy, type Relayed } from './proxy.ts';
import { startStores, type Stores } from './stores.ts';

/** The thresholds of the key life cycle, in seconds. */
export interface Policy {
  readonly longestToken: number;
  readonly maxAge: number;
  readonly stale: number;
  readonly lead: number;
  readonly retention: number;
  readonly rotation: number;
  readonly verifierWait: number;
}

/**
 * A whole life of a key in seconds: as fast as ten keys in the set allow, with room for each verifier's habits. Retention
 * is the least that the policy takes, and three retiring keys a ring beside its active one and its standby make ten.
 */
export const FAST: Policy = { longestToken: 5, maxAge: 1, stale: 3, lead: 4, retention: 14, rotation: 5, verifierWait: 1 };

export interface Instance {
  /** Straight to this instance, past the proxy. */
  readonly url: string;
  readonly dataDir: string;
  output(): string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** On the same folder and port; resolves when it is ready. */
  start(): Promise<void>;
  pause(): void;
  resume(): void;
}

/** Three issuer processes with one issuer URL, a proxy at that URL, and one Postgres and Redis that are theirs alone. */
export interface Cluster {
  readonly issuer: string;
  readonly instances: readonly Instance[];
  readonly stores: Stores;
  readonly proxy: Proxy;
  /** What each instance was started with, but for its port and folder. */
  readonly env: Readonly<Record<string, string>>;
  /** Signs the one person in again: a session of its own. One at a time, as a passkey is touched. */
  signIn(): Promise<Tokens>;
  close(): Promise<void>;
}

export const INSTANCES = 3;

export async function startCluster(policy: Policy, onAnswer: (answer: Relayed) => void = () => undefined): Promise<Cluster> {
  const stores = await startStores();
  const port = await findFreePort();
  const issuer = `http://localhost:${port}`;
  const env = describeEnvironment(issuer, stores, policy);
  const ports: number[] = [];
  while (ports.length < INSTANCES) ports.push(await findFreePort());
  const instances = ports.map((own) => createInstance(own, env));
  const proxy = await startProxy({ port, instances: ports, onAnswer });
  const close = async () => {
    await Promise.all(instances.map((instance) => instance.kill()));
    await Promise.all([proxy.close(), stores.close()]);
    for (const { dataDir } of instances) rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    // The link that the first one prints is good while no other makes a newer one.
    await instances[0]!.start();
    await registerEs256Audience(stores.databaseUrl);
    const link = /http\S+\/login\/enrol\/\S+/.exec(instances[0]!.output())?.[0];
    const passkey = createSoftwarePasskey({ origin: issuer });
    await enrol(createBrowser(issuer), link!, { email: 'ada@example.com', name: 'Ada' }, passkey);
    await Promise.all(instances.slice(1).map((instance) => instance.start()));

    let last: Promise<unknown> = Promise.resolve();
    const takeTurn = () => {
      const turn = last.then(() => signIn(issuer, { browser: createBrowser(issuer), passkey }));
      last = turn.catch(() => undefined);
      return turn;
    };
    return { issuer, instances, stores, proxy, env, signIn: takeTurn, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function describeEnvironment(issuer: string, { databaseUrl, redisUrl }: Stores, policy: Policy): Record<string, string> {
  const variables = {
    VOUCH_LONGEST_TOKEN_SECONDS: policy.longestToken,
    VOUCH_KEY_JWKS_MAX_AGE_SECONDS: policy.maxAge,
    VOUCH_KEY_STALE_SECONDS: policy.stale,
    VOUCH_KEY_LEAD_SECONDS: policy.lead,
    VOUCH_KEY_RETENTION_SECONDS: policy.retention,
    VOUCH_KEY_ROTATION_SECONDS: policy.rotation,
    VOUCH_KEY_VERIFIER_WAIT_SECONDS: policy.verifierWait,
    VOUCH_KEY_VERIFIER_WINDOW_SECONDS: 10,
    VOUCH_KEY_POLL_SECONDS: 1,
    VOUCH_KEY_TICK_SECONDS: 1,
  };
  return {
    VOUCH_ISSUER: issuer, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, VOUCH_LOG_LEVEL: 'warn', VOUCH_TRUSTED_PROXIES: '0',
    VOUCH_KEK: randomBytes(32).toString('base64url'), VOUCH_COOKIE_KEYS: randomBytes(32).toString('base64url'),
    ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)])),
  };
}

function createInstance(port: number, env: Record<string, string>): Instance {
  const dataDir = mkdtempSync(join(tmpdir(), 'vouch-instance-'));
  let running: IssuerProcess | undefined;
  const earlier: string[] = [];
  process.once('exit', () => {
    if (running !== undefined) process.kill(running.pid, 'SIGKILL');
  });
  const read = () => (running === undefined ? '' : `${running.output().stdout}${running.output().stderr}`);
  const signal = (name: NodeJS.Signals) => {
    if (running !== undefined) process.kill(running.pid, name);
  };
  return {
    url: `http://127.0.0.1:${port}`, dataDir,
    output: () => [...earlier, read()].join(''),
    kill: async () => {
      earlier.push(read());
      const ending = running;
      running = undefined;
      await ending?.kill();
    },
    start: async () => {
      running = await startIssuerProcess({ dataDir, port, env });
    },
    pause: () => { signal('SIGSTOP'); },
    resume: () => { signal('SIGCONT'); },
  };
}
