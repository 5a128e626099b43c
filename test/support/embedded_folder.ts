import { cpSync, existsSync, mkdtempSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbedded } from '../../server/storage/database.ts';

const PREPARED = join(tmpdir(), 'vouch-prepared');

/**
 * A data folder whose database is there already and empty: a copy of one that is made once a test run, since making it is
 * five seconds of work for a processor, and opening it one. Tests of a first start take a folder with nothing in it.
 */
export async function createEmbeddedFolder(): Promise<string> {
  if (!existsSync(PREPARED)) await prepare();
  const folder = mkdtempSync(join(tmpdir(), 'vouch-'));
  cpSync(PREPARED, folder, { recursive: true });
  return folder;
}

async function prepare(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vouch-preparing-'));
  await (await openEmbedded(folder)).close();
  try {
    renameSync(folder, PREPARED);
  } catch (error) {
    if (!existsSync(PREPARED)) throw error; // else another worker was first
  }
}
