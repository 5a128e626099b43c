import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { INSTANCES, type Cluster } from './cluster.ts';
import type { Disturbances } from './disturbances.ts';

/** What is broken on purpose, in turn, for as long as the run lasts. Seconds. */
export interface FaultsOptions {
  readonly staleSeconds: number;
  /** Between the end of one and the start of the next. */
  readonly quietSeconds: number;
  readonly tell: (line: string) => void;
}

/** Gives what it was done to. */
type Fault = (cluster: Cluster, disturbances: Disturbances, options: FaultsOptions) => Promise<string>;

/** Longer than two rotations of the fastest policy: whoever was away so long knows no key that signs now. */
const LONG_ABSENCE_SECONDS = 12;

const FAULTS: readonly (readonly [string, Fault])[] = [
  ['kill -9, and back at once', (cluster, disturbances) => killInstance(cluster, disturbances, 0)],
  ['stopped for longer than the stale limit', (cluster, disturbances, { staleSeconds }) => pauseInstance(cluster, disturbances, staleSeconds + 2)],
  ['Redis killed', killRedis],
  ['Postgres killed', killPostgres],
  ['cut off from the proxy', cutInstance],
  ['kill -9, and back after two rotations', (cluster, disturbances) => killInstance(cluster, disturbances, LONG_ABSENCE_SECONDS)],
  ['stopped for two rotations', (cluster, disturbances) => pauseInstance(cluster, disturbances, LONG_ABSENCE_SECONDS)],
];

/** Goes round the list until `isStopped`. Resolves when all is whole again. */
export async function runFaults(cluster: Cluster, disturbances: Disturbances, isStopped: () => boolean, options: FaultsOptions): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    await waitUnless(isStopped, options.quietSeconds * 1000);
    if (isStopped()) return;
    const [name, fault] = FAULTS[turn % FAULTS.length]!;
    const from = new Date().toISOString();
    const whom = await fault(cluster, disturbances, options);
    options.tell(`${name}: ${whom}, from ${from} to ${new Date().toISOString()}`);
  }
}

async function killInstance({ instances }: Cluster, disturbances: Disturbances, awaySeconds: number): Promise<string> {
  const chosen = randomInt(INSTANCES);
  const end = disturbances.begin('kill', chosen);
  await instances[chosen]!.kill();
  await sleep(awaySeconds * 1000);
  await instances[chosen]!.start();
  end();
  return `instance ${chosen}`;
}

async function pauseInstance({ instances }: Cluster, disturbances: Disturbances, seconds: number): Promise<string> {
  const chosen = randomInt(INSTANCES);
  const end = disturbances.begin('pause', chosen);
  instances[chosen]!.pause();
  await sleep(seconds * 1000);
  instances[chosen]!.resume();
  end();
  return `instance ${chosen}`;
}

async function cutInstance({ proxy }: Cluster, disturbances: Disturbances): Promise<string> {
  const chosen = randomInt(INSTANCES);
  const end = disturbances.begin('cut', chosen);
  proxy.cut(chosen);
  await sleep(3_000);
  proxy.heal(chosen);
  end();
  return `instance ${chosen}`;
}

async function killRedis({ stores }: Cluster, disturbances: Disturbances): Promise<string> {
  const end = disturbances.begin('redis');
  await stores.killRedis();
  await sleep(6_000);
  await stores.startRedis();
  end();
  return 'all';
}

async function killPostgres({ stores }: Cluster, disturbances: Disturbances, { staleSeconds }: FaultsOptions): Promise<string> {
  const end = disturbances.begin('postgres');
  await stores.killPostgres();
  await sleep((staleSeconds + 1) * 1000);
  await stores.startPostgres();
  end();
  return 'all';
}

async function waitUnless(isStopped: () => boolean, ms: number): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end && !isStopped();) await sleep(100);
}
