import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { askAdmin, getAdminToken, type AdminAnswer } from '../support/admin_token.ts';
import { createBrowser, enrol } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';

/* The life of people's accounts by the admin API: who comes in, who goes, and what is left of them. */

let issuer: TestIssuer;
let ask: (path: string, body?: object) => Promise<AdminAnswer>;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_HOSTED_DOMAINS: 'example.com' });
  const token = await getAdminToken(issuer.url, await issuer.createPerson('admin@example.com'));
  ask = (path, body) => askAdmin(issuer.url, token, path, body);
});
afterAll(() => issuer.close());

let serial = 0;
const newEmail = () => `person${(serial += 1)}@example.com`;
const come = async (link: string, email: string) => {
  const [browser, passkey] = [createBrowser(issuer.url), createSoftwarePasskey({ origin: issuer.url })];
  await enrol(browser, link, { email, name: 'Person' }, passkey);
  return { email, browser, passkey };
};
const invite = async (email: string, more: object = {}) => (await ask('/invitations', { email, ...more })).body as { link: string; expires_at: string };
const hire = async (more: object = {}) => {
  const email = newEmail();
  return come((await invite(email, more)).link, email);
};
const find = async (email: string) => ((await ask('/accounts?limit=500')).body.accounts as { email: string }[]).find((account) => account.email === email);

describe('an invitation', () => {
  test('brings in the person it is for, by that address alone, and works once', async () => {
    const email = newEmail();
    const { body, status } = await ask('/invitations', { email: email.toUpperCase(), expires_in_seconds: 3600 });
    expect({ status, body }).toMatchObject({ status: 200, body: { email, role: 'member', link: expect.stringMatching(/\/login\/enrol\/[\w-]{43}$/) } });
    expect(new Date(body.expires_at as string).getTime() - issuer.clock.now().getTime()).toBeGreaterThan(3590_000);
    const page = await (await createBrowser(issuer.url).get(body.link as string)).text();
    expect(page).toContain(`value="${email}"`);
    expect(page).toContain('readonly');
    // What is typed in its place does not count.
    await come(body.link as string, 'ceo@example.com');
    expect(await find(email)).toMatchObject({ role: 'member', status: 'active', passkeys: 1, awaits_owner: false });
    expect(await find('ceo@example.com')).toBeUndefined();
    await expect(come(body.link as string, email)).rejects.toThrow('invitation_over');
  });

  test('an earlier one for the same address ends, others do not; and the link is on record nowhere', async () => {
    const [email, other] = [newEmail(), newEmail()];
    const [first, elsewhere, second] = [await invite(email), await invite(other), await invite(email, { role: 'admin' })];
    await expect(come(first.link, email)).rejects.toThrow('invitation_over');
    await come(elsewhere.link, other);
    await come(second.link, email);
    expect(await find(email)).toMatchObject({ role: 'admin' });
    await issuer.app.people.setRole((await issuer.app.accounts.lookUp(email))!.id, 'member');
    const secret = second.link.split('/').at(-1)!;
    const record = await query(issuer.databaseUrl, "SELECT * FROM audit_rows WHERE event = 'account.invite'");
    expect(record.length).toBeGreaterThan(2);
    expect(JSON.stringify([record, issuer.logged, await query(issuer.databaseUrl, 'SELECT * FROM invitations')])).not.toContain(secret);
  });

  test('is over in its time', async () => {
    const email = newEmail();
    const { link } = await invite(email, { expires_in_seconds: 300 });
    issuer.clock.advance(301);
    try {
      await expect(come(link, email)).rejects.toThrow('invitation_over');
    } finally {
      issuer.clock.advance(-301);
    }
  });

  test.each([
    ['no address', { email: undefined }, 400, /email is required/], ['what is no address', { email: 'ada' }, 400, /Enter an e-mail/], ['another role', { role: 'owner' }, 400, /role is admin or member/],
    ['too short a time', { expires_in_seconds: 10 }, 400, /300 at least/], ['too long a time', { expires_in_seconds: 99_999_999 }, 400, /at most/], ['more than is asked for', { account: 'x' }, 400, /account/i],
    ['the address of an account', { email: 'admin@example.com' }, 409, /has an account already/],
  ])('with %s is refused', async (_what, fields, status, sentence) => {
    expect(await ask('/invitations', { email: newEmail(), ...fields })).toMatchObject({ status, body: { error_description: expect.stringMatching(sentence) } });
  });

  test('with an address that was another account’s is refused until it is freed', async () => {
    const { email } = await hire();
    await ask('/accounts/remove', { account: email });
    expect(await ask('/invitations', { email })).toMatchObject({ status: 409, body: { error_description: expect.stringContaining('free it first') } });
    expect(await ask('/service-accounts', { subject: email, name: 'Robot', jwks_uri: 'https://jobs.example.com/jwks' })).toMatchObject({ status: 409, body: { error_description: expect.stringContaining('is, or was, the subject of another account') } });
    expect(await ask('/disputes/free', { email: email.toUpperCase() })).toMatchObject({ status: 200, body: { freed: email } });
    expect((await ask('/invitations', { email })).status).toBe(200);
    expect((await ask('/disputes/free', { email: 'nobody@example.com' })).status).toBe(404);
  });
});

