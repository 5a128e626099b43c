import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { parseKekRing } from '../../server/crypto/kek.ts';
import { createKeys, type KeyPolicy, type Keys } from '../../server/keys/keys.ts';
import { systemClock } from '../../server/lib/clock.ts';
import { Secret } from '../../server/lib/secret.ts';
import { openStorage, type Storage } from '../../server/storage/storage.ts';
import { startTestIssuer } from '../support/issuer_in_process.ts';
import { createKekLine } from '../support/kek.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { createTestDatabase, query } from '../support/services.ts';

const POLICY: KeyPolicy = {
  rings: ['RS256', 'ES256'], rotationSeconds: 2_592_000, leadSeconds: 86_400, retentionSeconds: 86_400, verifierWaitSeconds: 86_400,
  verifierWindowSeconds: 86_400, staleSeconds: 300, jwksMaxAgeSeconds: 300, longestTokenSeconds: 3_600,
};
const KEKS = new Secret(parseKekRing([createKekLine()]));
const silent = { onMoves: () => undefined, onSkew: () => undefined, onTrouble: () => undefined };

const opened: Storage[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((storage) => storage.close()));
});

/** An instance of its own on the database: its own connections, its own snapshot. */
async function openInstance(databaseUrl: string, { keks = KEKS, policy = POLICY } = {}): Promise<Keys> {
  const storage = await openStorage({ databaseUrl: new Secret(databaseUrl), redisUrl: undefined, dataDir: '', clock: systemClock, onRedisError: () => undefined });
  opened.push(storage);
  return createKeys({ store: storage.keys, hints: storage.hints, keks, policy, clock: systemClock, events: silent, pollSeconds: 1, tickSeconds: 1 });
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

  test('never gives way to an older one', async () => {
    const databaseUrl = await createTestDatabase();
    const keys = await openInstance(databaseUrl);
    const before = keys.current();
    await query(databaseUrl, 'UPDATE key_set_version SET version = version - 1');
    expect(await keys.refresh()).toBe(false);
    expect(keys.current()).toBe(before);
  });

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
