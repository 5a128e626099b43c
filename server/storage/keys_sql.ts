import type { PublicJwk } from '../crypto/jwk.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import { guardStore } from './failure.ts';
import type { Prisma, PrismaClient, SigningKey } from './generated/prisma/client.ts';

export type KeyState = 'pending' | 'active' | 'retiring' | 'retired' | 'revoked';

export interface KeyRecord {
  readonly kid: string;
  /** A ring is named by its algorithm. */
  readonly ring: SigningAlgorithm;
  readonly state: KeyState;
  readonly publicJwk: PublicJwk;
  /** The sealed private half, while there is one. */
  readonly sealed: Buffer | undefined;
  readonly createdAt: Date;
  readonly activatedAt: Date | undefined;
  readonly retiringAt: Date | undefined;
  readonly endedAt: Date | undefined;
}

export interface KeySet {
  /** Grows with every change of any key, and never shrinks. */
  readonly version: bigint;
  readonly records: readonly KeyRecord[];
}

export interface KeyTransaction {
  load(): Promise<KeySet>;
  insert(record: KeyRecord): Promise<void>;
  /** Compare-and-set on the state: whether it won. Leaving `active` or `pending` for good drops the private half. */
  move(kid: string, from: KeyState, to: KeyState, at: Date): Promise<boolean>;
}

export interface KeyStore {
  load(): Promise<KeySet>;
  /**
   * Runs `work` alone among all instances, in one transaction. When `work` says that something changed, the version grows
   * in the same transaction.
   */
  change<T extends { readonly isChanged: boolean }>(work: (transaction: KeyTransaction) => Promise<T>): Promise<T>;
}

/** Any number will do that nothing else in this database locks on. */
const LOCK = 8_247_310_552;

export function createKeyStore(prisma: PrismaClient): KeyStore {
  return {
    // One statement for the version and one for the rows could straddle a change: read them in one snapshot.
    load: () => guardStore('read the signing keys', () => prisma.$transaction(loadKeySet, { isolationLevel: 'RepeatableRead' })),
    change: (work) =>
      guardStore('change the signing keys', () =>
        prisma.$transaction(
          async (tx) => {
            await tx.$executeRaw`SELECT pg_advisory_xact_lock(${LOCK})`;
            const result = await work(createTransaction(tx));
            if (result.isChanged) await tx.keySetVersion.update({ where: { id: 1 }, data: { version: { increment: 1 } } });
            return result;
          },
          { timeout: 20_000, maxWait: 20_000 },
        ),
      ),
  };
}

async function loadKeySet(tx: Prisma.TransactionClient): Promise<KeySet> {
  const { version } = await tx.keySetVersion.findUniqueOrThrow({ where: { id: 1 } });
  const rows = await tx.signingKey.findMany({ orderBy: [{ createdAt: 'asc' }, { kid: 'asc' }] });
  return { version, records: rows.map(toRecord) };
}

function createTransaction(tx: Prisma.TransactionClient): KeyTransaction {
  return {
    load: () => loadKeySet(tx),
    insert: async ({ sealed, publicJwk, ...rest }) => {
      await tx.signingKey.create({
        data: { ...rest, publicJwk, sealed: sealed === undefined ? null : new Uint8Array(sealed), activatedAt: rest.activatedAt ?? null, retiringAt: rest.retiringAt ?? null, endedAt: rest.endedAt ?? null },
      });
    },
    move: async (kid, from, to, at) => {
      const { count } = await tx.signingKey.updateMany({ where: { kid, state: from }, data: { state: to, ...changesOf(to, at) } });
      return count === 1;
    },
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

function toRecord(row: SigningKey): KeyRecord {
  return {
    kid: row.kid,
    ring: row.ring as SigningAlgorithm,
    state: row.state as KeyState,
    publicJwk: row.publicJwk as PublicJwk,
    sealed: row.sealed === null ? undefined : Buffer.from(row.sealed),
    createdAt: row.createdAt,
    activatedAt: row.activatedAt ?? undefined,
    retiringAt: row.retiringAt ?? undefined,
    endedAt: row.endedAt ?? undefined,
  };
}
