import { mkdirSync, readFileSync, renameSync, writeFileSync, linkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { Secret } from '../lib/secret.ts';
import type { Config } from './config.ts';

export interface Secrets {
  readonly keks: Secret<readonly string[]>;
  readonly cookieKeys: Secret<readonly string[]>;
  /** Files that were made just now: whoever starts the process should be told of them. */
  readonly made: readonly string[];
}

/** The secrets of `config`; in embedded mode those that are not given are made once, in the data folder at mode 0600. */
export function ensureEmbeddedSecrets(config: Config): Secrets {
  const made: string[] = [];
  const keep = (name: string): readonly string[] => {
    const file = join(config.dataDir, name);
    mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
    if (createOnce(file)) made.push(file);
    return readFileSync(file, 'utf8').trim().split('\n');
  };
  const keks = config.keks ?? new Secret(keep('kek'));
  const cookieKeys = config.cookieKeys ?? new Secret(keep('cookie_keys'));
  return { keks, cookieKeys, made };
}

/** The key-encryption keys that a start without VOUCH_KEK made in the data folder; undefined where it made none. */
export function findEmbeddedKeks({ dataDir }: Config): Secret<readonly string[]> | undefined {
  try {
    return new Secret(readFileSync(join(dataDir, 'kek'), 'utf8').trim().split('\n'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Whole or not at all: written aside and linked into place, since a start that is killed half-way must not leave half a
 * key, and of two starts at once one must win.
 */
function createOnce(file: string): boolean {
  const draft = `${file}.${process.pid}.new`;
  try {
    readFileSync(file);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  try {
    linkSync(draft, file);
    rmSync(draft);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      rmSync(draft);
      return false;
    }
    // A file system without hard links: one process at a time is guaranteed there by the data folder's lock.
    renameSync(draft, file);
    return true;
  }
}
