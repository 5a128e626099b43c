import type { PublicJwk } from '../crypto/jwk.ts';
import { isSigningAlgorithm, type SigningAlgorithm } from '../oauth2/vocabulary.ts';
import { guardStore } from './failure.ts';
import { Prisma, type PrismaClient, type SigningKey } from './generated/prisma/client.ts';

export type KeyState = 'pending' | 'active' | 'retiring' | 'retired' | 'revoked';

export interface KeyRecord {
  readonly kid: string;
  /** A ring is named by its algorithm. */
  readonly ring: SigningAlgorithm;
  readonly state: KeyState;
  readonly publicJwk: PublicJwk;
  /** The sealed private half, while there is one. */
  readonly sealed: Buffer | undefined;
  /** Shows, to who has the key-encryption key, that this issuer made the public half. */
  readonly proof: Buffer | undefined;
  readonly createdAt: Date;
  /** The version of the key set in which the key first stood. */
  readonly publishedVersion: bigint;
  /** When an admin asked for this standby to sign as soon as it may. */
  readonly requestedAt: Date | undefined;
  readonly activatedAt: Date | undefined;
  readonly retiringAt: Date | undefined;
  readonly endedAt: Date | undefined;
}

export interface KeySet {
  /** Grows with every change of any key, and never shrinks. */
  readonly version: bigint;
  readonly records: readonly KeyRecord[];
  /** The database's time when it was read. */
  readonly readAt: Date;
}

export interface KeyEvent {
  readonly at: Date;
  readonly kind: string;
  readonly ring: string;
  readonly kid: string;
  /** An account's id, or what in the product did it. */
  readonly actor: string;
  readonly reason: string;
  readonly version: bigint;
}

export interface KeyTransaction {
  /** The database's time: one clock for all instances. */
  readonly now: Date;
  load(): Promise<KeySet>;
  /** Read here and not before: while the lock was waited for, an instance may have come back. */
  listInstances(): Promise<readonly InstanceRecord[]>;
  listVerifiers(): Promise<readonly VerifierRecord[]>;
  insert(record: KeyRecord): Promise<void>;
  /** Compare-and-set on the state: whether it won. Leaving `active` or `pending` for good drops the private half. */
  move(kid: string, from: KeyState, to: KeyState): Promise<boolean>;
  /** Compare-and-set on the state: asks for a standby's activation, or calls that off. */
  request(kid: string, requested: boolean): Promise<boolean>;
  /** Compare-and-set on what is there: puts another seal in place of `from`. */
  reseal(kid: string, from: Buffer, to: Buffer): Promise<boolean>;
  prove(kid: string, proof: Buffer): Promise<void>;
  record(event: Omit<KeyEvent, 'at'>): Promise<void>;
}

export interface InstanceRecord {
  readonly id: string;
  readonly host: string;
  readonly startedAt: Date;
  readonly seenAt: Date;
  readonly servedVersion: bigint;
  /** The rings that it is configured for. */
  readonly rings: readonly SigningAlgorithm[];
  readonly skewMs: number;
}

export interface VerifierRecord {
  readonly id: string;
  readonly family: string;
  readonly network: string;
  readonly firstFetchAt: Date;
  readonly lastFetchAt: Date;
  readonly lastVersion: bigint;
  readonly fetches: number;
  readonly notModified: number;
}

/** What one instance counted since it last wrote. */
export type VerifierCount = Omit<VerifierRecord, 'firstFetchAt' | 'lastFetchAt'>;

export interface KeyStore {
  load(): Promise<KeySet>;
  /**
   * Runs `work` alone among all instances, in one transaction; the version grows with it when `work` says that something
   * changed. With `waits` false, gives undefined at once when another instance is at it.
   */
  change<T extends { readonly isChanged: boolean }>(work: (transaction: KeyTransaction) => Promise<T>, options: { waits: boolean }): Promise<T | undefined>;
  /** Says that an instance lives and what it serves. Gives the version in force. */
  beat(instance: { id: string; host: string; startedAt: Date; servedVersion: bigint; rings: readonly SigningAlgorithm[]; clock: Date }): Promise<bigint>;
  /** Takes an instance that ends out of the list, so that nobody waits for it. */
  leave(id: string): Promise<void>;
  listInstances(): Promise<readonly InstanceRecord[]>;
  listVerifiers(): Promise<readonly VerifierRecord[]>;
  countFetches(counts: readonly VerifierCount[]): Promise<void>;
  /** Newest first. */
  listEvents(limit: number): Promise<readonly KeyEvent[]>;
  /** Drops what was not seen for so long, by the database's clock, and the oldest verifiers beyond a bound. */
  forget(seconds: { instances: number; verifiers: number }): Promise<void>;
}

