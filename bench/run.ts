// npm run bench [-- --rounds 9 --seconds 1 --connections 32 --only exchange --growth | --swaps]
// How close the issuer comes to the least that an answer can cost, as ratios within one run: absolute numbers are the
// machine's. The verdict is by processor time of the server alone, which the load generator's share does not touch.
// A target that is missed is reported, not an error.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { findFreePort } from '../test/support/free_port.ts';
import { startServices } from '../scripts/services.mjs';
import { enrolAdmin, type BenchAdmin } from './admin.ts';
import { measureFinds } from './finds.ts';
import { measureSwaps, type Latencies } from './swaps.ts';
import { compare, type Comparison, type Effort, type Load, type Server } from './measure.ts';

/** One comparison. To add one: say what the issuer is asked, and which baseline does the least of the same work. */
interface Contest {
  readonly name: string;
  /** The least ratio of answers per CPU-second to the baseline's. */
  readonly target: number;
  /** On embedded storage, as a laptop has it, or on a PostgreSQL that waits for the disk, and Redis. */
  readonly storage: 'embedded' | 'servers';
  prepare(issuer: Issuer): Promise<{ readonly load: Load; readonly baseline: BaselineProcess }>;
}

interface Issuer {
  readonly pid: number;
  readonly url: string;
  /** The link that enrols its first admin. */
  readonly invitation: string;
  /** Undefined on embedded storage. */
  readonly databaseUrl: string | undefined;
}

interface BaselineProcess extends Server {
  stop(): void;
}

const CONTESTS: readonly Contest[] = [
  { name: 'JWKS', target: 0.8, storage: 'embedded', prepare: (issuer) => prepareDocument(issuer, '/oauth/jwks') },
  { name: 'discovery', target: 0.8, storage: 'embedded', prepare: (issuer) => prepareDocument(issuer, '/.well-known/openid-configuration') },
  { name: 'exchange, RS256', target: 0.5, storage: 'servers', prepare: (issuer) => prepareExchange(issuer, 'RS256') },
  { name: 'exchange, ES256', target: 0.5, storage: 'servers', prepare: (issuer) => prepareExchange(issuer, 'ES256') },
];

/** With --growth: what a token costs when the tables behind it are full. Each step adds to the one before. */
const GROWTH: readonly Contest[] = [1_000, 100_000, 1_000_000].map((rows) => ({
  name: `exchange, ES256, ${rows.toLocaleString('en')} rows and accounts`, target: 0.5, storage: 'servers', prepare: async (issuer) => {
    await grow(issuer, rows);
    return prepareExchange(issuer, 'ES256');
  },
}));

const START_SECONDS = 60;

/** The real issuer, as a process of its own on an empty data folder; returns when it is ready. */
async function startIssuer(more: Readonly<Record<string, string>> = {}): Promise<Issuer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'vouch-bench-'));
  const port = await findFreePort();
  const url = `http://localhost:${port}`;
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, VOUCH_ISSUER: url, VOUCH_PORT: String(port), VOUCH_DATA_DIR: dataDir, VOUCH_LOG_LEVEL: 'error', VOUCH_RATE_LIMIT_SCALE: '1000000', ...more };
  const child = spawn(process.execPath, [fileURLToPath(new URL('../server/main.ts', import.meta.url))], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  cleanups.push(() => {
    child.kill('SIGKILL');
    // A killed process may take a moment to let go of its folder.
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 10 });
  });
  const end = Date.now() + START_SECONDS * 1000;
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`the issuer ended at its start with exit code ${child.exitCode}`);
    const response = await fetch(`${url}/readyz`).catch(() => undefined);
    const invitation = /http\S+\/login\/enrol\/\S+/.exec(printed)?.[0];
    if (response?.ok && invitation !== undefined) return { pid: child.pid ?? 0, url, invitation, databaseUrl: more.DATABASE_URL };
    await sleep(100);
  }
  throw new Error(`the issuer was not ready in ${START_SECONDS} s`);
}

/** A public document, against a server that answers with as many bytes of the same type. */
async function prepareDocument(issuer: Issuer, path: string): Promise<{ load: Load; baseline: BaselineProcess }> {
  const { host, port } = new URL(issuer.url);
  const load: Load = { url: `http://127.0.0.1:${port}${path}`, method: 'GET', headers: { host } };
  const response = await fetch(`${issuer.url}${path}`);
  if (!response.ok) throw new Error(`${path} answers ${response.status}`);
  const bytes = (await response.arrayBuffer()).byteLength;
  const baseline = await startBaseline(['fixed', String(bytes), response.headers.get('content-type') ?? '']);
  return { load, baseline };
}

