import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { migrate, type Session } from '../../server/storage/migrate.ts';
import { OPENING_MS } from '../support/drivers.ts';
import { createTestDatabase, query } from '../support/services.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const OURS = join(ROOT, 'prisma/migrations');
const OUR_NAMES = readdirSync(OURS).filter((name) => /^\d{14}_/.test(name)).sort();
const FIRST = '20260101000000_first';
const SECOND = '20260102000000_second';

/** A folder of migrations of its own. */
function writeMigrations(migrations: Record<string, string>, folder = mkdtempSync(join(tmpdir(), 'migrations-'))): string {
  for (const [name, sql] of Object.entries(migrations)) {
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, 'migration.sql'), sql);
  }
  writeFileSync(join(folder, 'migration_lock.toml'), 'provider = "postgresql"');
  return folder;
}

let url: string;
const clients: pg.Client[] = [];
beforeEach(async () => {
  url = await createTestDatabase();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()));
});

interface PgSession extends Session {
  readonly client: pg.Client;
}

async function connect(): Promise<PgSession> {
  const client = new pg.Client({ connectionString: url }).on('error', () => undefined); // one test ends a session from outside
  clients.push(client);
  await client.connect();
  return { client, query: (sql, params) => client.query(sql, params), exec: (sql) => client.query(sql) };
}

const readHistory = () => query(url, 'SELECT migration_name, finished_at IS NOT NULL AS finished, rolled_back_at IS NOT NULL AS rolled_back, applied_steps_count AS steps FROM _prisma_migrations ORDER BY started_at');
const readTables = async () => (await query(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")).map(({ tablename }) => tablename);

describe('our migrations', () => {
  test('are applied to a fresh database, once', async () => {
    expect(await migrate(await connect(), OURS)).toEqual(OUR_NAMES);
    expect(await readTables()).toEqual(expect.arrayContaining(['accounts', 'oidc_artifacts', 'signing_keys']));
    expect(await migrate(await connect(), OURS)).toEqual([]);
    expect(await readHistory()).toEqual(OUR_NAMES.map((migration_name) => ({ migration_name, finished: true, rolled_back: false, steps: 1 })));
  });

  test('say of artifacts that are there already whose they are, whatever a client put into them', async () => {
    const NAME = '20261128120000_artifact_accounts';
    const before = Object.fromEntries(OUR_NAMES.filter((name) => name < NAME).map((name) => [name, readFileSync(join(OURS, name, 'migration.sql'), 'utf8')]));
    await migrate(await connect(), writeMigrations(before));
    const id = '01a20d4b-b6fe-7790-8f0b-fca3b0dad444';
    const payloads: [string, object][] = [
      ['Grant', { accountId: id }], ['DeviceCode', { params: { scope: 'a\u0000b' }, accountId: id }], ['AuthorizationCode', { state: `"accountId":"${id.replace('01a', '02b')}"`, accountId: id }], ['DeviceCode', { userCode: 'X' }], ['Other', { accountId: id }],
    ];
    for (const [index, [model, payload]] of payloads.entries()) await query(url, 'INSERT INTO oidc_artifacts (model, id, payload) VALUES ($1, $2, $3)', [model, String(index), JSON.stringify(payload)]);
    await migrate(await connect(), OURS);
    expect((await query(url, 'SELECT account_id FROM oidc_artifacts ORDER BY id')).map((row) => row.account_id)).toEqual([id, id, id, null, null]);
  });

  test('are applied once by three at once', async () => {
    const sessions = await Promise.all([connect(), connect(), connect()]);
    const applied = await Promise.all(sessions.map((session) => migrate(session, OURS)));
    expect(applied.flat().sort()).toEqual(OUR_NAMES);
    expect(await readHistory()).toHaveLength(OUR_NAMES.length);
  });

  test('leave what `prisma migrate deploy` leaves, and `prisma migrate status` is content', async () => {
    await migrate(await connect(), OURS);
    const theirs = await createTestDatabase();
    await runPrisma(['migrate', 'deploy'], theirs);
    const describeColumns = (database: string) => query(database, "SELECT table_name, column_name, data_type, is_nullable, column_default, character_maximum_length, ordinal_position FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 7");
    const describeRows = (database: string) => query(database, 'SELECT migration_name, checksum, logs, rolled_back_at, applied_steps_count, length(id) AS id, finished_at >= started_at AS in_order FROM _prisma_migrations ORDER BY 1');
    expect(await describeColumns(url)).toEqual(await describeColumns(theirs));
    expect(await describeRows(url)).toEqual(await describeRows(theirs));
    expect(await runPrisma(['migrate', 'status'], url)).toContain('Database schema is up to date!');
  }, OPENING_MS);

  test('bring the embedded database to where they bring Postgres', async () => {
    const { PGlite } = await import('@electric-sql/pglite');
    const lite = await PGlite.create('memory://');
    expect(await migrate(lite, OURS)).toEqual(OUR_NAMES);
    expect(await migrate(lite, OURS)).toEqual([]);
    const broken = writeMigrations({ [FIRST]: 'CREATE TABLE half (id int); SELECT 1/0;' });
    await expect(migrate(lite, broken)).rejects.toThrow(`migration ${FIRST} failed: division by zero`);
    const { rows } = await lite.query("SELECT to_regclass('half') AS half, to_regclass('accounts')::text AS accounts");
    expect(rows).toEqual([{ half: null, accounts: 'accounts' }]);
    await lite.close();
  }, OPENING_MS);
});

test('a row holds the checksum of its file', async () => {
  const folder = writeMigrations({ [FIRST]: 'CREATE TABLE a (id int);' });
  await migrate(await connect(), folder);
  const [row] = await query(url, 'SELECT id, checksum, started_at, finished_at FROM _prisma_migrations');
  expect(row).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/), checksum: createHash('sha256').update(readFileSync(join(folder, FIRST, 'migration.sql'))).digest('hex'),
    started_at: expect.any(Date), finished_at: expect.any(Date),
  });
});

