import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { Unavailable } from '../../server/lib/errors.ts';
import type { Storage } from '../../server/storage/storage.ts';
import { createName, openTestStorage } from '../support/drivers.ts';
import { createTestDatabase, testRedisUrl } from '../support/services.ts';
import { createStillClock } from '../support/still_clock.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp_proxy.ts';

const clock = createStillClock();
const at = clock.now();
const account = { id: '01890000-0000-7000-8000-000000000000', kind: 'person', email: 'ada@example.com', isEmailVerified: false, name: 'Ada', role: 'admin', status: 'active', createdAt: at } as const;
const passkey = { id: 'p', accountId: account.id, publicKey: new Uint8Array(1), counter: 0, transports: [], deviceType: 'x', isBackedUp: false, aaguid: '', name: '', createdAt: at, keyStorage: 'unknown' as const, attestationFormat: 'none' };

type Calls = Readonly<Record<string, (storage: Storage) => Promise<unknown>>>;

/** Every method of an artifact store. */
function artifactCalls(which: 'durable' | 'volatile'): Calls {
  const artifact = { payload: {} };
  return {
    [`${which}.put`]: (storage) => storage[which].put('M', createName('id'), artifact, clock.in(60_000)),
    [`${which}.add`]: (storage) => storage[which].add('M', createName('id'), artifact, clock.in(60_000)),
    [`${which}.find`]: (storage) => storage[which].find('M', 'nothing'),
    [`${which}.findByUid`]: (storage) => storage[which].findByUid('M', 'nothing'),
    [`${which}.findByUserCode`]: (storage) => storage[which].findByUserCode('M', 'nothing'),
    [`${which}.consume`]: (storage) => storage[which].consume('M', 'nothing'),
    [`${which}.remove`]: (storage) => storage[which].remove('M', 'nothing'),
    [`${which}.revokeByGrantId`]: (storage) => storage[which].revokeByGrantId('M', 'nothing'),
  };
}

