import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Refused } from '../../server/lib/errors.ts';
import { lockFolder } from '../../server/storage/folder_lock.ts';
import { startScript, type ChildScript } from '../support/child_script.ts';
import { openTestStorage, OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

let folder: string;
let file: string;
const children: ChildScript[] = [];
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'vouch-lock-')), 'data');
  file = join(folder, 'lock');
});
afterEach(async () => {
  for (const { child } of children) child.kill('SIGKILL');
  await Promise.all(children.splice(0).map(({ ended }) => ended));
});

/** Processes that are ready to lock what they are told. */
async function startLockers(count: number): Promise<ChildScript[]> {
  const started = Array.from({ length: count }, () => startScript('locking_child.ts', []));
  children.push(...started);
  await Promise.all(started.map((child) => child.waitFor(/ready/)));
  return started;
}

async function tellToLock(child: ChildScript, path: string): Promise<string> {
  child.tell(path);
  return (await child.waitFor(new RegExp(`${path}: (.*)\n`)))[1]!;
}

test('a lock names its process, for this user alone, and goes with its release', () => {
  const unlock = lockFolder(file);
  expect(readFileSync(`${file}.pid`, 'utf8')).toBe(String(process.pid));
  expect([folder, file, `${file}.pid`].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o600, 0o600]);
  expect(() => lockFolder(file)).toThrow('in use');
  unlock();
  expect(readdirSync(folder)).toEqual(['lock']);
  lockFolder(file)();
});

test('a second process is refused with the pid of the first, and what to do', async () => {
  const [first, second] = (await startLockers(2)) as [ChildScript, ChildScript];
  expect(await tellToLock(first, file)).toBe('held');
  const message = `${folder} is in use by process ${first.child.pid}; stop it, or set VOUCH_DATA_DIR to another folder`;
  expect(await tellToLock(second, file)).toBe(message);
  expect(() => lockFolder(file)).toThrow(new Refused('in_use', message));
  expect(readFileSync(`${file}.pid`, 'utf8')).toBe(String(first.child.pid));
});

test('the embedded store refuses a folder that another process has, and leaves it alone', async () => {
  const [first] = (await startLockers(1)) as [ChildScript];
  await tellToLock(first, join(folder, 'folder.lock'));
  await expect(openTestStorage(createStillClock(), { dataDir: folder })).rejects.toThrow(`is in use by process ${first.child.pid}`);
  expect(readdirSync(folder)).toEqual(['folder.lock', 'folder.lock.pid']);
}, OPENING_MS);

test('the lock of a process that is gone is taken over', async () => {
  const [first, second] = (await startLockers(2)) as [ChildScript, ChildScript];
  await tellToLock(first, file);
  first.child.kill('SIGKILL');
  await first.ended;
  expect(existsSync(`${file}.pid`)).toBe(true);
  expect(await tellToLock(second, file)).toBe('held');
  expect(readFileSync(`${file}.pid`, 'utf8')).toBe(String(second.child.pid));
});

test('a holder that has not yet said its name is another process', async () => {
  const [first] = (await startLockers(1)) as [ChildScript];
  await tellToLock(first, file);
  rmSync(`${file}.pid`);
  expect(() => lockFolder(file)).toThrow(`${folder} is in use by another process; stop it`);
});

test('a file that is no lock is said, not overwritten', () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, 'x'.repeat(2_000));
  expect(() => lockFolder(file)).toThrow('not a database');
  expect(readFileSync(file, 'utf8')).toBe('x'.repeat(2_000));
});

test('a release is once: it leaves alone what another process took since', async () => {
  const unlock = lockFolder(file);
  unlock();
  const [other] = (await startLockers(1)) as [ChildScript];
  expect(await tellToLock(other, file)).toBe('held');
  unlock();
  expect(readFileSync(`${file}.pid`, 'utf8')).toBe(String(other.child.pid));
});

test('of six processes at once, one gets a free folder', async () => {
  const lockers = await startLockers(6);
  for (let round = 0; round < 30; round += 1) {
    const path = join(dirname(folder), `free${round}`, 'lock');
    expect((await Promise.all(lockers.map((child) => tellToLock(child, path)))).filter((outcome) => outcome === 'held')).toHaveLength(1);
  }
});

test('of six processes at once, one takes over from one that was killed', async () => {
  const lockers = await startLockers(6);
  const victims = await startLockers(10);
  for (const [round, victim] of victims.entries()) {
    const path = join(dirname(folder), `stale${round}`, 'lock');
    expect(await tellToLock(victim, path)).toBe('held');
    victim.child.kill('SIGKILL');
    await victim.ended;
    const outcomes = await Promise.all(lockers.map((child) => tellToLock(child, path)));
    expect({ round, held: outcomes.filter((outcome) => outcome === 'held').length }).toEqual({ round, held: 1 });
  }
});
