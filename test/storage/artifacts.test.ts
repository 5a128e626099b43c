import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Artifact, ArtifactStore, Storage } from '../../server/storage/storage.ts';
import { createName, DRIVERS, OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

const MINUTE = 60_000;
const parallel = <T>(count: number, work: (index: number) => Promise<T>) => Promise.all(Array.from({ length: count }, (_, index) => work(index)));
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe.each(Object.entries(DRIVERS))('the artifact store, %s', (_name, driver) => {
  const clock = createStillClock();
  let storage: Storage;
  let store: ArtifactStore;
  let model: string;
  let id: string;
  beforeAll(async () => {
    storage = await driver.open(clock);
    store = driver.artifacts(storage);
  }, OPENING_MS);
  afterAll(() => storage.close());
  beforeEach(() => {
    model = createName('Model');
    id = createName('id');
  });

  const put = (artifact: Partial<Artifact> = {}, expiresAt: Date | undefined = clock.in(MINUTE)) => store.put(model, id, { payload: {}, ...artifact }, expiresAt);

  describe('put and find', () => {
    test('give back the whole artifact', async () => {
      const artifact = { payload: { text: 'ä→', number: 1.5, no: false, nothing: null, list: [1, [2]], deep: { er: {} } }, grantId: 'grant', uid: createName('uid'), userCode: createName('code') };
      await put(artifact);
      expect(await store.find(model, id)).toEqual({ ...artifact, consumedAt: undefined });
      expect(await store.findByUid(model, artifact.uid)).toEqual({ ...artifact, consumedAt: undefined });
      expect(await store.findByUserCode(model, artifact.userCode)).toEqual({ ...artifact, consumedAt: undefined });
    });

    test('carry every string that JSON can carry, since a client chooses some of them', async () => {
      const payload = { nonce: 'a\u0000b', state: '\ud800', quoted: '"\\u0000"' };
      await put({ payload });
      expect((await store.find(model, id))?.payload).toEqual(payload);
    });

    test('find nothing under another id, model, uid or user code', async () => {
      await put({ uid: 'uid', userCode: 'code' });
      const others = createName('Model');
      expect(await store.find(model, createName('id'))).toBeUndefined();
      expect(await store.find(others, id)).toBeUndefined();
      expect(await store.findByUid(others, 'uid')).toBeUndefined();
      expect(await store.findByUid(model, 'code')).toBeUndefined();
      expect(await store.findByUserCode(others, 'code')).toBeUndefined();
      expect(await store.findByUserCode(model, 'uid')).toBeUndefined();
    });

    test('overwrite: the later one is all that is found', async () => {
      await put({ payload: { is: 1, more: true }, uid: `${id}-uid-1`, userCode: `${id}-code-1`, grantId: `${id}-grant-1` });
      await put({ payload: { is: 2 }, uid: `${id}-uid-2`, userCode: `${id}-code-2`, grantId: `${id}-grant-2` });
      expect((await store.find(model, id))?.payload).toEqual({ is: 2 });
      expect((await store.findByUid(model, `${id}-uid-2`))?.payload).toEqual({ is: 2 });
      expect(await store.findByUid(model, `${id}-uid-1`)).toBeUndefined();
      expect(await store.findByUserCode(model, `${id}-code-1`)).toBeUndefined();
      await store.revokeByGrantId(model, `${id}-grant-1`);
      expect((await store.find(model, id))?.payload).toEqual({ is: 2 });
    });

    test('overwriting in parallel fails nobody and leaves one whole artifact', async () => {
      await parallel(20, (index) => put({ payload: { index }, uid: `${id}-${index}` }));
      const { payload, uid } = (await store.find(model, id))!;
      expect(uid).toBe(`${id}-${payload.index as number}`);
    });

    test('give copies: nobody changes what is kept', async () => {
      const payload = { list: [1], deep: { is: 1 } };
      await put({ payload, uid: `${id}-uid` });
      payload.list.push(2);
      for (const find of [() => store.find(model, id), () => store.findByUid(model, `${id}-uid`)]) {
        const found = (await find())! as unknown as { payload: typeof payload };
        expect(found.payload).toEqual({ list: [1], deep: { is: 1 } });
        found.payload.deep.is = 2;
        found.payload.list.length = 0;
      }
      expect((await store.find(model, id))?.payload).toEqual({ list: [1], deep: { is: 1 } });
    });
  });

  describe('expiry', () => {
    test('is at the exact millisecond, for every way of finding', async () => {
      await put({ uid: `${id}-uid`, userCode: `${id}-code` }, clock.in(MINUTE));
      clock.advance(MINUTE - 1);
      expect(await store.find(model, id)).toBeDefined();
      expect(await store.findByUid(model, `${id}-uid`)).toBeDefined();
      expect(await store.findByUserCode(model, `${id}-code`)).toBeDefined();
      clock.advance(1);
      expect(await store.find(model, id)).toBeUndefined();
      expect(await store.findByUid(model, `${id}-uid`)).toBeUndefined();
      expect(await store.findByUserCode(model, `${id}-code`)).toBeUndefined();
      expect(await store.consume(model, id)).toBe(false);
    });

    test('lets consume win one millisecond earlier', async () => {
      await put({}, clock.in(MINUTE));
      clock.advance(MINUTE - 1);
      expect(await store.consume(model, id)).toBe(true);
    });

    test('is never, where none was given', async () => {
      await store.put(model, id, { payload: {} }, undefined);
      clock.advance(300 * 86_400_000);
      expect(await store.find(model, id)).toBeDefined();
      expect(await store.consume(model, id)).toBe(true);
    });

    test('of the past is not found at all', async () => {
      await put({}, clock.in(-1));
      expect(await store.find(model, id)).toBeUndefined();
    });

    test('moves with an overwrite, in both directions', async () => {
      await put({}, clock.in(MINUTE));
      await put({}, clock.in(3 * MINUTE));
      clock.advance(2 * MINUTE);
      expect(await store.find(model, id)).toBeDefined();
      await put({}, clock.in(1));
      clock.advance(1);
      expect(await store.find(model, id)).toBeUndefined();
    });

    test('ends that it was consumed: what is put afterwards is another artifact', async () => {
      await put({}, clock.in(MINUTE));
      await store.consume(model, id);
      clock.advance(MINUTE);
      await put({}, clock.in(MINUTE));
      expect(await store.find(model, id)).toMatchObject({ consumedAt: undefined });
      expect(await store.consume(model, id)).toBe(true);
    });

    test('frees a uid and a user code for another artifact', async () => {
      const pointers = { uid: `${id}-uid`, userCode: `${id}-code` };
      await put(pointers, clock.in(MINUTE));
      clock.advance(MINUTE);
      await store.put(model, `${id}-2`, { payload: { is: 2 }, ...pointers }, clock.in(MINUTE));
      expect((await store.findByUid(model, pointers.uid))?.payload).toEqual({ is: 2 });
      expect((await store.findByUserCode(model, pointers.userCode))?.payload).toEqual({ is: 2 });
    });
  });

  describe('add', () => {
    const add = (payload = {}, expiresAt = clock.in(MINUTE)) => store.add(model, id, { payload, uid: `${id}-uid`, userCode: `${id}-code`, grantId: `${id}-grant` }, expiresAt);

    test('writes once, and says who did', async () => {
      const results = await parallel(50, (index) => add({ index }));
      expect(results.filter(Boolean)).toHaveLength(1);
      expect((await store.find(model, id))?.payload).toEqual({ index: results.indexOf(true) });
      expect(await add({ index: 'late' })).toBe(false);
    });

    test('writes again when what was there has expired, from its exact millisecond on', async () => {
      expect(await add({ is: 1 })).toBe(true);
      await store.consume(model, id);
      clock.advance(MINUTE - 1);
      expect(await add({ is: 2 })).toBe(false);
      clock.advance(1);
      expect(await add({ is: 2 })).toBe(true);
      expect(await store.find(model, id)).toMatchObject({ payload: { is: 2 }, consumedAt: undefined });
    });

    test('makes an artifact like any other', async () => {
      await add();
      expect(await store.findByUid(model, `${id}-uid`)).toBeDefined();
      expect(await store.findByUserCode(model, `${id}-code`)).toBeDefined();
      await store.revokeByGrantId(model, `${id}-grant`);
      expect(await store.find(model, id)).toBeUndefined();
    });
  });

  describe('consume', () => {
    test('is won by exactly one of 50 in parallel, and remembered with its time', async () => {
      await put({ payload: { is: 1 } });
      const results = await parallel(50, () => store.consume(model, id));
      expect(results.filter(Boolean)).toHaveLength(1);
      expect(await store.find(model, id)).toMatchObject({ payload: { is: 1 }, consumedAt: clock.now() });
      expect(await store.consume(model, id)).toBe(false);
    });

    test('of what is not there is lost', async () => {
      expect(await store.consume(model, id)).toBe(false);
    });

    test('is kept by an overwrite', async () => {
      await put({ payload: { is: 1 } });
      await store.consume(model, id);
      const consumedAt = clock.now();
      clock.advance(1_000);
      await put({ payload: { is: 2 } });
      expect(await store.find(model, id)).toMatchObject({ payload: { is: 2 }, consumedAt });
      expect(await store.consume(model, id)).toBe(false);
    });

    test('is kept by an overwrite for as long as the artifact then lives', async () => {
      await put({}, clock.in(300));
      await store.consume(model, id);
      await put({}, clock.in(MINUTE));
      await sleep(400);
      clock.advance(400);
      expect((await store.find(model, id))?.consumedAt).toBeDefined();
      expect(await store.consume(model, id)).toBe(false);
    });

    test('is not lost to overwrites at the same time', async () => {
      await put();
      const [isWon] = await Promise.all([store.consume(model, id), parallel(20, (index) => put({ payload: { index } }))]);
      expect(isWon).toBe(true);
      expect((await store.find(model, id))?.consumedAt).toEqual(clock.now());
      expect(await store.consume(model, id)).toBe(false);
    });
  });

  describe('remove', () => {
    test('ends it for every way of finding', async () => {
      await put({ uid: `${id}-uid`, userCode: `${id}-code` });
      await store.remove(model, id);
      expect(await store.find(model, id)).toBeUndefined();
      expect(await store.findByUid(model, `${id}-uid`)).toBeUndefined();
      expect(await store.findByUserCode(model, `${id}-code`)).toBeUndefined();
      expect(await store.consume(model, id)).toBe(false);
    });

    test('leaves nothing behind, and of nothing is no error', async () => {
      await put();
      await store.consume(model, id);
      await store.remove(model, id);
      await store.remove(model, id);
      await put();
      expect(await store.consume(model, id)).toBe(true);
    });
  });

  test('revokeByGrantId ends what is of that grant and model, consumed or not, and nothing else', async () => {
    const others = createName('Model');
    const write = (of: string, name: string, grantId?: string) => store.put(of, `${id}-${name}`, { payload: {}, grantId }, clock.in(MINUTE));
    await Promise.all([write(model, 'a', 'g1'), write(model, 'b', 'g1'), write(model, 'c', 'g2'), write(model, 'd'), write(others, 'a', 'g1')]);
    await store.consume(model, `${id}-b`);
    await store.revokeByGrantId(model, 'g1');
    await store.revokeByGrantId(model, 'nobody');
    const isThere = async (of: string, name: string) => (await store.find(of, `${id}-${name}`)) !== undefined;
    expect(await Promise.all([isThere(model, 'a'), isThere(model, 'b'), isThere(model, 'c'), isThere(model, 'd'), isThere(others, 'a')])).toEqual([false, false, true, true, true]);
  });
});
