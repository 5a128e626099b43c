import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../server/lib/clock.ts';
import { openTestStorage } from '../support/drivers.ts';
import { createTestDatabase, query } from '../support/services.ts';

test.each(['America/New_York', 'Asia/Kolkata'])('instants are what they are in a database that lives in %s', async (zone) => {
  const databaseUrl = await createTestDatabase();
  await query(databaseUrl, `ALTER DATABASE ${new URL(databaseUrl).pathname.slice(1)} SET timezone TO '${zone}'`);
  const storage = await openTestStorage(systemClock, { databaseUrl });
  const now = Date.now();
  const startedAt = new Date(now - 5000);
  await storage.keys.beat({ id: randomUUID(), host: 'host', startedAt, servedVersion: 1n, rings: [], clock: new Date() });
  const [instance] = await storage.keys.listInstances();
  expect(instance!.startedAt).toEqual(startedAt);
  expect(Math.abs(instance!.skewMs)).toBeLessThan(10_000);
  // Written by the database's clock, and read as ours.
  expect(Math.abs(instance!.seenAt.getTime() - now)).toBeLessThan(10_000);
  // As whoever looks into the database sees it.
  expect(await query(databaseUrl, 'SELECT started_at FROM instances')).toEqual([{ started_at: startedAt }]);
  await storage.close();
});
