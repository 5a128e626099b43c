import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { hashValue } from '../../server/crypto/digest.ts';
import { Conflict } from '../../server/lib/errors.ts';
import { createUuid } from '../../server/lib/identifier.ts';
import type { AccountRecord, BrowserSessionRecord, Storage } from '../../server/storage/storage.ts';
import { createName, DRIVERS, OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

const ISSUER = 'https://upstream.example';

describe.each([['embedded', DRIVERS.embedded], ['postgres', DRIVERS.postgres]] as const)('the store of people, %s', (_name, driver) => {
  const clock = createStillClock();
  let storage: Storage;
  beforeAll(async () => {
    storage = await driver.open(clock);
  }, OPENING_MS);
  afterAll(() => storage.close());

  const createAccount = (changes: Partial<AccountRecord> = {}): AccountRecord =>
    ({ id: createUuid(clock.now()), kind: 'person', email: `${createName('a')}@example.com`, isEmailVerified: true, name: 'Ada', role: 'member', status: 'active', createdAt: clock.now(), ...changes });
  /** Somebody who came by an upstream. */
  const provision = async (changes: Partial<AccountRecord> = {}) => {
    const account = createAccount(changes);
    await storage.identities.provision(account, { issuer: ISSUER, subject: createName('subject'), accountId: account.id, email: account.email, linkedAt: clock.now() });
    return account;
  };
  const findAdmins = () => storage.people.list({ role: 'admin', status: 'active', limit: 100 });

  describe('admins', () => {
    let admins: AccountRecord[];
    beforeEach(async () => {
      for (const { id } of await findAdmins()) await storage.people.setRole(id, 'member');
      // The last of the former ones goes once there are others.
      admins = [await provision({ role: 'admin' }), await provision({ role: 'admin' }), await provision({ role: 'admin' }), await provision({ role: 'admin' })];
      const own = new Set(admins.map(({ id }) => id));
      for (const { id } of await findAdmins()) if (!own.has(id)) await storage.people.setRole(id, 'member');
    });

    test('of all, taken away at once in every way, one stays', async () => {
      const [a, b, c, d] = admins as [AccountRecord, AccountRecord, AccountRecord, AccountRecord];
      const outcomes = await Promise.allSettled([storage.people.suspend(a.id, 'x'), storage.people.remove(b.id), storage.people.setRole(c.id, 'member'), storage.identities.freeEmail(d.email, 'x', clock.now())]);
      const refused = outcomes.filter((outcome) => (outcome.status === 'fulfilled' ? outcome.value === 'last_admin' : outcome.reason instanceof Conflict));
      expect(refused).toHaveLength(1);
      expect(await findAdmins()).toHaveLength(1);
    });

    test('the last two never take each other away, however often they try', async () => {
      const [a, b, c, d] = admins as [AccountRecord, AccountRecord, AccountRecord, AccountRecord];
      for (const { id } of [c, d]) await storage.people.setRole(id, 'member');
      for (let round = 0; round < 25; round += 1) {
        expect((await Promise.all([storage.people.suspend(a.id, 'x'), storage.people.suspend(b.id, 'x')])).sort()).toEqual(['changed', 'last_admin']);
        for (const { id } of [a, b]) await storage.people.resume(id);
      }
    });

    test('one who cannot come in by anything does not count', async () => {
      const [last] = admins as [AccountRecord];
      await storage.people.add(createAccount({ role: 'admin' }));
      for (const { id } of admins.slice(1)) expect(await storage.people.suspend(id, 'x')).toBe('changed');
      expect(await storage.people.isLastAdmin(last.id)).toBe(true);
      expect([await storage.people.suspend(last.id, 'x'), await storage.people.remove(last.id), await storage.people.setRole(last.id, 'member')]).toEqual(['last_admin', 'last_admin', 'last_admin']);
    });
  });

  test('suspension says by whom, and who did not suspend does not resume', async () => {
    const { id } = await provision();
    expect([await storage.people.suspend(id, 'admin:x'), await storage.people.suspend(id, 'scim:okta')]).toEqual(['changed', 'unchanged']);
    expect(await storage.accounts.find(id)).toMatchObject({ status: 'suspended', suspendedBy: 'admin:x' });
    expect([await storage.people.resume(id, 'scim:'), await storage.people.resume(id), await storage.people.resume(id)]).toEqual(['unchanged', 'changed', 'unchanged']);
    expect((await storage.accounts.find(id))!.suspendedBy).toBeUndefined();
    // The other way round: an admin's word is set over a directory's, once.
    expect([await storage.people.suspend(id, 'scim:okta'), await storage.people.suspend(id, 'admin:x'), await storage.people.suspend(id, 'admin:y')]).toEqual(['changed', 'changed', 'unchanged']);
    expect(await storage.accounts.find(id)).toMatchObject({ status: 'suspended', suspendedBy: 'admin:x' });
    expect([await storage.people.resume(id, 'scim:'), await storage.people.resume(id)]).toEqual(['unchanged', 'changed']);
  });

  test('what is no person’s account is not found', async () => {
    const service = createAccount({ kind: 'service' });
    await storage.accounts.addService(service);
    for (const id of [service.id, createUuid(clock.now()), 'x', '\u0000']) {
      expect(await Promise.all([storage.people.suspend(id, 'x'), storage.people.resume(id), storage.people.remove(id), storage.people.setRole(id, 'admin')])).toEqual(['not_found', 'not_found', 'not_found', 'not_found']);
      expect(await storage.people.listIn(['example.com'], { id }, { offset: 0, limit: 1 })).toEqual({ total: 0, people: [] });
    }
  });

  test('a removed account’s e-mail is taken for people and services, and its identity free', async () => {
    const account = await provision();
    const identity = (await storage.identities.list(account.id))[0]!;
    expect(await storage.people.remove(account.id)).toBe('changed');
    expect([await storage.accounts.find(account.id), await storage.identities.find(identity.issuer, identity.subject), await storage.accounts.isBuried(account.email)]).toEqual([undefined, undefined, true]);
    await expect(storage.people.add(createAccount({ email: account.email }))).rejects.toThrow(Conflict);
    await expect(storage.accounts.addService(createAccount({ email: account.email, kind: 'service' }))).rejects.toThrow(Conflict);
  });

  test('an account that waits for its owner is one identity’s or one invitation’s, of ten and ten at once', async () => {
    const account = createAccount({ awaitsOwner: true, isEmailVerified: false });
    await storage.people.add(account);
    const claims = Array.from({ length: 10 }, () => storage.identities.claim({ issuer: ISSUER, subject: createName('subject'), accountId: account.id, email: account.email, linkedAt: clock.now() }, { isEmailVerified: true }));
    const acceptances = Array.from({ length: 10 }, async () => {
      const tokenHash = createName('t');
      await storage.accounts.replaceInvitations({ tokenHash, role: 'member', createdAt: clock.now(), expiresAt: clock.in(60_000), email: account.email });
      const passkey = { id: createName('passkey'), accountId: account.id, publicKey: new Uint8Array([1]), counter: 0, transports: [], deviceType: 'singleDevice', isBackedUp: false, aaguid: 'a', name: 'Key', createdAt: clock.now(), keyStorage: 'unknown' as const, attestationFormat: 'none' };
      return storage.accounts.acceptInvitation(tokenHash, account, passkey, clock.now());
    });
    const outcomes = await Promise.allSettled([...claims, ...acceptances]);
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value)).toHaveLength(1);
    const [person] = (await storage.people.list({ after: account.email.slice(0, -1), limit: 1 }));
    expect(person).toMatchObject({ id: account.id, awaitsOwner: undefined });
    expect(person!.passkeys + person!.identities).toBe(1);
  });

  test.each([['suspended', { status: 'suspended' }], ['of another e-mail', {}], ['used', { awaitsOwner: undefined }]] as const)('one that is %s is not claimed', async (what, changes) => {
    const account = createAccount({ awaitsOwner: true, ...changes });
    await storage.people.add(account);
    const email = what === 'of another e-mail' ? 'other@example.com' : account.email;
    const identity = { issuer: ISSUER, subject: createName('subject'), accountId: account.id, email, linkedAt: clock.now() };
    expect(await storage.identities.claim(identity, {})).toBe(false);
    expect(await storage.identities.list(account.id)).toEqual([]);
  });

  test('an open invitation does not lead to an account that waits for somebody', async () => {
    const account = createAccount({ awaitsOwner: true });
    await storage.people.add(account);
    const tokenHash = createName('t');
    await storage.accounts.replaceInvitations({ tokenHash, role: 'member', createdAt: clock.now(), expiresAt: clock.in(60_000) });
    const passkey = { id: createName('passkey'), accountId: account.id, publicKey: new Uint8Array([1]), counter: 0, transports: [], deviceType: 'singleDevice', isBackedUp: false, aaguid: 'a', name: 'Key', createdAt: clock.now(), keyStorage: 'unknown' as const, attestationFormat: 'none' };
    await expect(storage.accounts.acceptInvitation(tokenHash, account, passkey, clock.now())).rejects.toThrow(Conflict);
    expect(await storage.accounts.findOpenInvitation(tokenHash, clock.now())).toBeDefined();
  });

  test('a domain is the whole of what stands after the @', async () => {
    const domain = `${createName('d').replaceAll('_', '-')}.example`;
    const [own, sub, longer] = [createAccount({ email: `a@${domain}` }), createAccount({ email: `a@sub.${domain}` }), createAccount({ email: `a@x${domain}` })];
    for (const account of [own, sub, longer]) await storage.people.add(account);
    expect(await storage.people.listIn([domain], {}, { offset: 0, limit: 10 })).toEqual({ total: 1, people: [own] });
    expect(await storage.people.listIn([], {}, { offset: 0, limit: 10 })).toEqual({ total: 0, people: [] });
  });

  test('a group is a directory’s only where every domain of it is', async () => {
    const domain = `${createName('d').replaceAll('_', '-')}.example`;
    const group = { id: createUuid(clock.now()), name: createName('g'), displayName: 'G', domains: [domain, 'example.com'], createdAt: clock.now() };
    await storage.directoryGroups.add(group);
    const read = async (domains: readonly string[]) => (await storage.directoryGroups.listIn(domains, { id: group.id }, { offset: 0, limit: 1 })).total;
    expect([await read([domain]), await read(['example.com']), await read([domain, 'example.com', 'more.example']), await read([])]).toEqual([0, 0, 1, 0]);
    await expect(storage.directoryGroups.add({ ...group, id: createUuid(clock.now()) })).rejects.toThrow(Conflict);
  });

  test('the end of all sessions of an account takes what was not fetched yet, but for the grants that stay', async () => {
    const [{ id: accountId }, { id: stranger }] = [await provision(), await provision()];
    const [kept, gone] = [createName('grant'), createName('grant')];
    const put = (model: string, id: string, more: object) => storage.durable.put(model, id, { payload: {}, accountId, ...more }, clock.in(60_000));
    const NAMES = [['Grant', hashValue(kept)], ['Grant', hashValue(gone)], ['AuthorizationCode', `${kept}-code`], ['AuthorizationCode', `${gone}-code`], ['SignInMark', `${gone}-mark`], ['Grant', `${gone}-theirs`]] as const;
    await put('Grant', hashValue(kept), {});
    await put('Grant', hashValue(gone), {});
    await put('AuthorizationCode', `${kept}-code`, { grantId: kept });
    await put('AuthorizationCode', `${gone}-code`, { grantId: gone });
    await put('SignInMark', `${gone}-mark`, {});
    await put('Grant', `${gone}-theirs`, { accountId: stranger });
    for (const grantId of [kept, gone]) await storage.sessions.note({ grantId, accountId, clientId: 'c', startedAt: clock.now(), usedAt: clock.now(), endsAt: clock.in(60_000), ip: undefined, userAgent: undefined });
    const left = async () => (await Promise.all(NAMES.map(([model, id]) => storage.durable.find(model, id)))).map((found) => found !== undefined);
    expect(await storage.sessions.endAll(accountId, 'person', clock.now(), [kept])).toBe(1);
    expect(await left()).toEqual([true, false, true, false, false, true]);
    expect((await storage.sessions.list(accountId, clock.now(), 'living')).map(({ grantId }) => grantId)).toEqual([kept]);
    expect((await storage.sessions.list(accountId, clock.now(), 'ended')).map(({ grantId, endedBy }) => [grantId, endedBy])).toEqual([[gone, 'person']]);
    expect(await storage.sessions.endAll(accountId.toUpperCase(), 'admin', clock.now(), [])).toBe(1);
    expect(await left()).toEqual([false, false, false, false, false, true]);
  });

  describe('browser sessions', () => {
    const store = () => storage.browserSessions;
    const at = (now = clock.now(), usedAfter = new Date(0)) => ({ now, usedAfter });
    const create = async (changes: Partial<BrowserSessionRecord> = {}): Promise<BrowserSessionRecord> => ({
      id: createName('browser'), accountId: changes.accountId ?? (await provision()).id, authenticatedAt: clock.now(), startedAt: clock.now(), usedAt: clock.now(), endsAt: clock.in(60_000), ip: '192.0.2.1', userAgent: 'a\u00e4', ...changes,
    });

    test('keeps one, says when it was used again, and lets it last no longer for that', async () => {
      const session = await create();
      expect(await store().note(session)).toBe(true);
      expect(await store().find(session.id, at())).toEqual(session);
      const again = { ...session, startedAt: clock.in(5_000), usedAt: clock.in(5_000), endsAt: clock.in(65_000), ip: undefined, userAgent: undefined };
      expect(await store().note(again)).toBe(true);
      expect(await store().find(session.id, at())).toEqual({ ...session, usedAt: clock.in(5_000), ip: undefined, userAgent: undefined });
    });

    test('who shows anew who they are begins it anew', async () => {
      const session = await create();
      await store().note(session);
      const again = { ...session, authenticatedAt: clock.in(5_000), startedAt: clock.in(5_000), usedAt: clock.in(5_000), endsAt: clock.in(65_000) };
      expect(await store().note(again)).toBe(true);
      expect(await store().find(session.id, at())).toEqual(again);
    });

    test('one that has ended is not found, and no use brings it back, of any number at once', async () => {
      const session = await create();
      await store().note(session);
      const { accountId, id } = session;
      expect(await store().end(accountId, id, 'person', clock.now())).toBe(true);
      const notes = await Promise.all(Array.from({ length: 10 }, () => store().note({ ...session, authenticatedAt: clock.in(1_000) })));
      expect(notes).toEqual(notes.map(() => false));
      expect([await store().find(id, at()), await store().list(accountId, at()), await store().end(accountId, id, 'admin', clock.now())]).toEqual([undefined, [], false]);
    });

    test('is found until its exact end', async () => {
      const session = await create();
      await store().note(session);
      expect([await store().find(session.id, at(clock.in(59_999))), await store().find(session.id, at(clock.in(60_000)))]).toEqual([session, undefined]);
    });

    test('is found while it was used late enough', async () => {
      const session = await create();
      await store().note(session);
      const found = async (usedAfter: Date) => [await store().find(session.id, at(clock.now(), usedAfter)), ...(await store().list(session.accountId, at(clock.now(), usedAfter)))];
      expect([await found(clock.in(-1)), await found(clock.now())]).toEqual([[session, session], [undefined]]);
    });

    test('is its account’s alone: another notes it and ends it in vain', async () => {
      const session = await create();
      await store().note(session);
      const { id: accountId } = await provision();
      expect([await store().note({ ...session, accountId }), await store().end(accountId, session.id, 'person', clock.now()), await store().endAll(accountId, 'admin', clock.now(), [])]).toEqual([false, false, 0]);
      expect(await store().find(session.id, at())).toEqual(session);
    });

    test('ends all but some, and with the account', async () => {
      const { id: accountId } = await provision();
      const [one, two, kept] = [await create({ accountId }), await create({ accountId }), await create({ accountId, usedAt: clock.in(-1_000) })];
      for (const session of [one, two, kept]) await store().note(session);
      expect((await store().list(accountId, at())).at(-1)).toEqual(kept);
      expect(await store().endAll(accountId, 'person', clock.now(), [kept.id, 'x'])).toBe(2);
      expect(await store().list(accountId, at())).toEqual([kept]);
      await storage.people.remove(accountId);
      expect(await store().find(kept.id, at())).toBeUndefined();
      expect(await store().note(kept)).toBe(false);
    });

    test('is forgotten thirty days after its end', async () => {
      const session = await create();
      await store().note(session);
      clock.advance(60_000 + 30 * 86_400_000 - 1);
      await storage.purge();
      expect(await store().find(session.id, at(new Date(session.endsAt.getTime() - 1)))).toEqual(session);
      clock.advance(1);
      await storage.purge();
      expect(await store().find(session.id, at(new Date(session.endsAt.getTime() - 1)))).toBeUndefined();
    });
  });
});
