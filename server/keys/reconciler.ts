import { Refused } from '../lib/errors.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyRecord, KeySet, KeyStore, KeyTransaction } from '../storage/storage.ts';
import type { Evidence } from './evidence.ts';
import { plan, type Move } from './plan.ts';
import type { KeyPolicy } from './policy.ts';
import type { Custody } from './sealed_key.ts';

export interface ReconcilerDependencies {
  readonly store: KeyStore;
  readonly custody: Custody;
  readonly policy: KeyPolicy;
}

/** Planning after each round of moves comes to rest in two; more would be a plan that contradicts itself. */
const MOST_ROUNDS = 5;

/**
 * Makes the records be as the plan wants them: alone among all instances, all moves and their history in one transaction.
 * Throws what `check` throws of the records, before anything is done. Gives the moves that it made; none when another
 * instance is at it and `waits` is false. Killed anywhere, it has done nothing.
 */
export async function reconcile(dependencies: ReconcilerDependencies, { waits, check }: { waits: boolean; check?: (records: readonly KeyRecord[]) => void }): Promise<readonly Move[]> {
  const result = await dependencies.store.change(async (transaction) => {
    if (check !== undefined) check((await transaction.load()).records);
    return settle(transaction, dependencies, await readEvidence(transaction), 'reconciler');
  }, { waits });
  return result?.moves ?? [];
}

export async function readEvidence(source: Pick<KeyStore, 'listInstances' | 'listVerifiers'>): Promise<Evidence> {
  // One after the other: within a transaction there is one connection.
  return { instances: await source.listInstances(), verifiers: await source.listVerifiers() };
}

/** Plans and applies, in a transaction that is under way, until there is nothing more to do. */
export async function settle(transaction: KeyTransaction, { custody, policy }: Omit<ReconcilerDependencies, 'store'>, evidence: Evidence, actor: string, lost?: SigningAlgorithm) {
  const made: Move[] = [];
  for (let round = 0; ; round += 1) {
    if (round === MOST_ROUNDS) throw new TypeError('the plan for the signing keys does not come to rest');
    const set = await transaction.load();
    const planned = plan(set.records, evidence, transaction.now, policy, lost);
    if (round === 0) await proveOwn(set.records, transaction, custody);
    const canCreate = custody.canCreate && set.records.every((record) => record.sealed === undefined || opens(record, custody));
    const moves = canCreate ? planned : planned.filter(({ kind }) => kind !== 'generate');
    for (const move of moves) made.push(await apply(move, transaction, custody, set, actor));
    if (moves.length === 0 && !canCreate) refuseSilence(set.records, policy);
    if (moves.length === 0) return { isChanged: made.length > 0, moves: made };
  }
}

/** Keys of a version that gave them no proof, while what opens shows that they are ours. */
async function proveOwn(records: readonly KeyRecord[], transaction: KeyTransaction, custody: Custody): Promise<void> {
  if (!custody.canCreate) return;
  for (const record of records) {
    if (record.sealed !== undefined && !custody.isOurs(record) && opens(record, custody)) await transaction.prove(record.kid, custody.prove(record));
  }
}

/**
 * What does not open was sealed under a key-encryption key that is new to this instance: those that have it may have let the
 * old one go, and could not open what this one seals.
 */
export function opens(record: KeyRecord, custody: Custody): boolean {
  try {
    custody.open(record);
    return true;
  } catch {
    return false;
  }
}

/** Without a key-encryption key a new standby is left to the instances, which have one. A ring without a signer is not. */
function refuseSilence(records: readonly KeyRecord[], { rings }: KeyPolicy): void {
  const silent = rings.find((ring) => records.some((record) => record.ring === ring) && !records.some((record) => record.ring === ring && record.state === 'active'));
  if (silent === undefined) return;
  throw new Refused('needs_kek', `the ring ${silent} would be left without a key that signs: it has no standby to take over; set VOUCH_KEK (or VOUCH_KEK_FILE), or wait until an instance has made one`);
}

/** Gives the move as it was made: a new key has a name then. */
async function apply(move: Move, transaction: KeyTransaction, custody: Custody, { version }: KeySet, actor: string): Promise<Move> {
  const next = version + 1n;
  const tell = (kind: string, kid: string) => transaction.record({ kind, ring: move.ring, kid, actor, reason: move.reason, version: next });
  switch (move.kind) {
    case 'generate': {
      const record = await generateRecord(move, custody, transaction.now, next);
      await transaction.insert(record);
      await tell(move.state === 'active' ? 'generated as active' : 'generated as standby', record.kid);
      return { ...move, kid: record.kid };
    }
    case 'activate':
      // First the one that signed: the database refuses two active keys of a ring.
      if (move.retires !== undefined) {
        await win(transaction.move(move.retires, 'active', 'retiring'));
        await tell('retiring', move.retires);
      }
      await win(transaction.move(move.kid, 'pending', 'active'));
      await tell(move.isForced ? 'activated before all verifiers had it' : 'activated', move.kid);
      return move;
    case 'retire':
      await win(transaction.move(move.kid, 'active', 'retiring'));
      await tell('retiring', move.kid);
      return move;
    case 'end':
      await win(transaction.move(move.kid, 'retiring', 'retired'));
      await tell('retired', move.kid);
      return move;
    case 'drop':
      await win(transaction.move(move.kid, 'pending', 'revoked'));
      await tell('dropped', move.kid);
      return move;
  }
}

/** Under the lock nobody else moves keys: a lost compare-and-set means that the lock is not one. The transaction is undone. */
async function win(attempt: Promise<boolean>): Promise<void> {
  if (!(await attempt)) throw new TypeError('a signing key changed under the lock');
}

async function generateRecord({ ring, state }: Extract<Move, { kind: 'generate' }>, custody: Custody, at: Date, publishedVersion: bigint): Promise<KeyRecord> {
  const { publicJwk, sealed, proof } = await custody.create(ring);
  return {
    kid: publicJwk.kid, ring, state, publicJwk, publishedVersion, sealed, proof,
    createdAt: at,
    requestedAt: undefined,
    activatedAt: state === 'active' ? at : undefined,
    retiringAt: undefined,
    endedAt: undefined,
  };
}
