import { setImmediate as breathe } from 'node:timers/promises';
import type { AuditRecord, AuditStore, ChainPlace } from '../storage/storage.ts';
import { walkChain, type ChainWalk, type Fault } from './chain_walk.ts';
import { openCheckpoint, type Checkpoint, type PruneCheckpoint, type VerifySignature } from './checkpoint.ts';
import { GENESIS, hashText } from './row.ts';

export interface AuditVerdict {
  readonly rows: number;
  readonly chains: number;
  readonly checkpoints: number;
  /** The first thousand. Empty: nothing was changed, removed, reordered or put in. */
  readonly faults: readonly Fault[];
  /** All of them. */
  readonly faultCount: number;
  /**
   * The newest checkpoint. Whoever may write to the database can take away the last rows together with the checkpoints
   * that hold them: what shows it is a note elsewhere (a log) of a checkpoint newer than this.
   */
  readonly newest: { readonly number: number; readonly at: string; readonly hash: string } | undefined;
}

export interface VerifyProgress {
  readonly rows: number;
  readonly faults: number;
}

type VerifierStore = Pick<AuditStore, 'listByChain' | 'listChains' | 'findChain' | 'listCheckpoints'>;

const PAGE = 1_000;
const CHECKPOINT_PAGE = 200;
const MOST_FAULTS = 1_000;
/** Signed places kept per chain; of more, every second goes. The last is always kept, and stands for all before it. */
const MOST_SIGNED = 2_000;

interface Findings {
  readonly faults: Fault[];
  count: number;
}

/** Reads the whole record, a page at a time, and says what is wrong with it. Memory grows with chains, not with rows. */
export async function verifyRecord(store: VerifierStore, verifySignature: VerifySignature, onProgress: (progress: VerifyProgress) => void): Promise<AuditVerdict> {
  for (let attempt = 1; ; attempt += 1) {
    const { verdict, newest } = await verifyOnce(store, verifySignature, onProgress);
    // Retention at work meanwhile takes rows from under the reader, and says so in a checkpoint.
    const wasPruned = verdict.faultCount > 0 && attempt < 3 && (await store.listCheckpoints(newest, 100)).some(({ jws }) => jws.length > 0 && isPrune(jws));
    if (!wasPruned) return verdict;
  }
}

function isPrune(jws: string): boolean {
  return Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString().includes('"kind":"prune"');
}

async function verifyOnce(store: VerifierStore, verifySignature: VerifySignature, onProgress: (progress: VerifyProgress) => void) {
  const findings: Findings = { faults: [], count: 0 };
  const report = (fault: Fault) => {
    findings.count += 1;
    if (findings.faults.length < MOST_FAULTS) findings.faults.push(fault);
  };
  // In this order: a head that is read later is never behind one that was signed, nor rows behind a head.
  const signed = await readCheckpoints(store, verifySignature, report);
  const heads = new Map((await store.listChains()).map((record) => [record.chain, record]));
  for (const { chain, checkpointedSeq } of heads.values()) {
    const known = Math.max(signed.places.get(chain)?.at(-1)?.seq ?? 0, signed.pruned.get(chain)?.seq ?? 0);
    if (checkpointedSeq > known) report({ kind: 'checkpoint', chain, seq: checkpointedSeq, says: `the checkpoint that held row ${checkpointedSeq} of chain ${chain} is missing` });
  }

  const begun = new Set<string>();
  const begin = (chain: string): ChainWalk => {
    begun.add(chain);
    return walkChain({
      chain, start: signed.pruned.get(chain) ?? { seq: 0, hash: GENESIS }, head: heads.get(chain),
      // What was signed of rows that are gone says nothing of those that are there.
      signed: (signed.places.get(chain) ?? []).filter(({ seq }) => seq > (signed.pruned.get(chain)?.seq ?? 0)),
    }, report);
  };
  const finish = async (chain: string, walk: ChainWalk) => {
    walk.end(walk.isBeyondHead() ? ((await store.findChain(chain))?.seq ?? 0) : (heads.get(chain)?.seq ?? 0));
  };

  let rows = 0;
  let current: { readonly chain: string; readonly walk: ChainWalk } | undefined;
  for await (const { group, behind } of readGroups(store)) {
    const [{ chain }] = group;
    if (current?.chain !== chain) {
      if (current !== undefined) await finish(current.chain, current.walk);
      current = { chain, walk: begin(chain) };
    }
    current.walk.take(group, behind?.chain === chain ? behind.previous : undefined);
    rows += group.length;
    if (rows % PAGE < group.length) onProgress({ rows, faults: findings.count });
  }
  if (current !== undefined) await finish(current.chain, current.walk);
  // Chains of which no row is left.
  for (const chain of new Set([...heads.keys(), ...signed.places.keys()])) if (!begun.has(chain)) await finish(chain, begin(chain));
  onProgress({ rows, faults: findings.count });
  const { newest } = signed;
  const verdict: AuditVerdict = { rows, chains: begun.size, checkpoints: signed.count, faults: findings.faults, faultCount: findings.count, newest };
  return { verdict, newest: newest?.number ?? 0 };
}