describe('suspension', () => {
  test('ends the sessions and every way in at once; a resumed account begins anew', async () => {
    const person = await hire();
    const session = await signIn(issuer.url, person);
    expect((await person.browser.get(`${issuer.url}/login/account`)).status).toBe(200);
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).status).toBe(200);
    expect(await ask('/accounts/suspend', { account: person.email })).toMatchObject({ status: 200, body: { is_changed: true, account: { status: 'suspended', suspended_by: expect.stringMatching(/^admin:/) } } });
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).status).toBe(400);
    expect((await person.browser.get(`${issuer.url}/login/account`)).status).toBe(303);
    await expect(signIn(issuer.url, person)).rejects.toThrow('account_closed');
    expect(await ask('/accounts/suspend', { account: person.email })).toMatchObject({ body: { is_changed: false } });
    expect(await ask('/accounts/resume', { account: person.email })).toMatchObject({ body: { is_changed: true, account: { status: 'active', suspended_by: null } } });
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).status).toBe(400);
    expect((await signIn(issuer.url, person)).access_token).toEqual(expect.any(String));
    expect(await ask('/accounts/resume', { account: person.email })).toMatchObject({ body: { is_changed: false } });
  });

  test('a session that came in between is over before the account is open again', async () => {
    const person = await hire();
    const { id } = (await issuer.app.accounts.lookUp(person.email))!;
    const session = await signIn(issuer.url, person);
    await query(issuer.databaseUrl, "UPDATE accounts SET status = 'suspended' WHERE id = $1", [id]);
    await ask('/accounts/resume', { account: id });
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).status).toBe(400);
  });
});

describe('removal', () => {
  test('takes the account and all that hangs on it; the record and the tombstone stay', async () => {
    const person = await hire();
    const { id } = (await issuer.app.accounts.lookUp(person.email))!;
    const session = await signIn(issuer.url, person);
    await postToken(issuer.url, exchangeForm(session.access_token));
    await issuer.app.accounts.groups.add('gone');
    await issuer.app.accounts.groups.addMember('gone', id);
    expect(await ask('/accounts/remove', { account: id })).toMatchObject({ status: 200, body: { removed: { id, email: person.email } } });
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).status).toBe(400);
    await expect(signIn(issuer.url, person)).rejects.toThrow('passkey_unknown');
    expect([await find(person.email), (await issuer.app.accounts.groups.get('gone')).memberIds]).toEqual([undefined, []]);
    expect((await ask(`/audit?account=${id}`)).body.rows.length).toBeGreaterThan(1);
    expect(await query(issuer.databaseUrl, 'SELECT account_id, released_at FROM email_tombstones WHERE email = $1', [person.email])).toEqual([{ account_id: id, released_at: null }]);
    expect((await ask('/accounts/remove', { account: id })).status).toBe(404);
  });
});

