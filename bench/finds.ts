// How long `vouch audit find` takes on a full record, by each thing that it looks for, through the admin API.
import pg from 'pg';
import type { BenchAdmin } from './admin.ts';

export interface FindTime {
  readonly what: string;
  readonly found: number;
  /** Of the times that it was asked: the median and the longest. */
  readonly p50: number;
  readonly most: number;
}

/** The most that an admin asks for at once. */
const LIMIT = '1000';
const TIMES = 7;

/** Asks for what one row has, for what a great part of all rows have, and for what none has. */
export async function measureFinds(admin: BenchAdmin, databaseUrl: string): Promise<{ readonly rows: number; readonly times: readonly FindTime[] }> {
  const { rows, one, since } = await readExample(databaseUrl);
  const none = '00000000-0000-4000-8000-00000000ffff';
  const queries: readonly (readonly [what: string, query: Readonly<Record<string, string>>])[] = [
    ['jti', { jti: one.jti }], ['jti, of no row', { jti: none }],
    ['kid', { kid: one.kid }], ['kid, of no row', { kid: 'none' }],
    ['account', { account: one.account }], ['account, of every exchange', { account: admin.accountId }], ['account, of no row', { account: none }],
    ['audience', { audience: one.audience }], ['audience, of no row', { audience: 'https://none.example' }],
    ['since, the whole month', { since }], ['since, the next minute', { since: new Date(Date.now() + 60_000).toISOString() }],
    ['kid, audience and since', { kid: one.kid, audience: one.audience, since }],
  ];
  const times: FindTime[] = [];
  for (const [what, query] of queries) {
    const took: number[] = [];
    let found = 0;
    while (took.length < TIMES) {
      const startedAt = performance.now();
      found = await admin.findRecords({ ...query, limit: LIMIT });
      took.push(performance.now() - startedAt);
    }
    const sorted = took.toSorted((a, b) => a - b);
    times.push({ what, found, p50: sorted[Math.floor(TIMES / 2)] ?? Number.NaN, most: Math.max(...took) });
  }
  return { rows, times };
}

interface Example {
  readonly rows: number;
  readonly one: { readonly jti: string; readonly kid: string; readonly account: string; readonly audience: string };
  readonly since: string;
}

/** Some row in the middle of what `grow` wrote. */
async function readExample(databaseUrl: string): Promise<Example> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows: [counted] } = await client.query<{ rows: number; since: Date }>('SELECT count(*)::int AS rows, min(at) AS since FROM audit_rows');
    const { rows: [one] } = await client.query<Example['one']>("SELECT jti, kid, account_id AS account, audience FROM audit_rows WHERE jti IS NOT NULL AND kid LIKE 'kid-%' OFFSET $1 LIMIT 1", [Math.floor((counted?.rows ?? 0) / 4)]);
    if (counted === undefined || one === undefined) throw new Error('the record is empty');
    return { rows: counted.rows, one, since: counted.since.toISOString() };
  } finally {
    await client.end();
  }
}