/** Whoever invents user agents must not fill the table. */
const MOST_VERIFIERS = 1_000;

/** Any number will do that nothing else in this database locks on. */
const LOCK = 8_247_310_552;

export function createKeyStore(prisma: PrismaClient): KeyStore {
  return {
    // One statement for the version and one for the rows could straddle a change: read them in one snapshot.
    load: () => guardStore('read the signing keys', () => prisma.$transaction(loadKeySet, { isolationLevel: 'RepeatableRead' })),
    change: (work, { waits }) =>
      guardStore('change the signing keys', () =>
        prisma.$transaction(
          async (tx) => {
            if (!(await lock(tx, waits))) return undefined;
            const result = await work(createTransaction(tx, await readNow(tx)));
            if (result.isChanged) await tx.keySetVersion.update({ where: { id: 1 }, data: { version: { increment: 1 } } });
            return result;
          },
          { timeout: 20_000, maxWait: 20_000 },
        ),
      ),
    ...createInstanceMethods(prisma),
    ...createVerifierMethods(prisma),
    listEvents: (limit) =>
      guardStore('read the key events', async () => {
        const rows = await prisma.keyEvent.findMany({ orderBy: { id: 'desc' }, take: limit });
        return rows.map(({ id: _, ...event }) => event);
      }),
    forget: ({ instances, verifiers }) =>
      guardStore('forget instances and verifiers', async () => {
        await prisma.$executeRaw`DELETE FROM instances WHERE seen_at < clock_timestamp() - ${instances} * interval '1 second'`;
        await prisma.$executeRaw`DELETE FROM verifiers WHERE last_fetch_at < clock_timestamp() - ${verifiers} * interval '1 second'
          OR id IN (SELECT id FROM verifiers ORDER BY last_fetch_at DESC OFFSET ${MOST_VERIFIERS})`;
      }),
  };
}

