import { expect, test } from '@jest/globals';
import { systemClock } from '../../server/lib/clock.ts';
import { startScript } from '../support/child_script.ts';
import { createName, openTestStorage } from '../support/drivers.ts';
import { createTestDatabase, testRedisUrl } from '../support/services.ts';

test.each([
  ['Postgres', 'durable'],
  ['Redis', 'volatile'],
] as const)('of 50 parallel consumes by two processes, %s lets exactly one win', async (_name, which) => {
  const [databaseUrl, redisUrl, model] = [await createTestDatabase(), testRedisUrl(), createName('Model')];
  const storage = await openTestStorage(systemClock, { databaseUrl, redisUrl });
  const children = [0, 1].map(() => startScript('consuming_child.ts', [which, databaseUrl, redisUrl, model, '25']));
  await Promise.all(children.map((child) => child.waitFor(/ready/)));
  for (let round = 0; round < 10; round += 1) {
    const id = createName('id');
    await storage[which].put(model, id, { payload: {} }, new Date(Date.now() + 120_000));
    for (const child of children) child.tell(id);
    const won = await Promise.all(children.map(async (child) => Number((await child.waitFor(new RegExp(`${id} won (\\d+) of 25`)))[1])));
    expect(won.sort()).toEqual([0, 1]);
    expect(await storage[which].consume(model, id)).toBe(false);
  }
  for (const child of children) child.tellNoMore();
  for (const { ended } of children) expect(await ended).toMatchObject({ code: 0, stderr: '' });
  await storage.close();
}, 180_000);
