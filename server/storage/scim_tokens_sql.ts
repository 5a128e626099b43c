import { guardStore } from './failure.ts';
import type { PrismaClient, ScimToken } from './generated/prisma/client.ts';

/** What a company's directory shows to provision accounts. Only the hash of it is kept. */
export interface ScimTokenRecord {
  readonly id: string;
  readonly name: string;
  readonly tokenHash: string;
  readonly domains: readonly string[];
  readonly scopes: readonly string[];
  readonly createdAt: Date;
  /** The admin's account id. */
  readonly createdBy: string;
  readonly expiresAt: Date;
  readonly lastUsedAt?: Date | undefined;
}

export interface ScimTokenStore {
  list(): Promise<readonly ScimTokenRecord[]>;
  find(id: string): Promise<ScimTokenRecord | undefined>;
  /** Throws Conflict when the name is taken. */
  add(token: ScimTokenRecord): Promise<void>;
  /** Whether it was there. */
  remove(name: string): Promise<boolean>;
  /** Writes that it was used at `at`, unless that stands there for an instant since `unlessSince`. */
  recordUse(id: string, at: Date, unlessSince: Date): Promise<void>;
}

export function createScimTokenStore(prisma: PrismaClient): ScimTokenStore {
  return {
    list: () =>
      guardStore('list SCIM tokens', async () => {
        const rows = await prisma.scimToken.findMany({ orderBy: { name: 'asc' } });
        return rows.map(toRecord);
      }),
    find: (id) =>
      guardStore('find a SCIM token', async () => {
        const row = await prisma.scimToken.findUnique({ where: { id } });
        return row === null ? undefined : toRecord(row);
      }),
    add: ({ domains, scopes, ...token }) =>
      guardStore('add a SCIM token', async () => {
        await prisma.scimToken.create({ data: { ...token, domains: [...domains], scopes: [...scopes], lastUsedAt: null } });
      }),
    remove: (name) =>
      guardStore('remove a SCIM token', async () => {
        const { count } = await prisma.scimToken.deleteMany({ where: { name } });
        return count === 1;
      }),
    recordUse: (id, at, unlessSince) =>
      guardStore('record the use of a SCIM token', async () => {
        await prisma.scimToken.updateMany({ where: { id, OR: [{ lastUsedAt: null }, { lastUsedAt: { lt: unlessSince } }] }, data: { lastUsedAt: at } });
      }),
  };
}

function toRecord({ lastUsedAt, ...row }: ScimToken): ScimTokenRecord {
  return { ...row, lastUsedAt: lastUsedAt ?? undefined };
}