test('migrations are applied in the order of their names, and a new one after the others', async () => {
  const folder = writeMigrations({ [SECOND]: 'ALTER TABLE a ADD COLUMN b int;', [FIRST]: 'CREATE TABLE a (id int);' });
  expect(await migrate(await connect(), folder)).toEqual([FIRST, SECOND]);
  const third = '20260103000000_third';
  writeMigrations({ [third]: 'ALTER TABLE a DROP COLUMN b;' }, folder);
  expect(await migrate(await connect(), folder)).toEqual([third]);
});

test('a migration that was edited after it was applied is refused, and what follows it is not applied', async () => {
  const folder = writeMigrations({ [FIRST]: 'CREATE TABLE a (id int);' });
  await migrate(await connect(), folder);
  writeMigrations({ [FIRST]: 'CREATE TABLE a (id bigint);', [SECOND]: 'CREATE TABLE b (id int);' }, folder);
  await expect(migrate(await connect(), folder)).rejects.toThrow(`migration ${FIRST} was edited after it was applied to this database; restore the file as it was`);
  expect(await readTables()).toEqual(['_prisma_migrations', 'a']);
});

describe('a migration that fails', () => {
  const good = 'CREATE TABLE a (id int);';

  test('is rolled back whole, and leaves those before it', async () => {
    const folder = writeMigrations({ [FIRST]: good, [SECOND]: 'CREATE TABLE b (id int); INSERT INTO a VALUES (1); SELECT 1/0;' });
    await expect(migrate(await connect(), folder)).rejects.toThrow(`migration ${SECOND} failed: division by zero`);
    expect(await readTables()).toEqual(['_prisma_migrations', 'a']);
    expect(await query(url, 'SELECT count(*)::int AS rows FROM a')).toEqual([{ rows: 0 }]);
    expect(await readHistory()).toEqual([
      { migration_name: FIRST, finished: true, rolled_back: false, steps: 1 },
      { migration_name: SECOND, finished: false, rolled_back: false, steps: 0 },
    ]);
  });

  test('is tried again after the fix, by the same session or another', async () => {
    const folder = writeMigrations({ [FIRST]: good, [SECOND]: 'SELECT 1/0;' });
    const session = await connect();
    await expect(migrate(session, folder)).rejects.toThrow('division by zero');
    await expect(migrate(session, folder)).rejects.toThrow('division by zero');
    writeMigrations({ [SECOND]: 'CREATE TABLE b (id int);' }, folder);
    expect(await migrate(await connect(), folder)).toEqual([SECOND]);
    expect(await readTables()).toEqual(['_prisma_migrations', 'a', 'b']);
    expect((await readHistory()).filter(({ migration_name }) => migration_name === SECOND)).toEqual([
      { migration_name: SECOND, finished: false, rolled_back: true, steps: 0 },
      { migration_name: SECOND, finished: false, rolled_back: true, steps: 0 },
      { migration_name: SECOND, finished: true, rolled_back: false, steps: 1 },
    ]);
  });

  test('because its session was ended in the middle is done over', async () => {
    const folder = writeMigrations({ [FIRST]: 'CREATE TABLE a (id int); SELECT pg_sleep(60);' });
    const session = await connect();
    const failing = expect(migrate(session, folder)).rejects.toThrow();
    const [{ pid }] = (await waitForRows("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")) as [{ pid: number }];
    await query(url, 'SELECT pg_terminate_backend($1)', [pid]);
    await failing;
    expect(await readTables()).toEqual(['_prisma_migrations']);
    writeMigrations({ [FIRST]: good }, folder);
    expect(await migrate(await connect(), folder)).toEqual([FIRST]);
  });
});

test("Prisma's own lock is waited for", async () => {
  const holder = await connect();
  await holder.query('SELECT pg_advisory_lock(72707369)');
  let isDone = false;
  const migrating = migrate(await connect(), OURS).then(() => (isDone = true));
  await waitForRows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 72707369");
  expect(isDone).toBe(false);
  await holder.query('SELECT pg_advisory_unlock(72707369)');
  await migrating;
  expect(await readHistory()).toHaveLength(OUR_NAMES.length);
});

async function waitForRows(sql: string): Promise<Record<string, unknown>[]> {
  for (;;) {
    const rows = await query(url, sql);
    if (rows.length > 0) return rows;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function runPrisma(args: readonly string[], databaseUrl: string): Promise<string> {
  const { PATH, HOME } = process.env;
  const env = { PATH: `${join(process.execPath, '..')}:${PATH}`, HOME, DATABASE_URL: databaseUrl, NODE_NO_WARNINGS: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' };
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'node_modules/prisma/build/index.js'), ...args], { cwd: ROOT, env });
  return stdout;
}
