import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { openEnvelope } from '../../server/crypto/envelope.ts';
import { startStores, waitFor, type Stores } from '../cluster/stores.ts';
import { createBrowser, enrol, type Browser } from '../support/browser.ts';
import { ES256_AUDIENCE, registerEs256Audience } from '../support/es256_audience.ts';
import { findFreePort } from '../support/free_port.ts';
import { startOnHost } from '../support/host_command.ts';
import { spawnIssuer, startIssuerProcess } from '../support/issuer_process.ts';
import { createKekLine, createKeks } from '../support/kek.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { watchProcess } from '../support/process_output.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey, type SoftwarePasskey } from '../support/software_passkey.ts';

/*
 * Keys live their whole life in a real process: made, rotated, retired, revoked, sealed again under another key-encryption
 * key, and used with that one alone. Then every place that anything was written to is searched for every private half.
 */

jest.setTimeout(180_000);

const [OLD, NEW] = [createKekLine(), createKekLine()];
/** A whole life in seconds: a standby may sign after 4, a key that signs no more leaves the set after 14. */
const LIFE = { LEAD: 4, JWKS_MAX_AGE: 1, STALE: 3, RETENTION: 14, ROTATION: 3_600, VERIFIER_WAIT: 1, POLL: 1, TICK: 1 };
const dataDir = mkdtempSync(join(tmpdir(), 'vouch-custody-'));

let stores: Stores;
let port: number;
let url: string;
let watched: Redis;
let monitor: Redis;
/** Everything that was printed, every command that Redis was sent, every file that was in the data folder. */
const printed: string[] = [];
const sent: string[] = [];
const files: string[] = [];
const person = {} as { browser: Browser; passkey: SoftwarePasskey };

const envOf = (...keks: string[]): Record<string, string> => ({
  DATABASE_URL: stores.databaseUrl, REDIS_URL: stores.redisUrl, VOUCH_KEK: keks.join('\n'), VOUCH_COOKIE_KEYS: 'a cookie key of thirty-two characters', VOUCH_LOG_LEVEL: 'debug', VOUCH_LONGEST_TOKEN_SECONDS: '5',
  ...Object.fromEntries(Object.entries(LIFE).map(([name, seconds]) => [`VOUCH_KEY_${name}_SECONDS`, String(seconds)])),
});
const ask = (sql: string, values: unknown[] = []) => query(stores.databaseUrl, sql, values);
const findKid = async (ring: string, state: string) => String((await ask('SELECT kid FROM signing_keys WHERE ring = $1 AND state = $2', [ring, state]))[0]?.['kid']);

/** An instance with these key-encryption keys, for as long as `work` lasts. */
async function withInstance<T>(keks: readonly string[], work: (invitation: string | undefined) => Promise<T>): Promise<T> {
  const instance = await startIssuerProcess({ dataDir, port, env: envOf(...keks) });
  try {
    return await work(instance.invitation);
  } finally {
    await instance.stop();
    printed.push(instance.output().stdout, instance.output().stderr);
    files.push(...readdirSync(dataDir).map((name) => readFileSync(join(dataDir, name), 'latin1')));
  }
}

async function onHost(args: readonly string[], ...keks: string[]) {
  const ended = await startOnHost(args, envOf(...keks)).ended;
  printed.push(ended.stdout, ended.stderr);
  expect(ended).toMatchObject({ code: 0 });
  return ended;
}

/** What a start with these variables ends with. */
async function failToStart(env: Record<string, string>) {
  return watchProcess(spawnIssuer({ ...env, VOUCH_PORT: String(await findFreePort()), VOUCH_DATA_DIR: mkdtempSync(join(dataDir, '..', 'vouch-custody-other-')) })).ended;
}

