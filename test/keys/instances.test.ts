import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { toPublicJwk } from '../../server/crypto/jwk.ts';
import { signJws } from '../../server/crypto/jws.ts';
import { parseKekRing } from '../../server/crypto/kek.ts';
import { createKeys, type KeyEvents, type KeyPolicy, type Keys, type Move } from '../../server/keys/keys.ts';
import { systemClock } from '../../server/lib/clock.ts';
import { Secret } from '../../server/lib/secret.ts';
import { openStorage, type KeyStore, type Storage } from '../../server/storage/storage.ts';
import { startTestIssuer } from '../support/issuer_in_process.ts';
import { createKekLine } from '../support/kek.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { createTestDatabase, query } from '../support/services.ts';

const POLICY: KeyPolicy = {
  rings: ['RS256', 'ES256'], rotationSeconds: 2_592_000, leadSeconds: 86_400, retentionSeconds: 86_400, verifierWaitSeconds: 86_400,
  verifierWindowSeconds: 604_800, staleSeconds: 300, jwksMaxAgeSeconds: 300, longestTokenSeconds: 3_600,
};
const KEKS = new Secret(parseKekRing([createKekLine()]));
const silent: KeyEvents = { onStranger: () => undefined, onRolledBack: () => undefined, onMoves: () => undefined, onSkew: () => undefined, onTrouble: () => undefined };

const opened: Storage[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((storage) => storage.close()));
});

/** An instance of its own on the database: its own connections, its own snapshot. */
async function openInstance(databaseUrl: string, { keks = KEKS, policy = POLICY, events = silent, change = (run: () => Promise<unknown>) => run() } = {}): Promise<Keys> {
  const storage = await openStorage({ databaseUrl: new Secret(databaseUrl), redisUrl: undefined, dataDir: '', clock: systemClock, onRedisError: () => undefined });
  opened.push(storage);
  const store: KeyStore = { ...storage.keys, change: (...work) => change(() => storage.keys.change(...work)) as ReturnType<typeof storage.keys.change<never>> };
  return createKeys({ store, hints: storage.hints, keks, policy, clock: systemClock, events, pollSeconds: 1, tickSeconds: 1 });
}

const readRows = (databaseUrl: string) => query(databaseUrl, 'SELECT * FROM signing_keys ORDER BY ring, state, kid') as Promise<{ kid: string; ring: string; state: string; sealed: Buffer | null; public_jwk: Record<string, string> }[]>;
const describeRows = async (databaseUrl: string) => (await readRows(databaseUrl)).map(({ ring, state }) => `${ring} ${state}`);
const WHOLE = ['ES256 active', 'ES256 pending', 'RS256 active', 'RS256 pending'];

describe('an empty database', () => {
  test('that four instances race for ends with one active and one standby a ring, and one JWKS', async () => {
    const databaseUrl = await createTestDatabase();
    const instances = await Promise.all([1, 2, 3, 4].map(() => openInstance(databaseUrl)));
    expect(await describeRows(databaseUrl)).toEqual(WHOLE);
    expect(new Set(instances.map((keys) => keys.current().jwks.etag)).size).toBe(1);
    expect(instances.filter((keys) => keys.created.length > 0)).toHaveLength(1);
  });

  test('is left alone by every later start', async () => {
    const databaseUrl = await createTestDatabase();
    const first = await openInstance(databaseUrl);
    const second = await openInstance(databaseUrl);
    expect(second.created).toEqual([]);
    expect(second.current().jwks.body.equals(first.current().jwks.body)).toBe(true);
    expect(second.current().version).toBe(first.current().version);
  });
});

