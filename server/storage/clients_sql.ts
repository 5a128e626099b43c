import { guardStore } from './failure.ts';
import type { PrismaClient } from './generated/prisma/client.ts';
import type { JsonObject } from './json.ts';

/** Clients as RFC 7591 metadata; a secret in it is already a hash. */
export interface ClientStore {
  find(id: string): Promise<JsonObject | undefined>;
  /** Throws Conflict when the id is taken. */
  add(id: string, metadata: JsonObject, at: Date): Promise<void>;
  /** Whether it was there. */
  replace(id: string, metadata: JsonObject): Promise<boolean>;
}

export function createClientStore(prisma: PrismaClient): ClientStore {
  return {
    find: (id) =>
      guardStore('find a client', async () => {
        const row = await prisma.client.findUnique({ where: { id } });
        return row === null ? undefined : (row.metadata as JsonObject);
      }),
    add: (id, metadata, at) =>
      guardStore('add a client', async () => {
        await prisma.client.create({ data: { id, metadata: metadata, createdAt: at } });
      }),
    replace: (id, metadata) =>
      guardStore('change a client', async () => {
        const { count } = await prisma.client.updateMany({ where: { id }, data: { metadata } });
        return count === 1;
      }),
  };
}
