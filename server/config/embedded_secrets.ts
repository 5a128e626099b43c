import { mkdirSync, readFileSync, renameSync, writeFileSync, linkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createRandomValue } from '../crypto/digest.ts';
import { createKekLine, parseKekRing, type KekRing } from '../crypto/kek.ts';
import { Secret } from '../lib/secret.ts';
import type { Config } from './config.ts';

export interface Secrets {
  readonly keks: Secret<KekRing>;
  readonly cookieKeys: Secret<readonly string[]>;
  /** Files that were made just now: whoever starts the process should be told of them. */
  readonly made: readonly string[];
}

/** The secrets of `config`; in embedded mode those that are not given are made once, in the data folder at mode 0600. */
export function ensureEmbeddedSecrets(config: Config): Secrets {
  const made: string[] = [];
  const keep = (name: string, create: () => string): string => {
    const file = join(config.dataDir, name);
    mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
    if (createOnce(file, create)) made.push(file);
    return readFileSync(file, 'utf8');
  };
  const keks = config.keks ?? new Secret(parseKekRing(keep('kek', createKekLine)));
  const cookieKeys = config.cookieKeys ?? new Secret(keep('cookie_keys', createRandomValue).trim().split('\n'));
  return { keks, cookieKeys, made };
}

/**
 * Whole or not at all: written aside and linked into place, since a start that is killed half-way must not leave half a
 * key, and of two starts at once one must win.
 */
function createOnce(file: string, create: () => string): boolean {
  const draft = `${file}.${process.pid}.new`;
  try {
    readFileSync(file);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  writeFileSync(draft, `${create()}\n`, { mode: 0o600 });
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
