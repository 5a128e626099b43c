#!/usr/bin/env node
// npm test: lint, types, schema and all tests, on a real PostgreSQL, Redis and Chromium; clusters last, and alone.
// npm test -- test/keys runs only those test files (arguments go to Jest), without the checks of the whole tree.
// The last line is always `N passed, N failed`; a check that fails counts as one failed.
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { binDir, ensureInstalled, findNode, pathWithBin, printError, root } from './install.mjs';
import { startServices } from './services.mjs';

const lingerSeconds = 30;
const impatienceMilliseconds = 1000;

const args = process.argv.slice(2);
const say = (line) => { console.log(line); };
const children = new Set();
let interruptedBy;
let interruptedAt = 0;

// A Ctrl-C ends the tests, then the servers. It arrives here once from the terminal and once from npm; a later one kills.
function onSignal(signal) {
  if (interruptedBy === undefined) interruptedAt = performance.now();
  const isImpatient = performance.now() - interruptedAt > impatienceMilliseconds;
  interruptedBy ??= signal;
  for (const child of children) child.kill(isImpatient ? 'SIGKILL' : signal);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);

/** Runs a program of this checkout; gives its exit code, and its output unless it is shown as it comes. */
async function run(command, { env = process.env, isShown = false, onStart = () => {} } = {}) {
  if (interruptedBy !== undefined) return { code: 130, output: '' };
  const [program, ...rest] = command;
  const child = spawn(program, rest, { cwd: root, env, stdio: ['ignore', isShown ? 'inherit' : 'pipe', isShown ? 'inherit' : 'pipe'] });
  children.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => { output += data; });
  const finish = onStart(child);
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => { resolve(exitCode ?? signal); });
  });
  finish?.();
  children.delete(child);
  return { code, output };
}

const bin = (name) => path.join(binDir, name);
/** What must hold of the whole tree, each with the command that shows it alone. */
const checks = [
  { name: 'lint', alone: 'npm run lint', command: [bin('eslint'), '.'] },
  { name: 'typecheck', alone: 'npm run typecheck', command: [bin('tsc'), '-p', 'tsconfig.json'] },
  { name: 'migrations match the schema', alone: 'npm run db:check', command: [bin('prisma'), 'migrate', 'diff', '--from-migrations', 'prisma/migrations', '--to-schema', 'prisma/schema.prisma', '--exit-code'] },
];

async function check({ name, alone, command }) {
  const startedAt = performance.now();
  const { code, output } = await run(command);
  if (interruptedBy !== undefined) return false;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  if (code !== 0) say(`${output.trimEnd()}\n`);
  say(`${code === 0 ? 'ok    ' : 'FAILED'}  ${name} (${seconds} s)${code === 0 ? '' : `; alone: ${alone}`}`);
  return code === 0;
}

/** The number of checks that failed. Two at a time: that is what a small machine has processors for. */
async function runChecks() {
  const waiting = [...checks];
  let failed = 0;
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) if (!await check(next)) failed += 1;
  };
  await Promise.all([worker(), worker()]);
  return failed;
}

// ── Jest ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Nothing of the developer's own set-up reaches the tests: least of all the address of a real database. */
function testEnvironment(services, dir) {
  const own = Object.entries(process.env).filter(([name]) => !/^(DATABASE_URL|REDIS_URL|VOUCH_)/.test(name));
  return {
    ...Object.fromEntries(own),
    PATH: pathWithBin(),
    TMPDIR: dir, // whatever tests leave there goes when they end
    NODE_NO_WARNINGS: '1',
    TEST_DATABASE_URL: services.databaseUrl,
    TEST_REDIS_URL: services.redisUrl,
    TEST_CHROMIUM: services.chromium,
  };
}

/** Ends a Jest that has written its results and stays: something that a test started is still running. */
function endLingering(report, child, onLinger) {
  const timer = setInterval(() => {
    const written = statSync(report, { throwIfNoEntry: false });
    if (!written || Date.now() - written.mtimeMs < lingerSeconds * 1000) return;
    onLinger();
    child.kill('SIGKILL');
  }, 1000);
  return () => { clearInterval(timer); };
}

function readReport(report) {
  try {
    return JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return undefined; // Jest did not come to its end
  }
}

/** Passed and failed tests; whatever else is wrong with the run counts as one failed. `env` chooses among the tests. */
async function runTests(services, env = {}) {
  const dir = mkdtempSync(path.join(tmpdir(), 'vouch-test-'));
  chmodSync(dir, 0o711); // tests start a Postgres of another user in there
  const report = path.join(dir, 'report.json');
  let isLingering = false;
  try {
    const { code } = await run(
      [findNode(), '--experimental-vm-modules', '--liftoff-only', path.join(root, 'node_modules/jest/bin/jest.js'), '--json', `--outputFile=${report}`, ...args],
      { env: { ...testEnvironment(services, dir), ...env }, isShown: true, onStart: (child) => endLingering(report, child, () => { isLingering = true; }) },
    );
    return judge(readReport(report), code, isLingering);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function judge(results, code, isLingering) {
  const passed = results?.numPassedTests ?? 0;
  let failed = (results?.numFailedTests ?? 0) + (results?.numRuntimeErrorTestSuites ?? 0);
  const faults = [
    [results === undefined && interruptedBy === undefined, `Jest ended (${code}) before it had results`],
    [results !== undefined && passed + failed === 0, 'no test ran'],
    // A name pattern leaves out tests on purpose; a whole run may not.
    [args.length === 0 && results?.numPendingTests > 0, `${results?.numPendingTests} tests are skipped: a test that is not run proves nothing`],
    [isLingering, `Jest was still running ${lingerSeconds} s after its last test: something is left open (npm test -- --detectOpenHandles)`],
  ];
  for (const [, sentence] of faults.filter(([isFault]) => isFault)) {
    say(`FAILED  ${sentence}`);
    failed += 1;
  }
  if (failed === 0 && code !== 0) failed = 1;
  return { passed, failed };
}

// ── All of it ──────────────────────────────────────────────────────────────────────────────────────────────────────

async function main() {
  await ensureInstalled();
  process.env.PATH = pathWithBin(); // eslint, tsc and prisma find their Node there
  const starting = startServices({ say });
  starting.catch(() => {}); // seen below, when the checks are through
  try {
    const failedChecks = args.length === 0 ? await runChecks() : 0;
    const services = await starting;
    const runs = [await runTests(services)];
    // Clusters under load want the machine for themselves (jest.config.mjs).
    if (args.length === 0 && interruptedBy === undefined) runs.push(await runTests(services, { CLUSTER: '1' }));
    const count = (name) => runs.reduce((all, outcome) => all + outcome[name], 0);
    return { passed: count('passed'), failed: count('failed') + failedChecks };
  } finally {
    await starting.then(({ stop }) => stop(), () => {});
  }
}

let outcome = { passed: 0, failed: 1 };
try {
  outcome = await main();
} catch (error) {
  // What a Ctrl-C broke off on its way is no news.
  if (interruptedBy === undefined) printError(error);
}
if (interruptedBy !== undefined) {
  say(`interrupted (${interruptedBy})`);
  outcome.failed = Math.max(1, outcome.failed);
}
process.exitCode = interruptedBy !== undefined ? 130 : Number(outcome.failed > 0);
say(`${outcome.passed} passed, ${outcome.failed} failed`);
