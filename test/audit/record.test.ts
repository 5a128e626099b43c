import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AuditEntry, AuditRow } from '../../server/audit/audit.ts';
import { Unavailable } from '../../server/lib/errors.ts';
import type { AuditBatch, AuditStore } from '../../server/storage/storage.ts';
import { createCheckpointKeys, createInstance, createToken, RECORD_DATABASES, type AuditInstance, type RecordDatabase } from '../support/audit_instance.ts';
import { OPENING_MS } from '../support/drivers.ts';
import { createStillClock, type StillClock } from '../support/still_clock.ts';

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const parallel = <T>(count: number, work: (index: number) => Promise<T>) => Promise.all(Array.from({ length: count }, (_, index) => work(index)));

/** The store, with its batches to count and to fail. */
function watchAppends(store: AuditStore) {
  const batches: AuditBatch[] = [];
  const hanging: (() => void)[] = [];
  const watched = {
    batches,
    /** For `instead`: a database that does not answer, until the test is over. */
    hang: () => new Promise<boolean>((_resolve, reject) => {
      hanging.push(() => { reject(new Unavailable('it hung')); });
    }),
    release: () => {
      watched.instead = undefined;
      for (const end of hanging) end();
    },
    /** Runs instead of the write, if it is set. */
    instead: undefined as ((write: () => Promise<boolean>) => Promise<boolean>) | undefined,
    store: {
      ...store,
      append: (batch: AuditBatch) => {
        batches.push(batch);
        const write = () => store.append(batch);
        return watched.instead === undefined ? write() : watched.instead(write);
      },
    },
  };
  return watched;
}

