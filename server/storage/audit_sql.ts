import { monthOf, nameMonth, parseMonth, startOfMonth } from '../lib/month.ts';
import type { Database, Query } from './database.ts';
import { guardStore } from './failure.ts';
import { Prisma, type PrismaClient } from './generated/prisma/client.ts';

/** What is said of one event. No text holds U+0000 to U+001F outside of JSON's escapes, or half a surrogate pair. */
export interface AuditFields {
  readonly kind: string;
  readonly event: string;
  readonly at: Date;
  readonly jti: string | undefined;
  readonly kid: string | undefined;
  readonly alg: string | undefined;
  readonly tokenKind: string | undefined;
  readonly accountId: string | undefined;
  readonly subject: string | undefined;
  readonly clientId: string | undefined;
  readonly audience: string | undefined;
  readonly subjectJti: string | undefined;
  /** JSON, in the very text that is hashed. */
  readonly act: string | undefined;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  readonly expiresAt: Date | undefined;
  readonly clause: string | undefined;
  readonly code: string | undefined;
  readonly reason: string | undefined;
  /** JSON, as `act`. */
  readonly detail: string | undefined;
}

/** A row as it stands in its chain. Hashes are 64 lower-case hexadecimal digits. */
export interface AuditRecord extends AuditFields {
  readonly chain: string;
  readonly seq: number;
  readonly previous: string;
  readonly hash: string;
}

/** A place in a chain: the row `seq`, whose hash stands for all rows up to it. */
export interface ChainPlace {
  readonly seq: number;
  readonly hash: string;
}

export interface ChainHead extends ChainPlace {
  readonly chain: string;
}

export interface ChainRecord extends ChainHead {
  readonly host: string;
  readonly startedAt: Date;
  readonly checkpointedSeq: number;
}

export interface AuditBatch {
  readonly chain: string;
  readonly host: string;
  readonly startedAt: Date;
  readonly from: ChainPlace;
  readonly to: ChainPlace;
  readonly rows: readonly AuditRecord[];
}

export interface StoredCheckpoint {
  readonly number: number;
  readonly at: Date;
  readonly jws: string;
}

export interface AuditFilter {
  readonly jti?: string | undefined;
  readonly kid?: string | undefined;
  readonly accountId?: string | undefined;
  readonly audience?: string | undefined;
  readonly clientId?: string | undefined;
  readonly kind?: 'token' | 'refusal' | 'admin' | 'sign_in' | undefined;
  /** From this instant on. */
  readonly since?: Date | undefined;
  /** Before this instant. */
  readonly until?: Date | undefined;
}

export interface LiveCount {
  readonly kid: string;
  readonly audience: string | undefined;
  readonly count: number;
}

/** What is done alone among all instances. */
export interface AuditTransaction {
  /** Heads of chains that have moved since a checkpoint last held them. */
  listAdvanced(limit: number): Promise<readonly ChainHead[]>;
  markCheckpointed(heads: readonly ChainHead[]): Promise<void>;
  listChains(): Promise<readonly ChainRecord[]>;
  findNewestCheckpoint(): Promise<StoredCheckpoint | undefined>;
  listCheckpoints(after: number, limit: number): Promise<readonly StoredCheckpoint[]>;
  addCheckpoint(checkpoint: StoredCheckpoint): Promise<void>;
  /** The last row of each chain in that month. */
  listLastRows(month: number): Promise<readonly ChainHead[]>;
  dropMonth(month: number): Promise<void>;
  dropCheckpoints(through: number): Promise<void>;
  /** Drops the heads of chains that end at these places, unless they were written to within `idleSeconds`. */
  dropChains(heads: readonly ChainHead[], idleSeconds: number): Promise<void>;
}

export interface AuditStore {
  /** Adds rows to a chain, in one statement: false, and none is added, when the chain's head is not `from`. */
  append(batch: AuditBatch): Promise<boolean>;
  /** Makes room for rows of these months. */
  ensureMonths(months: readonly number[]): Promise<void>;
  /** Oldest first. */
  listMonths(): Promise<readonly number[]>;
  /** Newest first. */
  find(filter: AuditFilter, limit: number): Promise<readonly AuditRecord[]>;
  /** The page that follows `after`, by time, chain and seq. */
  listByTime(range: Pick<AuditFilter, 'since' | 'until'>, after: AuditRecord | undefined, limit: number): Promise<readonly AuditRecord[]>;
  /** The page that follows `after`, by chain, seq and time. */
  listByChain(after: AuditRecord | undefined, limit: number): Promise<readonly AuditRecord[]>;
  listChains(): Promise<readonly ChainRecord[]>;
  findChain(chain: string): Promise<ChainRecord | undefined>;
  listCheckpoints(after: number, limit: number): Promise<readonly StoredCheckpoint[]>;
  /** Tokens that a key signed and that live beyond `now`. */
  countLive(now: Date): Promise<readonly LiveCount[]>;
  /** Runs `work` alone among all instances and in one transaction; undefined at once when another instance is at it. */
  alone<T>(work: (transaction: AuditTransaction) => Promise<T>): Promise<T | undefined>;
}

