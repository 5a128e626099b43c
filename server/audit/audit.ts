/*
 * Owns: the issuance record: one row for each token, refusal and admin's act; its chains of hashes, checkpoints, retention.
 * Never: decides who gets what; holds a token, a secret or a key (checkpoints are signed by what it is given).
 * Keeps true: when `record` resolves the rows are durable; each row stands in one chain, of the instance that wrote it, and
 * instances never wait for each other; what was changed, removed, moved or put in after a checkpoint is found and named.
 */
import { hostname } from 'node:os';
import type { Clock } from '../lib/clock.ts';
import { Unavailable } from '../lib/errors.ts';
import type { AuditRecord, AuditStore, LiveCount } from '../storage/storage.ts';
import { makeCheckpoints, type SignCheckpoint, type VerifySignature } from './checkpoint.ts';
import { asKept, toEntry, type AuditEntry, type AuditKind } from './entry.ts';
import { monthsAhead, prune } from './retention.ts';
import { verifyRecord, type AuditVerdict, type VerifyProgress } from './verifier.ts';
import { createWriter, type AuditEvents } from './writer.ts';

export type { Fault, FaultKind } from './chain_walk.ts';
export { CHECKPOINT_TYPE } from './checkpoint.ts';
export type { AuditEntry, AuditKind } from './entry.ts';
export type { AuditVerdict, VerifyProgress } from './verifier.ts';
export type { AuditEvents } from './writer.ts';

export interface AuditRow extends AuditEntry {
  readonly chain: string;
  /** From 1 on, without a gap. */
  readonly seq: bigint;
  /** 64 hexadecimal digits. */
  readonly hash: string;
}

export interface AuditQuery {
  readonly jti?: string | undefined;
  readonly kid?: string | undefined;
  readonly accountId?: string | undefined;
  readonly audience?: string | undefined;
  /** Not indexed: quick for a client that is often there, and a walk through the record for one that is not. */
  readonly clientId?: string | undefined;
  readonly kind?: AuditKind | undefined;
  /** From this instant on. */
  readonly since?: Date | undefined;
  /** Before this instant. */
  readonly until?: Date | undefined;
  /** 1 to 1,000; 100 if not said. */
  readonly limit?: number | undefined;
}

export interface Audit {
  /** Resolves when the entries are durable, in one chain and in this order; throws Unavailable when that is not known. */
  record(entries: readonly AuditEntry[]): Promise<void>;
  /** Best effort and bounded, for refusals: never waits, never throws. What had to be dropped is counted in a later row (`notes_dropped`). */
  note(entry: AuditEntry): void;
  /** Newest first. */
  find(query: AuditQuery): Promise<readonly AuditRow[]>;
  /** Oldest first, a page at a time. */
  export(range: { readonly since?: Date | undefined; readonly until?: Date | undefined }): AsyncIterable<AuditRow>;
  /** How many signed tokens live beyond `now`, by key and audience. */
  countLive(now: Date): Promise<readonly LiveCount[]>;
  /** Reads the whole record and says what is wrong with it. Called back after each thousand rows. */
  verify(onProgress?: (progress: VerifyProgress) => void): Promise<AuditVerdict>;
  /** Signs the heads of all chains that have moved since the last checkpoint: whether there was one, and no other instance was at it. */
  checkpoint(): Promise<boolean>;
  /** Drops the months that are older than retention asks; gives how many. Throws Refused when the record does not verify. */
  prune(): Promise<number>;
  /** Begins to make checkpoints and months, and to let old months go, in the background. */
  start(): void;
  /** Takes nothing any more, writes what was taken, and makes a last checkpoint if it can. */
  stop(): Promise<void>;
}

export interface AuditOptions {
  readonly store: AuditStore;
  readonly clock: Clock;
  readonly sign: SignCheckpoint;
  readonly verifySignature: VerifySignature;
  readonly events: AuditEvents;
  /** A month is dropped when it ended so many days ago. 1 or more. */
  readonly retentionDays: number;
  /** What an attacker who may write to the database can take away unseen is what was written since the last checkpoint. Default 60. */
  readonly checkpointSeconds?: number;
}

