import { expect, test } from '@jest/globals';
import { systemClock } from '../../server/lib/clock.ts';
import { Unavailable } from '../../server/lib/errors.ts';
import { createCheckpointKeys, createInstance, createToken } from '../support/audit_instance.ts';
import { startScript } from '../support/child_script.ts';
import { openTestStorage } from '../support/drivers.ts';
import { createTestDatabase, query } from '../support/services.ts';
import { startTcpProxy } from '../support/tcp_proxy.ts';

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('instances that are killed in the middle of writes lose no row that they had acknowledged, and their chains verify', async () => {
  const databaseUrl = await createTestDatabase();
  const storage = await openTestStorage(systemClock, { databaseUrl });
  const { audit } = createInstance(storage.audit, systemClock, createCheckpointKeys());
  const acknowledged: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    const children = [0, 1].map(() => startScript('recording_child.ts', [databaseUrl]));
    await Promise.all(children.map((child) => child.waitFor(/(jti \S+\n){100}/)));
    await audit.checkpoint(); // while they write
    await sleep(Math.random() * 300);
    for (const { child } of children) child.kill('SIGKILL');
    for (const { ended } of children) {
      const { stdout, stderr } = await ended;
      expect(stderr).toBe('');
      acknowledged.push(...stdout.split('\n').slice(0, -1).map((line) => line.slice('jti '.length)));
    }
    expect((await audit.verify()).faults).toEqual([]); // also before a checkpoint holds their ends
  }
  expect(await audit.checkpoint()).toBe(true); // by one that lives
  const verdict = await audit.verify();
  expect(verdict).toMatchObject({ chains: 4, faults: [] });
  const kept = new Set((await query(databaseUrl, 'SELECT jti FROM audit_rows')).map(({ jti }) => jti));
  expect({ missing: acknowledged.filter((jti) => !kept.has(jti)), isEnough: acknowledged.length >= 400 }).toEqual({ missing: [], isEnough: true });
  await query(databaseUrl, 'DELETE FROM audit_rows WHERE jti = $1', [acknowledged[0]]);
  expect((await audit.verify()).faults).toMatchObject([{ kind: 'removed' }]);
  await storage.close();
}, 240_000);

test('a database that goes away is Unavailable, and when it is back the record goes on', async () => {
  const direct = await createTestDatabase();
  const proxy = await startTcpProxy(direct);
  const storage = await openTestStorage(systemClock, { databaseUrl: proxy.through(direct) });
  const instance = createInstance(storage.audit, systemClock, createCheckpointKeys());
  const record = () => instance.audit.record([createToken(systemClock.now())]);
  await record();
  await proxy.cut();
  await expect(record()).rejects.toThrow(Unavailable);
  await proxy.restore();
  await record();
  proxy.freeze();
  const since = performance.now();
  await expect(record()).rejects.toThrow(Unavailable);
  expect(performance.now() - since).toBeLessThan(10_000);
  await proxy.restore();
  for (let tries = 0; tries < 20; tries += 1) if (await record().then(() => true, () => false)) break;
  await instance.audit.stop();
  expect((await instance.audit.verify()).faults).toEqual([]);
  expect(instance.troubles.length).toBeGreaterThanOrEqual(2);
  await storage.close();
  await proxy.close();
}, 240_000);