/** Any numbers will do that nothing else in this database locks on. */
const CHECKPOINT_LOCK = 8_247_310_554;
const MONTH_LOCK = 8_247_310_555;

export function createAuditStore({ prisma, query }: Pick<Database, 'prisma' | 'query'>): AuditStore {
  // Months that are known to have a partition, so that a batch asks nobody.
  const known = new Set<number>();
  const ensure = async (months: readonly number[]) => {
    for (const month of months.filter((one) => !known.has(one))) {
      await createPartition(prisma, month);
      known.add(month);
    }
  };
  return {
    append: (batch) =>
      guardStore('write the issuance record', async () => {
        const months = [...new Set(batch.rows.map(({ at }) => monthOf(at)))];
        await ensure(months);
        try {
          return await append(query, batch);
        } catch (error) {
          if (!isWithoutPartition(error)) throw error;
          // It was dropped behind our back. The statement failed, so that nothing of it is there: once more is safe.
          known.clear();
          await ensure(months);
          return append(query, batch);
        }
      }),
    ensureMonths: (months) => guardStore('make room in the issuance record', () => ensure(months)),
    listMonths: () => guardStore('read the months of the issuance record', () => listMonths(prisma)),
    find: (filter, limit) =>
      guardStore('look into the issuance record', () =>
        readPage(prisma, Prisma.sql`${toCondition(filter)} ORDER BY at DESC, chain DESC, seq DESC LIMIT ${limit}`)),
    listByTime: (range, after, limit) =>
      guardStore('read the issuance record', () => {
        // The first term says nothing new; it lets the planner leave out the partitions before.
        const rest = after === undefined ? Prisma.empty : Prisma.sql`AND at >= ${after.at} AND (at, chain, seq) > (${after.at}, ${after.chain}::uuid, ${after.seq}::bigint)`;
        return readPage(prisma, Prisma.sql`${toCondition(range)} ${rest} ORDER BY at, chain, seq LIMIT ${limit}`);
      }),
    listByChain: (after, limit) =>
      guardStore('read the issuance record', () => {
        const rest = after === undefined ? Prisma.sql`TRUE` : Prisma.sql`(chain, seq, at) > (${after.chain}::uuid, ${after.seq}::bigint, ${after.at})`;
        return readPage(prisma, Prisma.sql`${rest} ORDER BY chain, seq, at LIMIT ${limit}`);
      }),
    listChains: () => guardStore('read the chains of the issuance record', () => listChains(prisma)),
    findChain: (chain) =>
      guardStore('read a chain of the issuance record', async () => {
        const row = await prisma.auditChain.findUnique({ where: { chain } });
        return row === null ? undefined : toChain(row);
      }),
    listCheckpoints: (after, limit) => guardStore('read the checkpoints', () => listCheckpoints(prisma, after, limit)),
    countLive: (now) =>
      guardStore('count the tokens that live', async () => {
        const rows = await prisma.$queryRaw<{ kid: string; audience: string | null; count: bigint }[]>`
          SELECT kid, audience, count(*) AS count FROM audit_rows
          WHERE kid IS NOT NULL AND expires_at > ${now} AND kind = 'token' GROUP BY 1, 2 ORDER BY 1, 2`;
        return rows.map(({ kid, audience, count }) => ({ kid, audience: audience ?? undefined, count: Number(count) }));
      }),
    alone: (work) =>
      guardStore('write a checkpoint', () =>
        prisma.$transaction(
          async (tx) => {
            const [row] = await tx.$queryRaw<{ taken: boolean }[]>`SELECT pg_try_advisory_xact_lock(${CHECKPOINT_LOCK}) AS taken`;
            return row?.taken === true ? work(createTransaction(tx, known)) : undefined;
          },
          { timeout: 60_000, maxWait: 5_000 },
        )),
  };
}

// ── Rows ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const [RECORD_END, FIELD_END, NULL] = ['\x1e', '\x1f', '\x1d'];

async function append(query: Query, { chain, host, startedAt, from, to, rows }: AuditBatch): Promise<boolean> {
  const values = [chain, host, startedAt, from.seq, from.hash, to.seq, to.hash, rows.map(toLine).join(RECORD_END)];
  const result = await query('SELECT audit_append($1, $2, $3, $4, $5, $6, $7, $8) AS added', values);
  return (result.rows as { added: boolean }[])[0]?.added === true;
}

