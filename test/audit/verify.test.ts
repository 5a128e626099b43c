import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { AuditEntry, Fault } from '../../server/audit/audit.ts';
import { createCheckpointKeys, createInstance, createToken, RECORD_DATABASES, type AuditInstance, type RecordDatabase } from '../support/audit_instance.ts';
import { rehashFrom } from '../support/audit_forger.ts';
import { OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

describe.each(Object.entries(RECORD_DATABASES))('verifying the issuance record, %s', (_name, open) => {
  let database: RecordDatabase;
  beforeAll(async () => {
    database = await open();
  }, OPENING_MS);
  afterAll(() => database.close());

  const clock = createStillClock();
  const keys = createCheckpointKeys();
  let one: AuditInstance;
  let chain: string;
  const record = async (instance: AuditInstance, name: string, count: number, changes: Partial<AuditEntry> = {}) => {
    for (let index = 1; index <= count; index += 1) {
      clock.advance(1);
      await instance.audit.record([createToken(clock.now(), { jti: `${name}${index}`, ...changes })]);
    }
  };
  const verify = () => one.audit.verify();
  const faults = async () => (await verify()).faults;
  const says = async () => (await faults()).map((fault) => fault.says.replaceAll(chain, 'C'));
  const brief = (list: readonly Fault[]) => list.map(({ kind, seq, jti }) => [kind, seq, jti]);

  /** Twelve rows a1 to a12 of one chain, checkpoints at 4 and 8, and three rows of another chain, at 8 as well. */
  beforeEach(async () => {
    await database.clear();
    one = createInstance(database.createStore(), clock, keys);
    const other = createInstance(database.createStore(), clock, keys);
    await record(one, 'a', 4);
    await one.audit.checkpoint();
    await record(other, 'b', 3);
    for (let index = 5; index <= 8; index += 1) await record(one, `a${index}`, 1, { jti: `a${index}` });
    await other.audit.checkpoint();
    for (let index = 9; index <= 12; index += 1) await record(one, `a${index}`, 1, { jti: `a${index}` });
    chain = (await one.audit.find({ jti: 'a1' }))[0]!.chain;
  });

  test('finds nothing in what nobody touched', async () => {
    expect(await verify()).toEqual({ rows: 15, chains: 2, checkpoints: 2, faults: [], faultCount: 0, newest: { number: 2, at: expect.any(String), hash: expect.stringMatching(/^[0-9a-f]{64}$/) } });
  });

  test('finds nothing in an empty record', async () => {
    await database.clear();
    expect(await verify()).toMatchObject({ rows: 0, chains: 0, checkpoints: 0, faults: [] });
  });

  test.each([
    ['kind', "'refusal'"], ['event', "'x'"], ['jti', "'other'"], ['jti', 'NULL'], ['kid', "'x'"], ['alg', "'RS256'"], ['token_kind', "'access_token'"], ['account_id', "'x'"], ['subject', "'mallory@example.com'"],
    ['client_id', "''"], ['audience', "'https://api.openai.com'"], ['subject_jti', 'NULL'], ['act', "'{}'"], ['ip', "'198.51.100.1'"], ['user_agent', "user_agent || ' '"], ['expires_at', "'infinity'"], ['expires_at', 'NULL'],
    ['expires_at', "expires_at + interval '1 millisecond'"], ['at', "at + interval '1 millisecond'"], ['clause', "'x'"], ['code', "'x'"], ['reason', "'x'"], ['detail', "'not JSON'"],
    ['previous', "decode(repeat('00', 32), 'hex')"], ['hash', "decode(repeat('00', 32), 'hex')"], ['hash', "'\\x'"],
  ])('names the row of which %s was set to %s', async (column, value) => {
    expect(await database.tamper(`UPDATE audit_rows SET ${column} = ${value} WHERE jti = 'a6'`)).toBe(1);
    const found = await faults();
    expect(found).toMatchObject([{ kind: 'changed', chain, seq: 6, says: expect.stringMatching(/^row 6 .*was changed: its hash is of other content$/) }]);
    expect(await one.audit.find({ limit: 20 })).toHaveLength(15); // and whoever looks is not stopped by it
  });

  test('names a row that was moved to another month', async () => {
    await database.createStore().ensureMonths([24_600]);
    await database.tamper("UPDATE audit_rows SET at = '2050-01-15T00:00:00Z' WHERE jti = 'a6'");
    expect(brief(await faults())).toEqual([['changed', 6, 'a6']]);
  });

  test('names each of several', async () => {
    await database.tamper("UPDATE audit_rows SET subject = 'mallory' WHERE jti IN ('a1', 'a8', 'a12', 'b2')");
    expect(brief(await faults()).sort()).toEqual([['changed', 1, 'a1'], ['changed', 12, 'a12'], ['changed', 2, 'b2'], ['changed', 8, 'a8']]);
  });

  test('names a row that was changed and hashed anew, not the one behind it', async () => {
    await database.tamper("UPDATE audit_rows SET subject = 'mallory' WHERE jti = 'a6'");
    await rehashFrom(database, chain, 6, 6);
    expect(await says()).toEqual(['row 6 of chain C was changed and hashed anew: row 7 (jti a7) still holds the hash that it had']);
  });

  test.each([
    [6, 'rows 5 to 8 of chain C were hashed anew: they do not lead to the hash that checkpoint 2 signed for row 8'],
    [2, 'rows 1 to 4 of chain C were hashed anew: they do not lead to the hash that checkpoint 1 signed for row 4'],
    [10, 'rows 9 to 12 of chain C were hashed anew: they do not lead to the head that its writer left'],
  ])('finds a chain that was rewritten from row %s on to its end', async (from, sentence) => {
    await database.tamper(`UPDATE audit_rows SET subject = 'mallory' WHERE jti = 'a${from}'`);
    await rehashFrom(database, chain, from, 12);
    expect(await says()).toEqual([sentence]);
  });

  test('finds a rewritten chain whose head was set to fit', async () => {
    await database.tamper("UPDATE audit_rows SET subject = 'mallory' WHERE jti = 'a6'");
    await rehashFrom(database, chain, 6, 12);
    await database.tamper("UPDATE audit_chains c SET hash = (SELECT hash FROM audit_rows WHERE jti = 'a12') WHERE seq = 12");
    expect(brief(await faults())).toEqual([['rewritten', 5, undefined]]);
  });

  test('finds that the first row was replaced by another first row', async () => {
    await database.tamper("UPDATE audit_rows SET previous = decode(repeat('11', 32), 'hex') WHERE jti = 'a1'");
    await rehashFrom(database, chain, 1, 1, { keepPrevious: true });
    expect((await says())[0]).toMatch(/^row 1 \(jti a1\) of chain C does not begin its chain/);
  });

  test.each([
    ['one', "jti = 'a6'", [[6, 6]], 'row 6 of chain C was removed'],
    ['the first', "jti = 'a1'", [[1, 1]], 'row 1 of chain C was removed'],
    ['some', "jti IN ('a5', 'a6', 'a7')", [[5, 7]], 'rows 5 to 7 of chain C were removed'],
    ['the last, though no checkpoint held it', "jti = 'a12'", [[12, 12]], 'row 12 of chain C was removed: the chain ended with row 12'],
    ['a whole chain', "jti LIKE 'a%'", [[1, 12]], 'rows 1 to 12 of chain C were removed: the chain ended with row 12'],
  ])('names rows that were removed: %s', async (_what, condition, runs, sentence) => {
    await database.tamper(`DELETE FROM audit_rows WHERE ${condition}`);
    expect((await faults()).map(({ kind, seq, lastSeq }) => [kind, seq, lastSeq])).toEqual(runs.map((run) => ['removed', ...run]));
    expect(await says()).toEqual([sentence]);
  });

  test('names removed rows of a chain whose head was set back', async () => {
    await database.tamper("DELETE FROM audit_rows WHERE jti IN ('a7', 'a8', 'a9', 'a10', 'a11', 'a12')");
    await database.tamper(`UPDATE audit_chains SET seq = 6, checkpointed_seq = 6, hash = (SELECT hash FROM audit_rows WHERE jti = 'a6') WHERE chain = '${chain}'`);
    expect(await says()).toEqual(['the head of chain C was set back to row 6: checkpoint 2 signed it at row 8', 'rows 7 to 8 of chain C were removed: the chain ended with row 8']);
  });

  test('finds that a chain was removed with its head', async () => {
    await database.tamper("DELETE FROM audit_rows WHERE jti LIKE 'a%'");
    await database.tamper(`DELETE FROM audit_chains WHERE chain = '${chain}'`);
    expect(await says()).toEqual(['the head of chain C was removed: checkpoint 2 signed it at row 8', 'rows 1 to 8 of chain C were removed: the chain ended with row 8']);
  });

  test('finds that only the head was removed', async () => {
    await database.tamper(`DELETE FROM audit_chains WHERE chain = '${chain}'`);
    expect(await says()).toEqual(['the head of chain C was removed: checkpoint 2 signed it at row 8']);
  });

  test.each([
    ['two that stand side by side', [[6, 7], [7, 6]]],
    ['two far apart, over a checkpoint', [[2, 11], [11, 2]]],
    ['three, in a circle', [[5, 6], [6, 7], [7, 5]]],
    ['the one that a checkpoint holds', [[8, 9], [9, 8]]],
  ])('names rows that were reordered: %s', async (_what, moves) => {
    await database.tamper(`UPDATE audit_rows SET seq = seq + 1000 WHERE chain = '${chain}'`);
    const cases = moves.map(([from, to]) => `WHEN seq = ${1000 + from!} THEN ${to}`).join(' ');
    await database.tamper(`UPDATE audit_rows SET seq = CASE ${cases} ELSE seq - 1000 END WHERE chain = '${chain}'`);
    const found = await faults();
    expect(brief(found).sort()).toEqual(moves.map(([from, to]) => ['reordered', to, `a${from}`]).sort());
    for (const fault of found) expect(fault.says).toMatch(new RegExp(`was moved: it was written as row ${fault.jti!.slice(1)}$`));
  });

  test('names a row that was moved to the end', async () => {
    await database.tamper("UPDATE audit_rows SET seq = 40 WHERE jti = 'a6'");
    expect(brief(await faults())).toContainEqual(['reordered', 40, 'a6']);
  });

  const copyRow = (from: string, changes: Record<string, string>) => {
    const columns = 'chain, seq, at, kind, event, jti, kid, alg, token_kind, account_id, subject, client_id, audience, subject_jti, act, ip, user_agent, expires_at, clause, code, reason, detail, previous, hash'.split(', ');
    return database.tamper(`INSERT INTO audit_rows (${columns.join(', ')}) SELECT ${columns.map((name) => changes[name] ?? name).join(', ')} FROM audit_rows WHERE jti = '${from}'`);
  };

  test('names a row that was put in beside another of the same place', async () => {
    await copyRow('a6', { at: "at - interval '1 second'", jti: "'forged'" });
    expect(brief(await faults())).toEqual([['inserted', 6, 'forged']]);
  });

  test('names a row that was put in with a hash that fits it', async () => {
    await copyRow('a6', { at: "at - interval '1 second'", jti: "'forged'" });
    await rehashFrom(database, chain, 6, 6, { jti: 'forged' });
    expect(brief(await faults())).toEqual([['inserted', 6, 'forged']]);
  });

  test('names a row that was put in with room made for it', async () => {
    await database.tamper(`UPDATE audit_rows SET seq = seq + 1000 WHERE chain = '${chain}' AND seq > 6`);
    await database.tamper(`UPDATE audit_rows SET seq = seq - 999 WHERE chain = '${chain}' AND seq > 1000`);
    await copyRow('a6', { seq: '7', jti: "'forged'" });
    const found = await faults();
    expect(brief(found)).toContainEqual(['changed', 7, 'forged']);
    expect(brief(found)).toContainEqual(['reordered', 8, 'a7']);
  });

  test('names rows that were put in at the end', async () => {
    await copyRow('a12', { seq: '13', jti: "'forged'", previous: 'hash' });
    await rehashFrom(database, chain, 13, 13);
    expect(brief(await faults())).toEqual([['inserted', 13, 'forged']]);
  });

  test('names rows that were put in before the beginning, and at places that no number can say', async () => {
    await copyRow('a12', { seq: '0', jti: "'zero'" });
    await copyRow('a12', { seq: '-5', jti: "'minus'" });
    await copyRow('a12', { seq: '9223372036854775807', jti: "'last'" });
    expect((await faults()).map(({ kind, jti }) => [kind, jti])).toEqual(expect.arrayContaining([['inserted', 'zero'], ['inserted', 'minus'], ['inserted', 'last']]));
  });

  test('names a chain that no instance ever began', async () => {
    await copyRow('a1', { chain: "'00000000-0000-4000-8000-000000000000'", jti: "'forged'" });
    await rehashFrom(database, '00000000-0000-4000-8000-000000000000', 1, 1);
    expect((await faults()).map(({ kind, jti, says: sentence }) => [kind, jti, sentence])).toEqual([['inserted', 'forged', expect.stringContaining('no instance ever began this chain')]]);
  });

  describe('of checkpoints', () => {
    const readJws = async (number: number) => (await database.read<{ jws: string }>(`SELECT jws FROM audit_checkpoints WHERE number = ${number}`))[0]!.jws;
    beforeEach(async () => {
      await one.audit.checkpoint();
    });

    test('finds one that was signed by another', async () => {
      const forged = await createCheckpointKeys().sign(JSON.parse(Buffer.from((await readJws(2)).split('.')[1]!, 'base64url').toString()) as object);
      await database.tamper('UPDATE audit_checkpoints SET jws = $1 WHERE number = 2', forged);
      expect(await says()).toContain('checkpoint 2 is not signed by a key that this issuer ever had');
    });

    test('takes those of keys that are retired by now', async () => {
      keys.rotate();
      await record(one, 'c', 1);
      await one.audit.checkpoint();
      expect(await verify()).toMatchObject({ checkpoints: 4, faults: [] });
    });

    test.each([[1, 'checkpoint 1 is missing'], [2, 'checkpoint 2 is missing'], [3, 'the checkpoint that held row 12 of chain C is missing']])('finds that number %s was removed', async (number, sentence) => {
      await database.tamper(`DELETE FROM audit_checkpoints WHERE number = ${number}`);
      expect(await says()).toContain(sentence);
    });

    test('finds that all were removed', async () => {
      await database.tamper('TRUNCATE audit_checkpoints');
      expect(await says()).toContain('the checkpoint that held row 12 of chain C is missing');
    });

    test('finds two that were swapped', async () => {
      await database.tamper('UPDATE audit_checkpoints SET number = CASE number WHEN 1 THEN 102 WHEN 2 THEN 101 ELSE number END');
      await database.tamper('UPDATE audit_checkpoints SET number = number - 100 WHERE number > 100');
      expect(await says()).toEqual(expect.arrayContaining(['checkpoint 1 is the one that was written as 2', 'checkpoint 2 is the one that was written as 1']));
    });

    test('finds one that this issuer signed and that was not there before', async () => {
      const payload = JSON.parse(Buffer.from((await readJws(2)).split('.')[1]!, 'base64url').toString()) as object;
      await database.tamper('UPDATE audit_checkpoints SET jws = $1 WHERE number = 2', await keys.sign({ ...payload, at: '2030-01-01T00:00:00.000Z' }));
      expect(await says()).toEqual(['checkpoint 3 does not follow the one that stands before it: that one was replaced']);
    });

    test.each([['no JWS', 'nonsense'], ['empty', '']])('finds one that is %s', async (_what, jws) => {
      await database.tamper('UPDATE audit_checkpoints SET jws = $1 WHERE number = 2', jws);
      expect(await says()).toContain('checkpoint 2 is not signed by a key that this issuer ever had');
    });
  });

  test('finds a fault while instances go on writing, and takes nothing of theirs for one', async () => {
    const writer = createInstance(database.createStore(), clock, keys);
    const done = new AbortController();
    const writing = (async () => {
      while (!done.signal.aborted) await Promise.all([one, writer].map((instance) => instance.audit.record([createToken(clock.now())])));
    })();
    await database.tamper("DELETE FROM audit_rows WHERE jti = 'a6'");
    for (let round = 0; round < 10; round += 1) {
      expect(brief(await faults())).toEqual([['removed', 6, undefined]]);
      await one.audit.checkpoint();
    }
    done.abort();
    await writing;
  });

  test('gives no more than a thousand faults, and counts them all', async () => {
    await one.audit.record(Array.from({ length: 1_500 }, () => createToken(clock.now())));
    await database.tamper("UPDATE audit_rows SET subject = 'mallory'");
    const verdict = await verify();
    expect(verdict.faults).toHaveLength(1_000);
    expect(verdict.faultCount).toBe(1_515);
  });

  test('says how far it is', async () => {
    await one.audit.record(Array.from({ length: 2_500 }, () => createToken(clock.now())));
    const seen: number[] = [];
    await one.audit.verify(({ rows }) => seen.push(rows));
    expect(seen).toEqual([1_000, 2_000, 2_515]);
  });
});