describe('the database insists', () => {
  test('on one active and one pending key a ring, and on no private half out of use', async () => {
    const databaseUrl = await createTestDatabase();
    await openInstance(databaseUrl);
    await expect(query(databaseUrl, "UPDATE signing_keys SET state = 'active' WHERE ring = 'RS256' AND state = 'pending'")).rejects.toThrow('signing_keys_one_active');
    await expect(query(databaseUrl, "INSERT INTO signing_keys (kid, ring, state, public_jwk, sealed, created_at) VALUES ('x', 'RS256', 'pending', '{}', 'x', now())")).rejects.toThrow('signing_keys_one_pending');
    await expect(query(databaseUrl, "UPDATE signing_keys SET state = 'retiring' WHERE state = 'active'")).rejects.toThrow('signing_keys_state');
    await expect(query(databaseUrl, "UPDATE signing_keys SET state = 'lost' WHERE state = 'active'")).rejects.toThrow('signing_keys_state');
  });
});

describe('custody', () => {
  test('another KEK opens nothing, and the refusal names where to look', async () => {
    const databaseUrl = await createTestDatabase();
    await openInstance(databaseUrl);
    await expect(openInstance(databaseUrl, { keks: new Secret(parseKekRing([createKekLine()])) })).rejects.toThrow(/VOUCH_KEK_FILE/);
  });

  test('where every KEK is lost, what deploy/README.md says begins anew: keys that sign at once, and old statements once their keys are adopted', async () => {
    const databaseUrl = await createTestDatabase();
    const before = await openInstance(databaseUrl);
    const statement = await before.statements.sign('test+jwt', { says: 'so' });
    const { kid } = before.current().signers.get('RS256')!;
    const command = /`(UPDATE signing_keys .*?;)`/s.exec(readFileSync(new URL('../../deploy/README.md', import.meta.url), 'utf8'))![1]!.replaceAll(/\s+/g, ' ');
    await query(databaseUrl, command);
    const after = await openInstance(databaseUrl, { keks: new Secret(parseKekRing([createKekLine()])) });
    expect(await describeRows(databaseUrl)).toEqual(['ES256 active', 'ES256 pending', 'ES256 revoked', 'ES256 revoked', 'RS256 active', 'RS256 pending', 'RS256 revoked', 'RS256 revoked']);
    expect(after.current().version).toBe(before.current().version + 1n);
    expect(await after.statements.verify('test+jwt', statement)).toBeUndefined();
    const { unproved } = await after.administration.rewrap('test', () => undefined);
    expect(unproved).toHaveLength(4);
    expect(unproved).toContain(kid);
    await after.administration.adopt(kid, 'test', 'it is in the log');
    await sleep(100);
    expect(await after.statements.verify('test+jwt', statement)).toEqual({ says: 'so' });
    await expect(after.administration.adopt(after.current().signers.get('RS256')!.kid, 'test', 'no')).rejects.toThrow(/only one that signs no more/);
    await expect(after.administration.adopt('nobody', 'test', 'no')).rejects.toThrow(/there is no signing key/);
  });

  test('statements by a key that somebody wrote into the database are not believed, in whatever state it stands, and it is an alarm', async () => {
    const databaseUrl = await createTestDatabase();
    const strangers: string[] = [];
    const keys = await openInstance(databaseUrl, { events: { ...silent, onStranger: (kid) => strangers.push(kid) } });
    expect(strangers).toEqual([]);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const publicJwk = toPublicJwk(privateKey, 'ES256');
    const forged = await signJws({ alg: 'ES256', kid: publicJwk.kid, typ: 'test+jwt' }, { says: 'so' }, privateKey);
    for (const state of ['retired', 'revoked', 'retiring']) {
      await query(databaseUrl, 'DELETE FROM signing_keys WHERE kid = $1', [publicJwk.kid]);
      // With the proof of another key, which is the best that they have.
      await query(databaseUrl, "INSERT INTO signing_keys (kid, ring, state, public_jwk, proof, created_at) SELECT $1, 'ES256', $2, $3, proof, now() FROM signing_keys WHERE ring = 'ES256' AND state = 'active'", [publicJwk.kid, state, publicJwk]);
      await sleep(100);
      expect(await keys.statements.verify('test+jwt', forged)).toBeUndefined();
    }
    await query(databaseUrl, 'UPDATE key_set_version SET version = version + 1');
    await keys.refresh();
    expect(strangers).toEqual([publicJwk.kid]);
  });

  test('keys of a version that gave no proofs have one after the next start, and what they signed is believed', async () => {
    const databaseUrl = await createTestDatabase();
    const before = await openInstance(databaseUrl);
    const statement = await before.statements.sign('test+jwt', { says: 'so' });
    await query(databaseUrl, 'UPDATE signing_keys SET proof = NULL');
    const strangers: string[] = [];
    const after = await openInstance(databaseUrl, { events: { ...silent, onStranger: (kid) => strangers.push(kid) } });
    expect(await after.statements.verify('test+jwt', statement)).toEqual({ says: 'so' });
    // One that the version before has made and retired meanwhile: it is taken back by hand.
    const { kid } = after.current().signers.get('RS256')!;
    await query(databaseUrl, "UPDATE signing_keys SET proof = NULL, sealed = NULL, state = 'retiring', retiring_at = now() WHERE kid = $1", [kid]);
    await after.refresh();
    expect(strangers).toEqual([kid]);
    await after.administration.adopt(kid, 'test', 'it is in the log');
    await after.refresh();
    expect(strangers).toEqual([kid]);
  });

  test('a public half that is not that of the sealed one is not signed with', async () => {
    const databaseUrl = await createTestDatabase();
    await openInstance(databaseUrl);
    await query(databaseUrl, "UPDATE signing_keys SET public_jwk = (SELECT public_jwk FROM signing_keys WHERE ring = 'ES256' AND state = 'pending') || jsonb_build_object('kid', kid) WHERE ring = 'ES256' AND state = 'active'");
    await expect(openInstance(databaseUrl)).rejects.toThrow(/publishes a key that is not its own/);
  });

  test('an instance that has not got the new KEK makes no key once the others have sealed everything under it', async () => {
    const databaseUrl = await createTestDatabase();
    const [oldLine, newLine] = [createKekLine(), createKekLine()];
    const late = await openInstance(databaseUrl, { keks: new Secret(parseKekRing([oldLine])) });
    const other = await openInstance(databaseUrl, { keks: new Secret(parseKekRing([newLine, oldLine])) });
    await other.administration.rewrap('test', () => undefined);
    // The standby takes over; the next one is left to who has the key.
    await late.administration.revoke(late.current().signers.get('RS256')!.kid, 'test', 'drill');
    expect(await describeRows(databaseUrl)).toEqual(['ES256 active', 'ES256 pending', 'RS256 active', 'RS256 revoked']);
    const next = await openInstance(databaseUrl, { keks: new Secret(parseKekRing([newLine])) });
    expect(next.created).toMatchObject([{ kind: 'generate', ring: 'RS256', state: 'pending' }]);
  });

  test('an instance with another KEK makes no key that the others could not open', async () => {
    const databaseUrl = await createTestDatabase();
    await openInstance(databaseUrl);
    // As when a host without a KEK dealt with an emergency: whoever has it makes the next standby.
    await query(databaseUrl, "UPDATE signing_keys SET state = 'revoked', sealed = NULL WHERE state = 'pending'");
    await expect(openInstance(databaseUrl, { keks: new Secret(parseKekRing([createKekLine()])) })).rejects.toThrow('cannot be opened');
    expect(await describeRows(databaseUrl)).toEqual(['ES256 active', 'ES256 revoked', 'RS256 active', 'RS256 revoked']);
    await openInstance(databaseUrl);
    expect((await describeRows(databaseUrl)).filter((row) => row.endsWith('pending'))).toEqual(['ES256 pending', 'RS256 pending']);
  });

  test('a private half that is copied to another row does not open', async () => {
    const databaseUrl = await createTestDatabase();
    await openInstance(databaseUrl);
    await query(databaseUrl, "UPDATE signing_keys SET sealed = (SELECT sealed FROM signing_keys WHERE ring = 'ES256' AND state = 'active') WHERE ring = 'ES256' AND state = 'pending'");
    await query(databaseUrl, "UPDATE signing_keys SET sealed = NULL, state = 'retired' WHERE ring = 'ES256' AND state = 'active'");
    await query(databaseUrl, "UPDATE signing_keys SET state = 'active' WHERE ring = 'ES256' AND state = 'pending'");
    await expect(openInstance(databaseUrl)).rejects.toThrow(/cannot be opened/);
  });
});

