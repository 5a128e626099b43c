import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../server/lib/clock.ts';
import { startScript } from '../support/child_script.ts';
import { openTestStorage } from '../support/drivers.ts';

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('the embedded store, killed again and again in the middle of writes, keeps every row that it had acknowledged', async () => {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'vouch-killed-')), 'data');
  const acknowledged: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    const writer = startScript('writing_child.ts', [dataDir]);
    await writer.waitFor(/(id_\w+\n){20}/);
    await sleep(Math.random() * 300);
    writer.child.kill('SIGKILL');
    const { stdout, stderr } = await writer.ended;
    expect(stderr).toBe('');
    acknowledged.push(...stdout.split('\n').slice(0, -1));
  }
  const storage = await openTestStorage(systemClock, { dataDir });
  const missing = [];
  for (const id of acknowledged) {
    if ((await storage.durable.find('Written', id))?.payload.id !== id) missing.push(id);
  }
  expect({ missing, isEnough: acknowledged.length >= 60 }).toEqual({ missing: [], isEnough: true });
  await storage.close();
}, 300_000);
