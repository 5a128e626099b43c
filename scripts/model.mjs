#!/usr/bin/env node
// Checks the model of the signing keys' life cycle (model/keys.pml) with spin, in every interleaving, and that the model
// can fail: each mutant, with one rule taken out, must be found. Exit status 1 when either is not so.
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const MODEL = fileURLToPath(new URL('../model/keys.pml', import.meta.url));
const MUTANTS = [
  ['NO_GATE', 'a standby takes over without asking the instances'],
  ['NO_RETENTION', 'a key leaves the set as soon as it stops signing'],
  ['NO_STALE_LIMIT', 'an instance that is out of touch goes on signing'],
  ['EARLY_EVIDENCE', 'who lives is asked before the lock is taken'],
];
const MOST_STEPS = '200000';
const HASH_BITS = '23';

const run = promisify(execFile);
const say = (line) => process.stdout.write(`${line}\n`);
const folder = mkdtempSync(join(tmpdir(), 'vouch-model-'));
process.exitCode = await main().finally(() => rmSync(folder, { recursive: true, force: true }));

async function main() {
  const lacks = ensureTools();
  if (lacks !== undefined) {
    process.stderr.write(`error: ${lacks}\n`);
    return 1;
  }
  const startedAt = performance.now();
  // The model on one core, its mutants one after the other on the second.
  const [model, mutants] = await Promise.all([check(), checkMutants()]);
  say(model.broken === undefined
    ? `ok       the model: ${model.states} states, ${model.transitions} transitions, depth ${model.depth}; nothing breaks a promise (${model.seconds} s)`
    : `BROKEN   the model: ${model.broken}`);
  if (model.trail !== undefined) say(model.trail);
  for (const { name, meaning, broken, seconds } of mutants) {
    say(broken === undefined ? `MISSED   ${name}: ${meaning}, and the model does not notice` : `found    ${name} (${meaning}): ${broken} (${seconds} s)`);
  }
  say(`${((performance.now() - startedAt) / 1000).toFixed(1)} s in all`);
  return model.broken === undefined && mutants.every(({ broken }) => broken !== undefined) ? 0 : 1;
}

async function checkMutants() {
  const results = [];
  for (const [name, meaning] of MUTANTS) results.push({ name, meaning, ...(await check(name)) });
  return results;
}

/** Explores every state of the model, or of a mutant until it fails. */
async function check(mutant) {
  const cwd = join(folder, mutant ?? 'model');
  const define = mutant === undefined ? [] : [`-D${mutant}`];
  mkdirSync(cwd);
  const startedAt = performance.now();
  await run('spin', ['-a', ...define, MODEL], { cwd });
  await run('gcc', [mutant === undefined ? '-O2' : '-O1', '-w', '-DSAFETY', '-o', 'pan', 'pan.c'], { cwd });
  const { stdout } = await run('./pan', [`-m${MOST_STEPS}`, `-w${HASH_BITS}`], { cwd, maxBuffer: 1 << 26 });
  const number = (pattern) => Number(pattern.exec(stdout)?.[1] ?? NaN);
  const errors = number(/errors: (\d+)/);
  const result = {
    states: number(/(\d+) states, stored/), transitions: number(/(\d+) transitions/), depth: number(/depth reached (\d+)/),
    seconds: ((performance.now() - startedAt) / 1000).toFixed(1),
  };
  // A search that was cut short has shown nothing.
  if (errors === 0 && !/max search depth too small|out of memory|Search not completed/.test(stdout)) return result;
  if (!existsSync(join(cwd, 'keys.pml.trail'))) return { ...result, broken: `the search did not end:\n${stdout}` };
  const { stdout: trail } = await run('spin', ['-t', '-p', ...define, '-k', join(cwd, 'keys.pml.trail'), MODEL], { cwd, maxBuffer: 1 << 28 }).catch((error) => error);
  return { ...result, broken: describe(trail), trail: trail.split('\n').slice(-60).join('\n') };
}

/** The comment of the assertion that failed. */
function describe(trail) {
  const line = Number(/keys\.pml:(\d+), Error: assertion violated/.exec(trail)?.[1] ?? 0);
  const source = readFileSync(MODEL, 'utf8').split('\n');
  for (const text of [source[line - 1] ?? '', ...source.slice(0, line).reverse()]) {
    const comment = /\/\* (.*?)\.? ?\*\//.exec(text)?.[1];
    if (comment !== undefined) return `“${comment}”, line ${line}`;
  }
  return trail.slice(-400);
}

/** What is missing, in one sentence; spin is put in where that can be done. */
function ensureTools() {
  if (!has('gcc', '--version')) return 'a C compiler is needed: install gcc';
  if (has('spin', '-V')) return undefined;
  if (process.getuid?.() === 0 && existsSync('/etc/debian_version')) {
    say('installing spin ...');
    try {
      execFileSync('apt-get', ['update', '-q'], { stdio: 'ignore' });
      execFileSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'spin'], { stdio: 'ignore' });
    } catch {
      // said below
    }
    if (has('spin', '-V')) return undefined;
  }
  return 'the model checker spin is needed: on Debian, `apt-get install spin` as root; elsewhere see https://spinroot.com';
}

function has(command, flag) {
  try {
    execFileSync(command, [flag], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