const PAGE = 1_000;

export function createAudit(options: AuditOptions): Audit {
  const { store, clock, sign, verifySignature, events } = options;
  const writer = createWriter({ store, host: hostname(), clock, events });
  const verify = (onProgress: (progress: VerifyProgress) => void = () => undefined) => verifyRecord(store, verifySignature, onProgress);
  const checkpoint = async () => {
    const made = await store.alone((tx) => makeCheckpoints(tx, sign, clock.now()));
    if (made !== undefined) events.onCheckpoint?.(made);
    return made !== undefined;
  };
  let isStopping = false;
  // To read the whole record may take minutes, for which a stop does not wait.
  const dropOld = () => prune({ ...options, verify: () => verify(() => { if (isStopping) throw new Unavailable('drop old months: this instance is stopping'); }) });
  const loops = createLoops(options, { checkpoint, prune: dropOld });
  return {
    record: (entries) => writer.record(entries),
    note: (entry) => {
      writer.note(entry);
    },
    find: async ({ limit = 100, ...query }) => {
      const filter = {
        ...query, jti: asKept.jti(query.jti), kid: asKept.kid(query.kid), accountId: asKept.accountId(query.accountId),
        audience: asKept.audience(query.audience), clientId: asKept.clientId(query.clientId),
      };
      return (await store.find(filter, Math.max(1, Math.min(PAGE, Math.trunc(limit))))).map(toRow);
    },
    export: (range) => exportRows(store, range),
    countLive: (now) => store.countLive(now),
    verify,
    checkpoint,
    prune: dropOld,
    start: loops.start,
    stop: async () => {
      isStopping = true;
      await loops.stop();
      await writer.stop();
      await checkpoint().catch((error: unknown) => {
        events.onTrouble('the last checkpoint could not be made; another instance, or the next start, makes it', error);
      });
    },
  };
}

async function* exportRows(store: AuditStore, range: Parameters<Audit['export']>[0]): AsyncGenerator<AuditRow> {
  let after: AuditRecord | undefined;
  for (;;) {
    const page = await store.listByTime(range, after, PAGE);
    for (const record of page) yield toRow(record);
    if (page.length < PAGE) return;
    after = page.at(-1);
  }
}

function toRow({ chain, seq, hash, previous: _, ...fields }: AuditRecord): AuditRow {
  return { ...toEntry(fields), chain, seq: BigInt(seq), hash };
}

const HOUR_MS = 3_600_000;

/** Three things in the background, none of which a request waits for. */
function createLoops({ store, clock, events, checkpointSeconds = 60 }: AuditOptions, { checkpoint, prune: dropOld }: Pick<Audit, 'checkpoint' | 'prune'>) {
  const timers = new Set<NodeJS.Timeout>();
  let isStopped = false;
  let running: Promise<unknown> = Promise.resolve();
  const repeat = (what: string, work: () => Promise<unknown>, everyMs: number, firstMs = everyMs) => {
    if (isStopped) return;
    // Jittered, so that instances that start together do not ask together for ever.
    const timer = setTimeout(() => {
      timers.delete(timer);
      // One after the other: none of them is in a hurry.
      running = running.then(work).catch((error: unknown) => {
        if (!isStopped) events.onTrouble(what, error);
      }).then(() => {
        repeat(what, work, everyMs);
      });
    }, firstMs * (2 / 3 + Math.random() / 3)).unref();
    timers.add(timer);
  };
  const makeRoom = () => store.ensureMonths(monthsAhead(clock.now()));
  return {
    start: () => {
      repeat('no checkpoint of the issuance record could be made', checkpoint, checkpointSeconds * 1000);
      repeat('no room could be made in the issuance record', makeRoom, HOUR_MS, 1);
      repeat('old months of the issuance record were not dropped', dropOld, 6 * HOUR_MS, HOUR_MS);
    },
    stop: async () => {
      isStopped = true;
      for (const timer of timers) clearTimeout(timer);
      await running;
    },
  };
}
