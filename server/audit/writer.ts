import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../lib/clock.ts';
import { Trouble, Unavailable } from '../lib/errors.ts';
import { monthOf } from '../lib/month.ts';
import type { AuditFields, AuditRecord, AuditStore, ChainPlace } from '../storage/storage.ts';
import { toFields, type AuditEntry } from './entry.ts';
import { GENESIS, hashRow } from './row.ts';

export interface AuditEvents {
  /** A batch is durable: its rows, and how long the first of its records waited from `record` until then. */
  onBatch(batch: { rows: number; waitMs: number }): void;
  onTrouble(what: string, error: unknown): void;
  /** So many notes were not kept. */
  onDropped(count: number): void;
  /** A checkpoint was made. Kept where the database's owner cannot write (a log), it shows that later ones were taken away. */
  onCheckpoint?(checkpoint: { number: number; hash: string }): void;
}

export interface Writer {
  record(entries: readonly AuditEntry[]): Promise<void>;
  note(entry: AuditEntry): void;
  /** Takes nothing any more; resolves when what was taken is written, or after a few seconds. */
  stop(): Promise<void>;
}

export interface WriterOptions {
  readonly store: Pick<AuditStore, 'append'>;
  readonly host: string;
  readonly clock: Clock;
  readonly events: AuditEvents;
}

/** A batch takes all that wait, up to this many rows: 15 ms of the database's time. */
const MOST_ROWS = 512;
/** More than this waiting means that the database does not keep up: better to say so than to let everybody wait. */
const MOST_WAITING = 10_000;
const MOST_NOTES = 10_000;
/** Of notes in a batch that also carries records: a flood of refusals costs a token a millisecond or two. */
const NOTES_BESIDE = 64;
/** Notes a second in the long run, so that whoever is refused for ever does not fill the disk. */
const NOTES_PER_SECOND = 200;
const NOTES_IN_ONE_GO = 2_000;
/** How long notes wait after a batch that failed, and how often they are tried alone. */
const RETREAT_MS = 1_000;
const NOTE_TRIES = 5;
const STOP_MS = 5_000;
/** How long a batch waits for company: while some came in the last tick, and it is not a good batch yet. */
const TICK_MS = 1;
const MOST_TICKS = 3;
const GOOD_BATCH = 64;
/** An instance that was quiet for so long begins a new chain, so that retention can forget the heads of old ones. */
const LONGEST_PAUSE_MS = 86_400_000;

/** Retention keeps the head of a chain for longer than a writer may come back to it. */
export const CHAIN_IDLE_SECONDS = (2 * LONGEST_PAUSE_MS) / 1000;

