import { generateSigningKeyPair, toPublicJwk } from '../crypto/jwk.ts';
import type { Clock } from '../lib/clock.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyRecord, KeyStore } from '../storage/storage.ts';
import { plan, type Move } from './plan.ts';
import type { Custody } from './sealed_key.ts';

export interface ReconcilerDependencies {
  readonly store: KeyStore;
  readonly custody: Custody;
  readonly rings: readonly SigningAlgorithm[];
  readonly clock: Clock;
}

/**
 * Makes the records be as the plan wants them: alone among all instances, all moves in one transaction. Gives the moves
 * that it made. Killed anywhere, it has done nothing.
 */
export async function reconcile({ store, custody, rings, clock }: ReconcilerDependencies): Promise<readonly Move[]> {
  const { moves } = await store.change(async (transaction) => {
    const { records } = await transaction.load();
    const moves = plan(records, rings);
    for (const move of moves) await transaction.insert(await generateRecord(move, custody, clock.now()));
    return { isChanged: moves.length > 0, moves };
  });
  return moves;
}

async function generateRecord({ ring, state }: Move, custody: Custody, at: Date): Promise<KeyRecord> {
  const privateKey = await generateSigningKeyPair(ring);
  const publicJwk = toPublicJwk(privateKey, ring);
  const { kid } = publicJwk;
  return {
    kid, ring, state, publicJwk,
    sealed: custody.seal(privateKey, { kid, ring }),
    createdAt: at,
    activatedAt: state === 'active' ? at : undefined,
    retiringAt: undefined,
    endedAt: undefined,
  };
}
