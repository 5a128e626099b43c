import { randomBytes } from 'node:crypto';
import pg from 'pg';

/** The throw-away Postgres and Redis that `npm test` starts. Their absence is an error, never a skipped test. */
export function testRedisUrl(database = 0): string {
  const { TEST_REDIS_URL: url } = process.env;
  if (url === undefined) throw new Error('TEST_REDIS_URL is not set: run the tests with npm test');
  return `${url}/${database}`;
}

export function testServerUrl(): string {
  const { TEST_DATABASE_URL: url } = process.env;
  if (url === undefined) throw new Error('TEST_DATABASE_URL is not set: run the tests with npm test');
  return url;
}

/** An empty database of its own. */
export async function createTestDatabase(): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const url = new URL(testServerUrl());
  await query(url.href, `CREATE DATABASE ${name}`);
  url.pathname = `/${name}`;
  return url.href;
}

export async function query(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql, values)).rows;
  } finally {
    await client.end();
  }
}
