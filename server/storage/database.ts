import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { Unavailable } from '../lib/errors.ts';
import { lockFolder } from './folder_lock.ts';
import { PrismaClient } from './generated/prisma/client.ts';
import { migrate } from './migrate.ts';

export interface Database {
  readonly prisma: PrismaClient;
  /**
   * Past Prisma, on the same connections, for what is done once a token: a raw query by way of Prisma costs this process a
   * third of a millisecond, this a tenth.
   */
  readonly query: Query;
  close(): Promise<void>;
}

export type Query = (sql: string, values: unknown[]) => Promise<{ rows: unknown[] }>;

/** `prisma/migrations` of the checkout, also as seen from the built tree in `dist/server/storage`. */
function findMigrations(): string {
  const near = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
  return existsSync(near) ? near : fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));
}

/** A real Postgres, its schema brought up to date. Throws Unavailable when it cannot be reached. */
export async function openPostgres(url: string): Promise<Database> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
  } catch (cause) {
    throw new Unavailable(`cannot connect to the database: ${(cause as Error).message}`, { cause });
  }
  let lost: Error | undefined;
  client.on('error', (error) => {
    lost = error;
  });
  try {
    await migrate({ query: (sql, params) => client.query(sql, params), exec: (sql) => client.query(sql) }, findMigrations());
  } catch (error) {
    // A migration that fails is a fault of ours; a server that goes away in the middle of one is not.
    throw lost === undefined ? error : new Unavailable(`the database went away: ${lost.message}`, { cause: error });
  } finally {
    await client.end().catch(() => undefined);
  }
  const pool = new pg.Pool({
    connectionString: url, max: 10,
    // Without limits a query on a frozen server waits for ever.
    connectionTimeoutMillis: 3_000, query_timeout: 5_000, statement_timeout: 5_000,
    // Prisma writes instants without their zone and drops the zone of those that it reads: both are UTC only here.
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- pg-pool waits for it; its types do not say so yet
    onConnect: async (client) => { await client.query("SET TIME ZONE 'UTC'"); },
  });
  // An idle connection that breaks is replaced when it is needed; with nobody to hear of it, it would end the process.
  pool.on('error', () => undefined);
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  return {
    prisma,
    query: (sql, values) => pool.query<Record<string, unknown>>(sql, values),
    close: async () => {
      await prisma.$disconnect();
      await pool.end();
    },
  };
}

/** PGlite in `folder`: the same SQL, in this one process. */
export async function openEmbedded(folder: string): Promise<Database> {
  // Loaded only here: a production instance has no use for 27 MB of database.
  const [{ PGlite }, { PrismaPGlite }] = await Promise.all([import('@electric-sql/pglite'), import('pglite-prisma-adapter')]);
  const unlock = lockFolder(join(folder, 'folder.lock'));
  try {
    const lite = await PGlite.create(join(folder, 'db'));
    await migrate(lite, findMigrations());
    const prisma = new PrismaClient({ adapter: new PrismaPGlite(lite) });
    return {
      prisma,
      query: (sql, values) => lite.query(sql, values),
      close: async () => {
        await prisma.$disconnect();
        if (!lite.closed) await lite.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}