/** Copies each private half as it is sealed, out of the way of the search: none is left of a key whose life is over. */
const WITNESS = `CREATE SCHEMA witness; CREATE TABLE witness.halves (kid text, ring text, sealed bytea);
  CREATE FUNCTION witness.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.sealed IS NOT NULL THEN INSERT INTO witness.halves VALUES (NEW.kid, NEW.ring, NEW.sealed); END IF; RETURN NEW; END $$;
  CREATE TRIGGER see AFTER INSERT OR UPDATE ON signing_keys FOR EACH ROW EXECUTE FUNCTION witness.see();
  INSERT INTO witness.halves SELECT kid, ring, sealed FROM signing_keys`;

beforeAll(async () => {
  stores = await startStores();
  port = await findFreePort();
  url = `http://localhost:${port}`;
  watched = new Redis(stores.redisUrl);
  monitor = await watched.monitor();
  monitor.on('monitor', (_time: string, command: string[]) => sent.push(command.join(' ')));
  person.browser = createBrowser(url);
  person.passkey = createSoftwarePasskey({ origin: url });

  const retiring = await withInstance([OLD], async (invitation) => {
    await ask(WITNESS);
    await registerEs256Audience(stores.databaseUrl);
    await enrol(person.browser, invitation!, { email: 'ada@example.com', name: 'Ada' }, person.passkey);
    const former = { RS256: await findKid('RS256', 'active'), ES256: await findKid('ES256', 'active') };
    for (const alg of ['RS256', 'ES256']) await onHost(['rotate', '--alg', alg], OLD);
    await waitFor('both rings rotated', async () => (await findKid('RS256', 'active')) !== former.RS256 && (await findKid('ES256', 'active')) !== former.ES256);
    await exchangeForBoth();
    for (const ring of ['RS256', 'ES256']) await onHost(['revoke', '--reason', 'drill', '--', await findKid(ring, 'active')], OLD);
    await exchangeForBoth();
    return Object.values(former);
  });
  await withInstance([NEW, OLD], async () => {
    expect((await onHost(['rewrap'], NEW, OLD)).stdout).toContain('4 private halves are sealed again');
    await waitFor('both former keys have left the set', async () => (await ask("SELECT 1 FROM signing_keys WHERE state = 'retired' AND kid = ANY($1)", [retiring])).length === 2, 60_000);
  });
});

afterAll(async () => {
  for (const connection of [monitor, watched]) connection.disconnect();
  await stores.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A token of either algorithm, each believed by whoever has the published set. */
async function exchangeForBoth(): Promise<string[]> {
  const { access_token: accessToken } = await signIn(url, person);
  const keys = createRemoteJWKSet(new URL(`${url}/oauth/jwks`));
  const kids: string[] = [];
  for (const [alg, audience] of [['RS256', url], ['ES256', ES256_AUDIENCE]] as const) {
    const { status, body } = await postToken(url, exchangeForm(accessToken, { audience }));
    expect({ status, body }).toMatchObject({ status: 200 });
    const { protectedHeader } = await jwtVerify(body.access_token as string, keys, { issuer: url, audience, algorithms: [alg] });
    kids.push(protectedHeader.kid!);
  }
  return kids;
}

describe('after a change of the key-encryption key', () => {
  test('the new one alone signs, in both rings', async () => {
    await withInstance([NEW], async () => {
      expect(await exchangeForBoth()).toEqual([await findKid('RS256', 'active'), await findKid('ES256', 'active')]);
    });
  });

  test('the old one alone opens nothing, and no instance starts with it', async () => {
    const rows = (await ask('SELECT kid, ring, sealed FROM signing_keys WHERE sealed IS NOT NULL')) as unknown as Half[];
    expect(rows).toHaveLength(4);
    for (const half of rows) expect(() => open(half, OLD)).toThrow('none of the key-encryption keys at hand sealed this envelope');
    const { code, stdout, stderr } = await failToStart({ ...envOf(OLD), VOUCH_LOG_LEVEL: 'error' });
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: signing key \S+ cannot be opened with the key-encryption keys of VOUCH_KEK \(or VOUCH_KEK_FILE\); add the one that sealed it as another line.*\n$/) });
  });

  test('a start without any says how to give one', async () => {
    const { VOUCH_KEK: _none, ...env } = envOf(NEW);
    const { code, stderr } = await failToStart({ ...env, NODE_ENV: 'production', VOUCH_ISSUER: 'https://vouch.example.com' });
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('VOUCH_KEK must be set in production, as it is or as VOUCH_KEK_FILE; make one with: ') });
  });
});