/** Rows that claim one place in a chain, with the row behind them. */
async function* readGroups(store: VerifierStore): AsyncGenerator<{ group: readonly [AuditRecord, ...AuditRecord[]]; behind: AuditRecord | undefined }> {
  let group: [AuditRecord, ...AuditRecord[]] | undefined;
  let after: AuditRecord | undefined;
  for (;;) {
    const page = await store.listByChain(after, PAGE);
    for (const row of page) {
      if (group !== undefined && group[0].chain === row.chain && group[0].seq === row.seq) group.push(row);
      else {
        if (group !== undefined) yield { group, behind: row };
        group = [row];
      }
    }
    if (page.length < PAGE) break;
    after = page.at(-1);
    await breathe(); // a thousand hashes hold the event loop for some milliseconds: others come first
  }
  if (group !== undefined) yield { group, behind: undefined };
}

interface Signed {
  readonly count: number;
  readonly newest: AuditVerdict['newest'];
  readonly places: ReadonlyMap<string, readonly (ChainPlace & { checkpoint: number })[]>;
  readonly pruned: ReadonlyMap<string, ChainPlace>;
}

async function readCheckpoints(store: VerifierStore, verifySignature: VerifySignature, report: (fault: Fault) => void): Promise<Signed> {
  const places = new Map<string, (ChainPlace & { checkpoint: number })[]>();
  const pruned = new Map<string, ChainPlace>();
  let count = 0;
  let newest: AuditVerdict['newest'];
  let first: { readonly number: number; readonly previous: string } | undefined;
  let last = { number: 0, hash: GENESIS };
  let forgotten: PruneCheckpoint['forgotten'];
  const say = (checkpoint: number, says: string) => {
    report({ kind: 'checkpoint', checkpoint, says });
  };

  const keep = (checkpoint: Checkpoint) => {
    for (const { chain, seq, hash } of checkpoint.heads) {
      if (checkpoint.kind === 'prune') {
        if (seq > (pruned.get(chain)?.seq ?? 0)) pruned.set(chain, { seq, hash });
        continue;
      }
      const list = places.get(chain) ?? [];
      list.push({ seq, hash, checkpoint: checkpoint.number });
      places.set(chain, list.length <= MOST_SIGNED ? list : list.filter((_, index) => index % 2 === 0 || index === list.length - 1));
    }
    if (checkpoint.kind === 'prune') forgotten = checkpoint.forgotten ?? forgotten;
  };

  for (;;) {
    const page = await store.listCheckpoints(last.number, CHECKPOINT_PAGE);
    for (const stored of page) {
      count += 1;
      const isFirst = first === undefined;
      if (!isFirst && stored.number > last.number + 1) say(last.number + 1, nameMissing(last.number + 1, stored.number - 1));
      const opened = await openCheckpoint(stored, verifySignature);
      if (typeof opened === 'string') say(stored.number, opened);
      else {
        if (!isFirst && stored.number === last.number + 1 && opened.previous !== last.hash) say(stored.number, `checkpoint ${stored.number} does not follow the one that stands before it: that one was replaced`);
        keep(opened);
        newest = { number: stored.number, at: opened.at, hash: hashText(stored.jws) };
      }
      first ??= { number: stored.number, previous: typeof opened === 'string' ? '' : opened.previous };
      last = { number: stored.number, hash: hashText(stored.jws) };
    }
    if (page.length < CHECKPOINT_PAGE) break;
    await breathe();
  }
  const begin = forgotten ?? { number: 0, hash: GENESIS };
  if (first !== undefined && first.number > begin.number + 1) say(begin.number + 1, nameMissing(begin.number + 1, first.number - 1));
  else if (first?.number === begin.number + 1 && first.previous !== '' && first.previous !== begin.hash) say(first.number, `checkpoint ${first.number} does not follow what was there before it`);
  return { count, newest, places, pruned };
}

function nameMissing(from: number, to: number): string {
  return from === to ? `checkpoint ${from} is missing` : `checkpoints ${from} to ${to} are missing`;
}