/** In the order in which the function `audit_append` takes the fields. */
function toLine(row: AuditRecord): string {
  return [
    row.seq, row.at.getTime() / 1000, row.kind, row.event, row.jti ?? NULL, row.kid ?? NULL, row.alg ?? NULL, row.tokenKind ?? NULL,
    row.accountId ?? NULL, row.subject ?? NULL, row.clientId ?? NULL, row.audience ?? NULL, row.subjectJti ?? NULL, row.act ?? NULL,
    row.ip ?? NULL, row.userAgent ?? NULL, row.expiresAt === undefined ? NULL : row.expiresAt.getTime() / 1000, row.clause ?? NULL,
    row.code ?? NULL, row.reason ?? NULL, row.detail ?? NULL, row.previous, row.hash,
  ].join(FIELD_END);
}

type Cell = string | number | null;

/**
 * A page is one JSON text: twenty columns each of a thousand rows cost Prisma many times what JSON.parse costs. Times are
 * floats, of which JSON writes `infinity` as a text: whoever set one by hand is found by the hash, not by a failing cast.
 */
async function readPage(prisma: PrismaClient, rest: Prisma.Sql): Promise<AuditRecord[]> {
  const [row] = await prisma.$queryRaw<{ page: string | null }[]>`
    SELECT json_agg(line)::text AS page FROM (
      SELECT json_build_array(chain, seq, round(extract(epoch FROM at)::float8 * 1000), kind, event, jti, kid, alg, token_kind, account_id, subject,
        client_id, audience, subject_jti, act, ip, user_agent, round(extract(epoch FROM expires_at)::float8 * 1000), clause, code, reason, detail,
        encode(previous, 'hex'), encode(hash, 'hex')) AS line
      FROM audit_rows WHERE ${rest}) AS lines`;
  return (JSON.parse(row?.page ?? '[]') as Cell[][]).map(toRecord);
}

function toRecord(cells: readonly Cell[]): AuditRecord {
  const text = (index: number) => (cells[index] ?? undefined) as string | undefined;
  const always = (index: number) => cells[index] as string;
  return {
    chain: always(0), seq: Number(cells[1]), at: toDate(cells[2]), kind: always(3), event: always(4), jti: text(5), kid: text(6), alg: text(7),
    tokenKind: text(8), accountId: text(9), subject: text(10), clientId: text(11), audience: text(12), subjectJti: text(13), act: text(14),
    ip: text(15), userAgent: text(16), expiresAt: cells[17] === null ? undefined : toDate(cells[17]), clause: text(18), code: text(19),
    reason: text(20), detail: text(21), previous: always(22), hash: always(23),
  };
}

const LAST_INSTANT = 8.64e15;

/** What lies beyond all Dates becomes the last of them, which no row of ours holds. */
function toDate(milliseconds: Cell | undefined): Date {
  return new Date(Math.max(-LAST_INSTANT, Math.min(LAST_INSTANT, Number(milliseconds))));
}

function toCondition({ jti, kid, accountId, audience, clientId, kind, since, until }: AuditFilter): Prisma.Sql {
  const terms = [
    jti === undefined ? [] : [Prisma.sql`jti = ${jti}`],
    kid === undefined ? [] : [Prisma.sql`kid = ${kid}`],
    accountId === undefined ? [] : [Prisma.sql`account_id = ${accountId}`],
    audience === undefined ? [] : [Prisma.sql`audience = ${audience}`],
    clientId === undefined ? [] : [Prisma.sql`client_id = ${clientId}`],
    kind === undefined ? [] : [Prisma.sql`kind = ${kind}`],
    // Said as a constant, so that the planner sees that the index of what is rare holds them all.
    kind === undefined || kind === 'token' ? [] : [Prisma.sql`kind <> 'token'`],
    // Says nothing, and lets the planner take the index of time alone, which is a trap where there is a key.
    [jti, kid, accountId, audience].some((key) => key !== undefined) ? [] : [Prisma.sql`octet_length(hash) >= 0`],
    since === undefined ? [] : [Prisma.sql`at >= ${since}`],
    until === undefined ? [] : [Prisma.sql`at < ${until}`],
  ].flat();
  return Prisma.join(terms, ' AND ');
}

// ── Months ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const PARTITION = 'audit_rows_';

