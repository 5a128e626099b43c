import { describe, expect, test } from '@jest/globals';
import { createName, DRIVERS, OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

describe.each([['embedded', DRIVERS.embedded], ['postgres', DRIVERS.postgres]] as const)('purging, %s', (_name, driver) => {
  test('drops what has expired, to the exact millisecond, and nothing else', async () => {
    const clock = createStillClock();
    const storage = await driver.open(clock);
    const model = createName('Model');
    const write = (id: string, expiresAt: Date | undefined) => storage.durable.put(model, id, { payload: {} }, expiresAt);
    await Promise.all([write('over', clock.in(-1)), write('at its end', clock.in(0)), write('alive', clock.in(1)), write('for ever', undefined)]);
    expect(await storage.purge()).toBe(2);
    expect(await storage.purge()).toBe(0);
    expect(await storage.durable.find(model, 'alive')).toBeDefined();
    expect(await storage.durable.find(model, 'for ever')).toBeDefined();
    clock.advance(1);
    expect(await storage.purge()).toBe(1);
    await storage.close();
  }, OPENING_MS);
});