describe('the snapshot', () => {
  test('shows no member more than it must, whatever the row holds; active before standby', async () => {
    const databaseUrl = await createTestDatabase();
    await openInstance(databaseUrl);
    await query(databaseUrl, `UPDATE signing_keys SET public_jwk = public_jwk || '{"key_ops":["verify"],"x5c":["x"],"d":"secret"}'`);
    const { keys } = JSON.parse((await openInstance(databaseUrl)).current().jwks.body.toString()) as { keys: Record<string, string>[] };
    for (const key of keys) expect(Object.keys(key).sort()).toEqual(key.kty === 'RSA' ? ['alg', 'e', 'kid', 'kty', 'n', 'use'] : ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
    const states = new Map((await readRows(databaseUrl)).map(({ kid, state }) => [kid, state]));
    expect(keys.map(({ kid }) => states.get(kid!))).toEqual(['active', 'active', 'pending', 'pending']);
  });

  test('changes at the start and by an admin are told as the others are, a forced activation too', async () => {
    const databaseUrl = await createTestDatabase();
    const told: Move[] = [];
    const keys = await openInstance(databaseUrl, { events: { ...silent, onMoves: (moves) => told.push(...moves) } });
    expect(told.map(({ kind }) => kind)).toEqual(['generate', 'generate', 'generate', 'generate']);
    // By name, so that a log can say later which keys were the issuer's.
    expect(told.map(({ kid }) => kid).toSorted()).toEqual((await readRows(databaseUrl)).map(({ kid }) => kid).toSorted());
    await keys.administration.revoke(keys.current().signers.get('RS256')!.kid, 'test', 'a test');
    expect(told.slice(4)).toMatchObject([{ kind: 'activate', ring: 'RS256', isForced: true }, { kind: 'generate', ring: 'RS256', state: 'pending' }]);
  });

  test('never gives way to an older one', async () => {
    const databaseUrl = await createTestDatabase();
    const keys = await openInstance(databaseUrl);
    const before = keys.current();
    await query(databaseUrl, 'UPDATE key_set_version SET version = version - 1');
    expect(await keys.refresh()).toBe(false);
    expect(keys.current()).toBe(before);
  });

  test('is not signed with once the database holds an older one, and nothing is written there of it', async () => {
    const databaseUrl = await createTestDatabase();
    const rolledBack: unknown[] = [];
    const policy = { ...POLICY, staleSeconds: 4 };
    const keys = await openInstance(databaseUrl, { policy, events: { ...silent, onRolledBack: (versions) => rolledBack.push(versions) } });
    await keys.start();
    try {
      const used = keys.current();
      expect(keys.maySign(used)).toBe(true);
      await query(databaseUrl, 'UPDATE key_set_version SET version = version - 1');
      while (rolledBack.length === 0) await sleep(100);
      while (keys.maySign(used)) await sleep(100);
      // The JWKS does not ask the database for each request now.
      expect(keys.latest()).toBe(used);
      expect(rolledBack).toEqual([{ stored: used.version - 1n, served: used.version }]);
      // Whoever starts on that database waits for it as for an instance that has none of its keys.
      expect(await query(databaseUrl, 'SELECT served_version FROM instances')).toEqual([{ served_version: '0' }]);
      // Nor does the very first word of another that has not noticed yet.
      const id = randomUUID();
      await opened.at(-1)!.keys.beat({ id, host: 'late', startedAt: new Date(), servedVersion: used.version, rings: ['RS256'], clock: new Date() });
      expect(await query(databaseUrl, 'DELETE FROM instances WHERE id = $1 RETURNING served_version', [id])).toEqual([{ served_version: '0' }]);
      keys.countFetch({ userAgent: 'Go-http-client/1.1', address: '192.0.2.1', version: used.version, isNotModified: false });
      await query(databaseUrl, 'UPDATE key_set_version SET version = version + 1');
      await sleep(2_500);
      expect(keys.maySign(used)).toBe(false);
      expect(await query(databaseUrl, 'SELECT * FROM verifiers')).toEqual([]);
      // A change makes a set that is newer than both: it is taken.
      await query(databaseUrl, 'UPDATE key_set_version SET version = version + 1');
      // Whoever hears of it first: a request of somebody else's, before the next beat.
      await keys.refresh();
      while (!keys.maySign(keys.current())) await sleep(100);
      expect(keys.current().version).toBe(used.version + 1n);
    } finally {
      await keys.stop();
    }
  }, 30_000);

  test('follows a ring that is added, behind its lead, and drains one that is taken away', async () => {
    const databaseUrl = await createTestDatabase();
    const one = await openInstance(databaseUrl, { policy: { ...POLICY, rings: ['RS256'] } });
    expect([...one.current().signers.keys()]).toEqual(['RS256']);
    const both = await openInstance(databaseUrl);
    expect(await describeRows(databaseUrl)).toEqual(['ES256 pending', 'RS256 active', 'RS256 pending']);
    expect([...both.current().signers.keys()]).toEqual(['RS256']);
    // Not while the other has no signer: something must sign.
    await openInstance(databaseUrl, { policy: { ...POLICY, rings: ['ES256'] } });
    expect(await describeRows(databaseUrl)).toEqual(['ES256 pending', 'RS256 active', 'RS256 pending']);
    const whole = await createTestDatabase();
    await openInstance(whole);
    await openInstance(whole, { policy: { ...POLICY, rings: ['RS256'] } });
    expect(await describeRows(whole)).toEqual(['ES256 retiring', 'ES256 revoked', 'RS256 active', 'RS256 pending']);
  });
});

test('an instance that stops is out of the list, even when a reconciliation was under way', async () => {
  const databaseUrl = await createTestDatabase();
  let held = Promise.resolve();
  let release: () => void = () => undefined;
  let heldCount = 0;
  const keys = await openInstance(databaseUrl, {
    change: async (run) => {
      const result = await run();
      heldCount += 1;
      await held;
      return result;
    },
  });
  held = new Promise((resolve) => { release = resolve; });
  heldCount = 0;
  // The next tick has something to do.
  await query(databaseUrl, "UPDATE signing_keys SET state = 'revoked', sealed = NULL WHERE ring = 'ES256' AND state = 'pending'");
  await keys.start();
  expect(await query(databaseUrl, 'SELECT id FROM instances')).toHaveLength(1);
  while (heldCount === 0) await sleep(20);
  await keys.stop();
  release();
  await sleep(300);
  expect(await describeRows(databaseUrl)).toContain('ES256 pending');
  expect(await query(databaseUrl, 'SELECT id FROM instances')).toEqual([]);
});

test('a provider is swapped under load and no request fails', async () => {
  const issuer = await startTestIssuer({ VOUCH_KEY_POLL_SECONDS: '1' });
  const tokens = await signIn(issuer.url, await issuer.createPerson('load@example.com'));
  const statuses: number[] = [];
  let isOver = false;
  const load = Promise.all(Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const [exchange, jwks] = await Promise.all([postToken(issuer.url, exchangeForm(tokens.access_token)), fetch(`${issuer.url}/oauth/jwks`)]);
      await jwks.arrayBuffer();
      statuses.push(exchange.status, jwks.status);
    }
  }));
  const kid = randomBytes(4).toString('hex');
  for (let swap = 0; swap < 10; swap += 1) {
    // Each revocation of a standby is a change of the set that leaves the signer alone.
    const { rings } = await issuer.app.keys.administration.overview();
    const standby = rings.find(({ ring }) => ring === 'ES256')!.keys.find(({ state }) => state === 'pending')!;
    await issuer.app.keys.administration.revoke(standby.kid, 'test', kid);
  }
  isOver = true;
  await load;
  await issuer.close();
  expect(statuses.length).toBeGreaterThan(20);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
}, 120_000);
