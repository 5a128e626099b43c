import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Refused } from '../lib/errors.ts';

const SQLITE_BUSY = 5;
/** Of several that try in the same instant each finds another in its way: without a moment's patience none would get it. */
const PATIENCE_MS = 300;

/**
 * Holds `file` as a lock for this process. The embedded store does not guard its folder: a second process on it loses
 * writes that the first had acknowledged. The lock is the kernel's (SQLite takes it, https://sqlite.org/lockingv3.html), so
 * it ends with its process however that ends, and holds between containers that share the folder. `<file>.pid` only says who
 * has it. Throws Refused while another holds it.
 */
export function lockFolder(file: string): () => void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  closeSync(openSync(file, 'a', 0o600));
  const database = new DatabaseSync(file, { timeout: PATIENCE_MS });
  const owner = `${file}.pid`;
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE'); // no journal: nothing is ever written
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    throw new Refused('in_use', `${dirname(file)} is in use by ${nameOwner(owner)}; stop it, or set VOUCH_DATA_DIR to another folder`);
  }
  writeFileSync(owner, String(process.pid), { mode: 0o600 });
  return () => {
    if (!database.isOpen) return;
    rmSync(owner, { force: true });
    database.close();
  };
}

/** The owner's file may be missing for the moment in which a lock is taken or let go. */
function nameOwner(owner: string): string {
  try {
    return `process ${readFileSync(owner, 'utf8')}`;
  } catch {
    return 'another process';
  }
}
