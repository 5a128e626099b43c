import type { AuditRecord, ChainPlace } from '../storage/storage.ts';
import { hashRow } from './row.ts';

/**
 * `changed`: the row is not what was written. `removed`: rows that were written are not there. `inserted`: a row that was
 * not written. `reordered`: a row stands in the place of another. `rewritten`: rows were hashed anew, and no longer lead to
 * what was signed. `checkpoint`: a checkpoint is missing, forged or out of place.
 */
export type FaultKind = 'changed' | 'removed' | 'inserted' | 'reordered' | 'rewritten' | 'checkpoint';

export interface Fault {
  readonly kind: FaultKind;
  /** The chain and the place in it; undefined of a checkpoint. */
  readonly chain?: string | undefined;
  readonly seq?: number | undefined;
  /** The last place, of a fault that concerns a run of rows. */
  readonly lastSeq?: number | undefined;
  readonly jti?: string | undefined;
  /** The number of a checkpoint. */
  readonly checkpoint?: number | undefined;
  /** One sentence for whoever runs the check. */
  readonly says: string;
}

/** What is known of a chain before its rows are read. */
export interface Expected {
  readonly chain: string;
  /** The row after which what is left begins, as the start or a signed prune says. */
  readonly start: ChainPlace;
  /** Places that were signed, in order. */
  readonly signed: readonly (ChainPlace & { readonly checkpoint: number })[];
  /** The head when the reading began, if there was one. */
  readonly head: ChainPlace | undefined;
}

export interface ChainWalk {
  /** Rows that claim one place, and the hash that the row behind them says they have (undefined at the end). */
  take(group: readonly [AuditRecord, ...AuditRecord[]], saidBehind: string | undefined): void;
  /** Whether rows came that the head, when the reading began, did not know. */
  isBeyondHead(): boolean;
  /** Everything was read; `headSeq` is where the chain's head is now, 0 if it has none. */
  end(headSeq: number): void;
}

/** Of rows that do not fit, so many are tried in each other's places. */
const MOST_TRIED = 256;

interface Run {
  readonly from: number;
  readonly to: number;
}

