import { createHash, randomUUID } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** One database session (not a pool): a pg client, or PGlite itself. */
export interface Session {
  query(sql: string, params?: unknown[]): Promise<{ rows: unknown[] }>;
  /** Runs a script of several statements as one simple query, hence in one implicit transaction. */
  exec(sql: string): Promise<unknown>;
}

interface Applied {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
}

/** The advisory lock that Prisma's own engine takes, so that `prisma migrate deploy` and this wait for each other. */
const PRISMA_LOCK = 72_707_369;

/**
 * Applies the migrations in `folder` and leaves the rows in `_prisma_migrations` that `prisma migrate deploy` would.
 * Gives the names of those applied now. Throws when one that was applied has been edited since, or one failed before.
 */
export async function migrate(session: Session, folder: string): Promise<string[]> {
  await session.query('SELECT pg_advisory_lock($1)', [PRISMA_LOCK]);
  try {
    const done = await readApplied(session);
    const applied: string[] = [];
    for (const name of await listMigrations(folder)) {
      const sql = await readFile(join(folder, name, 'migration.sql'), 'utf8');
      const checksum = createHash('sha256').update(sql).digest('hex');
      const known = done.get(name);
      if (known === undefined) {
        await apply(session, name, sql, checksum);
        applied.push(name);
      } else if (known !== checksum) {
        throw new Error(`migration ${name} was edited after it was applied to this database; restore the file as it was`);
      }
    }
    return applied;
  } finally {
    await session.query('SELECT pg_advisory_unlock($1)', [PRISMA_LOCK]);
  }
}

async function readApplied(session: Session): Promise<Map<string, string>> {
  await session.exec(`CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ,
    migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`);
  const { rows } = await session.query(
    'SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL',
  );
  const applied = rows as Applied[];
  const failed = applied.filter((row) => row.finished_at === null).map((row) => row.migration_name);
  if (failed.length > 0) await forgetInterrupted(session, failed);
  return new Map(applied.filter((row) => row.finished_at !== null).map((row) => [row.migration_name, row.checksum]));
}

/**
 * A row without an end, seen under the lock, means that a process died or failed inside that migration. The script is
 * one transaction, so nothing of it stayed: it is marked as rolled back and tried again.
 */
async function forgetInterrupted(session: Session, names: readonly string[]): Promise<void> {
  await session.query(
    'UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL AND rolled_back_at IS NULL AND migration_name = ANY($1)',
    [names],
  );
}

async function listMigrations(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
}

async function apply(session: Session, name: string, sql: string, checksum: string): Promise<void> {
  const id = randomUUID();
  await session.query('INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ($1, $2, $3)', [id, checksum, name]);
  // The end is recorded in the script's own transaction: killed in between, either both are there or neither.
  await session.exec(`BEGIN;\n${sql}\n;UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = 1 WHERE id = '${id}';\nCOMMIT;`).catch(async (error: unknown) => {
    await session.exec('ROLLBACK').catch(() => undefined);
    throw new Error(`migration ${name} failed: ${(error as Error).message}`, { cause: error });
  });
}
