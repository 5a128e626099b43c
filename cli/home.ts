// The folder ~/.vouch (0700): config.json, session.json and admin.json, each 0600, replaced whole and never half-written.
import { chmod, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { CliError, readErrorCode } from './errors.ts';

// A holder that died (kill -9, power) is noticed after STALE_MS; a living one refreshes its lock all the time.
const STALE_MS = 15_000;
const LOCK_RETRIES = { retries: 300, factor: 1.3, minTimeout: 25, maxTimeout: 250, randomize: true };

export interface Home {
  readonly path: string;
  readonly configPath: string;
  readonly sessionPath: string;
  readonly adminPath: string;
}

/** Says where vouch keeps its files: VOUCH_HOME if set, else ~/.vouch. */
export function locateHome(vouchHome: string | undefined): Home {
  const path = vouchHome === undefined ? join(homedir(), '.vouch') : resolve(vouchHome);
  const at = (name: string): string => join(path, name);
  return Object.freeze({ path, configPath: at('config.json'), sessionPath: at('session.json'), adminPath: at('admin.json') });
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

/** Replaces the file in one step with mode 0600, creating the folder with mode 0700. */
export async function writePrivateFile(home: Home, path: string, text: string): Promise<void> {
  await ensureFolder(home);
  const { default: writeFileAtomic } = await import('write-file-atomic');
  try {
    await writeFileAtomic(path, text, { mode: 0o600 });
  } catch (error) {
    throw createAccessFailure('write', path, error);
  }
}

/** Removes the file; it need not exist. */
export async function removePrivateFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw createAccessFailure('remove', path, error);
  }
}

/**
 * Runs `work` while no other vouch process runs its own work on the same file. Whoever decides something from the
 * file's contents must read it again inside. Waits about a minute, then throws `CliError` (other).
 */
export async function withFileLock<T>(home: Home, path: string, work: () => Promise<T>): Promise<T> {
  await ensureFolder(home);
  const release = await acquireLock(path);
  try {
    return await work();
  } finally {
    // A lock that was lost meanwhile (the machine slept) is somebody else's by now.
    await release().catch(() => undefined);
  }
}

async function acquireLock(path: string): Promise<() => Promise<void>> {
  const { default: lockfile } = await import('proper-lockfile');
  try {
    return await lockfile.lock(path, {
      realpath: false,
      stale: STALE_MS,
      retries: LOCK_RETRIES,
      // The default throws out of a timer. Work that is under way must still be written down.
      onCompromised: () => undefined,
    });
  } catch (error) {
    if (readErrorCode(error) !== 'ELOCKED') throw createAccessFailure('lock', path, error);
    throw new CliError('other', `another vouch process is still using ${path}`, { hints: ['try again once it has ended'], cause: error });
  }
}

async function ensureFolder(home: Home): Promise<void> {
  try {
    // The mode counts only for a folder made here: VOUCH_HOME may name one that others share.
    await mkdir(home.path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw createAccessFailure('create', home.path, error);
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