/** Goes through one chain, in the order of its places, and reports what is wrong with it. */
export function walkChain({ chain, start, signed, head }: Expected, report: (fault: Fault) => void): ChainWalk {
  const lastSigned = signed.at(-1);
  const due = Math.max(head?.seq ?? 0, lastSigned?.seq ?? 0);
  let last: ChainPlace & { readonly isSound: boolean } = { ...start, isSound: true };
  let nextSigned = 0;
  let lastGood = start.seq;
  let isRewritten = false;
  const misfits: AuditRecord[] = [];
  const gaps: Run[] = [];
  let beyond: { readonly first: AuditRecord; last: AuditRecord } | undefined;

  if (lastSigned !== undefined && (head?.seq ?? 0) < lastSigned.seq) {
    const what = head === undefined ? 'was removed' : `was set back to row ${head.seq}`;
    report({ kind: head === undefined ? 'removed' : 'changed', chain, says: `the head of chain ${chain} ${what}: checkpoint ${lastSigned.checkpoint} signed it at row ${lastSigned.seq}` });
  }

  const say = (kind: FaultKind, row: Pick<AuditRecord, 'seq' | 'jti'>, what: string, lastSeq?: number) => {
    report({ kind, chain, seq: row.seq, lastSeq, jti: row.jti, says: `${nameRow(chain, row)} ${what}` });
  };

  const checkLink = (row: AuditRecord, isAfterGap: boolean) => {
    if (isAfterGap || row.previous === last.hash || !last.isSound) return;
    if (last.seq === start.seq) say('changed', row, start.seq === 0 ? 'does not begin its chain, as the first row must' : `does not follow row ${start.seq}, the last that retention let go`);
    else report({ kind: 'changed', chain, seq: last.seq, says: `row ${last.seq} of chain ${chain} was changed and hashed anew: row ${row.seq}${nameJti(row)} still holds the hash that it had` });
  };

  const checkSigned = (row: AuditRecord, isSound: boolean) => {
    for (; nextSigned < signed.length && (signed[nextSigned]?.seq ?? 0) <= row.seq; nextSigned += 1) {
      const place = signed[nextSigned];
      if (place?.seq !== row.seq) continue; // the row itself is missing, which is said
      if (place.hash === row.hash) lastGood = row.seq;
      else if (isSound && !isRewritten) {
        isRewritten = true;
        report({ kind: 'rewritten', chain, seq: lastGood + 1, lastSeq: row.seq, says: `rows ${lastGood + 1} to ${row.seq} of chain ${chain} were hashed anew: they do not lead to the hash that checkpoint ${place.checkpoint} signed for row ${row.seq}` });
      }
    }
    if (head?.seq === row.seq && head.hash !== row.hash && isSound && !isRewritten) {
      isRewritten = true;
      report({ kind: 'rewritten', chain, seq: lastGood + 1, lastSeq: row.seq, says: `rows ${lastGood + 1} to ${row.seq} of chain ${chain} were hashed anew: they do not lead to the head that its writer left` });
    }
  };

  const follow = (row: AuditRecord) => {
    const isAfterGap = row.seq > last.seq + 1;
    if (isAfterGap) gaps.push({ from: last.seq + 1, to: row.seq - 1 });
    const isSound = hashRow(row) === row.hash;
    if (isSound) checkLink(row, isAfterGap);
    else misfits.push(row);
    checkSigned(row, isSound);
    last = { seq: row.seq, hash: row.hash, isSound };
  };

  const endMissing = () => {
    if (last.seq < due) gaps.push({ from: last.seq + 1, to: due });
    const restored = reportMisfits();
    for (const run of gaps) {
      for (const { from, to } of without(clip(run, due), restored)) {
        const which = from === to ? `row ${from} of chain ${chain} was removed` : `rows ${from} to ${to} of chain ${chain} were removed`;
        report({ kind: 'removed', chain, seq: from, lastSeq: to, says: to === due ? `${which}: the chain ended with row ${due}` : which });
      }
    }
  };

  /** Gives the places whose rows were found elsewhere. */
  const reportMisfits = (): Set<number> => {
    const tried = misfits.slice(0, MOST_TRIED);
    const missing = gaps.map((run) => clip(run, due)).flatMap(({ from, to }) => Array.from({ length: Math.min(MOST_TRIED, Math.max(0, to - from + 1)) }, (_, index) => from + index));
    const places = [...tried.map(({ seq }) => seq), ...missing.slice(0, MOST_TRIED)];
    const restored = new Set<number>();
    for (const row of misfits) {
      // One row further comes first: that is where a row that was put in between moves those behind it.
      const place = [row.seq - 1, row.seq + 1, ...(tried.includes(row) ? places : [])].find((seq) => seq !== row.seq && hashRow({ ...row, seq }) === row.hash);
      if (place === undefined) say('changed', row, 'was changed: its hash is of other content');
      else {
        restored.add(place);
        say('reordered', row, `was moved: it was written as row ${place}`);
      }
    }
    return restored;
  };

  return {
    take: (group, saidBehind) => {
      const [first] = group;
      if (first.seq <= start.seq) {
        for (const row of group) say('inserted', row, start.seq === 0 ? 'was put in: chains begin with row 1' : `was put in: retention let go of all rows up to ${start.seq}`);
        return;
      }
      const own = group.length === 1 ? first : chooseOwn(group, last.hash, saidBehind);
      for (const row of group) if (row !== own) say('inserted', row, 'was put in: another row is the one that was written there');
      if (due < own.seq) beyond = { first: beyond?.first ?? own, last: own };
      follow(own);
    },
    isBeyondHead: () => beyond !== undefined,
    end: (headSeq) => {
      endMissing();
      if (beyond === undefined || beyond.last.seq <= headSeq) return;
      if (head === undefined && lastSigned !== undefined) return; // its head was removed, which is said
      const from = Math.max(beyond.first.seq, headSeq + 1);
      const row = from === beyond.first.seq ? beyond.first : { seq: from, jti: undefined };
      say('inserted', row, headSeq === 0 ? `and those behind it were put in: no instance ever began this chain` : `was put in: the chain ends with row ${headSeq}`, beyond.last.seq);
    },
  };
}

/** The row that was written there, of several that claim a place: its own hash fits, and so do its neighbours. */
function chooseOwn(group: readonly [AuditRecord, ...AuditRecord[]], before: string, saidBehind: string | undefined): AuditRecord {
  const score = (row: AuditRecord) => (hashRow(row) === row.hash ? 4 : 0) + (row.hash === saidBehind ? 2 : 0) + (row.previous === before ? 1 : 0);
  return group.reduce((best, row) => (score(row) > score(best) ? row : best));
}

function nameJti({ jti }: Pick<AuditRecord, 'jti'>): string {
  return jti === undefined ? '' : ` (jti ${jti})`;
}

function nameRow(chain: string, row: Pick<AuditRecord, 'seq' | 'jti'>): string {
  return `row ${row.seq}${nameJti(row)} of chain ${chain}`;
}

function clip({ from, to }: Run, due: number): Run {
  return { from, to: Math.min(to, due) };
}

/** The run less some places, as the runs that are left. */
function without({ from, to }: Run, places: ReadonlySet<number>): Run[] {
  const cuts = [...places].filter((seq) => seq >= from && seq <= to).sort((a, b) => a - b);
  const edges = [from - 1, ...cuts, to + 1];
  return edges.slice(1).map((edge, index) => ({ from: (edges[index] ?? 0) + 1, to: edge - 1 })).filter((run) => run.from <= run.to);
}
