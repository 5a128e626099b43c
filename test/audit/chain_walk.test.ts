import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { walkChain, type Fault } from '../../server/audit/chain_walk.ts';
import { toFields } from '../../server/audit/entry.ts';
import { GENESIS, hashRow } from '../../server/audit/row.ts';
import type { AuditRecord, ChainPlace } from '../../server/storage/storage.ts';
import { createToken } from '../support/audit_instance.ts';

const CHAIN = '00000000-0000-4000-8000-000000000001';
const AT = new Date('2030-01-01T00:00:00Z');

test('a row is hashed as it ever was: whoever changes the form makes all that was written unverifiable', () => {
  const row = { ...toFields({ kind: 'token', event: 'token_exchange', at: AT, jti: 'j', act: { sub: 'ä' }, expiresAt: new Date('2030-01-01T00:10:00Z') }), chain: CHAIN, seq: 1, previous: GENESIS };
  expect(hashRow(row)).toBe('7b342ffdb780ba9405cd1837b9bed3d27e829ca3fb573d09c1a3c98bac4b2956');
});

function makeChain(length: number): AuditRecord[] {
  let previous = GENESIS;
  return Array.from({ length }, (_, index) => {
    const row = { ...toFields(createToken(AT, { jti: `j${index + 1}` })), chain: CHAIN, seq: index + 1, previous };
    previous = hashRow(row);
    return { ...row, hash: previous };
  });
}

/** As the database gives them: by place, several to a place. */
function walk(written: readonly AuditRecord[], found: readonly AuditRecord[], signedSeqs: readonly number[]): Fault[] {
  const faults: Fault[] = [];
  const place = (seq: number): ChainPlace => ({ seq, hash: written[seq - 1]!.hash });
  const walked = walkChain({
    chain: CHAIN, start: { seq: 0, hash: GENESIS }, head: place(written.length),
    signed: [...new Set(signedSeqs)].sort((a, b) => a - b).map((seq, index) => ({ ...place(seq), checkpoint: index + 1 })),
  }, (fault) => faults.push(fault));
  const seqs = [...new Set(found.map(({ seq }) => seq))].sort((a, b) => a - b);
  const groups = seqs.map((seq) => found.filter((row) => row.seq === seq) as [AuditRecord, ...AuditRecord[]]);
  groups.forEach((group, index) => { walked.take(group, groups[index + 1]?.[0].previous); });
  walked.end(written.length);
  return faults;
}

const LENGTH = 12;
const seq = fc.integer({ min: 1, max: LENGTH });
const signed = fc.uniqueArray(seq, { maxLength: 4 });
/** Puts a whole new history behind row `from`, each row fitting the one before. */
const rewrite = (rows: readonly AuditRecord[], from: number) => {
  let previous = rows[from - 1]!.previous;
  return rows.map((row) => {
    if (row.seq < from) return row;
    const next = { ...row, subject: row.seq === from ? 'mallory' : row.subject, previous };
    previous = hashRow(next);
    return { ...next, hash: previous };
  });
};

describe('a walk along a chain', () => {
  const rows = makeChain(LENGTH);

  test('of what was written finds nothing, wherever it was signed', () => {
    fc.assert(fc.property(signed, (seqs) => { expect(walk(rows, rows, seqs)).toEqual([]); }));
  });

  test('names exactly the rows that were changed', () => {
    fc.assert(fc.property(signed, fc.uniqueArray(seq, { minLength: 1 }), (seqs, changed) => {
      const faults = walk(rows, rows.map((row) => (changed.includes(row.seq) ? { ...row, audience: 'other' } : row)), seqs);
      expect(faults.map((fault) => [fault.kind, fault.seq])).toEqual([...changed].sort((a, b) => a - b).map((one) => ['changed', one]));
    }));
  });

  test('names exactly the rows that were removed', () => {
    fc.assert(fc.property(signed, fc.uniqueArray(seq, { minLength: 1 }), (seqs, removed) => {
      const faults = walk(rows, rows.filter((row) => !removed.includes(row.seq)), seqs);
      expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(['removed']));
      const named = faults.flatMap((fault) => Array.from({ length: fault.lastSeq! - fault.seq! + 1 }, (_, index) => fault.seq! + index));
      expect(named).toEqual([...removed].sort((a, b) => a - b));
    }));
  });

  test('names exactly the rows that were moved, and from where', () => {
    fc.assert(fc.property(signed, fc.shuffledSubarray(rows.map((row) => row.seq), { minLength: 2 }), (seqs, moved) => {
      // Each takes the place of the next, in a circle.
      const to = new Map(moved.map((from, index) => [from, moved[(index + 1) % moved.length]!]));
      const faults = walk(rows, rows.map((row) => ({ ...row, seq: to.get(row.seq) ?? row.seq })), seqs);
      expect(faults.map((fault) => [fault.kind, fault.seq, fault.jti]).sort()).toEqual([...to].map(([from, place]) => ['reordered', place, `j${from}`]).sort());
    }));
  });

  test('names a row that was put in at any place, with a hash of its own or a copied one', () => {
    fc.assert(fc.property(signed, seq, fc.boolean(), fc.boolean(), (seqs, place, isHashed, isFirst) => {
      const original = rows[place - 1]!;
      const forged = { ...original, jti: 'forged' };
      const row = isHashed ? { ...forged, hash: hashRow(forged) } : forged;
      // Beside the last row there is no row behind to tell the two apart, only the head.
      const faults = walk(rows, isFirst ? [row, ...rows] : [...rows, row], seqs);
      if (place < LENGTH || !isHashed) expect(faults.map((fault) => [fault.kind, fault.seq, fault.jti])).toEqual([['inserted', place, 'forged']]);
      else expect(faults.map((fault) => fault.kind)).toContain('inserted');
    }));
  });

  test('finds a history that was written anew from any row on', () => {
    fc.assert(fc.property(signed, seq, (seqs, from) => {
      const [fault, ...more] = walk(rows, rewrite(rows, from), seqs);
      expect(more).toEqual([]);
      expect(fault!.kind).toBe('rewritten');
      expect(fault!.seq).toBeLessThanOrEqual(from);
      expect(fault!.lastSeq).toBeGreaterThanOrEqual(from);
    }));
  });

  test('finds something in whatever differs from what was written', () => {
    const operation = fc.record({ what: fc.constantFrom('change', 'remove', 'move', 'insert', 'rehash'), at: seq, to: fc.integer({ min: -1, max: LENGTH + 3 }) });
    fc.assert(fc.property(signed, fc.array(operation, { minLength: 1, maxLength: 5 }), (seqs, operations) => {
      let found = rows;
      for (const { what, at, to } of operations) {
        if (what === 'change') found = found.map((row) => (row.seq === at ? { ...row, reason: 'other' } : row));
        if (what === 'remove') found = found.filter((row) => row.seq !== at);
        if (what === 'move') found = found.map((row) => (row.seq === at ? { ...row, seq: to } : row));
        if (what === 'insert') found = [...found, ...rows.filter((row) => row.seq === at).map((row) => ({ ...row, seq: to, clause: 'put in' }))];
        if (what === 'rehash') found = found.map((row) => (row.seq === at ? { ...row, hash: hashRow(row) } : row));
      }
      const print = (list: readonly AuditRecord[]) => list.map((row) => JSON.stringify(row)).sort();
      fc.pre(JSON.stringify(print(found)) !== JSON.stringify(print(rows)));
      expect(walk(rows, found, seqs)).not.toEqual([]);
    }), { numRuns: 500 });
  });
});