describe.each(Object.entries(RECORD_DATABASES))('the issuance record, %s', (_name, open) => {
  let database: RecordDatabase;
  beforeAll(async () => {
    database = await open();
  }, OPENING_MS);
  afterAll(() => database.close());

  let clock: StillClock;
  let watched: ReturnType<typeof watchAppends>;
  let instance: AuditInstance;
  const keys = createCheckpointKeys();
  beforeEach(async () => {
    await database.clear();
    clock = createStillClock();
    watched = watchAppends(database.createStore());
    instance = createInstance(watched.store, clock, keys);
  });
  afterEach(async () => {
    watched.release();
    await instance.audit.stop();
  });
  const token = (changes: Partial<AuditEntry> = {}) => createToken(clock.now(), changes);
  const readAll = async () => {
    const rows: AuditRow[] = [];
    for await (const row of instance.audit.export({})) rows.push(row);
    return rows;
  };

  describe('record', () => {
    test('keeps every field, and what is not there is not there', async () => {
      const full = token({ act: { sub: 'agent', act: { sub: 'other' } }, code: 'none', reason: 'a reason', detail: { list: [1, null, 'ä→🙂'], no: false } });
      const bare: AuditEntry = { kind: 'admin', event: 'audience.set', at: clock.now() };
      await instance.audit.record([full, bare]);
      const [first, second] = await readAll();
      expect(first).toEqual({ ...full, chain: expect.any(String), seq: 1n, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
      expect(Object.entries(second!).filter(([, value]) => value !== undefined).map(([name]) => name).sort()).toEqual(['at', 'chain', 'event', 'hash', 'kind', 'seq']);
      expect(second).toMatchObject(bare);
    });

    test('of fifty in parallel shares a few inserts, and each is durable when it resolves', async () => {
      await parallel(50, async (index) => {
        await instance.audit.record([token({ jti: `jti-${index}` })]);
        expect(await database.read('SELECT 1 FROM audit_rows WHERE jti = $1', `jti-${index}`)).toHaveLength(1);
      });
      expect(watched.batches.length).toBeLessThanOrEqual(3);
      expect(instance.batches.map(({ rows }) => rows)).toEqual(watched.batches.map(({ rows }) => rows.length));
      expect((await readAll()).map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => BigInt(index + 1)));
      expect(await instance.audit.verify()).toMatchObject({ rows: 50, chains: 1, faults: [] });
    });

    test('keeps the entries of one call together and in order, whatever else arrives', async () => {
      await parallel(20, (index) => instance.audit.record([token({ jti: `${index}-a` }), token({ jti: `${index}-b` })]));
      const order = (await readAll()).sort((a, b) => Number(a.seq - b.seq)).map(({ jti }) => jti);
      for (let index = 0; index < 20; index += 1) expect(order.indexOf(`${index}-b`)).toBe(order.indexOf(`${index}-a`) + 1);
    });

    test('of nothing writes nothing', async () => {
      await instance.audit.record([]);
      expect(watched.batches).toEqual([]);
    });

    test('of an entry without a time is a mistake of the caller, and hurts no neighbour', async () => {
      const [bad, good] = await Promise.allSettled([instance.audit.record([token({ at: new Date(Number.NaN) })]), instance.audit.record([token()])]);
      expect(bad).toMatchObject({ status: 'rejected', reason: expect.any(TypeError) });
      expect(good.status).toBe('fulfilled');
    });

    test('takes 2,000 at once, in batches that are bounded', async () => {
      await parallel(2_000, () => instance.audit.record([token()]));
      expect(Math.max(...watched.batches.map(({ rows }) => rows.length))).toBeLessThanOrEqual(512);
      expect(await instance.audit.verify()).toMatchObject({ rows: 2_000, faults: [] });
    });
  });

  describe('a write that fails', () => {
    const REFUSAL = new Unavailable('write the issuance record: the store did not answer');

    test('is Unavailable to all that wait, and the next begins a new chain', async () => {
      await instance.audit.record([token({ jti: 'before' })]);
      watched.instead = () => Promise.reject(REFUSAL);
      const results = await Promise.allSettled(Array.from({ length: 5 }, () => instance.audit.record([token({ jti: 'lost' })])));
      for (const result of results) expect(result).toEqual({ status: 'rejected', reason: REFUSAL });
      watched.instead = undefined;
      await instance.audit.record([token({ jti: 'after' })]);
      expect((await readAll()).map(({ jti, seq }) => [jti, seq])).toEqual(expect.arrayContaining([['before', 1n], ['after', 1n]]));
      expect(await instance.audit.verify()).toMatchObject({ rows: 2, chains: 2, faults: [] });
      expect(instance.troubles).toEqual([{ what: 'the issuance record could not be written', error: REFUSAL }]);
    });

    test('tells those who came meanwhile too, who would wait as long again', async () => {
      let failNow: (error: Error) => void = () => undefined;
      watched.instead = () => new Promise((_resolve, reject) => { failNow = reject; });
      const first = instance.audit.record([token()]);
      await sleep(20);
      const second = instance.audit.record([token()]);
      await sleep(20);
      failNow(REFUSAL);
      expect(await Promise.allSettled([first, second])).toMatchObject([{ status: 'rejected', reason: REFUSAL }, { status: 'rejected', reason: REFUSAL }]);
      expect(watched.batches).toHaveLength(1);
    });

    test('but was there after all is a valid end of its chain', async () => {
      await instance.audit.record([token()]);
      watched.instead = async (write) => {
        await write();
        throw new Unavailable('the answer was lost');
      };
      await expect(instance.audit.record([token({ jti: 'unknown' })])).rejects.toThrow('the answer was lost');
      watched.instead = undefined;
      await instance.audit.record([token()]);
      expect(await instance.audit.checkpoint()).toBe(true);
      expect(await instance.audit.verify()).toMatchObject({ rows: 3, chains: 2, faults: [] });
      expect(await instance.audit.find({ jti: 'unknown' })).toHaveLength(1);
    });

    test('by our own mistake is Unavailable too: no token leaves', async () => {
      watched.instead = () => Promise.reject(new TypeError('a mistake'));
      await expect(instance.audit.record([token()])).rejects.toThrow(Unavailable);
    });

    test('because somebody else moved the head is said, and nothing is written upon it', async () => {
      await instance.audit.record([token()]);
      await database.tamper("UPDATE audit_chains SET hash = decode(repeat('ab', 32), 'hex')");
      await expect(instance.audit.record([token({ jti: 'upon' })])).rejects.toThrow(Unavailable);
      expect(await instance.audit.find({ jti: 'upon' })).toEqual([]);
      expect((instance.troubles[0]!.error as Error).message).toMatch(/the head of chain \S+ is not where this instance left it \(seq 1\): somebody else has written to it/);
      await instance.audit.record([token()]);
    });

    test('more than ten thousand rows waiting are refused at once', async () => {
      watched.instead = watched.hang;
      const waiting = Array.from({ length: 11 }, () => instance.audit.record(Array.from({ length: 1_000 }, () => token())));
      await expect(waiting[10]).rejects.toThrow('write the issuance record: too many wait for it');
      watched.release();
      expect(await Promise.all(waiting.slice(0, 10))).toHaveLength(10);
    });
  });

  test('two instances write at once, each its own chain, and neither waits for the other', async () => {
    const other = createInstance(database.createStore(), clock, keys);
    await parallel(100, (index) => (index % 2 === 0 ? instance : other).audit.record([token()]));
    expect(await Promise.all([instance.audit.checkpoint(), other.audit.checkpoint()])).toContain(true);
    expect(await instance.audit.verify()).toMatchObject({ rows: 100, chains: 2, faults: [] });
    expect(await database.read('SELECT DISTINCT chain FROM audit_rows')).toHaveLength(2);
  });

  test.each<[string, Partial<AuditEntry>]>([
    ['U+0000', { userAgent: 'a\u0000b', audience: '\u0000', reason: '\u0000\u0000' }],
    ['halves of surrogate pairs', { userAgent: '\ud800', clientId: '\udc00x', subject: 'a\ud83d' }],
    ["the line format's own characters", { userAgent: '\u001d', code: 'a\u001fb', clause: '\u001e\u001e', jti: '\u001d' }],
    ['quotes and escapes', { userAgent: `'"\\{}, \\x1e %s $1 NULL`, detail: { '"': '\\u0000 \u0000 \ud800' } }],
    ['a mebibyte', { userAgent: 'x'.repeat(1_048_576), audience: '🙂'.repeat(524_288), jti: 'ü'.repeat(1_048_576), kid: '→'.repeat(9_999), accountId: '🙂'.repeat(9_999), detail: { big: '"'.repeat(1_048_576) }, reason: 'y'.repeat(1_048_576) }],
    ['an end in another era', { expiresAt: new Date(8.64e15) }],
    ['an empty text', { userAgent: '', jti: '', act: {} }],
  ])('what a client chooses never makes a write fail: %s', async (_what, changes) => {
    await instance.audit.record([token(changes), token()]);
    expect(await instance.audit.verify()).toMatchObject({ rows: 2, faults: [] });
    const [row] = await database.read<{ size: number }>('SELECT max(pg_column_size(r.*))::int AS size FROM audit_rows r');
    expect(row!.size).toBeLessThan(20_000);
    for (const name of ['jti', 'kid', 'accountId', 'audience', 'clientId'] as const) {
      if (changes[name] !== undefined) expect(await instance.audit.find({ [name]: changes[name], limit: 1 })).toHaveLength(1);
    }
  });

  test('any text at all is kept and verifies, and one that UTF-8 can hold comes back as it was', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const wild = fc.oneof(text, fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)), maxLength: 40 }));
    await fc.assert(fc.asyncProperty(fc.array(fc.record({ userAgent: wild, audience: wild, reason: wild, detail: fc.dictionary(wild, fc.jsonValue() as fc.Arbitrary<string>) }), { minLength: 1, maxLength: 20 }), async (changes) => {
      await instance.audit.record(changes.map((one, index) => token({ ...one, jti: `j${index}`, clock: undefined } as Partial<AuditEntry>)));
      const found = await instance.audit.find({ jti: 'j0', limit: 1 });
      // eslint-disable-next-line no-control-regex -- what is replaced
      const kept = Buffer.from(changes[0]!.userAgent.replaceAll(/[\u0000-\u001f]/g, '\ufffd')).toString();
      expect(found[0]!.userAgent).toBe(kept);
      clock.advance(1);
    }), { numRuns: 25 });
    expect((await instance.audit.verify()).faults).toEqual([]);
  });

  describe('time', () => {
    test('makes a month on demand, for a clock far ahead or behind', async () => {
      for (const at of ['2099-12-31T23:59:59.999Z', '2100-01-01T00:00:00.000Z', '1970-01-01T00:00:00.000Z', '9998-12-31T23:59:59.999Z']) {
        await instance.audit.record([token({ at: new Date(at), expiresAt: new Date(at) })]);
      }
      const partitions = await database.read<{ name: string }>('SELECT DISTINCT tableoid::regclass::text AS name FROM audit_rows ORDER BY 1');
      expect(partitions.map(({ name }) => name)).toEqual(['audit_rows_1970_01', 'audit_rows_2099_12', 'audit_rows_2100_01', 'audit_rows_9998_12']);
      expect((await instance.audit.verify()).faults).toEqual([]);
      expect((await readAll()).map(({ at }) => at.getUTCFullYear())).toEqual([1970, 2099, 2100, 9998]);
    });

    test('makes a month that was dropped behind its back once more', async () => {
      await instance.audit.record([token({ at: new Date('2040-05-05T00:00:00Z') })]);
      await database.tamper('DROP TABLE audit_rows_2040_05');
      await instance.audit.record([token({ at: new Date('2040-05-06T00:00:00Z'), jti: 'again' })]);
      expect(await instance.audit.find({ jti: 'again' })).toHaveLength(1);
      expect(instance.troubles).toEqual([]);
    });

    test('is made by two instances at once without harm', async () => {
      await database.dropMonths();
      const stores = [0, 1, 2, 3].map(() => database.createStore());
      await Promise.all(stores.map((store) => store.ensureMonths([24_600, 24_601])));
      expect(await stores[0]!.listMonths()).toEqual([24_600, 24_601]);
    });

    test('never goes back over a month within a chain', async () => {
      const [before, after] = [new Date('2040-05-31T23:59:59.999Z'), new Date('2040-06-01T00:00:00.000Z')];
      await instance.audit.record([token({ at: after }), token({ at: before })]); // one batch: the earlier comes first
      await instance.audit.record([token({ at: before })]); // a new chain
      await instance.audit.record([token({ at: after })]);
      const rows = (await readAll()).map(({ at, chain, seq }) => ({ at, chain, seq }));
      const [one, two] = [rows.find(({ at, seq }) => seq === 1n && at < after)!.chain, rows.map(({ chain }) => chain)].flat();
      expect(new Set(rows.map(({ chain }) => chain)).size).toBe(2);
      for (const chain of [one, two]) expect(rows.filter((row) => row.chain === chain).map(({ at, seq }) => [at, seq])).toEqual([[before, 1n], [after, 2n]]);
    });

    test('in start(), this month and two more are made', async () => {
      await database.dropMonths();
      instance.audit.start();
      for (let tries = 0; (await watched.store.listMonths()).length < 3 && tries < 100; tries += 1) await sleep(50);
      expect(await watched.store.listMonths()).toHaveLength(3);
      await instance.audit.stop();
    });
  });

  describe('find', () => {
    beforeEach(async () => {
      await instance.audit.record(['a', 'b', 'c'].map((jti, index) => token({ jti, kid: `kid-${jti}`, accountId: `account-${jti}`, audience: `audience-${jti}`, clientId: `client-${jti}`, at: clock.in(index * 1_000) })));
      await instance.audit.record([{ kind: 'refusal', event: 'token_exchange', at: clock.in(5_000), code: 'invalid_target' }, { kind: 'admin', event: 'audience.set', at: clock.in(6_000) }]);
    });

    test.each([
      ['jti', { jti: 'b' }, ['b']], ['kid', { kid: 'kid-b' }, ['b']], ['account', { accountId: 'account-c' }, ['c']], ['audience', { audience: 'audience-a' }, ['a']], ['client', { clientId: 'client-a' }, ['a']],
      ['kind, newest first', { kind: 'token' }, ['c', 'b', 'a']], ['two at once', { kid: 'kid-b', audience: 'audience-a' }, []], ['limit', { kind: 'token', limit: 2 }, ['c', 'b']], ['a limit of none', { kind: 'token', limit: 0 }, ['c']],
      ['nothing that is there', { jti: 'B' }, []],
    ] as const)('by %s', async (_what, query, jtis) => {
      expect((await instance.audit.find(query)).map(({ jti }) => jti)).toEqual(jtis);
    });

    test('by time: from an instant on, and before another, to the millisecond', async () => {
      const jtis = async (query: object) => (await instance.audit.find({ kind: 'token', ...query })).map(({ jti }) => jti);
      expect(await jtis({ since: clock.in(1_000) })).toEqual(['c', 'b']);
      expect(await jtis({ since: clock.in(1_001) })).toEqual(['c']);
      expect(await jtis({ until: clock.in(1_000) })).toEqual(['a']);
      expect(await jtis({ since: clock.in(1_000), until: clock.in(1_001) })).toEqual(['b']);
    });

    test('by kind, of what is rare', async () => {
      expect(await instance.audit.find({ kind: 'admin' })).toMatchObject([{ event: 'audience.set' }]);
      expect(await instance.audit.find({ kind: 'refusal' })).toMatchObject([{ code: 'invalid_target' }]);
    });

    test('by each of the promised keys takes its index', async () => {
      // By its own, also where the order of time would do: an old key's rows lie behind all newer ones there.
      const cases = [
        ["jti = 'b'", '_jti_'], ["kid = 'kid-b' ORDER BY at DESC LIMIT 5", '_kid_'], ["account_id = 'account-b' ORDER BY at DESC LIMIT 5", '_account_id_'],
        ["audience = 'audience-b' ORDER BY at DESC LIMIT 5", '_audience_'], ["octet_length(hash) >= 0 AND at >= '2026-01-01' ORDER BY at DESC LIMIT 5", '_at_idx'],
        ["kind = 'admin' AND kind <> 'token' ORDER BY at DESC LIMIT 5", '_kind_'], ["kid IS NOT NULL AND expires_at > '2026-01-01'", '_expires_at_'],
      ] as const;
      // As with a million rows: a handful is read faster without.
      await database.tamper('SET enable_seqscan = off');
      for (const [condition, index] of cases) {
        const plan = await database.read<Record<string, string>>(`EXPLAIN SELECT * FROM audit_rows WHERE ${condition}`);
        expect(`${condition}: ${plan.map((row) => Object.values(row)[0]).join('\n')}`).toMatch(new RegExp(`Index .*${index}`));
      }
      await database.tamper('RESET enable_seqscan');
    });
  });

  test('export gives all of a range, oldest first, over more pages than one and rows of one millisecond', async () => {
    await instance.audit.record(Array.from({ length: 2_500 }, (_, index) => token({ jti: `${index}`, at: clock.in(Math.floor(index / 700) * 1_000) })));
    const jtis = (await readAll()).map(({ jti }) => jti);
    expect(new Set(jtis).size).toBe(2_500);
    const some: AuditRow[] = [];
    for await (const row of instance.audit.export({ since: clock.in(1_000), until: clock.in(3_000) })) some.push(row);
    expect(some).toHaveLength(1_400);
    expect(some.map(({ at }) => at.getTime())).toEqual(some.map(({ at }) => at.getTime()).sort((a, b) => a - b));
  });

  test('countLive counts signed tokens that live beyond now, by key and audience', async () => {
    await instance.audit.record([
      token(), token(), token({ audience: 'other' }), token({ kid: 'kid-2', audience: undefined }),
      token({ expiresAt: clock.now() }), token({ kid: undefined }), { kind: 'refusal', event: 'x', at: clock.now(), kid: 'kid-1', expiresAt: clock.in(9_000) },
    ]);
    expect(await instance.audit.countLive(clock.now())).toEqual([
      { kid: 'kid-1', audience: 'https://api.anthropic.com', count: 2 }, { kid: 'kid-1', audience: 'other', count: 1 }, { kid: 'kid-2', audience: undefined, count: 1 },
    ]);
    expect(await instance.audit.countLive(clock.in(600_000))).toEqual([]);
  });

  describe('note', () => {
    const refusal = (changes: Partial<AuditEntry> = {}): AuditEntry => ({ kind: 'refusal', event: 'token_exchange', at: clock.now(), code: 'invalid_target', reason: 'unknown audience', ...changes });

    test('writes soon, and does not wait', async () => {
      instance.audit.note(refusal());
      for (let tries = 0; (await instance.audit.find({ kind: 'refusal' })).length === 0 && tries < 100; tries += 1) await sleep(10);
      expect(await instance.audit.find({ kind: 'refusal' })).toMatchObject([{ code: 'invalid_target', reason: 'unknown audience' }]);
    });

    test('never throws', async () => {
      instance.audit.note(refusal({ at: new Date(Number.NaN) }));
      expect(instance.dropped).toBe(1);
    });

    test('of a flood is bounded, tokens come first, and what was dropped is said', async () => {
      for (let index = 0; index < 15_000; index += 1) instance.audit.note(refusal());
      expect(instance.dropped).toBe(5_000);
      await instance.audit.record([token()]);
      expect(watched.batches[0]!.rows[0]!.kind).toBe('token');
      expect(watched.batches[0]!.rows.length).toBeLessThanOrEqual(66);
      const said = (await readAll()).filter(({ event }) => event === 'notes_dropped');
      expect(said).toMatchObject([{ kind: 'refusal', detail: { count: 5_000 } }]);
      await sleep(300);
      expect(watched.batches.flatMap(({ rows }) => rows).length).toBeLessThanOrEqual(2_200); // what may go in one go, and little more
    });

    test('survives a database that is away for a moment', async () => {
      watched.instead = () => Promise.reject(new Unavailable('away'));
      instance.audit.note(refusal({ code: 'kept' }));
      await sleep(50);
      watched.instead = undefined;
      await instance.audit.record([token()]); // not held up by it
      expect(await instance.audit.find({ kind: 'refusal' })).toEqual([]);
      for (let tries = 0; (await instance.audit.find({ kind: 'refusal' })).length === 0 && tries < 100; tries += 1) await sleep(50);
      expect(await instance.audit.find({ kind: 'refusal' })).toMatchObject([{ code: 'kept' }]);
      expect(instance.dropped).toBe(0);
    });

    test('that makes every write fail fails tokens once, and never again', async () => {
      watched.instead = (write) => (watched.batches.at(-1)!.rows.some(({ code }) => code === 'poison') ? Promise.reject(new Unavailable('poison')) : write());
      instance.audit.note(refusal({ code: 'poison' }));
      await expect(instance.audit.record([token()])).rejects.toThrow('poison');
      for (let index = 0; index < 30; index += 1) {
        await instance.audit.record([token()]);
        await sleep(50);
      }
    });
  });

  describe('stop', () => {
    test('writes what was taken, makes a last checkpoint, and takes nothing more', async () => {
      const records = parallel(30, () => instance.audit.record([token()]));
      for (let index = 0; index < 700; index += 1) instance.audit.note({ kind: 'refusal', event: 'x', at: clock.now() });
      await instance.audit.stop();
      await records;
      expect(await database.read('SELECT 1 FROM audit_rows')).toHaveLength(730);
      expect(instance.checkpoints).toEqual([{ number: 1, hash: expect.any(String) }]);
      expect(await instance.audit.verify()).toMatchObject({ rows: 730, checkpoints: 1, faults: [], newest: { number: 1, hash: instance.checkpoints[0]!.hash } });
      await expect(instance.audit.record([token()])).rejects.toThrow('write the issuance record: this instance is stopping');
      instance.audit.note({ kind: 'refusal', event: 'x', at: clock.now() });
      expect(instance.dropped).toBe(1);
    });

    test('of a database that is away ends within seconds', async () => {
      watched.instead = watched.hang;
      instance.audit.note({ kind: 'refusal', event: 'x', at: clock.now() });
      const since = performance.now();
      await instance.audit.stop();
      expect(performance.now() - since).toBeLessThan(8_000);
    });
  });

  test('a checkpoint is no token: it has a type of its own and none of the claims', async () => {
    await instance.audit.record([token()]);
    expect(await instance.audit.checkpoint()).toBe(true);
    expect(await instance.audit.checkpoint()).toBe(false); // nothing moved
    const [{ jws }] = (await database.read<{ jws: string }>('SELECT jws FROM audit_checkpoints')) as [{ jws: string }];
    const [header, payload] = jws.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>);
    expect(header).toMatchObject({ typ: 'vouch-checkpoint+jwt' });
    expect(Object.keys(payload!).sort()).toEqual(['at', 'heads', 'kind', 'number', 'previous']);
  });
});