describe('the last admin', () => {
  test('is neither suspended, removed, demoted, nor freed of their e-mail, and says why', async () => {
    const account = 'admin@example.com';
    for (const [path, body] of [['/accounts/suspend', { account }], ['/accounts/remove', { account }], ['/accounts/role', { account, role: 'member' }], ['/disputes/free', { email: account }]] as const) {
      expect(await ask(path, body)).toMatchObject({ status: 409, body: { error: 'conflict', error_description: expect.stringContaining('last admin who can sign in') } });
    }
    expect(await find(account)).toMatchObject({ role: 'admin', status: 'active' });
    // One whom nobody could come in by is no other.
    const idle = newEmail();
    await query(issuer.databaseUrl, "INSERT INTO accounts (id, kind, email, email_verified, name, role, status, created_at) VALUES (gen_random_uuid(), 'person', $1, false, 'Idle', 'admin', 'active', now())", [idle]);
    expect((await ask('/accounts/suspend', { account })).status).toBe(409);
    await query(issuer.databaseUrl, 'DELETE FROM accounts WHERE email = $1', [idle]);
  });

  test('a role changes at once, both ways', async () => {
    const person = await hire();
    const token = () => getAdminToken(issuer.url, person);
    expect((await askAdmin(issuer.url, await token(), '/accounts')).status).toBe(403);
    expect(await ask('/accounts/role', { account: person.email, role: 'admin' })).toMatchObject({ body: { is_changed: true, account: { role: 'admin' } } });
    const held = await token();
    expect((await askAdmin(issuer.url, held, '/accounts')).status).toBe(200);
    expect(await ask('/accounts/role', { account: person.email, role: 'admin' })).toMatchObject({ body: { is_changed: false } });
    await ask('/accounts/role', { account: person.email, role: 'member' });
    expect((await askAdmin(issuer.url, held, '/accounts')).status).toBe(403);
  });

  test('an account that nobody has come in by is made no admin', async () => {
    const { id } = (await issuer.app.accounts.lookUp('admin@example.com'))!;
    const { token } = await issuer.app.scimTokens.add({ name: 'role', domains: [], scopes: ['users:write'], expiresInDays: 1, createdBy: id });
    const userName = newEmail();
    await fetch(`${issuer.url}/scim/v2/Users`, { method: 'POST', headers: { authorization: `Bearer ${token.reveal()}`, 'content-type': 'application/scim+json' }, body: JSON.stringify({ userName }) });
    expect(await find(userName)).toMatchObject({ awaits_owner: true });
    expect(await ask('/accounts/role', { account: userName, role: 'admin' })).toMatchObject({ status: 409, body: { error_description: expect.stringContaining('nobody has signed in to this account yet') } });
    // By an invitation for that address it is its owner's, and an admin's.
    await come((await invite(userName, { role: 'admin' })).link, userName);
    expect(await find(userName)).toMatchObject({ awaits_owner: false, role: 'admin', passkeys: 1 });
    await ask('/accounts/role', { account: userName, role: 'member' });
  });
});