async function lock(tx: Prisma.TransactionClient, waits: boolean): Promise<boolean> {
  if (waits) {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(${LOCK})`;
    return true;
  }
  const [row] = await tx.$queryRaw<{ taken: boolean }[]>`SELECT pg_try_advisory_xact_lock(${LOCK}) AS taken`;
  return row?.taken === true;
}

async function readNow(tx: Prisma.TransactionClient): Promise<Date> {
  const [row] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
  if (row === undefined) throw new TypeError('the database does not know the time');
  return row.now;
}

async function loadKeySet(tx: Prisma.TransactionClient): Promise<KeySet> {
  const { version } = await tx.keySetVersion.findUniqueOrThrow({ where: { id: 1 } });
  const rows = await tx.signingKey.findMany({ orderBy: [{ createdAt: 'asc' }, { kid: 'asc' }] });
  return { version, records: rows.map(toRecord), readAt: await readNow(tx) };
}

function createTransaction(tx: Prisma.TransactionClient, now: Date): KeyTransaction {
  return {
    now,
    load: () => loadKeySet(tx),
    listInstances: () => listInstances(tx),
    listVerifiers: () => listVerifiers(tx),
    insert: async ({ sealed, proof, requestedAt, activatedAt, retiringAt, endedAt, ...rest }) => {
      await tx.signingKey.create({
        data: {
          ...rest, sealed: toBytes(sealed), proof: toBytes(proof), requestedAt: requestedAt ?? null,
          activatedAt: activatedAt ?? null, retiringAt: retiringAt ?? null, endedAt: endedAt ?? null,
        },
      });
    },
    move: async (kid, from, to) => {
      const { count } = await tx.signingKey.updateMany({ where: { kid, state: from }, data: { state: to, ...changesOf(to, now) } });
      return count === 1;
    },
    request: async (kid, requested) => {
      const { count } = await tx.signingKey.updateMany({
        where: { kid, state: 'pending', requestedAt: requested ? null : { not: null } },
        data: { requestedAt: requested ? now : null },
      });
      return count === 1;
    },
    reseal: async (kid, from, to) => {
      const { count } = await tx.signingKey.updateMany({ where: { kid, sealed: new Uint8Array(from) }, data: { sealed: new Uint8Array(to) } });
      return count === 1;
    },
    prove: async (kid, proof) => {
      await tx.signingKey.updateMany({ where: { kid }, data: { proof: toBytes(proof) } });
    },
    record: async (event) => {
      await tx.keyEvent.create({ data: { ...event, at: now } });
    },
  };
}

async function listInstances(tx: Prisma.TransactionClient): Promise<InstanceRecord[]> {
  const rows = await tx.instance.findMany({ orderBy: { startedAt: 'asc' } });
  return rows.map((row) => ({ ...row, rings: row.rings.filter(isSigningAlgorithm) }));
}

async function listVerifiers(tx: Prisma.TransactionClient): Promise<VerifierRecord[]> {
  const rows = await tx.verifier.findMany({ orderBy: { lastFetchAt: 'desc' } });
  return rows.map((row) => ({ ...row, fetches: Number(row.fetches), notModified: Number(row.notModified) }));
}

/** A version that this database has never had says nothing about what an instance serves of it: it was restored. */
const knownVersion = (served: bigint) => Prisma.sql`(SELECT CASE WHEN ${served}::bigint <= version THEN ${served}::bigint ELSE 0 END FROM key_set_version WHERE id = 1)`;

function createInstanceMethods(prisma: PrismaClient): Pick<KeyStore, 'beat' | 'leave' | 'listInstances'> {
  return {
    beat: ({ id, host, startedAt, servedVersion, rings, clock }) =>
      guardStore('say that this instance lives', async () => {
        const [row] = await prisma.$queryRaw<{ version: bigint }[]>`
          WITH beat AS (
            INSERT INTO instances (id, host, started_at, seen_at, served_version, rings, skew_ms)
            VALUES (${id}::uuid, ${host}, ${startedAt}, clock_timestamp(), ${knownVersion(servedVersion)}, ${[...rings]},
              (EXTRACT(EPOCH FROM (${clock}::timestamptz - clock_timestamp())) * 1000)::int)
            ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at, served_version = EXCLUDED.served_version, rings = EXCLUDED.rings, skew_ms = EXCLUDED.skew_ms
          ) SELECT version FROM key_set_version WHERE id = 1`;
        if (row === undefined) throw new TypeError('the key set has no version');
        return row.version;
      }),
    leave: (id) =>
      guardStore('take this instance out', async () => {
        await prisma.instance.deleteMany({ where: { id } });
      }),
    listInstances: () => guardStore('read the instances', () => listInstances(prisma)),
  };
}

function createVerifierMethods(prisma: PrismaClient): Pick<KeyStore, 'listVerifiers' | 'countFetches'> {
  return {
    listVerifiers: () => guardStore('read the verifiers', () => listVerifiers(prisma)),
    countFetches: (counts) =>
      guardStore('count what verifiers fetched', async () => {
        if (counts.length === 0) return;
        const rows = counts.map(({ id, family, network, lastVersion, fetches, notModified }) =>
          Prisma.sql`(${id}, ${family}, ${network}, clock_timestamp(), clock_timestamp(), ${lastVersion}::bigint, ${fetches}::bigint, ${notModified}::bigint)`);
        await prisma.$executeRaw`
          INSERT INTO verifiers (id, family, network, first_fetch_at, last_fetch_at, last_version, fetches, not_modified)
          VALUES ${Prisma.join(rows)}
          ON CONFLICT (id) DO UPDATE SET last_fetch_at = EXCLUDED.last_fetch_at, last_version = GREATEST(verifiers.last_version, EXCLUDED.last_version),
            fetches = verifiers.fetches + EXCLUDED.fetches, not_modified = verifiers.not_modified + EXCLUDED.not_modified`;
      }),
  };
}

function changesOf(to: KeyState, at: Date) {
  switch (to) {
    case 'pending':
      return {};
    case 'active':
      return { activatedAt: at };
    case 'retiring':
      return { retiringAt: at, sealed: null };
    case 'retired':
    case 'revoked':
      return { endedAt: at, sealed: null };
  }
}

function toBytes(buffer: Buffer | undefined) {
  return buffer === undefined ? null : new Uint8Array(buffer);
}

function toRecord(row: SigningKey): KeyRecord {
  return {
    kid: row.kid,
    ring: row.ring as SigningAlgorithm,
    state: row.state as KeyState,
    publicJwk: row.publicJwk as PublicJwk,
    sealed: row.sealed === null ? undefined : Buffer.from(row.sealed),
    proof: row.proof === null ? undefined : Buffer.from(row.proof),
    createdAt: row.createdAt,
    publishedVersion: row.publishedVersion,
    requestedAt: row.requestedAt ?? undefined,
    activatedAt: row.activatedAt ?? undefined,
    retiringAt: row.retiringAt ?? undefined,
    endedAt: row.endedAt ?? undefined,
  };
}
