import { addSeconds, type Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';
import { monthOf, startOfMonth } from '../lib/month.ts';
import type { AuditStore, AuditTransaction, ChainHead } from '../storage/storage.ts';
import { addCheckpoint, makeCheckpoints, MOST_HEADS, openCheckpoint, readCheckpoint, type PruneCheckpoint, type SignCheckpoint, type VerifySignature } from './checkpoint.ts';
import { hashText } from './row.ts';
import type { AuditVerdict } from './verifier.ts';
import { CHAIN_IDLE_SECONDS } from './writer.ts';

export interface RetentionOptions {
  readonly store: Pick<AuditStore, 'listMonths' | 'alone'>;
  readonly clock: Clock;
  readonly retentionDays: number;
  readonly sign: SignCheckpoint;
  readonly verifySignature: VerifySignature;
  readonly verify: () => Promise<AuditVerdict>;
}

/** Months made ahead: this one and two more. */
export function monthsAhead(now: Date): number[] {
  const month = monthOf(now);
  return [month, month + 1, month + 2];
}

/**
 * Drops the months that ended `retentionDays` ago or earlier, oldest first, each with a signed word on what is gone. What
 * was tampered with is not dropped: it would be made good by being forgotten. Gives how many months went; throws Refused
 * when the record does not verify.
 */
export async function prune(options: RetentionOptions): Promise<number> {
  const { store, clock, retentionDays, verify } = options;
  const limit = addSeconds(clock.now(), -retentionDays * 86_400);
  const due = (await store.listMonths()).filter((month) => startOfMonth(month + 1) <= limit);
  if (due.length === 0) return 0;
  const [fault] = (await verify()).faults;
  if (fault !== undefined) throw new Refused('audit_tampered', `nothing of the issuance record is dropped while it does not verify: ${fault.says}`);
  // By itself and first: a checkpoint keeps the writers of its chains waiting until it is committed.
  await store.alone((tx) => makeCheckpoints(tx, options.sign, clock.now()));
  let dropped = 0;
  for (const month of due) {
    const isDropped = await store.alone((tx) => pruneMonth(tx, month, options));
    if (isDropped !== true) break; // another instance is at it, or a row was written late
    dropped += 1;
  }
  return dropped;
}

/** False when a row of the month stands in no checkpoint yet. */
async function pruneMonth(tx: AuditTransaction, month: number, { clock, sign, verifySignature }: RetentionOptions): Promise<boolean> {
  const chains = new Map((await tx.listChains()).map((record) => [record.chain, record]));
  const gone = await tx.listLastRows(month);
  if (gone.some(({ chain, seq }) => seq > (chains.get(chain)?.checkpointedSeq ?? 0))) return false;
  const places = await readPruned(tx, verifySignature);
  for (const head of gone) places.set(head.chain, head);
  const heads = [...places.values()].filter(({ chain }) => chains.has(chain));
  const forgotten = await findForgettable(tx, places);
  const until = startOfMonth(month + 1).toISOString();
  // One at least, also of a month without a row: what is forgotten must be said.
  for (let from = 0; from === 0 || from < heads.length; from += MOST_HEADS) {
    await addCheckpoint(tx, sign, clock.now(), { kind: 'prune', until, heads: heads.slice(from, from + MOST_HEADS), forgotten });
  }
  if (forgotten !== undefined) await tx.dropCheckpoints(forgotten.number);
  await tx.dropChains(heads, CHAIN_IDLE_SECONDS);
  // Last: until the end of the transaction nobody reads or writes the record.
  await tx.dropMonth(month);
  return true;
}

/** What earlier prunes said: from what was signed, since the table of heads is not. */
async function readPruned(tx: AuditTransaction, verifySignature: VerifySignature): Promise<Map<string, ChainHead>> {
  const places = new Map<string, ChainHead>();
  for await (const stored of readAll(tx)) {
    const checkpoint = await openCheckpoint(stored, verifySignature);
    if (typeof checkpoint === 'string') throw new Refused('audit_tampered', checkpoint);
    if (checkpoint.kind !== 'prune') continue;
    for (const head of checkpoint.heads) if (head.seq > (places.get(head.chain)?.seq ?? 0)) places.set(head.chain, head);
  }
  return places;
}

/** The last of the checkpoints, from the oldest on, that speak only of rows that are gone, or that are said again now. */
async function findForgettable(tx: AuditTransaction, places: ReadonlyMap<string, ChainHead>): Promise<PruneCheckpoint['forgotten']> {
  let last: PruneCheckpoint['forgotten'];
  for await (const { number, jws } of readAll(tx)) {
    const checkpoint = readCheckpoint(jws);
    const isOver = checkpoint?.kind === 'prune' || checkpoint?.heads.every(({ chain, seq }) => seq <= (places.get(chain)?.seq ?? 0)) === true;
    if (!isOver) break;
    last = { number, hash: hashText(jws) };
  }
  return last;
}

const PAGE = 200;

async function* readAll(tx: AuditTransaction) {
  for (let after = 0; ;) {
    const page = await tx.listCheckpoints(after, PAGE);
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.number ?? after;
  }
}