/** Someone who is signed in, by issuer: one invitation enrols one admin. */
const signedIn = new Map<Issuer, Promise<BenchAdmin>>();

/** A token exchange for an audience of the algorithm, against a server that verifies one JWT, signs one and keeps nothing. */
async function prepareExchange(issuer: Issuer, algorithm: 'RS256' | 'ES256'): Promise<{ load: Load; baseline: BaselineProcess }> {
  const admin = signedIn.get(issuer) ?? enrolAdmin(issuer.url, issuer.invitation);
  signedIn.set(issuer, admin);
  const { body } = await (await admin).prepareExchange(algorithm);
  const { host, port } = new URL(issuer.url);
  const load: Load = { url: `http://127.0.0.1:${port}/oauth/token`, method: 'POST', headers: { host, 'content-type': 'application/x-www-form-urlencoded' }, body };
  return { load, baseline: await startBaseline(['exchange', 'RS256', algorithm]) };
}

/** Fills the record and the accounts up to so many, by the database alone. */
async function grow({ databaseUrl }: Issuer, rows: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(
      `INSERT INTO audit_rows (chain, seq, at, kind, event, jti, kid, alg, token_kind, account_id, subject, client_id, audience, expires_at, previous, hash)
       SELECT '00000000-0000-4000-8000-000000000001', n, date_trunc('month', now()) + n * interval '1 millisecond', 'token', 'token_exchange', gen_random_uuid()::text, 'kid-' || n % 7, 'RS256', 'id_token',
         gen_random_uuid()::text, 'somebody@example.com', 'vouch-cli', 'https://' || n % 20 || '.example', now() + interval '1 minute', '', ''
       FROM generate_series((SELECT count(*) + 1 FROM audit_rows WHERE chain = '00000000-0000-4000-8000-000000000001'), $1::bigint) AS n`, [rows]);
    await client.query(
      `INSERT INTO accounts (id, kind, email, email_verified, name, role, status, created_at)
       SELECT gen_random_uuid(), 'person', 'somebody-' || n || '@example.com', false, 'Somebody', 'member', 'active', now() FROM generate_series((SELECT count(*) FROM accounts), $1::bigint) AS n`, [rows]);
    await client.query('ANALYZE');
  } finally {
    await client.end();
  }
}

/** Starts bench/baseline.ts; its load is the one request that its mode is made for. */
async function startBaseline(args: readonly string[]): Promise<BaselineProcess> {
  const file = fileURLToPath(new URL('./baseline.ts', import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) {
    const { port, body } = JSON.parse(line) as { port: number; body?: string };
    const url = `http://127.0.0.1:${port}/`;
    return {
      pid: child.pid ?? 0,
      load: body === undefined ? { url, method: 'GET', headers: {} } : { url, method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body },
      stop: () => child.kill('SIGKILL'),
    };
  }
  throw new Error(`the baseline server (${args.join(' ')}) ended before it listened`);
}

async function runContest(contest: Contest, issuer: Issuer, effort: Effort): Promise<Comparison> {
  const { load, baseline } = await contest.prepare(issuer);
  try {
    return await compare({ pid: issuer.pid, load }, baseline, effort);
  } finally {
    baseline.stop();
  }
}

// ── The table ──────────────────────────────────────────────────────────────────────────────────────────────────────

const HEAD = ['', 'ratio', 'target', '', 'per CPU-second', 'baseline', 'per second', 'baseline', 'p50 ms', 'p99 ms'];

const round = (value: number) => (Number.isNaN(value) ? 'n/a' : Math.round(value).toLocaleString('en'));

function renderRow({ name, target }: Contest, { ours, baseline, ratio }: Comparison): string[] {
  // Without /proc there is no processor time; the wall's ratio is the next best.
  const decisive = Number.isNaN(ratio.perCpuSecond) ? ratio.perSecond : ratio.perCpuSecond;
  return [
    name, decisive.toFixed(2), `>= ${target.toFixed(2)}`, decisive >= target ? 'reached' : 'missed',
    round(ours.perCpuSecond), round(baseline.perCpuSecond), round(ours.perSecond), round(baseline.perSecond), round(ours.p50), round(ours.p99),
  ];
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of [HEAD, ...rows]) {
    console.log(row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ').trimEnd());
  }
}

function readEffort(): Effort & { readonly only: string | undefined; readonly growth: boolean; readonly swaps: boolean } {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, seconds: { type: 'string', default: '1' }, connections: { type: 'string', default: '32' }, only: { type: 'string' }, growth: { type: 'boolean', default: false }, swaps: { type: 'boolean', default: false } } });
  const [rounds, seconds, connections] = [values.rounds, values.seconds, values.connections].map(Number);
  if (!rounds || !seconds || !connections || [rounds, seconds, connections].some((value) => !Number.isInteger(value) || value > 1000)) {
    throw new TypeError('--rounds, --seconds and --connections are whole numbers from 1 to 1000');
  }
  return { rounds, seconds, connections, only: values.only, growth: values.growth, swaps: values.swaps };
}

