import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { AuditEntry } from '../../server/audit/audit.ts';
import { Refused } from '../../server/lib/errors.ts';
import { createCheckpointKeys, createInstance, createToken, RECORD_DATABASES, type AuditInstance, type RecordDatabase } from '../support/audit_instance.ts';
import { OPENING_MS } from '../support/drivers.ts';

/** Stands where it is put. */
function createSetClock() {
  let at = new Date(0);
  return { now: () => at, set: (iso: string) => { at = new Date(iso); } };
}

describe.each(Object.entries(RECORD_DATABASES))('retention of the issuance record, %s', (_name, open) => {
  let database: RecordDatabase;
  beforeAll(async () => {
    database = await open();
  }, OPENING_MS);
  afterAll(() => database.close());

  const clock = createSetClock();
  const keys = createCheckpointKeys();
  let one: AuditInstance;
  const start = () => createInstance(database.createStore(), clock, keys, { retentionDays: 30 });
  /** An instance lives through these days, with two rows and a checkpoint each. */
  const live = async (instance: AuditInstance, days: readonly string[], changes: Partial<AuditEntry> = {}) => {
    for (const day of days) {
      clock.set(`2030-${day}T12:00:00Z`);
      await instance.audit.record([createToken(clock.now(), { jti: `${day}-a`, ...changes })]);
      await instance.audit.record([createToken(clock.now(), { jti: `${day}-b`, ...changes })]);
      await instance.audit.checkpoint();
    }
  };
  const months = async () => (await database.read<{ name: string }>("SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_rows'::regclass ORDER BY 1")).map(({ name }) => name.slice('audit_rows_'.length));
  const countCheckpoints = async () => (await database.read('SELECT 1 FROM audit_checkpoints')).length;
  beforeEach(async () => {
    await database.clear();
    await database.dropMonths();
    one = start();
  });

  test('drops a month when it ended so many days ago, to the millisecond, and what is left verifies', async () => {
    await live(one, ['01-10', '01-31', '02-01', '02-20']);
    clock.set('2030-03-02T23:59:59.999Z');
    expect(await one.audit.prune()).toBe(0);
    clock.set('2030-03-03T00:00:00.000Z');
    expect(await one.audit.prune()).toBe(1);
    expect(await months()).toEqual(['2030_02']);
    expect(await one.audit.verify()).toMatchObject({ rows: 4, chains: 1, faults: [] });
    expect(await one.audit.prune()).toBe(0);
    await live(one, ['03-04']); // and the chain goes on
    expect(await one.audit.verify()).toMatchObject({ rows: 6, chains: 1, faults: [] });
  });

  test('goes on for years, with several instances, and checkpoints do not pile up', async () => {
    let instances = [start(), start()];
    const counts: number[] = [];
    for (let month = 1; month <= 12; month += 1) {
      const days = ['03', '17', '28'].map((day) => `${String(month).padStart(2, '0')}-${day}`);
      for (const instance of instances) await live(instance, days.slice(0, 2));
      if (month % 3 === 0) {
        await Promise.all(instances.map((instance) => instance.audit.stop()));
        await database.tamper("UPDATE audit_chains SET written_at = written_at - interval '3 days'"); // those that ended did so long ago
        instances = [start(), start()];
      }
      for (const instance of instances) await live(instance, days.slice(2));
      await instances[month % 2]!.audit.prune();
      const verdict = await instances[0]!.audit.verify();
      expect(verdict.faults).toEqual([]);
      counts.push(verdict.checkpoints);
    }
    expect(await months()).toHaveLength(2);
    expect(Math.max(...counts.slice(3))).toBeLessThanOrEqual(30); // of 72 and the prunes
    expect(await database.read('SELECT 1 FROM audit_chains')).toHaveLength(4); // of 10
  });

  test('drops nothing while the record does not verify, and says what is wrong', async () => {
    await live(one, ['01-10', '02-10']);
    await database.tamper("UPDATE audit_rows SET subject = 'mallory' WHERE jti = '01-10-b'");
    clock.set('2030-04-01T00:00:00Z');
    const refusal = one.audit.prune();
    await expect(refusal).rejects.toThrow(Refused);
    await expect(refusal).rejects.toThrow(/^nothing of the issuance record is dropped while it does not verify: row 2 \(jti 01-10-b\) of chain \S+ was changed/);
    expect(await months()).toEqual(['2030_01', '2030_02']);
  });

  describe('after a month was dropped', () => {
    const faults = async () => (await one.audit.verify()).faults.map(({ kind, seq }) => [kind, seq]);
    beforeEach(async () => {
      await live(one, ['01-10', '02-10', '03-10']);
      clock.set('2030-03-11T00:00:00Z');
      expect(await one.audit.prune()).toBe(1);
      expect(await faults()).toEqual([]);
    });

    test('rows that are gone without such a word are missed', async () => {
      await database.tamper("DELETE FROM audit_rows WHERE jti = '02-10-a'");
      expect(await faults()).toEqual([['removed', 3]]);
    });

    test('so is a whole month', async () => {
      await database.tamper('DROP TABLE audit_rows_2030_02');
      expect(await faults()).toEqual([['removed', 3]]);
    });

    test('a row put in where the dropped ones were is found', async () => {
      await database.tamper("UPDATE audit_rows SET seq = 2 WHERE jti = '02-10-a'");
      expect(await faults()).toContainEqual(['inserted', 2]);
    });

    test('the word itself cannot be taken away or forged', async () => {
      const [{ number }] = (await database.read<{ number: bigint }>('SELECT max(number) AS number FROM audit_checkpoints')) as [{ number: bigint }];
      const [{ jws }] = (await database.read<{ jws: string }>(`SELECT jws FROM audit_checkpoints WHERE number = ${number}`)) as [{ jws: string }];
      const payload = JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString()) as { heads: { seq: number }[] };
      payload.heads[0]!.seq = 4;
      await database.tamper('UPDATE audit_checkpoints SET jws = $1 WHERE number = (SELECT max(number) FROM audit_checkpoints)', await createCheckpointKeys().sign(payload));
      expect(await faults()).toContainEqual(['checkpoint', undefined]);
      await database.tamper('DELETE FROM audit_checkpoints WHERE number = (SELECT max(number) FROM audit_checkpoints)');
      expect(await faults()).toContainEqual(['removed', 1]);
    });
  });

  test('checkpoints that were dropped with their rows are told from those that were taken away', async () => {
    await live(one, ['01-10', '01-11', '02-10', '03-10']);
    clock.set('2030-03-11T00:00:00Z');
    await one.audit.prune();
    expect(await database.read<{ number: bigint }>('SELECT number FROM audit_checkpoints ORDER BY 1')).toEqual([{ number: 3n }, { number: 4n }, { number: 5n }]);
    await database.tamper('DELETE FROM audit_checkpoints WHERE number = 3');
    expect((await one.audit.verify()).faults.map(({ says }) => says)).toEqual(['checkpoint 3 is missing']);
  });

  test('two instances that prune at once drop a month once', async () => {
    const other = start();
    await live(one, ['01-10', '02-10', '03-10']);
    await live(other, ['03-11']);
    clock.set('2030-03-12T00:00:00Z');
    const results = await Promise.allSettled([one.audit.prune(), other.audit.prune()]);
    expect(await months()).toEqual(['2030_02', '2030_03']);
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : 0)).reduce((sum, dropped) => sum + dropped, 0)).toBe(1);
    expect((await one.audit.verify()).faults).toEqual([]);
    expect(await countCheckpoints()).toBeGreaterThan(0);
  });

  test('a month in which nothing was written goes too', async () => {
    await database.createStore().ensureMonths([2030 * 12]);
    clock.set('2030-04-01T00:00:00Z');
    expect(await one.audit.prune()).toBe(1);
    expect(await one.audit.verify()).toMatchObject({ rows: 0, faults: [] });
  });
});
