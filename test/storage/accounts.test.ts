import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Conflict } from '../../server/lib/errors.ts';
import { createUuid } from '../../server/lib/identifier.ts';
import type { AccountRecord, AccountStore, InvitationRecord, PasskeyRecord, Storage } from '../../server/storage/storage.ts';
import { createName, DRIVERS, OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

const HOUR = 3_600_000;

describe.each([['embedded', DRIVERS.embedded], ['postgres', DRIVERS.postgres]] as const)('the account store, %s', (_name, driver) => {
  const clock = createStillClock();
  let storage: Storage;
  let store: AccountStore;
  let tokenHash: string;
  beforeAll(async () => {
    storage = await driver.open(clock);
    store = storage.accounts;
  }, OPENING_MS);
  afterAll(() => storage.close());
  beforeEach(async () => {
    tokenHash = await invite('member');
  });

  async function invite(role: AccountRecord['role'], expiresAt = clock.in(HOUR)): Promise<string> {
    const invitation: InvitationRecord = { tokenHash: createName('token'), role, createdAt: clock.now(), expiresAt };
    await store.replaceInvitations(invitation);
    return invitation.tokenHash;
  }

  const createAccount = (changes: Partial<AccountRecord> = {}): AccountRecord =>
    ({ id: createUuid(clock.now()), kind: 'person', email: `${createName('a')}@example.com`, isEmailVerified: false, name: 'Ada', role: 'member', status: 'active', createdAt: clock.now(), ownerId: undefined, ...changes });
  const createPasskey = (accountId: string, changes: Partial<PasskeyRecord> = {}): PasskeyRecord =>
    ({ id: createName('passkey'), accountId, publicKey: new Uint8Array([1, 2, 255]), counter: 0, transports: ['internal', 'hybrid'], deviceType: 'multiDevice', isBackedUp: true, aaguid: 'a', name: 'Phone', createdAt: clock.now(), keyStorage: 'unknown', attestationFormat: 'none', ...changes });
  const accept = (hash: string, account = createAccount(), passkey = createPasskey(account.id)) => store.acceptInvitation(hash, account, passkey, clock.now());

  test('an accepted invitation gives the account and the passkey, whole', async () => {
    const account = createAccount();
    const passkey = createPasskey(account.id, { counter: 2 ** 32 - 1 });
    expect(await accept(tokenHash, account, passkey)).toBe(true);
    expect(await store.find(account.id)).toEqual({ ...account, groups: [] });
    expect(await store.findByEmail(account.email)).toEqual(account);
    expect(await store.findPasskey(passkey.id)).toEqual(passkey);
    expect(await store.findInvitee(tokenHash)).toEqual(account);
    expect(await store.findOpenInvitation(tokenHash, clock.now())).toBeUndefined();
  });

  test('the holder of a token is the account and its grant, each as it stands, whichever are asked at once', async () => {
    const account = createAccount();
    await accept(tokenHash, account);
    const [grant, ended] = [createName('grant'), createName('grant')];
    await storage.durable.put('Grant', grant, { payload: { exp: 4_000_000_000 } }, undefined);
    const found = await Promise.all([
      store.findHolder(account.id, grant), store.findHolder(account.id, ended), store.findHolder(account.id, undefined), store.findHolder(account.id.toUpperCase(), grant),
      store.findHolder(createUuid(clock.now()), grant), store.findHolder('nobody', grant), store.findHolder(account.id, 'a"quoted",{one}'),
    ]);
    const whole = { ...account, groups: [] };
    expect(found).toEqual([
      { account: whole, grantEndsAt: 4_000_000_000 }, { account: whole, grantEndsAt: undefined }, { account: whole, grantEndsAt: undefined }, { account: whole, grantEndsAt: 4_000_000_000 },
      { account: undefined, grantEndsAt: 4_000_000_000 }, { account: undefined, grantEndsAt: undefined }, { account: whole, grantEndsAt: undefined },
    ]);
  });

  test('an invitation is accepted by one of 20 at once, each with an e-mail of its own', async () => {
    const accounts = Array.from({ length: 20 }, () => createAccount());
    const won = await Promise.all(accounts.map((account) => accept(tokenHash, account)));
    expect(won.filter(Boolean)).toHaveLength(1);
    const found = await Promise.all(accounts.map(({ id }) => store.find(id)));
    expect(found.map((account) => account !== undefined)).toEqual(won);
    expect(await store.findInvitee(tokenHash)).toEqual(accounts[won.indexOf(true)]);
    expect(await accept(tokenHash)).toBe(false);
  });

  test('an e-mail that is taken is a Conflict, and leaves the invitation open and nothing behind', async () => {
    const { email } = await acceptAnother();
    const late = createAccount({ email });
    const passkey = createPasskey(late.id);
    await expect(accept(tokenHash, late, passkey)).rejects.toThrow(new Conflict('the e-mail has an account'));
    expect([await store.find(late.id), await store.findPasskey(passkey.id), await store.findInvitee(tokenHash)]).toEqual([undefined, undefined, undefined]);
    expect(await store.findOpenInvitation(tokenHash, clock.now())).toBeDefined();
    expect(await accept(tokenHash)).toBe(true);
  });

  test('a passkey that is taken is a Conflict, and leaves the invitation open and nothing behind', async () => {
    const { passkeyId } = await acceptAnother();
    const late = createAccount();
    await expect(accept(tokenHash, late, createPasskey(late.id, { id: passkeyId }))).rejects.toThrow(Conflict);
    expect([await store.find(late.id), await store.findByEmail(late.email)]).toEqual([undefined, undefined]);
    expect(await store.findOpenInvitation(tokenHash, clock.now())).toBeDefined();
  });

  test('one e-mail by two invitations at once: one is accepted, the other is a Conflict and stays open', async () => {
    const other = await invite('admin');
    const email = `${createName('a')}@example.com`;
    const outcomes = await Promise.allSettled([accept(tokenHash, createAccount({ email })), accept(other, createAccount({ email }))]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const lost = outcomes.findIndex(({ status }) => status === 'rejected');
    expect((outcomes[lost] as PromiseRejectedResult).reason).toBeInstanceOf(Conflict);
    const open = await Promise.all([tokenHash, other].map((hash) => store.findOpenInvitation(hash, clock.now())));
    expect(open.map((invitation) => invitation !== undefined)).toEqual([0, 1].map((index) => index === lost));
  });

  test('an invitation ends at its exact millisecond', async () => {
    const hash = await invite('admin', clock.in(HOUR));
    clock.advance(HOUR - 1);
    expect(await store.findOpenInvitation(hash, clock.now())).toMatchObject({ tokenHash: hash, role: 'admin' });
    clock.advance(1);
    expect(await store.findOpenInvitation(hash, clock.now())).toBeUndefined();
    expect(await accept(hash)).toBe(false);
  });

  test('a new invitation ends earlier ones of its role that nobody accepted, and no others', async () => {
    const [admin, accepted] = [await invite('admin'), tokenHash];
    await accept(accepted);
    const [earlier, later] = [await invite('member'), await invite('member')];
    const isOpen = async (hash: string) => (await store.findOpenInvitation(hash, clock.now())) !== undefined;
    expect(await Promise.all([earlier, later, admin].map(isOpen))).toEqual([false, true, true]);
    expect(await accept(earlier)).toBe(false);
    expect(await store.findInvitee(accepted)).toBeDefined();
  });

  test('of ten invitations at once, one is left open', async () => {
    const hashes = await Promise.all(Array.from({ length: 10 }, () => invite('member')));
    const open = await Promise.all(hashes.map((hash) => store.findOpenInvitation(hash, clock.now())));
    expect(open.filter((invitation) => invitation !== undefined)).toHaveLength(1);
  });

  test('the use of a passkey is recorded by one of 20 at once, and only from the counter that was seen', async () => {
    const { passkeyId } = await acceptAnother();
    const use = (from: number, to: number, isBackedUp = false) => store.recordPasskeyUse(passkeyId, { from, to, isBackedUp, at: clock.now() });
    const won = await Promise.all(Array.from({ length: 20 }, () => use(0, 7)));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await use(6, 8, true)).toBe(false);
    expect(await store.findPasskey(passkeyId)).toMatchObject({ counter: 7, isBackedUp: false });
    expect(await use(7, 8, true)).toBe(true);
    expect(await store.findPasskey(passkeyId)).toMatchObject({ counter: 8, isBackedUp: true });
    expect(await store.recordPasskeyUse('nobody', { from: 0, to: 1, isBackedUp: false, at: clock.now() })).toBe(false);
  });

  test('there is an admin once one has enrolled, and not while all are suspended', async () => {
    const fresh = await driver.open(clock);
    const enrol = async (changes: Partial<AccountRecord>) => {
      const hash = createName('token');
      await fresh.accounts.replaceInvitations({ tokenHash: hash, role: 'admin', createdAt: clock.now(), expiresAt: clock.in(HOUR) });
      const account = createAccount(changes);
      await fresh.accounts.acceptInvitation(hash, account, createPasskey(account.id), clock.now());
    };
    expect(await fresh.accounts.hasAdmin()).toBe(false);
    await enrol({ role: 'member' });
    await enrol({ role: 'admin', status: 'suspended' });
    expect(await fresh.accounts.hasAdmin()).toBe(false);
    await enrol({ role: 'admin' });
    expect(await fresh.accounts.hasAdmin()).toBe(true);
    await fresh.close();
  }, OPENING_MS);

  /** Somebody who is there already. */
  async function acceptAnother(): Promise<{ email: string; passkeyId: string }> {
    const hash = await invite('admin');
    const account = createAccount();
    const passkey = createPasskey(account.id);
    await accept(hash, account, passkey);
    return { email: account.email, passkeyId: passkey.id };
  }
});