// ── All of it ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Undone in reverse at the end, and at a Ctrl-C (which the children get from the terminal themselves). */
const cleanups: (() => unknown)[] = [];

function cleanUp(): void {
  for (const undo of cleanups.splice(0).reverse()) undo();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    cleanUp();
    process.exit(130);
  });
}

async function main(): Promise<void> {
  const { only, growth, swaps, ...effort } = readEffort();
  if (swaps) {
    await reportSwaps();
    return;
  }
  const chosen = growth ? GROWTH : CONTESTS;
  const { rounds, seconds, connections } = effort;
  const minutes = Math.ceil((chosen.length * 2 * (rounds * seconds + 3)) / 60); // 3 s to warm up
  console.log(`Node ${process.version}, ${availableParallelism()} processors (${cpus()[0]?.model.trim() ?? 'unknown'})`);
  console.log(`${rounds} rounds of ${seconds} s each, ${connections} connections, medians; about ${minutes} min\n`);
  const rows: string[][] = [];
  const run = async (storage: Contest['storage'], start: () => Promise<Issuer>) => {
    const contests = chosen.filter((contest) => contest.storage === storage && (only === undefined || contest.name.includes(only)));
    if (contests.length === 0) return;
    const issuer = await start();
    for (const contest of contests) rows.push(renderRow(contest, await runContest(contest, issuer, effort)));
  };
  await run('embedded', () => startIssuer());
  let onServers: Issuer | undefined;
  await run('servers', async () => (onServers = await startIssuerOnServers()));
  printTable(rows);
  if (growth && onServers !== undefined) await reportFinds(onServers);
}

/** Within this an admin has an answer of the record, on a million rows. */
const FIND_TARGET_MS = 1_000;

async function reportFinds(issuer: Issuer): Promise<void> {
  const admin = await signedIn.get(issuer);
  if (admin === undefined || issuer.databaseUrl === undefined) throw new Error('nobody is signed in');
  const { rows, times } = await measureFinds(admin, issuer.databaseUrl);
  console.log(`\naudit find on ${round(rows)} rows`);
  for (const { what, found, p50, most } of times) console.log(`${what.padEnd(28)}${round(found).padStart(6)} found: p50 ${p50.toFixed(0)}, most ${most.toFixed(0)} ms`);
  const slowest = times.reduce((worst, one) => (one.most > worst.most ? one : worst));
  console.log(`the slowest, by ${slowest.what}: ${slowest.most.toFixed(0)} ms; target < ${FIND_TARGET_MS} ms: ${slowest.most < FIND_TARGET_MS ? 'reached' : 'missed'}`);
}

async function startIssuerOnServers(): Promise<Issuer> {
  const services = await startServices({ isDurable: true });
  cleanups.push(() => services.stop());
  return startIssuer({ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl });
}

/** The most that a swap may add to the slowest of a thousand requests. */
const SWAP_TARGET_MS = 20;

async function reportSwaps(): Promise<void> {
  console.log(`Node ${process.version}, ${availableParallelism()} processors (${cpus()[0]?.model.trim() ?? 'unknown'}); about 2 min\n`);
  const issuer = await startIssuerOnServers();
  const { load, baseline } = await prepareExchange(issuer, 'ES256');
  baseline.stop();
  const admin = await signedIn.get(issuer);
  if (admin === undefined) throw new Error('nobody is signed in');
  const { calm, swapping, swaps } = await measureSwaps(admin, load);
  const say = ({ requests, p50, p99, p999, most }: Latencies) => `${round(requests)} exchanges: p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, p99.9 ${p999.toFixed(1)}, most ${most.toFixed(1)} ms`;
  const cost = swapping.p999 - calm.p999;
  console.log(`calm            ${say(calm)}\n${String(swaps).padEnd(3)} swaps       ${say(swapping)}`);
  console.log(`a swap costs ${cost.toFixed(1)} ms at p99.9; target <= ${SWAP_TARGET_MS} ms: ${cost <= SWAP_TARGET_MS ? 'reached' : 'missed'}`);
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  cleanUp();
}
