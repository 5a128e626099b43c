import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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

/** A pid that was real and is no more. */
async function findDeadPid(): Promise<number> {
  const [child] = (await startLockers(1)) as [ChildScript];
  child.child.kill('SIGKILL');
  await child.ended;
  return child.child.pid!;
}

test('a lock names its process, for this user alone, and goes with its release', () => {
  const unlock = lockFolder(file);
  expect(readFileSync(file, 'utf8')).toBe(String(process.pid));
  expect([statSync(folder).mode & 0o777, statSync(file).mode & 0o777]).toEqual([0o700, 0o600]);
  expect(readdirSync(folder)).toEqual(['lock']);
  unlock();
  expect(readdirSync(folder)).toEqual([]);
});

test('a second process is refused with the pid of the first, and what to do', async () => {
  const [first, second] = (await startLockers(2)) as [ChildScript, ChildScript];
  expect(await tellToLock(first, file)).toBe('held');
  const message = `${folder} is in use by process ${first.child.pid}; stop it, or set VOUCH_DATA_DIR to another folder`;
  expect(await tellToLock(second, file)).toBe(message);
  expect(() => lockFolder(file)).toThrow(new Refused('in_use', message));
  expect(readFileSync(file, 'utf8')).toBe(String(first.child.pid));
  expect(readdirSync(folder)).toEqual(['lock']);
});

test('the embedded store refuses a folder that another process has, and leaves it alone', async () => {
  const [first] = (await startLockers(1)) as [ChildScript];
  await tellToLock(first, file);
  await expect(openTestStorage(createStillClock(), { dataDir: folder })).rejects.toThrow(`is in use by process ${first.child.pid}`);
  expect(readdirSync(folder)).toEqual(['lock']);
}, OPENING_MS);

test('the lock of a process that is gone is taken over', async () => {
  const [first, second] = (await startLockers(2)) as [ChildScript, ChildScript];
  await tellToLock(first, file);
  first.child.kill('SIGKILL');
  await first.ended;
  expect(existsSync(file)).toBe(true);
  expect(await tellToLock(second, file)).toBe('held');
  expect(readFileSync(file, 'utf8')).toBe(String(second.child.pid));
});

test.each([['empty', ''], ['no number', 'x'], ['zero', '0'], ['negative', '-1']])('a lock that names nobody (%s) is taken over', (_what, content) => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, content);
  lockFolder(file)();
  expect(existsSync(file)).toBe(false);
});

test('a release leaves a lock alone that another process took since', () => {
  const unlock = lockFolder(file);
  writeFileSync(file, '1');
  unlock();
  expect(readFileSync(file, 'utf8')).toBe('1');
});

test('of six processes at once, one gets a free folder', async () => {
  const lockers = await startLockers(6);
  for (let round = 0; round < 30; round += 1) {
    const path = join(dirname(folder), `free${round}`, 'lock');
    expect((await Promise.all(lockers.map((child) => tellToLock(child, path)))).filter((outcome) => outcome === 'held')).toHaveLength(1);
  }
});

test('of six processes at once, one takes over a stale lock', async () => {
  const stale = String(await findDeadPid());
  const lockers = await startLockers(6);
  for (let round = 0; round < 100; round += 1) {
    const path = join(dirname(folder), `stale${round}`, 'lock');
    mkdirSync(dirname(path));
    writeFileSync(path, stale);
    const outcomes = await Promise.all(lockers.map((child) => tellToLock(child, path)));
    expect({ round, held: outcomes.filter((outcome) => outcome === 'held').length }).toEqual({ round, held: 1 });
  }
});
