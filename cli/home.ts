// The folder ~/.vouch (0700): config.json, session.json, admin.json and cache/, each file 0600, replaced whole and never
// half-written.
import { chmod, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import ownPath, { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError, readErrorCode } from './errors.ts';

// A holder that died (kill -9, power) is noticed after STALE_MS; a living one refreshes its lock all the time.
const STALE_MS = 15_000;
const LOCK_WAIT_MS = 60_000;
// Many that wait must leave the processor to the one that works.
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 400;

export interface Home {
  readonly path: string;
  readonly configPath: string;
  readonly sessionPath: string;
  readonly adminPath: string;
  /** Tokens of providers; what is in it may vanish at any time. */
  readonly cachePath: string;
}

/** How paths are made, and where they begin; this machine's unless told otherwise. */
export interface PathRules {
  readonly rules: Pick<typeof ownPath, 'join' | 'resolve'>;
  readonly homeFolder: string;
}

/** Says where vouch keeps its files: VOUCH_HOME if set, else ~/.vouch. */
export function locateHome(vouchHome: string | undefined, { rules, homeFolder }: PathRules = { rules: ownPath, homeFolder: homedir() }): Home {
  const path = vouchHome === undefined ? rules.join(homeFolder, '.vouch') : rules.resolve(vouchHome);
  const at = (name: string): string => rules.join(path, name);
  return Object.freeze({ path, configPath: at('config.json'), sessionPath: at('session.json'), adminPath: at('admin.json'), cachePath: at('cache') });
}

/** Returns the file's text, or undefined if there is none; throws `CliError` (configuration) if it cannot be read. */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    await closeToOthers(path);
    return text;
  } catch (error) {
    if (readErrorCode(error) === 'ENOENT') return undefined;
    throw createAccessFailure('read', path, error);
  }
}

/** Replaces the file in one step with mode 0600, creating its folder with mode 0700. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  await ensureFolder(dirname(path));
  const { default: writeFileAtomic } = await import('write-file-atomic');
  try {
    await writeFileAtomic(path, text, { mode: 0o600 });
  } catch (error) {
    throw createAccessFailure('write', path, error);
  }
}

/** Removes the file, and what a process that was killed in the middle of writing it left beside it; it need not exist. */
export async function removePrivateFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    const isLeftOver = (name: string): boolean => name.startsWith(`${basename(path)}.`) && /^\d+$/.test(name.slice(basename(path).length + 1));
    const leftOvers = (await listFolder(dirname(path))).filter(isLeftOver);
    for (const name of leftOvers) await rm(join(dirname(path), name), { force: true });
  } catch (error) {
    throw createAccessFailure('remove', path, error);
  }
}

/** The names in a folder; none if there is no such folder. */
export async function listFolder(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (readErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Runs `work` while no other vouch process runs its own work on the same file. Whoever decides something from the
 * file's contents must read it again inside. Waits about a minute, then throws `CliError` (other).
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  return withFileLockUnless(path, async () => undefined, work);
}

/**
 * Like `withFileLock`, but whoever waits looks with `peek` again and again, and leaves with what it finds: of many
 * processes that want one result, one works and the others take it. The lock's holder looks once more, too.
 */
export async function withFileLockUnless<T>(path: string, peek: () => Promise<T | undefined>, work: () => Promise<T>): Promise<T> {
  await ensureFolder(dirname(path));
  const endsAt = performance.now() + LOCK_WAIT_MS;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    const found = await peek();
    if (found !== undefined) return found;
    const release = await tryLock(path);
    if (release !== undefined) return runLocked(release, async () => (await peek()) ?? work());
    if (performance.now() > endsAt) throw new CliError('other', `another vouch process is still using ${path}`, { hints: ['try again once it has ended'] });
    await sleep(pauseMs * (0.5 + Math.random()));
  }
}

async function runLocked<T>(release: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    // A lock that was lost meanwhile (the machine slept) is somebody else's by now.
    await release().catch(() => undefined);
  }
}

async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  const { default: lockfile } = await import('proper-lockfile');
  try {
    return await lockfile.lock(path, {
      realpath: false,
      stale: STALE_MS,
      // The default throws out of a timer. Work that is under way must still be written down.
      onCompromised: () => undefined,
    });
  } catch (error) {
    if (readErrorCode(error) === 'ELOCKED') return undefined;
    throw createAccessFailure('lock', path, error);
  }
}

async function ensureFolder(path: string): Promise<void> {
  try {
    // The mode counts only for a folder made here: VOUCH_HOME may name one that others share.
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw createAccessFailure('create', path, error);
  }
}

/** Copies and backups lose modes; a file that others can read is closed again, where this user may do that. */
export async function closeToOthers(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) await chmod(path, 0o600).catch(() => undefined);
}

function createAccessFailure(verb: string, path: string, cause: unknown): CliError {
  const reason = readErrorCode(cause) ?? String(cause);
  return new CliError('configuration', `could not ${verb} ${path} (${reason})`, {
    hints: ['check its owner and permissions, or point VOUCH_HOME at a folder of yours'],
    cause,
  });
}