const SERVERS: Readonly<Record<'Postgres' | 'Redis', { target: () => Promise<string>; open: (url: string) => Promise<Storage>; calls: Calls }>> = {
  Postgres: {
    target: createTestDatabase,
    open: (databaseUrl) => openTestStorage(clock, { databaseUrl }),
    calls: {
      ...artifactCalls('durable'),
      'keys.load': ({ keys }) => keys.load(),
      'keys.change': ({ keys }) => keys.change(async () => ({ isChanged: false }), { waits: true }),
      'accounts.find': ({ accounts }) => accounts.find(account.id),
      'accounts.findByEmail': ({ accounts }) => accounts.findByEmail(account.email),
      'accounts.hasAdmin': ({ accounts }) => accounts.hasAdmin(),
      'accounts.findPasskey': ({ accounts }) => accounts.findPasskey('nothing'),
      'accounts.recordPasskeyUse': ({ accounts }) => accounts.recordPasskeyUse('nothing', { from: 0, to: 1, isBackedUp: false, at }),
      'accounts.replaceInvitations': ({ accounts }) => accounts.replaceInvitations({ tokenHash: createName('t'), role: 'member', createdAt: at, expiresAt: at }),
      'accounts.findOpenInvitation': ({ accounts }) => accounts.findOpenInvitation('nothing', at),
      'accounts.findInvitee': ({ accounts }) => accounts.findInvitee('nothing'),
      'accounts.acceptInvitation': ({ accounts }) => accounts.acceptInvitation('nothing', account, passkey, at),
      'accounts.isBuried': ({ accounts }) => accounts.isBuried('nothing'),
      'people.list': ({ people }) => people.list({ limit: 1 }),
      'people.isLastAdmin': ({ people }) => people.isLastAdmin(account.id),
      'people.suspend': ({ people }) => people.suspend(account.id, 'nobody'),
      'people.resume': ({ people }) => people.resume(account.id),
      'people.remove': ({ people }) => people.remove(account.id),
      'people.setRole': ({ people }) => people.setRole(account.id, 'member'),
      'people.listIn': ({ people }) => people.listIn(['example.com'], {}, { offset: 0, limit: 1 }),
      'people.change': ({ people }) => people.change(account.id, { name: 'N' }),
      'directoryGroups.listIn': ({ directoryGroups }) => directoryGroups.listIn(['example.com'], {}, { offset: 0, limit: 1 }),
      'directoryGroups.listMembers': ({ directoryGroups }) => directoryGroups.listMembers(account.id, ['example.com']),
      'directoryGroups.change': ({ directoryGroups }) => directoryGroups.change(account.id, { displayName: 'N' }),
      'directoryGroups.remove': ({ directoryGroups }) => directoryGroups.remove(account.id),
      'scimTokens.list': ({ scimTokens }) => scimTokens.list(),
      'scimTokens.find': ({ scimTokens }) => scimTokens.find(account.id),
      'scimTokens.remove': ({ scimTokens }) => scimTokens.remove('nothing'),
      'scimTokens.recordUse': ({ scimTokens }) => scimTokens.recordUse(account.id, at, at),
      'identities.claim': ({ identities }) => identities.claim({ issuer: 'nothing', subject: 'nothing', accountId: account.id, email: 'nothing', linkedAt: at }, {}),
      'passkeys.list': ({ passkeys }) => passkeys.list(account.id),
      'passkeys.add': ({ passkeys }) => passkeys.add({ ...passkey, id: createName('passkey'), accountId: account.id }, undefined, 0),
      'passkeys.rename': ({ passkeys }) => passkeys.rename(account.id, 'nothing', 'N'),
      'passkeys.remove': ({ passkeys }) => passkeys.remove(account.id, 'nothing', { issuers: [] }),
      'identities.find': ({ identities }) => identities.find('nothing', 'nothing'),
      'identities.list': ({ identities }) => identities.list(account.id),
      'identities.unlink': ({ identities }) => identities.unlink(account.id, 'nothing', 'nothing', { issuers: [] }),
      'identities.findHolder': ({ identities }) => identities.findHolder('nothing'),
      'identities.listDisputes': ({ identities }) => identities.listDisputes(),
      'identities.releaseEmail': ({ identities }) => identities.releaseEmail(account.id, 'nobody', at),
      'identities.freeEmail': ({ identities }) => identities.freeEmail('nothing', 'nobody', at),
      'identities.linkDisputed': ({ identities }) => identities.linkDisputed(account.id, 'nobody', at),
      'sessions.endAll': ({ sessions }) => sessions.endAll(account.id, 'admin', at, []),
      'clients.find': ({ clients }) => clients.find('nothing'),
      'clients.add': ({ clients }) => clients.add(createName('client'), {}, at),
      purge: (storage) => storage.purge(),
      check: (storage) => storage.check(),
    },
  },
  Redis: {
    target: async () => testRedisUrl(),
    open: async (redisUrl) => openTestStorage(clock, { databaseUrl: await createTestDatabase(), redisUrl }),
    calls: {
      ...artifactCalls('volatile'),
      'transient.put': ({ transient }) => transient.put(createName('key'), {}, 60),
      'transient.take': ({ transient }) => transient.take('nothing'),
      check: (storage) => storage.check(),
    },
  },
};

/** What each call ended with: `ok`, or the error's name. All at once, as requests come. */
async function callAll(storage: Storage, calls: Calls): Promise<Record<string, string>> {
  const outcomes = Object.entries(calls).map(async ([name, call]) => [name, await call(storage).then(() => 'ok', nameOf)] as const);
  return Object.fromEntries(await Promise.all(outcomes));
}

function nameOf(error: unknown): string {
  if (!(error instanceof Unavailable)) return String(error);
  expect(error.kind).toBe('unavailable');
  expect(error.message).toMatch(/: the store did not answer$/);
  return 'Unavailable';
}

const all = (calls: Calls, outcome: string) => Object.fromEntries(Object.keys(calls).map((name) => [name, outcome]));

