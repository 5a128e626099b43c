import { setTimeout as sleep } from 'node:timers/promises';
import { ES256_AUDIENCE } from '../support/es256_audience.ts';
import { query } from '../support/services.ts';
import { createTokenChecks } from './checks.ts';
import { FAST, startCluster, type Cluster } from './cluster.ts';
import { createDisturbances, type Disturbances, type Kind } from './disturbances.ts';
import { runFaults } from './faults.ts';
import { startLoad, type Failure, type Minted } from './load.ts';
import { createPublicationCheck } from './published.ts';
import { createVerifiers } from './verifiers.ts';

/** Everything that one run saw. Whatever is called a fault, a failure or unexpected must be nothing. */
export interface Report {
  readonly seconds: number;
  readonly rotations: Readonly<Record<string, number>>;
  readonly forced: number;
  readonly disturbed: Readonly<Record<Kind, number>>;
  readonly tokens: number;
  /** What each algorithm signed, and with how many keys. */
  readonly signed: Readonly<Record<string, Signed>>;
  readonly verifications: number;
  readonly failedVerifications: number;
  readonly verificationFailures: readonly string[];
  readonly published: { readonly answers: number; readonly mostKeys: number; readonly faults: readonly string[] };
  /** Requests of the token endpoint that failed by what was broken on purpose, by kind. */
  readonly excused: Readonly<Record<string, number>>;
  readonly unexpected: readonly string[];
  readonly unexpectedCount: number;
  readonly sessionsLost: number;
  readonly fetches: Readonly<Record<string, number>>;
  /** What the instances logged, line by line. */
  readonly logs: readonly string[];
}

export interface Signed {
  readonly tokens: number;
  readonly keys: number;
}

export interface WorldOptions {
  /** Ends at whichever comes first. */
  readonly seconds: number;
  readonly rotations: number;
  readonly workers: number;
  readonly pauseMs: number;
  readonly tell: (line: string) => void;
}

/** Clocks may differ by as much as the policy reckons with: outside production, the life of a token. */
const TOLERANCE_SECONDS = FAST.longestToken;
const OBSERVE_MS = 400;
const PROGRESS_MS = 10_000;

/** Load, rotation and breakage at once, on a cluster of its own. */
export async function runWorld({ seconds, rotations, workers, pauseMs, tell }: WorldOptions): Promise<Report> {
  let issuer = '';
  const disturbances = createDisturbances();
  const publication = createPublicationCheck(() => issuer, FAST.maxAge, disturbances.describe);
  const cluster = await startCluster(FAST, publication.onAnswer);
  ({ issuer } = cluster);
  const verifiers = createVerifiers({ issuer, audiences: [issuer, ES256_AUDIENCE], leadSeconds: FAST.lead, toleranceSeconds: TOLERANCE_SECONDS });
  try {
    const checks = createTokenChecks(verifiers, TOLERANCE_SECONDS);
    const failures = createFailureCount(disturbances);
    const signatures = createSignatureCount();
    const onMinted = (minted: Minted) => {
      signatures.add(minted);
      publication.expectKey(minted.kid, minted.expiresAt * 1000 + TOLERANCE_SECONDS * 1000);
      checks.check(minted);
    };
    const load = await startLoad(cluster, { workers, pauseMs, events: { onMinted, onFailure: failures.add, onSessionLost: failures.lose } });
    const startedAt = Date.now();
    let isOver = false;
    const observer = observe(cluster, () => isOver);
    const faults = runFaults(cluster, disturbances, () => isOver, {
      staleSeconds: FAST.stale, quietSeconds: 6,
      tell: (what) => { tell(`${Math.round((Date.now() - startedAt) / 1000)} s: ${what}`); },
    });
    await waitForRotations(cluster, { startedAt, seconds, rotations, tell, describe: () => `${checks.report().tokens} tokens, ${checks.report().failed} refused by a verifier, ${failures.report().unexpectedCount} unexpected answers` });
    isOver = true;
    // An instance that does not come back is a finding of its own, and no reason to lose the others.
    await faults.catch((error: unknown) => { failures.note(`what was broken did not come back: ${String(error)}`); });
    await load.stop();
    await Promise.all([checks.settle(), observer]);
    const lasted = (Date.now() - startedAt) / 1000;
    const counted = await countRotations(cluster.stores.databaseUrl);
    const { tokens, verifications, failed, failures: verificationFailures } = checks.report();
    return {
      seconds: lasted, ...counted, disturbed: disturbances.counts(), tokens, signed: signatures.report(), verifications, failedVerifications: failed, verificationFailures,
      published: publication.report(), ...failures.report(),
      fetches: Object.fromEntries(verifiers.map((verifier) => [verifier.name, verifier.fetches()])),
      logs: cluster.instances.flatMap((instance, index) => instance.output().split('\n').filter((line) => line.startsWith('{')).map((line) => `${index} ${line}`)),
    };
  } finally {
    for (const verifier of verifiers) verifier.close();
    await cluster.close();
  }
}

