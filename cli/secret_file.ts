// Files with a secret in them, at a place that somebody named: 0600, whole or not at all.
import { randomBytes } from 'node:crypto';
import { link, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CliError, readErrorCode } from './errors.ts';

const OWNER_ONLY = 0o600;

/** Puts the text in the place of the file in one step. Throws `CliError` (configuration) where it cannot be written. */
export async function replaceSecretFile(path: string, text: string): Promise<void> {
  const staged = await stageSecretFile(path, text);
  try {
    await staged.replace();
  } catch (error) {
    await staged.discard();
    throw error;
  }
}

/** A text that lies beside the file that it is for, on the same disk, and takes its place in one step. */
export interface StagedFile {
  /** Where it lies until then. */
  readonly path: string;
  readonly rewrite: (text: string) => Promise<void>;
  /** Takes the place of whatever is there. */
  readonly replace: () => Promise<void>;
  /** Takes its place if nothing is there. Throws `CliError` (other) if somebody has put a file there meanwhile. */
  readonly settle: () => Promise<void>;
  readonly discard: () => Promise<void>;
}

/** Writes the text beside `path`: a disk that is full or closed shows before anything depends on it. */
export async function stageSecretFile(path: string, text: string): Promise<StagedFile> {
  const stagedPath = `${path}.${randomBytes(6).toString('hex')}.new`;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      throw createWriteFailure(path, error);
    }
  };
  const discard = () => rm(stagedPath, { force: true }).catch(() => undefined);
  await attempt(() => write(stagedPath, text, 'wx')).catch(async (error: unknown) => {
    await discard();
    throw error;
  });
  return {
    path: stagedPath,
    rewrite: (changed) => attempt(() => write(stagedPath, changed, 'w')),
    replace: () => attempt(() => rename(stagedPath, path)),
    settle: () => attempt(() => settle(stagedPath, path)),
    discard,
  };
}

/** Throws `CliError` (usage) if there is something at `path`. */
export async function requireNoFile(path: string, hint: string): Promise<void> {
  const isThere = await stat(path).then(() => true, () => false);
  if (isThere) throw new CliError('usage', `${path} is there already, and is not overwritten`, { hints: [hint] });
}

async function write(path: string, text: string, flags: 'wx' | 'w'): Promise<void> {
  const file = await open(path, flags, OWNER_ONLY);
  try {
    await file.writeFile(text);
    // A key whose public half is known elsewhere must outlive a power cut.
    await file.sync();
  } finally {
    await file.close();
  }
}

/** `rename` would replace a file that came meanwhile; `link` does not. */
async function settle(stagedPath: string, path: string): Promise<void> {
  try {
    await link(stagedPath, path);
  } catch (error) {
    if (readErrorCode(error) !== 'EEXIST') {
      // A file system without links.
      await requireNoFile(path, `the new file is ${stagedPath}`);
      await rename(stagedPath, path);
      return;
    }
    throw new CliError('other', `somebody has put a file at ${path} meanwhile`, { hints: [`the new one is ${stagedPath}`], cause: error });
  }
  await rm(stagedPath);
}

function createWriteFailure(path: string, cause: unknown): CliError {
  if (cause instanceof CliError) return cause;
  const code = readErrorCode(cause) ?? String(cause);
  const hint = code === 'ENOENT' ? `make the folder ${dirname(path)} first` : 'check the owner and the permissions of its folder, and the disk';
  return new CliError('configuration', `could not write ${path} (${code})`, { hints: [hint], cause });
}
