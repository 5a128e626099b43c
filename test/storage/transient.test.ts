import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Storage, TransientStore } from '../../server/storage/storage.ts';
import { createName, DRIVERS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

describe.each([['memory', DRIVERS.memory], ['redis', DRIVERS.redis]] as const)('the transient store, %s', (_name, driver) => {
  const clock = createStillClock();
  let storage: Storage;
  let store: TransientStore;
  let key: string;
  beforeAll(async () => {
    storage = await driver.open(clock);
    store = storage.transient;
  });
  afterAll(() => storage.close());
  beforeEach(() => {
    key = createName('key');
  });

  test('gives back what was put, once', async () => {
    const value = { text: 'ä\u0000', number: 1.5, nothing: null, deep: { list: [1] } };
    await store.put(key, value, 60);
    expect(await store.take(key)).toEqual(value);
    expect(await store.take(key)).toBeUndefined();
  });

  test('gives it to exactly one of 50 parallel takers', async () => {
    await store.put(key, { is: 1 }, 60);
    const taken = await Promise.all(Array.from({ length: 50 }, () => store.take(key)));
    expect(taken.filter((value) => value !== undefined)).toEqual([{ is: 1 }]);
  });

  test('gives the later of two values, and takes a key again after it was taken', async () => {
    await store.put(key, { is: 1 }, 60);
    await store.put(key, { is: 2 }, 60);
    expect(await store.take(key)).toEqual({ is: 2 });
    await store.put(key, { is: 3 }, 60);
    expect(await store.take(key)).toEqual({ is: 3 });
  });

  test('has nothing under another key', async () => {
    await store.put(key, { is: 1 }, 60);
    expect(await store.take(`${key}2`)).toBeUndefined();
  });

  // Its clock may be ours or the server's: both are moved here.
  test('forgets when the time is over, and not before', async () => {
    await store.put(key, { is: 1 }, 2);
    await store.put(`${key}-kept`, { is: 2 }, 60);
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    clock.advance(2_000);
    expect(await store.take(key)).toBeUndefined();
    expect(await store.take(`${key}-kept`)).toEqual({ is: 2 });
  });

  test('keeps a copy', async () => {
    const value = { list: [1] };
    await store.put(key, value, 60);
    value.list.push(2);
    expect(await store.take(key)).toEqual({ list: [1] });
  });
});