interface Half {
  readonly kid: string;
  readonly ring: string;
  readonly sealed: Buffer;
}

function open({ kid, ring, sealed }: Half, ...keks: string[]): Buffer {
  return openEnvelope(sealed, `vouch signing key|${ring}|${kid}`, createKeks(...keks).reveal());
}

/** Every private half that there ever was, and in each form in which it could have been written. */
async function findNeedles(): Promise<ReadonlyMap<string, readonly string[]>> {
  const halves = (await ask('SELECT DISTINCT ON (kid) kid, ring, sealed FROM witness.halves')) as unknown as Half[];
  return new Map(halves.map(({ kid, ring, sealed }) => {
    const der = open({ kid, ring, sealed }, NEW, OLD);
    const { d, p, q, dp, dq, qi } = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
    const members = [d, p, q, dp, dq, qi].filter((member) => member !== undefined).map((member) => Buffer.from(member, 'base64url'));
    expect(members).toHaveLength(ring === 'RS256' ? 6 : 1);
    return [kid, [...members, der].flatMap((bytes) => [bytes.toString('base64url'), bytes.toString('base64'), bytes.toString('hex'), bytes.toString('latin1')])];
  }));
}

async function dumpDatabase(): Promise<string> {
  const tables = await ask("SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('witness', 'pg_catalog', 'information_schema')");
  const rows = await Promise.all(tables.map(({ name }) => ask(`SELECT row_to_json(t)::text AS row FROM ${String(name)} t`)));
  return JSON.stringify(rows);
}

/** All that is kept in Redis just now, whatever its type. */
async function dumpRedis(): Promise<string> {
  const redis = new Redis(stores.redisUrl);
  const readers: Readonly<Record<string, (key: string) => Promise<unknown>>> = {
    string: (key) => redis.get(key), hash: (key) => redis.hgetall(key), list: (key) => redis.lrange(key, 0, -1), set: (key) => redis.smembers(key), zset: (key) => redis.zrange(key, '0', '-1'),
  };
  try {
    const keys = await redis.keys('*');
    return JSON.stringify(await Promise.all(keys.map(async (key) => [key, await readers[await redis.type(key)]!(key)])));
  } finally {
    redis.disconnect();
  }
}

test('no private half is in the database, the folder, Redis or the log after a whole life', async () => {
  const needles = await findNeedles();
  const states = await ask('SELECT state, count(*)::int AS keys, count(sealed)::int AS sealed FROM signing_keys GROUP BY state ORDER BY state');
  expect(states).toEqual([
    { state: 'active', keys: 2, sealed: 2 }, { state: 'pending', keys: 2, sealed: 2 }, { state: 'retired', keys: 2, sealed: 0 }, { state: 'revoked', keys: 2, sealed: 0 },
  ]);
  expect(needles.size).toBe(8);

  const places = { database: await dumpDatabase(), folder: files.join('\n'), redis: `${await dumpRedis()}\n${sent.join('\n')}`, log: printed.join('\n') };
  // What must be there is, so that the search is one: keys by name in the first two, what was asked for in the others.
  for (const kid of needles.keys()) expect(places.database).toContain(kid);
  for (const kid of [await findKid('RS256', 'active'), await findKid('ES256', 'pending')]) expect(places.folder).toContain(kid);
  expect(places.redis).toContain('vouch:hint:keys');
  expect(places.log).toContain('token exchanged');

  const found: string[] = [];
  for (const [place, text] of Object.entries(places)) {
    const plain = text.replaceAll(/\\n|\s/g, ''); // PEM breaks its lines
    for (const [kid, forms] of needles) if (forms.some((form) => text.includes(form) || plain.includes(form))) found.push(`${place}: ${kid}`);
  }
  expect(found).toEqual([]);
});