async function createPartition(prisma: PrismaClient, month: number): Promise<void> {
  const name = `${PARTITION}${nameMonth(month)}`;
  const [row] = await prisma.$queryRaw<{ there: boolean }[]>`SELECT to_regclass(${name}) IS NOT NULL AS there`;
  if (row?.there === true) return;
  await prisma.$transaction(async (tx) => {
    // Two that make one table at once collide in the catalogue, IF NOT EXISTS or not: one after the other.
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(${MONTH_LOCK})`;
    const bounds = [month, month + 1].map((one) => `'${startOfMonth(one).toISOString()}'`);
    // It waits for readers of the parent, and whoever comes after waits for it: not for long.
    await tx.$executeRaw`SET LOCAL lock_timeout = '2s'`;
    await tx.$executeRawUnsafe(`CREATE TABLE IF NOT EXISTS ${name} PARTITION OF audit_rows FOR VALUES FROM (${bounds.join(') TO (')})`);
  });
}

async function listMonths(tx: Prisma.TransactionClient): Promise<number[]> {
  const rows = await tx.$queryRaw<{ name: string }[]>`
    SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'audit_rows'::regclass`;
  const months = rows.map(({ name }) => (name.startsWith(PARTITION) ? parseMonth(name.slice(PARTITION.length)) : undefined));
  return months.filter((month) => month !== undefined).sort((a, b) => a - b);
}

const CHECK_VIOLATION = '23514';

/** "no partition of relation found for row". The record has no check of another kind. */
function isWithoutPartition(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === CHECK_VIOLATION;
}

// ── Chains and checkpoints ─────────────────────────────────────────────────────────────────────────────────────────

function createTransaction(tx: Prisma.TransactionClient, known: Set<number>): AuditTransaction {
  return {
    listAdvanced: (limit) => tx.$queryRaw<RawHead[]>`
      SELECT chain::text, seq, encode(hash, 'hex') AS hash FROM audit_chains WHERE seq > checkpointed_seq ORDER BY chain LIMIT ${limit}`.then(toHeads),
    markCheckpointed: async (heads) => {
      await tx.$executeRaw`UPDATE audit_chains c SET checkpointed_seq = h.seq
        FROM unnest(${heads.map(({ chain }) => chain)}::uuid[], ${heads.map(({ seq }) => BigInt(seq))}::bigint[]) AS h(chain, seq) WHERE c.chain = h.chain`;
    },
    listChains: () => listChains(tx),
    findNewestCheckpoint: async () => {
      const row = await tx.auditCheckpoint.findFirst({ orderBy: { number: 'desc' } });
      return row === null ? undefined : { ...row, number: Number(row.number) };
    },
    listCheckpoints: (after, limit) => listCheckpoints(tx, after, limit),
    addCheckpoint: async ({ number, at, jws }) => {
      await tx.auditCheckpoint.create({ data: { number, at, jws } });
    },
    // By chain and not by row: a month may hold ten million rows, and a few hundred chains.
    listLastRows: (month) => tx.$queryRaw<RawHead[]>`
      SELECT c.chain::text, r.seq, encode(r.hash, 'hex') AS hash FROM audit_chains c CROSS JOIN LATERAL (
        SELECT seq, hash FROM ${Prisma.raw(PARTITION + nameMonth(month))} WHERE chain = c.chain ORDER BY seq DESC LIMIT 1) AS r ORDER BY c.chain`.then(toHeads),
    dropMonth: async (month) => {
      known.delete(month);
      await tx.$executeRaw`SET LOCAL lock_timeout = '2s'`;
      await tx.$executeRawUnsafe(`DROP TABLE ${PARTITION}${nameMonth(month)}`);
    },
    dropCheckpoints: async (through) => {
      await tx.auditCheckpoint.deleteMany({ where: { number: { lte: through } } });
    },
    dropChains: async (heads, idleSeconds) => {
      await tx.$executeRaw`DELETE FROM audit_chains c
        USING unnest(${heads.map(({ chain }) => chain)}::uuid[], ${heads.map(({ seq }) => BigInt(seq))}::bigint[]) AS h(chain, seq)
        WHERE c.chain = h.chain AND c.seq = h.seq AND c.written_at < clock_timestamp() - ${idleSeconds} * interval '1 second'`;
    },
  };
}

interface RawHead {
  readonly chain: string;
  readonly seq: bigint;
  readonly hash: string;
}

function toHeads(rows: readonly RawHead[]): ChainHead[] {
  return rows.map(({ chain, seq, hash }) => ({ chain, seq: Number(seq), hash }));
}

async function listChains(tx: Prisma.TransactionClient): Promise<ChainRecord[]> {
  return (await tx.auditChain.findMany()).map(toChain);
}

function toChain({ chain, host, startedAt, seq, hash, checkpointedSeq }: Prisma.AuditChainModel): ChainRecord {
  return { chain, host, startedAt, seq: Number(seq), hash: Buffer.from(hash).toString('hex'), checkpointedSeq: Number(checkpointedSeq) };
}

async function listCheckpoints(tx: Prisma.TransactionClient, after: number, limit: number): Promise<StoredCheckpoint[]> {
  const rows = await tx.auditCheckpoint.findMany({ where: { number: { gt: after } }, orderBy: { number: 'asc' }, take: limit });
  return rows.map((row) => ({ ...row, number: Number(row.number) }));
}
