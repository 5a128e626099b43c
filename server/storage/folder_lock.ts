import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Refused } from '../lib/errors.ts';

/**
 * Holds `file` as a lock for this process. The embedded store does not guard its folder: a second process on it loses
 * writes that the first had acknowledged. A lock whose process is gone is taken over. Throws Refused while another lives.
 */
export function lockFolder(file: string): () => void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, String(process.pid), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      if (tryLink(draft, file)) {
        return () => {
          if (readOwner(file) === process.pid) rmSync(file, { force: true });
        };
      }
      const owner = readOwner(file);
      if (owner !== undefined && isAlive(owner)) {
        throw new Refused('in_use', `${dirname(file)} is in use by process ${owner}; stop it, or set VOUCH_DATA_DIR to another folder`);
      }
      removeStale(draft, file, owner);
    }
    throw new Refused('in_use', `${dirname(file)} is being taken by other processes; try again`);
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Removes a lock whose process is gone, one process at a time: of several that saw the same dead owner, a slower one would
 * otherwise remove the lock that a faster one has just taken.
 */
function removeStale(draft: string, file: string, owner: number | undefined): void {
  const guard = `${file}.takeover`;
  if (!tryLink(draft, guard)) {
    const other = readOwner(guard);
    if (other === undefined || !isAlive(other)) rmSync(guard, { force: true });
    return;
  }
  try {
    if (readOwner(file) === owner) rmSync(file, { force: true });
  } finally {
    rmSync(guard, { force: true });
  }
}

/** A link either makes the name or fails: it cannot be seen half-written. */
function tryLink(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readOwner(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false; // a pid that came round again, as in a container where every start is process 1
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
