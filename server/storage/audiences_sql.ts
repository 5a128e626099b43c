import { createBatch } from '../lib/batch.ts';
import { guardStore } from './failure.ts';
import type { Audience, PrismaClient } from './generated/prisma/client.ts';

/** An audience as it is kept; audiences/ says what its words mean. */
export interface AudienceRecord {
  readonly name: string;
  readonly kind: string;
  readonly preset: string;
  readonly algorithm: string;
  readonly lifetimeSeconds: number;
  readonly maxAuthAgeSeconds: number | undefined;
  readonly mode: string;
  readonly isEnabled: boolean;
  readonly scopes: readonly string[];
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly clients: readonly string[];
  /** Grows with each change. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface AudienceStore {
  find(name: string): Promise<AudienceRecord | undefined>;
  list(): Promise<readonly AudienceRecord[]>;
  /** Throws Conflict when the name is taken. */
  add(record: AudienceRecord): Promise<void>;
  /** Compare-and-set on the revision that was read: whether it won. */
  replace(record: AudienceRecord, fromRevision: number): Promise<boolean>;
  /** Whether it was there. */
  remove(name: string): Promise<boolean>;
}

const LARGEST_QUESTION = 500;

export function createAudienceStore(prisma: PrismaClient): AudienceStore {
  const find = createBatch<string, AudienceRecord>(
    async (names) => {
      const rows = await prisma.audience.findMany({ where: { name: { in: [...names] } } });
      return new Map(rows.map((row) => [row.name, toRecord(row)]));
    },
    { largest: LARGEST_QUESTION },
  );
  return {
    find: (name) => guardStore('find an audience', () => find(name)),
    list: () =>
      guardStore('list the audiences', async () => {
        const rows = await prisma.audience.findMany({ orderBy: { name: 'asc' } });
        return rows.map(toRecord);
      }),
    add: (record) =>
      guardStore('add an audience', async () => {
        await prisma.audience.create({ data: toRow(record) });
      }),
    replace: (record, fromRevision) =>
      guardStore('change an audience', async () => {
        const { count } = await prisma.audience.updateMany({ where: { name: record.name, revision: fromRevision }, data: { ...toRow(record), revision: fromRevision + 1 } });
        return count === 1;
      }),
    remove: (name) =>
      guardStore('remove an audience', async () => {
        const { count } = await prisma.audience.deleteMany({ where: { name } });
        return count === 1;
      }),
  };
}

function toRow({ maxAuthAgeSeconds, scopes, allow, deny, clients, ...rest }: AudienceRecord) {
  return { ...rest, maxAuthAgeSeconds: maxAuthAgeSeconds ?? null, scopes: [...scopes], allow: [...allow], deny: [...deny], clients: [...clients] };
}

function toRecord({ maxAuthAgeSeconds, ...row }: Audience): AudienceRecord {
  return { ...row, maxAuthAgeSeconds: maxAuthAgeSeconds ?? undefined };
}
