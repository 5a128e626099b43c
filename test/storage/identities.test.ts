import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Conflict } from '../../server/lib/errors.ts';
import { createUuid } from '../../server/lib/identifier.ts';
import type { AccountRecord, IdentityRecord, IdentityStore, PasskeyRecord, PasskeyStore, Storage } from '../../server/storage/storage.ts';
import { createName, DRIVERS, OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

const ISSUER = 'https://upstream.example';
const WAYS = { issuers: [ISSUER] };

describe.each([['embedded', DRIVERS.embedded], ['postgres', DRIVERS.postgres]] as const)('the stores of identities and passkeys, %s', (_name, driver) => {
  const clock = createStillClock();
  let storage: Storage;
  let identities: IdentityStore;
  let passkeys: PasskeyStore;
  beforeAll(async () => {
    storage = await driver.open(clock);
    ({ identities, passkeys } = storage);
  }, OPENING_MS);
  afterAll(() => storage.close());

  const createAccount = (changes: Partial<AccountRecord> = {}): AccountRecord =>
    ({ id: createUuid(clock.now()), kind: 'person', email: `${createName('a')}@example.com`, isEmailVerified: true, name: 'Ada', role: 'member', status: 'active', createdAt: clock.now(), ...changes });
  const createPasskey = (accountId: string): PasskeyRecord =>
    ({ id: createName('passkey'), accountId, publicKey: new Uint8Array([1]), counter: 0, transports: [], deviceType: 'singleDevice', isBackedUp: false, aaguid: 'a', name: 'Key', createdAt: clock.now(), keyStorage: 'hardware', attestationFormat: 'packed' });
  const identify = (account: AccountRecord, subject = createName('subject')): IdentityRecord => ({ issuer: ISSUER, subject, accountId: account.id, email: account.email, linkedAt: clock.now() });
  /** Somebody who came by an upstream. */
  const provision = async (changes: Partial<AccountRecord> = {}) => {
    const account = createAccount(changes);
    const identity = identify(account);
    await identities.provision(account, identity);
    return { account, identity };
  };

  test('an account comes with its identity, whole, and is found by issuer and subject alone', async () => {
    const { account, identity } = await provision({ hostedDomain: 'example.com' });
    expect(await identities.find(ISSUER, identity.subject)).toEqual({ identity, account });
    expect(await identities.find('https://other.example', identity.subject)).toBeUndefined();
    expect(await identities.list(account.id)).toEqual([identity]);
  });

  test('an e-mail or an identity that is taken is a Conflict, and leaves nothing behind', async () => {
    const { account, identity } = await provision();
    const late = createAccount({ email: account.email });
    await expect(identities.provision(late, identify(late))).rejects.toThrow(Conflict);
    const other = createAccount();
    await expect(identities.provision(other, identify(other, identity.subject))).rejects.toThrow(Conflict);
    expect([await storage.accounts.find(late.id), await storage.accounts.find(other.id)]).toEqual([undefined, undefined]);
    await expect(identities.link(identify(createAccount(), identity.subject))).rejects.toThrow(Conflict);
  });

  test('of ten accounts for one identity at once, one is made', async () => {
    const subject = createName('subject');
    const made = await Promise.allSettled(Array.from({ length: 10 }, () => {
      const account = createAccount();
      return identities.provision(account, identify(account, subject));
    }));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('an e-mail that is given up is buried: taken for all but who had it, until it is freed', async () => {
    const { account, identity } = await provision();
    const { email } = account;
    await identities.recordUse(account.id, { identity: { ...identity, email: 'moved@example.com' }, account: { email: `moved-${email}` }, at: clock.now() });
    expect([await storage.accounts.findByEmail(email), await identities.findHolder(email)]).toEqual([undefined, account.id]);
    const late = createAccount({ email });
    await expect(identities.provision(late, identify(late))).rejects.toThrow(Conflict);
    await identities.recordUse(account.id, { identity, account: { email }, at: clock.now() });
    expect((await storage.accounts.findByEmail(email))!.id).toBe(account.id);
    expect(await identities.freeEmail(email, 'admin', clock.now())).toBe(true);
    await identities.provision(late, identify(late));
    expect(await storage.accounts.find(account.id)).toMatchObject({ status: 'suspended', email: `${account.id}@released.invalid` });
    expect(await identities.freeEmail('nobody@example.com', 'admin', clock.now())).toBe(false);
  });

  test('a new e-mail that is another’s is a Conflict, and nothing changes', async () => {
    const [one, other] = [await provision(), await provision()];
    await expect(identities.recordUse(one.account.id, { identity: { ...one.identity, email: other.account.email }, account: { email: other.account.email }, at: clock.now() })).rejects.toThrow(Conflict);
    expect(await identities.find(ISSUER, one.identity.subject)).toEqual(one);
  });

  test('a dispute is counted, listed until it is resolved, and resolved by one of ten', async () => {
    const { account } = await provision();
    const dispute = { id: createUuid(clock.now()), email: account.email, issuer: ISSUER, subject: createName('subject'), accountId: account.id };
    for (let tries = 0; tries < 3; tries += 1) await identities.recordDispute({ ...dispute, id: tries === 0 ? dispute.id : createUuid(clock.now()) }, clock.now());
    const find = async () => (await identities.listDisputes()).find(({ id }) => id === dispute.id);
    expect(await find()).toEqual({ ...dispute, firstAt: clock.now(), lastAt: clock.now(), tries: 3 });
    const resolved = await Promise.all(Array.from({ length: 10 }, () => identities.linkDisputed(dispute.id, 'admin', clock.now())));
    expect(resolved.filter((one) => one !== undefined)).toHaveLength(1);
    expect(await find()).toBeUndefined();
    expect((await identities.find(ISSUER, dispute.subject))!.account.id).toBe(account.id);
    expect(await identities.releaseEmail(dispute.id, 'admin', clock.now())).toBeUndefined();
  });

  test('a dispute over an account that is gone cannot be linked, and stays open', async () => {
    const dispute = { id: createUuid(clock.now()), email: `${createName('a')}@example.com`, issuer: ISSUER, subject: createName('subject'), accountId: createUuid(clock.now()) };
    await identities.recordDispute(dispute, clock.now());
    await expect(identities.linkDisputed(dispute.id, 'admin', clock.now())).rejects.toThrow(new Conflict('the account is gone'));
    expect((await identities.listDisputes()).some(({ id }) => id === dispute.id)).toBe(true);
  });

  test('passkeys are listed in order, renamed by their owner alone, and no more are added than may be', async () => {
    const { account } = await provision();
    const [one, two] = [createPasskey(account.id), createPasskey(account.id)];
    expect(await passkeys.add(one, { object: new Uint8Array([1]), clientData: new Uint8Array([2]) }, 2)).toBe(true);
    clock.advance(1000);
    expect(await passkeys.add({ ...two, createdAt: clock.now() }, undefined, 2)).toBe(true);
    expect(await passkeys.add(createPasskey(account.id), undefined, 2)).toBe(false);
    expect((await passkeys.list(account.id)).map(({ id }) => id)).toEqual([one.id, two.id]);
    expect([await passkeys.rename(account.id, one.id, 'Mine'), await passkeys.rename(createUuid(clock.now()), one.id, 'Theirs')]).toEqual([true, false]);
    expect(await storage.accounts.findPasskey(one.id)).toEqual({ ...one, name: 'Mine' });
    await expect(passkeys.add({ ...createPasskey(account.id), id: one.id }, undefined, 20)).rejects.toThrow(Conflict);
  });

  test('of all ways in, removed at once, one is left', async () => {
    const { account, identity } = await provision();
    const keys = Array.from({ length: 4 }, () => createPasskey(account.id));
    for (const key of keys) await passkeys.add(key, undefined, 20);
    const outcomes = await Promise.all([...keys.map(({ id }) => passkeys.remove(account.id, id, WAYS)), identities.unlink(account.id, ISSUER, identity.subject, WAYS)]);
    expect(outcomes.sort()).toEqual(['last_way_in', 'removed', 'removed', 'removed', 'removed']);
  });

  test('an identity whose upstream is not used any more is no way in, and can always go', async () => {
    const { account, identity } = await provision();
    const key = createPasskey(account.id);
    await passkeys.add(key, undefined, 20);
    expect(await passkeys.remove(account.id, key.id, { issuers: [] })).toBe('last_way_in');
    expect(await identities.unlink(account.id, ISSUER, identity.subject, { issuers: [] })).toBe('removed');
    expect(await passkeys.remove(account.id, 'nothing', WAYS)).toBe('not_found');
  });
});