interface Waiting {
  readonly fields: readonly AuditFields[];
  readonly since: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Batch {
  readonly records: readonly Waiting[];
  readonly notes: readonly AuditFields[];
  /** Notes that an earlier moment had to drop, said in a row of this batch. */
  readonly dropped: number;
}

/**
 * Group commit: one batch is under way at a time, and what arrives meanwhile makes the next. A batch costs the same for one
 * row as for ten, so that on a busy instance the next one waits for company as long as it comes, 3 ms at most. A request
 * that is alone waits for nobody.
 */
export function createWriter({ store, host, clock, events }: WriterOptions): Writer {
  const chain = createChain(store, host, clock);
  const budget = createBudget();
  let records: Waiting[] = [];
  let notes: AuditFields[] = [];
  let rowsWaiting = 0;
  let dropped = 0;
  let isScheduled = false;
  let isWriting = false;
  let isStopped = false;
  // After a batch failed, its notes are tried alone: should one of them be why, it must not fail tokens again.
  let isolation = { tries: 0, until: 0 };

  const drop = (count: number) => {
    dropped += count;
    events.onDropped(count);
  };

  const takeNotes = (most: number): AuditFields[] => {
    const wanted = Math.min(most, notes.length);
    const taken = notes.slice(0, isStopped ? wanted : budget.take(wanted));
    notes = notes.slice(taken.length);
    return taken;
  };
  const takeRecords = (): Waiting[] => {
    let rows = 0;
    const end = records.findIndex(({ fields }, index) => (rows += fields.length) > MOST_ROWS && index > 0);
    const taken = end === -1 ? records : records.slice(0, end);
    records = end === -1 ? [] : records.slice(end);
    rowsWaiting -= taken.reduce((sum, { fields }) => sum + fields.length, 0);
    return taken;
  };
  const take = (): Batch => {
    const isNoteTurn = isolation.tries > 0 && (isStopped || performance.now() >= isolation.until);
    const taken = isNoteTurn && notes.length > 0 ? [] : takeRecords();
    const most = taken.length > 0 || isNoteTurn ? NOTES_BESIDE : MOST_ROWS;
    const batch = { records: taken, notes: isolation.tries > 0 && !isNoteTurn ? [] : takeNotes(most), dropped };
    dropped = 0;
    return batch;
  };

  const toRows = (batch: Batch): AuditFields[] => {
    const said = batch.dropped === 0 ? [] : [toFields({ kind: 'refusal', event: 'notes_dropped', at: clock.now(), detail: { count: batch.dropped } })];
    return [...batch.records.flatMap(({ fields }) => fields), ...batch.notes, ...said];
  };

  const write = async (batch: Batch) => {
    const rows = toRows(batch);
    try {
      await chain.append(rows);
    } catch (cause) {
      fail(batch, cause);
      return;
    }
    const now = performance.now();
    if (batch.notes.length > 0) isolation = { tries: 0, until: 0 };
    events.onBatch({ rows: rows.length, waitMs: batch.records[0] === undefined ? 0 : now - batch.records[0].since });
    for (const { resolve } of batch.records) resolve();
  };

  const fail = (batch: Batch, cause: unknown) => {
    events.onTrouble('the issuance record could not be written', cause);
    const error = cause instanceof Unavailable ? cause : new Unavailable('write the issuance record: it failed', { cause });
    // Whoever waits behind has waited as long as the database took to fail: they are told at once.
    const behind = batch.records.length > 0 ? records : [];
    if (batch.records.length > 0) [records, rowsWaiting] = [[], 0];
    dropped += batch.dropped;
    keepNotes(batch);
    for (const { reject } of [...batch.records, ...behind]) reject(error);
  };

  // Whether the batch is there is not known: a refusal that stands twice is better than one that is missing.
  const keepNotes = (batch: Batch) => {
    if (batch.notes.length === 0) return;
    const isLastTry = isolation.tries >= NOTE_TRIES;
    const all = isLastTry ? notes : [...batch.notes, ...notes];
    notes = all.slice(0, MOST_NOTES);
    const lost = (isLastTry ? batch.notes.length : 0) + all.length - notes.length;
    if (lost > 0) drop(lost);
    isolation = { tries: isLastTry ? 1 : isolation.tries + 1, until: performance.now() + RETREAT_MS };
  };

  const run = async () => {
    isScheduled = false;
    const batch = take();
    if (batch.records.length + batch.notes.length === 0) {
      dropped += batch.dropped;
      // Only notes are left, and it is not their time.
      if (notes.length > 0) later = setTimeout(schedule, RETREAT_MS / 4).unref();
      return;
    }
    isWriting = true;
    lastRecords = batch.records.length;
    await write(batch);
    isWriting = false;
    schedule();
  };

  let later: NodeJS.Timeout | undefined;
  function schedule(): void {
    if (isWriting || isScheduled || records.length + notes.length === 0) return;
    clearTimeout(later);
    isScheduled = true;
    setImmediate(() => {
      gather(1);
    });
  }

  /** Before there was company, there will be none. */
  let lastRecords = 0;
  function gather(tick: number): void {
    const count = records.length;
    if (lastRecords < 2 || tick > MOST_TICKS || rowsWaiting >= GOOD_BATCH || isStopped) {
      void run();
      return;
    }
    setTimeout(() => {
      if (records.length > count) gather(tick + 1);
      else void run();
    }, TICK_MS);
  }

  return {
    record: async (entries) => {
      if (isStopped) throw new Unavailable('write the issuance record: this instance is stopping');
      const fields = entries.map(toFields);
      if (fields.length === 0) return;
      if (rowsWaiting + fields.length > MOST_WAITING) throw new Unavailable('write the issuance record: too many wait for it');
      rowsWaiting += fields.length;
      await new Promise<void>((resolve, reject) => {
        records.push({ fields, since: performance.now(), resolve, reject });
        schedule();
      });
    },
    note: (entry) => {
      if (isStopped || notes.length >= MOST_NOTES) {
        drop(1);
        return;
      }
      try {
        notes.push(toFields(entry));
      } catch (error) {
        drop(1);
        events.onTrouble('a refusal could not be noted', error);
        return;
      }
      schedule();
    },
    stop: async () => {
      isStopped = true;
      const until = performance.now() + STOP_MS;
      while ((isWriting || records.length + notes.length > 0) && performance.now() < until) {
        schedule();
        await sleep(5);
      }
      clearTimeout(later);
      if (notes.length > 0) drop(notes.length);
    },
  };
}

/** A bucket of notes that fills by the second. */
function createBudget() {
  let left = NOTES_IN_ONE_GO;
  let filledAt = performance.now();
  return {
    take: (count: number) => {
      const now = performance.now();
      left = Math.min(NOTES_IN_ONE_GO, left + ((now - filledAt) / 1000) * NOTES_PER_SECOND);
      filledAt = now;
      const taken = Math.min(count, Math.floor(left));
      left -= taken;
      return taken;
    },
  };
}

const START: ChainPlace = { seq: 0, hash: GENESIS };

/** This instance's own chain: rows are linked here, and nobody else adds to it. */
function createChain(store: Pick<AuditStore, 'append'>, host: string, clock: Clock) {
  let id = randomUUID();
  let startedAt = clock.now();
  let head = START;
  let lastMonth = 0;
  let lastWriteAt = 0;
  const begin = () => {
    [id, startedAt, head, lastMonth] = [randomUUID(), clock.now(), START, 0];
  };
  return {
    /** Adds the rows, or throws. After that, what became of them is not known, so that nothing may follow them: a new chain begins. */
    append: async (fields: readonly AuditFields[]): Promise<void> => {
      const sorted = sortByMonth(fields);
      const months = sorted.map(({ at }) => monthOf(at));
      // A chain does not go back over a month's border, so that dropping the oldest months cuts only chains' beginnings.
      if ((months[0] ?? 0) < lastMonth || performance.now() - lastWriteAt > LONGEST_PAUSE_MS) begin();
      const { rows, to } = link(id, head, sorted);
      try {
        const isAdded = await store.append({ chain: id, host, startedAt, from: head, to, rows });
        if (!isAdded) throw new MovedHead(`write the issuance record: the head of chain ${id} is not where this instance left it (seq ${head.seq}): somebody else has written to it`);
      } catch (error) {
        begin();
        throw error;
      }
      [head, lastMonth, lastWriteAt] = [to, months.at(-1) ?? lastMonth, performance.now()];
    },
  };
}

/** Not a hiccup: the database was written to by something that is not this product. */
class MovedHead extends Trouble {
  readonly kind = 'conflict';
}

/** Requests of one batch began at about one time, so that this almost always gives back what it was given. */
function sortByMonth(fields: readonly AuditFields[]): readonly AuditFields[] {
  const months = fields.map(({ at }) => monthOf(at));
  return months.every((month) => month === months[0]) ? fields : fields.toSorted((a, b) => monthOf(a.at) - monthOf(b.at));
}

function link(chain: string, from: ChainPlace, fields: readonly AuditFields[]): { rows: AuditRecord[]; to: ChainPlace } {
  let to = from;
  const rows = fields.map((one) => {
    const row = { ...one, chain, seq: to.seq + 1, previous: to.hash };
    to = { seq: row.seq, hash: hashRow(row) };
    return { ...row, hash: to.hash };
  });
  return { rows, to };
}