/** A pool and a client find out by and by that their server is back. */
async function waitUntilWell(storage: Storage): Promise<void> {
  const end = Date.now() + 15_000;
  while (await storage.check().then(() => false, () => true)) {
    if (Date.now() > end) throw new Error('storage did not recover in 15 s');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe.each(Object.entries(SERVERS))('when %s', (name, { target, open, calls }) => {
  let proxy: TcpProxy;
  let storage: Storage;
  beforeAll(async () => {
    const url = await target();
    proxy = await startTcpProxy(url);
    storage = await open(proxy.through(url));
  });
  afterAll(async () => {
    await storage.close();
    await proxy.close();
  });
  beforeEach(async () => {
    await proxy.restore();
    await waitUntilWell(storage);
  });

  test('is there, everything is answered', async () => {
    expect(await callAll(storage, calls)).toEqual(all(calls, 'ok'));
  });

  test('is gone, everything is Unavailable, and nothing is "not found"; and all is well when it is back', async () => {
    await proxy.cut();
    expect(await callAll(storage, calls)).toEqual(all(calls, 'Unavailable'));
    expect(await callAll(storage, calls)).toEqual(all(calls, 'Unavailable'));
    await proxy.restore();
    await waitUntilWell(storage);
    expect(await callAll(storage, calls)).toEqual(all(calls, 'ok'));
  });

  test('goes in the middle of the work, every call ends, and none lies', async () => {
    const working = Promise.all(Array.from({ length: 20 }, () => callAll(storage, calls)));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await proxy.cut();
    const outcomes = new Set((await working).flatMap((outcome) => Object.values(outcome)));
    outcomes.delete('ok');
    expect([...outcomes]).toEqual(['Unavailable']);
  });

  test('is frozen, everything is Unavailable in time; and all is well when it is back', async () => {
    proxy.freeze();
    const beganAt = performance.now();
    expect(await callAll(storage, calls)).toEqual(all(calls, 'Unavailable'));
    // Its limits are 1 s (Redis) and 5 s (Postgres) a step, and this machine may be busy.
    expect(performance.now() - beganAt).toBeLessThan(name === 'Redis' ? 5_000 : 15_000);
    await proxy.restore();
    await waitUntilWell(storage);
    expect(await callAll(storage, calls)).toEqual(all(calls, 'ok'));
  });
});

describe('opening storage', () => {
  test('while Postgres is gone is Unavailable, and its message tells why and shows no password', async () => {
    const proxy = await startTcpProxy(await createTestDatabase());
    await proxy.close();
    const opening = openTestStorage(clock, { databaseUrl: proxy.through('postgresql://vouch:the-password@db/vouch') });
    await expect(opening).rejects.toThrow(Unavailable);
    await expect(opening).rejects.toThrow(/^cannot connect to the database: .*ECONNREFUSED/);
    await expect(opening).rejects.not.toThrow('the-password');
  });

  test('while Postgres is frozen is Unavailable in time', async () => {
    const url = await createTestDatabase();
    const proxy = await startTcpProxy(url);
    proxy.freeze();
    await expect(openTestStorage(clock, { databaseUrl: proxy.through(url) })).rejects.toThrow(Unavailable);
    await proxy.close();
  }, 20_000);

  test('while Postgres goes in the middle of the migrations is Unavailable', async () => {
    const url = await createTestDatabase();
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    await holder.query('SELECT pg_advisory_lock(72707369)'); // Prisma's own: the migrations wait for it
    const proxy = await startTcpProxy(url);
    const opening = expect(openTestStorage(clock, { databaseUrl: proxy.through(url) })).rejects.toThrow(Unavailable);
    while ((await holder.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 72707369")).rows.length === 0);
    await proxy.cut();
    await opening;
    await holder.end();
  });

  test('while Redis is gone goes on, since an instance must serve its keys', async () => {
    const proxy = await startTcpProxy(testRedisUrl());
    await proxy.cut();
    const storage = await openTestStorage(clock, { databaseUrl: await createTestDatabase(), redisUrl: proxy.through(testRedisUrl()) });
    await expect(storage.keys.load()).resolves.toMatchObject({ version: 0n });
    await expect(storage.check()).rejects.toThrow(Unavailable);
    await proxy.restore();
    await waitUntilWell(storage);
    await storage.close();
    await proxy.close();
  });
});