/** Somebody who polls discovery and the keys all the time. Their answers are judged where they pass the proxy. */
async function observe({ issuer }: Cluster, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    for (const path of ['/.well-known/openid-configuration', '/oauth/jwks']) {
      const response = await fetch(issuer + path, { headers: { 'user-agent': 'observer/1' } });
      await response.arrayBuffer();
    }
    await sleep(OBSERVE_MS);
  }
}

interface Progress {
  readonly startedAt: number;
  readonly seconds: number;
  readonly rotations: number;
  readonly tell: (line: string) => void;
  readonly describe: () => string;
}

async function waitForRotations(cluster: Cluster, { startedAt, seconds, rotations, tell, describe }: Progress): Promise<void> {
  const end = startedAt + seconds * 1000;
  while (Date.now() < end) {
    await sleep(Math.max(0, Math.min(PROGRESS_MS, end - Date.now())));
    // It may be away just now, and then nothing rotates.
    const counted = await countRotations(cluster.stores.databaseUrl).catch(() => undefined);
    if (counted === undefined) continue;
    const done = sum(counted.rotations);
    tell(`${Math.round((Date.now() - startedAt) / 1000)} s: ${done} rotations, ${describe()}`);
    if (done >= rotations) return;
  }
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, one) => all + one, 0);
}

async function countRotations(databaseUrl: string): Promise<Pick<Report, 'rotations' | 'forced'>> {
  const rows = await query(databaseUrl, `SELECT ring, kind, count(*)::int AS times FROM key_events WHERE kind LIKE 'activated%' GROUP BY ring, kind`);
  const rotations: Record<string, number> = {};
  let forced = 0;
  for (const { ring, kind, times } of rows as { ring: string; kind: string; times: number }[]) {
    rotations[ring] = (rotations[ring] ?? 0) + times;
    if (kind !== 'activated') forced += times;
  }
  return { rotations, forced };
}

function createSignatureCount() {
  const counts = new Map<string, { tokens: number; readonly kids: Set<string> }>();
  return {
    add: ({ alg, kid }: Minted) => {
      const count = counts.get(alg) ?? { tokens: 0, kids: new Set() };
      count.tokens += 1;
      count.kids.add(kid);
      counts.set(alg, count);
    },
    report: (): Report['signed'] => Object.fromEntries([...counts].map(([alg, { tokens, kids }]) => [alg, { tokens, keys: kids.size }])),
  };
}

const MOST_TOLD = 30;

function createFailureCount(disturbances: Disturbances) {
  const excused: Record<string, number> = {};
  const unexpected: string[] = [];
  let [unexpectedCount, sessionsLost] = [0, 0];
  return {
    add: ({ what, kind, detail, from, instance }: Failure) => {
      if (kind !== 'refused' && disturbances.excuses(from, instance)) {
        excused[`${what} ${kind}`] = (excused[`${what} ${kind}`] ?? 0) + 1;
        return;
      }
      unexpectedCount += 1;
      if (unexpected.length < MOST_TOLD) unexpected.push(`${new Date(from).toISOString()} ${what} ${kind}, instance ${String(instance)}: ${detail}`);
    },
    note: (what: string) => {
      unexpectedCount += 1;
      unexpected.push(what);
    },
    lose: () => {
      sessionsLost += 1;
    },
    report: () => ({ excused, unexpected, unexpectedCount, sessionsLost }),
  };
}

function mapValues<T>(record: Readonly<Record<string, T>>, pick: (value: T) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, pick(value)]));
}

/** One line for whoever reads the output of the tests. */
export function summarize(reports: readonly Report[]): string {
  const add = (pick: (report: Report) => number) => reports.reduce((all, report) => all + pick(report), 0);
  const merge = (pick: (report: Report) => Readonly<Record<string, number>>) => {
    const merged: Record<string, number> = {};
    for (const report of reports) for (const [name, value] of Object.entries(pick(report))) merged[name] = (merged[name] ?? 0) + value;
    return Object.entries(merged).map(([name, value]) => `${name} ${value}`).join(', ') || 'none';
  };
  return [
    `${add(({ rotations }) => sum(rotations))} rotations (${merge(({ rotations }) => rotations)}; ${add(({ forced }) => forced)} before all had fetched) in ${Math.round(Math.max(...reports.map(({ seconds }) => seconds)))} s on ${reports.length} cluster(s)`,
    `broken on purpose: ${merge(({ disturbed }) => disturbed)}`,
    `${add(({ tokens }) => tokens)} tokens (${merge(({ signed }) => mapValues(signed, ({ tokens }) => tokens))}; keys that signed: ${merge(({ signed }) => mapValues(signed, ({ keys }) => keys))}), ${add(({ verifications }) => verifications)} verifications, ${add(({ failedVerifications }) => failedVerifications)} failed`,
    `${add(({ published }) => published.answers)} JWKS and discovery answers, ${add(({ published }) => published.faults.length)} faulty, at most ${Math.max(...reports.map(({ published }) => published.mostKeys))} keys`,
    `excused: ${merge(({ excused }) => excused)}; unexpected: ${add(({ unexpectedCount }) => unexpectedCount)}; sessions lost with an answer: ${add(({ sessionsLost }) => sessionsLost)}`,
    `fetches: ${merge(({ fetches }) => fetches)}`,
  ].join('; ');
}
