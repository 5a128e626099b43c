import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyRecord } from '../storage/storage.ts';

/** What should change. A plan names facts, never a key that does not exist yet. */
export interface Move {
  readonly kind: 'generate';
  readonly ring: SigningAlgorithm;
  readonly state: 'active' | 'pending';
}

/**
 * Given the records, what should change so that each ring has one active key and one published standby? Pure, and idle
 * when all is well, so that running it twice or on ten instances does no harm.
 *
 * The very first key of a ring signs at once: no verifier can hold an older set. A ring that has had keys and has no
 * active one gets no new signer here, since no verifier could hold it: its standby must be activated by the life cycle.
 */
export function plan(records: readonly KeyRecord[], rings: readonly SigningAlgorithm[]): readonly Move[] {
  return rings.flatMap((ring) => planRing(records.filter((record) => record.ring === ring), ring));
}

function planRing(records: readonly KeyRecord[], ring: SigningAlgorithm): Move[] {
  const moves: Move[] = [];
  if (records.length === 0) moves.push({ kind: 'generate', ring, state: 'active' });
  if (!records.some((record) => record.state === 'pending')) moves.push({ kind: 'generate', ring, state: 'pending' });
  return moves;
}