describe('what is asked', () => {
  test.each([
    ['/accounts/suspend', { account: 'nobody@example.com' }, 404], ['/accounts/suspend', {}, 400], ['/accounts/suspend', { account: 'x'.repeat(129) }, 400], ['/accounts/role', { account: 'admin@example.com' }, 400],
    ['/accounts/role', { account: 'admin@example.com', role: 'root' }, 400], ['/disputes/release', { dispute: 'x' }, 400], ['/disputes/release', { dispute: '01890000-0000-7000-8000-000000000000' }, 404],
    ['/disputes/link', { dispute: '01890000-0000-7000-8000-000000000000' }, 404], ['/scim-tokens', { name: 'A b' }, 400], ['/scim-tokens', { name: 'a', domains: ['elsewhere.example'] }, 400],
    ['/scim-tokens', { name: 'a', scopes: ['users:admin'] }, 400], ['/scim-tokens', { name: 'a', scopes: [] }, 400], ['/scim-tokens', { name: 'a', expires_in_days: 10_000 }, 400], ['/scim-tokens/revoke', { name: 'nothing' }, 404],
  ])('%s %j is refused with %i', async (path, body, status) => {
    expect((await ask(path, body)).status).toBe(status);
  });

  test('a service account is nobody’s whom these concern', async () => {
    await issuer.app.accounts.services.add({ subject: 'robot@example.com', name: 'Robot', ownerId: (await issuer.app.accounts.lookUp('admin@example.com'))!.id });
    for (const path of ['/accounts/suspend', '/accounts/remove']) expect(await ask(path, { account: 'robot@example.com' })).toMatchObject({ status: 400, body: { error: 'is_service' } });
    expect(await ask('/disputes/free', { email: 'robot@example.com' })).toMatchObject({ status: 400, body: { error: 'is_service' } });
  });

  test('changes take the scope and a fresh sign-in, and each is on record before it is done', async () => {
    const admin = await issuer.createPerson(newEmail());
    const weak = await getAdminToken(issuer.url, admin, 'openid accounts:read');
    expect((await askAdmin(issuer.url, weak, '/accounts')).status).toBe(200);
    for (const path of ['/accounts/suspend', '/accounts/remove', '/accounts/role', '/invitations', '/disputes/free', '/scim-tokens']) expect((await askAdmin(issuer.url, weak, path, {})).body.error).toBe('insufficient_scope');
    const { email } = await hire();
    await ask('/accounts/suspend', { account: email });
    expect((await query(issuer.databaseUrl, "SELECT detail FROM audit_rows WHERE event = 'account.suspend' AND kind = 'admin' ORDER BY at DESC LIMIT 1"))[0]!.detail).toContain(email);
  });

  test('the list goes on where it stopped, and can be narrowed', async () => {
    const all = (await ask('/accounts?limit=500')).body.accounts as { email: string }[];
    const read: { email: string }[] = [];
    for (let next: string | null = ''; next !== null;) {
      const { body } = await ask(`/accounts?limit=2${next === '' ? '' : `&after=${encodeURIComponent(next)}`}`);
      read.push(...(body.accounts as typeof read));
      next = body.next as string | null;
    }
    expect(read).toEqual(all);
    expect(((await ask('/accounts?status=suspended')).body.accounts as { status: string }[]).every(({ status }) => status === 'suspended')).toBe(true);
    expect(((await ask('/accounts?role=admin')).body.accounts as { role: string }[]).every(({ role }) => role === 'admin')).toBe(true);
    for (const search of ['limit=0', 'limit=501', 'limit=x', 'status=gone', 'role=root', 'other=1', 'limit=1&limit=2']) expect((await ask(`/accounts?${search}`)).status).toBe(400);
  });
});

test('a SCIM token is shown once, and listed without what it is known by', async () => {
  const { status, body } = await ask('/scim-tokens', { name: 'okta' });
  expect({ status, body }).toMatchObject({ status: 200, body: { url: `${issuer.url}/scim/v2`, token: expect.stringMatching(/^vouch_scim_[0-9a-f]{32}_[\w-]{43}$/), scim_token: { name: 'okta', domains: ['example.com'], scopes: ['users:read', 'users:write', 'groups:read', 'groups:write'], created_by: 'admin@example.com', last_used_at: null } } });
  const listed = await ask('/scim-tokens');
  expect((listed.body.scim_tokens as { name: string }[]).map(({ name }) => name)).toContain('okta');
  expect(JSON.stringify([listed.body, issuer.logged, await query(issuer.databaseUrl, 'SELECT * FROM audit_rows')])).not.toContain((body.token as string).slice(44));
  expect((await ask('/scim-tokens', { name: 'okta' })).status).toBe(409);
  expect(await ask('/scim-tokens/revoke', { name: 'okta' })).toMatchObject({ status: 200, body: { revoked: 'okta' } });
  expect((await ask('/scim-tokens/revoke', { name: 'okta' })).status).toBe(404);
});
