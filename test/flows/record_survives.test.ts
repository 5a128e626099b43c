import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { startStores, type Stores } from '../cluster/stores.ts';
import { createBrowser, enrol } from '../support/browser.ts';
import { startIssuerProcess, type IssuerProcess } from '../support/issuer_process.ts';
import { exchangeForm, signIn, type Tokens } from '../support/oauth.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';

/*
 * No token without its record, whatever dies: two instances on a Postgres of their own, constant exchange, and then the
 * database, or an instance, is killed in the middle of it.
 */

let stores: Stores;
let first: IssuerProcess;
let second: IssuerProcess;
let tokens: Tokens;

beforeAll(async () => {
  stores = await startStores();
  const env = { DATABASE_URL: stores.databaseUrl, REDIS_URL: stores.redisUrl, VOUCH_LOG_LEVEL: 'error', VOUCH_AUDIT_CHECKPOINT_SECONDS: '1' };
  first = await startIssuerProcess({ env });
  const person = { browser: createBrowser(first.url), passkey: createSoftwarePasskey({ origin: first.url }) };
  await enrol(person.browser, first.invitation!, { email: 'ada@example.com', name: 'Ada' }, person.passkey);
  tokens = await signIn(first.url, person);
  second = await startIssuerProcess({ dataDir: first.dataDir, env: { ...env, VOUCH_ISSUER: first.url } });
}, 180_000);
afterAll(async () => {
  await Promise.all([first.kill(), second.kill()]);
  await stores.close();
});

/** Exchanges at both instances without a pause until told to stop: every token that came, every other answer, every connection that broke. */
function startLoad(urls: readonly string[]) {
  const jtis: string[] = [];
  const others: string[] = [];
  const broken: string[] = [];
  let isRunning = true;
  const work = async (url: string) => {
    while (isRunning) {
      try {
        const answer = await fetch(`${url}/oauth/token`, { method: 'POST', body: new URLSearchParams(exchangeForm(tokens.access_token)), signal: AbortSignal.timeout(20_000) });
        const body = (await answer.json()) as { access_token?: string; error?: string };
        if (answer.status === 200 && body.access_token !== undefined) jtis.push(decodeJwt(body.access_token).jti!);
        else others.push(`${answer.status} ${String(body.error)} ${answer.headers.has('retry-after') ? 'with' : 'without'} Retry-After`);
      } catch (error) {
        // What fetch says of a connection that cannot be had, or that ends in the middle. Anything else came in an answer.
        const { name, message } = error as Error;
        const isBroken = name === 'TypeError' && (message === 'fetch failed' || message === 'terminated');
        (isBroken ? broken : others).push(`${name}: ${message}`);
        await sleep(50);
      }
    }
  };
  const workers = urls.flatMap((url) => Array.from({ length: 6 }, () => work(url)));
  return {
    jtis, others, broken,
    stop: async () => {
      isRunning = false;
      await Promise.all(workers);
    },
  };
}

/** The tokens that a client received and that no row tells of. */
async function findUnrecorded(jtis: readonly string[]): Promise<string[]> {
  const rows = await query(stores.databaseUrl, 'SELECT jti FROM audit_rows WHERE kind = $1 AND jti = ANY($2)', ['token', jtis]);
  const recorded = new Set(rows.map(({ jti }) => jti));
  return jtis.filter((jti) => !recorded.has(jti));
}

const findUnexpected = (others: readonly string[]) => [...new Set(others)].filter((answer) => answer !== '503 temporarily_unavailable with Retry-After');

/** The second instance has the first one's name and a port of its own. */
const urlOf = ({ port }: IssuerProcess) => `http://127.0.0.1:${port}`;

test('Postgres is killed in the middle: nobody gets anything but a token or a 503, and every token has its row', async () => {
  const load = startLoad([first, second].map(urlOf));
  await sleep(1_500);
  for (let round = 0; round < 2; round += 1) {
    await stores.killPostgres();
    await sleep(1_200);
    await stores.startPostgres();
    const before = load.jtis.length;
    for (let waited = 0; load.jtis.length < before + 20 && waited < 300; waited += 1) await sleep(100);
    expect(load.jtis.length).toBeGreaterThanOrEqual(before + 20);
  }
  await load.stop();
  expect(await findUnrecorded(load.jtis)).toEqual([]);
  expect(findUnexpected(load.others)).toEqual([]);
  expect(load.broken).toEqual([]);
  // It was felt, or nothing was tried.
  expect(load.others.length).toBeGreaterThan(0);
}, 240_000);

test('an instance is killed in the middle: nobody gets anything but a token, a 503 or a broken connection, every token has its row, and the chain that ends there is whole', async () => {
  const load = startLoad([first, second].map(urlOf));
  await sleep(1_000);
  await second.kill();
  await sleep(1_000);
  await load.stop();
  expect(load.jtis.length).toBeGreaterThan(20);
  expect(findUnexpected(load.others)).toEqual([]);
  expect(load.broken.length).toBeGreaterThan(0);
  expect(await findUnrecorded(load.jtis)).toEqual([]);
  const [{ rows, seqs }] = (await query(stores.databaseUrl, 'SELECT count(*)::int AS rows, (SELECT sum(seq)::int FROM audit_chains) AS seqs FROM audit_rows')) as [{ rows: number; seqs: number }];
  expect(rows).toBe(seqs);
}, 180_000);
