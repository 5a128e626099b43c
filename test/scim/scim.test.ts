import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { askAdmin, getAdminToken } from '../support/admin_token.ts';
import { createBrowser, enrol } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { createScimClient, patchOf, type ScimClient } from '../support/scim_client.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';

/* A directory over HTTP, against the whole issuer: what it may, what it may not, and that what it ends is over at once. */

let issuer: TestIssuer;
let admin: Awaited<ReturnType<TestIssuer['createPerson']>>;
let okta: ScimClient;
/** Of another of the company's domains. */
let other: ScimClient;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_HOSTED_DOMAINS: 'example.com other.example' });
  admin = await issuer.createPerson('admin@example.com');
  okta = await connect('okta', ['example.com']);
  other = await connect('other', ['other.example']);
});
afterAll(() => issuer.close());

async function makeToken(name: string, domains: readonly string[], scopes: readonly string[] = ['users:read', 'users:write', 'groups:read', 'groups:write'], expiresInDays = 1) {
  const { id } = (await issuer.app.accounts.lookUp('admin@example.com'))!;
  const { token } = await issuer.app.scimTokens.add({ name, domains, scopes: scopes as never, expiresInDays, createdBy: id });
  return token.reveal();
}
const connect = async (...args: Parameters<typeof makeToken>) => createScimClient(issuer.url, await makeToken(...args));

let serial = 0;
const newEmail = (domain = 'example.com') => `person${(serial += 1)}@${domain}`;
const addUser = async (scim = okta, fields: object = {}) => {
  const answer = await scim('POST', '/Users', { schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName: newEmail(), ...fields });
  if (answer.status !== 201) throw new Error(`no user: ${JSON.stringify(answer.body)}`);
  return answer.body as { id: string; userName: string; active: boolean };
};
/** Somebody who is enrolled and uses the issuer. */
const hire = async () => {
  const email = newEmail();
  const [browser, passkey] = [createBrowser(issuer.url), createSoftwarePasskey({ origin: issuer.url })];
  await enrol(browser, `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'Hired' }, passkey);
  return { email, browser, passkey, id: (await issuer.app.accounts.lookUp(email))!.id };
};
const readAudit = (event: string) => query(issuer.databaseUrl, 'SELECT * FROM audit_rows WHERE event = $1 ORDER BY at DESC, seq DESC', [event]);
const expectError = (answer: { status: number; body: object }, status: number, scimType: string | undefined, detail: string | RegExp) => {
  expect(answer).toMatchObject({ status, body: { schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'], status: String(status), detail: expect.stringMatching(detail) } });
  expect((answer.body as { scimType?: string }).scimType).toBe(scimType);
};

describe('who may', () => {
  test('nobody without a token, with a wrong one, with a session’s, or with the token of an admin', async () => {
    const session = await signIn(issuer.url, admin);
    for (const token of [undefined, 'nonsense', `vouch_scim_${'0'.repeat(32)}_${'A'.repeat(43)}`, session.access_token, await getAdminToken(issuer.url, admin)]) {
      const answer = await createScimClient(issuer.url, token)('GET', '/Users');
      expectError(answer, 401, undefined, token === undefined ? 'send a SCIM token' : 'unknown, revoked or expired');
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
  });

  test('not with the secret of another token, nor one character off', async () => {
    const [one, two] = [await makeToken('mixed-one', ['example.com']), await makeToken('mixed-two', ['example.com'])];
    const mixed = one.slice(0, 44) + two.slice(44);
    for (const token of [mixed, `${one.slice(0, -1)}${one.endsWith('A') ? 'B' : 'A'}`]) expect((await createScimClient(issuer.url, token)('GET', '/Users')).status).toBe(401);
    expect((await createScimClient(issuer.url, one)('GET', '/Users')).status).toBe(200);
  });

  test.each([
    ['users:write', 'GET', '/Users', 'users:read'], ['users:read', 'POST', '/Users', 'users:write'], ['users:read', 'PATCH', '/Users/x', 'users:write'], ['users:read', 'PUT', '/Users/x', 'users:write'],
    ['users:read', 'DELETE', '/Users/x', 'users:write'], ['users:write', 'GET', '/Groups', 'groups:read'], ['users:write', 'POST', '/Groups', 'groups:write'], ['groups:read', 'DELETE', '/Groups/x', 'groups:write'],
  ])('a token with %s alone is refused %s %s, and that is on record', async (scope, method, path, missing) => {
    const name = `scope-${(serial += 1)}`;
    const scim = await connect(name, ['example.com'], [scope]);
    const answer = await scim(method, path, method === 'GET' || method === 'DELETE' ? undefined : { userName: newEmail(), displayName: 'X' });
    expectError(answer, 403, undefined, `lacks the scope ${missing}`);
    expect(answer.headers.get('www-authenticate')).toContain(`scope="${missing}"`);
    for (let look = 0; look < 50 && (await query(issuer.databaseUrl, "SELECT 1 FROM audit_rows WHERE kind = 'refusal' AND client_id = $1", [`scim:${name}`])).length === 0; look += 1) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await query(issuer.databaseUrl, "SELECT code FROM audit_rows WHERE kind = 'refusal' AND client_id = $1", [`scim:${name}`])).toEqual([{ code: '403' }]);
  });

  test('a token that is revoked, or has expired, opens nothing; what is kept of it is a hash', async () => {
    const token = await makeToken('short', ['example.com']);
    const scim = createScimClient(issuer.url, token);
    expect((await scim('GET', '/Users?count=0')).status).toBe(200);
    issuer.clock.advance(86_401);
    try {
      expect((await scim('GET', '/Users?count=0')).status).toBe(401);
    } finally {
      issuer.clock.advance(-86_401);
    }
    const [row] = await query(issuer.databaseUrl, "SELECT * FROM scim_tokens WHERE name = 'short'");
    expect(JSON.stringify(row)).not.toContain(token.slice(44));
    expect(row!.last_used_at).toBeInstanceOf(Date);
    await issuer.app.scimTokens.revoke('short');
    expect((await scim('GET', '/Users?count=0')).status).toBe(401);
    expect(JSON.stringify(issuer.logged)).not.toContain(token.slice(44));
  });

  test('one tenant’s token finds, changes and ends nothing of another’s, and no service account', async () => {
    const { id, userName } = await addUser();
    const service = await issuer.app.accounts.services.add({ subject: 'robot@other.example', name: 'Robot', ownerId: id });
    for (const target of [id, service.id]) {
      for (const [method, body] of [['GET', undefined], ['PUT', { userName: newEmail('other.example') }], ['PATCH', patchOf({ op: 'replace', path: 'active', value: false })], ['DELETE', undefined]] as const) {
        expectError(await other(method, `/Users/${target}`, body), 404, undefined, 'no such user');
      }
    }
    expect((await other('GET', `/Users?filter=${encodeURIComponent(`userName eq "${userName}"`)}`)).body.totalResults).toBe(0);
    expect((await other('GET', '/Users')).body.totalResults).toBe(0);
    expectError(await other('POST', '/Users', { userName: newEmail() }), 400, 'invalidValue', 'in a domain that this token is for: other.example');
    expectError(await okta('PATCH', `/Users/${id}`, patchOf({ op: 'replace', path: 'userName', value: 'me@other.example' })), 400, 'invalidValue', 'in a domain');
    expectError(await okta('POST', '/Users', { userName: 'x@sub.example.com' }), 400, 'invalidValue', 'in a domain');
    expect((await okta('GET', `/Users/${id}`)).body).toMatchObject({ userName, active: true });
  });
});

describe('users', () => {
  test('one is made, found in every way, replaced and changed', async () => {
    const userName = newEmail();
    const made = await okta('POST', '/Users', {
      schemas: ['urn:ietf:params:scim:schemas:core:2.0:User', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'], userName: userName.toUpperCase(), externalId: '00u1', active: true,
      name: { givenName: 'Ada', familyName: 'Lovelace' }, emails: [{ value: userName, primary: true }], 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User': { department: 'R&D' },
    });
    expect(made).toMatchObject({ status: 201, body: { schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName, externalId: '00u1', displayName: 'Ada Lovelace', active: true, emails: [{ value: userName, primary: true }], meta: { resourceType: 'User' } } });
    expect(made.headers.get('content-type')).toMatch(/^application\/scim\+json/);
    const { id, meta } = made.body as { id: string; meta: { location: string } };
    expect([made.headers.get('location'), meta.location]).toEqual([`${issuer.url}/scim/v2/Users/${id}`, `${issuer.url}/scim/v2/Users/${id}`]);
    expect((await okta('GET', `/Users/${id}`)).body).toEqual(made.body);
    for (const filter of [`userName eq "${userName}"`, `USERNAME EQ "${userName.toUpperCase()}"`, 'externalId eq "00u1"', `emails.value eq "${userName}"`, `urn:ietf:params:scim:schemas:core:2.0:User:userName eq "${userName}"`, `id eq "${id}" and externalId eq "00u1"`]) {
      expect((await okta('GET', `/Users?filter=${encodeURIComponent(filter)}`)).body).toMatchObject({ totalResults: 1, startIndex: 1, itemsPerPage: 1, Resources: [{ id }] });
    }
    expect((await okta('GET', `/Users?filter=${encodeURIComponent('externalId eq "00U1"')}`)).body.totalResults).toBe(0);
    expect((await okta('PUT', `/Users/${id}`, { userName, displayName: 'Ada King' })).body).toMatchObject({ id, displayName: 'Ada King', active: true });
    expect((await okta('GET', `/Users/${id}`)).body.externalId).toBeUndefined();
    const moved = newEmail();
    expect((await okta('PATCH', `/Users/${id}`, patchOf({ op: 'Replace', path: 'userName', value: moved }, { op: 'Add', path: 'externalId', value: '00u2' }, { op: 'replace', path: 'title', value: 'Countess' }))).body).toMatchObject({ userName: moved, externalId: '00u2' });
    expect(await issuer.app.accounts.lookUp(id)).toMatchObject({ email: moved, isEmailVerified: false, role: 'member' });
    expect((await okta('GET', `/Users/${id}?attributes=userName`)).body).toEqual({ schemas: expect.anything(), id, userName: moved });
    expect((await okta('GET', `/Users/${id}?excludedAttributes=emails,name,meta`)).body).not.toHaveProperty('emails');
  });

  test('pages: in order, whole, and never more than 200', async () => {
    const scim = await connect('pages', ['other.example']);
    const before = (await scim('GET', '/Users?count=0')).body;
    expect(before).toMatchObject({ totalResults: 0, itemsPerPage: 0, Resources: [] });
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) ids.push((await addUser(scim, { userName: newEmail('other.example') })).id);
    const read = async (search: string) => (await scim('GET', `/Users?${search}`)).body;
    expect(((await read('startIndex=1&count=2')).Resources as { id: string }[]).map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(await read('startIndex=4&count=2')).toMatchObject({ totalResults: 5, startIndex: 4, itemsPerPage: 2 });
    expect(await read('startIndex=6')).toMatchObject({ totalResults: 5, itemsPerPage: 0 });
    expect(await read('startIndex=-3&count=-1')).toMatchObject({ startIndex: 1, itemsPerPage: 0 });
    expect((await read('count=100000')).Resources).toHaveLength(5);
    expectError(await scim('GET', '/Users?count=many'), 400, 'invalidValue', 'count must be a whole number');
    expectError(await scim('GET', '/Users?count=1&count=2'), 400, 'invalidValue', 'count stands more than once');
    for (const id of ids) await scim('DELETE', `/Users/${id}`);
  });

  test.each<[string, unknown, string, RegExp]>([
    ['no userName', {}, 'invalidValue', /userName is required/],
    ['a userName that is no e-mail', { userName: 'ada' }, 'invalidValue', /must be an e-mail address/],
    ['a wildcard in it', { userName: '*@example.com' }, 'invalidValue', /must be an e-mail address/],
    ['a userName that is no text', { userName: ['a@example.com'] }, 'invalidValue', /must be a text/],
    ['an attribute twice', { userName: 'a@example.com', USERNAME: 'b@example.com' }, 'invalidSyntax', /stands twice/],
    ['active that is neither', { userName: 'a@example.com', active: 'perhaps' }, 'invalidValue', /active must be true or false/],
    ['an externalId that is too long', { userName: 'a@example.com', externalId: 'x'.repeat(257) }, 'invalidValue', /externalid must be a text of at most 256/],
    ['a list', '[]', 'invalidSyntax', /not a JSON object/],
    ['what is no JSON', '{', 'invalidSyntax', /not a JSON object/],
  ])('a user with %s is refused', async (_what, body, scimType, detail) => {
    expectError(await okta('POST', '/Users', body), 400, scimType, detail);
  });

  test('another media type, and a body that is too large', async () => {
    expectError(await okta('POST', '/Users', '{}', { 'content-type': 'text/plain' }), 400, 'invalidSyntax', 'application/scim\\+json or application/json');
    expect((await okta('POST', '/Users', { userName: newEmail() }, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(201);
    expect((await okta('POST', '/Users', { userName: 'x'.repeat(70_000) })).status).toBe(413);
  });

  test('a userName is one account’s: of ten at once, one is made; and one that was removed stays the former owner’s', async () => {
    const userName = newEmail();
    const answers = await Promise.all(Array.from({ length: 10 }, () => okta('POST', '/Users', { userName })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 9 }, () => 409)]);
    expectError(answers.find(({ status }) => status === 409)!, 409, 'uniqueness', 'is, or was, another account’s e-mail');
    const { id } = answers.find(({ status }) => status === 201)!.body as { id: string };
    expect((await okta('DELETE', `/Users/${id}`)).status).toBe(204);
    for (const method of ['GET', 'DELETE']) expectError(await okta(method, `/Users/${id}`), 404, undefined, 'no such user');
    expectError(await okta('POST', '/Users', { userName }), 409, 'uniqueness', 'an admin frees one');
    await issuer.app.identities.freeEmail(userName, 'admin');
    expect((await okta('POST', '/Users', { userName })).status).toBe(201);
  });

  test.each([
    ['co', 'userName co "a"'], ['or', 'userName eq "a" or userName eq "b"'], ['not', 'not (userName eq "a")'], ['pr', 'userName pr'], ['an attribute that is not kept', 'title eq "a"'], ['a number', 'userName eq 5'],
    ['two values', 'userName eq "a" and userName eq "b"'], ['nonsense', '"'], ['nothing', ''], ['what never ends', '('.repeat(900)], ['too much', `userName eq "${'a'.repeat(1100)}"`],
  ])('a filter with %s is refused', async (_what, filter) => {
    expectError(await okta('GET', `/Users?filter=${encodeURIComponent(filter)}`), 400, 'invalidFilter', /./);
  });

  test('a role, a password and what is not kept change nothing, and are not on record', async () => {
    const { id } = await addUser(okta, { roles: [{ value: 'admin' }], password: 'hunter2-hunter2', role: 'admin' });
    await okta('PATCH', `/Users/${id}`, patchOf({ op: 'replace', value: { roles: [{ value: 'admin' }], role: 'admin', password: 'hunter2-hunter2', kind: 'service', awaitsOwner: false } }));
    expect(await issuer.app.accounts.lookUp(id)).toMatchObject({ role: 'member', kind: 'person', awaitsOwner: true });
    const rows = [...(await readAudit('scim.user.add')), ...(await readAudit('scim.user.change'))];
    expect(rows.length).toBeGreaterThan(1);
    expect(rows[0]).toMatchObject({ kind: 'admin', client_id: expect.stringMatching(/^scim:/) });
    expect(JSON.stringify([rows, issuer.logged])).not.toContain('hunter2');
  });
});

describe('deprovisioning', () => {
  const DEACTIVATIONS: [string, string, object][] = [
    ['Entra', 'PATCH', patchOf({ op: 'Replace', path: 'active', value: 'False' })],
    ['Entra, newer', 'PATCH', patchOf({ op: 'replace', path: 'urn:ietf:params:scim:schemas:core:2.0:User:active', value: false })],
    ['Okta', 'PATCH', patchOf({ op: 'replace', value: { active: false } })],
  ];

  test.each(DEACTIVATIONS)('as %s does it ends every access at once', async (_who, method, body) => {
    const person = await hire();
    const session = await signIn(issuer.url, person);
    const exchange = () => postToken(issuer.url, exchangeForm(session.access_token));
    expect((await exchange()).status).toBe(200);
    const startedAt = performance.now();
    expect(await okta(method, `/Users/${person.id}`, body)).toMatchObject({ status: 200, body: { active: false } });
    expect(await exchange()).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect((await postToken(issuer.url, { grant_type: 'refresh_token', client_id: 'vouch-cli', refresh_token: session.refresh_token })).status).toBe(400);
    expect((await fetch(`${issuer.url}/oauth/userinfo`, { headers: { authorization: `Bearer ${session.access_token}` } })).status).toBe(401);
    expect((await person.browser.get(`${issuer.url}/login/account`)).status).toBe(303);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await expect(signIn(issuer.url, person)).rejects.toThrow('account_closed');
    // Back again, by a new sign-in: what was given before does not come back.
    expect(await okta('PATCH', `/Users/${person.id}`, patchOf({ op: 'Replace', path: 'active', value: 'True' }))).toMatchObject({ status: 200, body: { active: true } });
    expect((await exchange()).status).toBe(400);
    expect((await signIn(issuer.url, person)).access_token).toEqual(expect.any(String));
  });

  test('by DELETE, too; what is on record stays', async () => {
    const person = await hire();
    const session = await signIn(issuer.url, person);
    await postToken(issuer.url, exchangeForm(session.access_token));
    expect((await okta('DELETE', `/Users/${person.id}`)).status).toBe(204);
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).status).toBe(400);
    await expect(signIn(issuer.url, person)).rejects.toThrow('passkey_unknown');
    expect((await query(issuer.databaseUrl, "SELECT 1 FROM audit_rows WHERE kind = 'token' AND account_id = $1", [person.id])).length).toBeGreaterThan(0);
  });

  test('what an admin has suspended no directory opens again; what it suspended itself it does', async () => {
    const person = await hire();
    await issuer.app.people.suspend(person.id, 'admin:x');
    expectError(await okta('PATCH', `/Users/${person.id}`, patchOf({ op: 'replace', value: { active: true } })), 409, undefined, 'only an admin resumes it');
    expect((await okta('PUT', `/Users/${person.id}`, { userName: person.email, displayName: 'Other' })).body).toMatchObject({ active: false, displayName: 'Other' });
    expect((await issuer.app.accounts.lookUp(person.id))!.status).toBe('suspended');
  });

  test('nor what it suspended itself, once an admin has suspended it as well', async () => {
    const person = await hire();
    const sync = (active: boolean) => okta('PATCH', `/Users/${person.id}`, patchOf({ op: 'replace', value: { active } }));
    expect((await sync(false)).status).toBe(200);
    const token = await getAdminToken(issuer.url, admin);
    const suspend = async () => (await askAdmin(issuer.url, token, '/accounts/suspend', { account: person.email })).body;
    expect(await suspend()).toMatchObject({ is_changed: true, account: { status: 'suspended', suspended_by: expect.stringMatching(/^admin:/) } });
    expect(await suspend()).toMatchObject({ is_changed: false });
    expectError(await sync(true), 409, undefined, 'only an admin resumes it');
    expect(await sync(false)).toMatchObject({ status: 200, body: { active: false } });
    expect((await issuer.app.accounts.lookUp(person.id))!.suspendedBy).toMatch(/^admin:/);
  });

  test('the last admin stays, whichever way; another may go', async () => {
    const { id } = (await issuer.app.accounts.lookUp('admin@example.com'))!;
    expectError(await okta('PATCH', `/Users/${id}`, patchOf({ op: 'replace', path: 'active', value: false })), 409, undefined, 'last admin');
    expectError(await okta('DELETE', `/Users/${id}`), 409, undefined, 'last admin');
    expect((await signIn(issuer.url, admin)).access_token).toEqual(expect.any(String));
    const second = await issuer.createPerson(newEmail());
    const [{ id: secondId }] = (await query(issuer.databaseUrl, "SELECT id FROM accounts WHERE role = 'admin' AND email <> 'admin@example.com'")) as [{ id: string }];
    expect((await okta('PATCH', `/Users/${secondId}`, patchOf({ op: 'replace', path: 'active', value: false }))).status).toBe(200);
    await expect(signIn(issuer.url, second)).rejects.toThrow('account_closed');
  });

  test('a change that is refused beside it does not keep access open', async () => {
    const [person, { userName }] = [await hire(), await addUser()];
    expectError(await okta('PATCH', `/Users/${person.id}`, patchOf({ op: 'replace', value: { active: false, userName } })), 409, 'uniqueness', 'another account’s');
    expect((await issuer.app.accounts.lookUp(person.id))!.status).toBe('suspended');
  });

  const REFUSED_BESIDE: [string, string, (person: { email: string }) => object, string, RegExp][] = [
    ['PATCH', 'a userName in another domain', () => patchOf({ op: 'replace', value: { active: false, userName: 'me@other.example' } }), 'invalidValue', /in a domain that this token is for/],
    ['PATCH', 'a userName that is no e-mail', () => patchOf({ op: 'replace', path: 'userName', value: 'ada' }, { op: 'replace', path: 'active', value: 'False' }), 'invalidValue', /must be an e-mail address/],
    ['PATCH', 'a name of nothing', () => patchOf({ op: 'replace', value: { active: false, displayName: ' ' } }), 'invalidValue', /the name must not be empty/],
    ['PATCH', 'a name that is no text', () => patchOf({ op: 'replace', value: { active: false, displayName: 5 } }), 'invalidValue', /displayname must be a text/],
    ['PATCH', 'a userName that is taken away', () => patchOf({ op: 'replace', path: 'active', value: false }, { op: 'remove', path: 'userName' }), 'mutability', /cannot be removed/],
    ['PATCH', 'an operation that is none', () => patchOf({ op: 'replace', path: 'active', value: false }, { op: 'move', path: 'title' }), 'invalidSyntax', /op must be/],
    ['PUT', 'a userName in another domain', () => ({ userName: 'me@other.example', active: false }), 'invalidValue', /in a domain that this token is for/],
    ['PUT', 'no userName', () => ({ active: 'False' }), 'invalidValue', /userName is required/],
    ['PUT', 'an externalId that is too long', ({ email }) => ({ userName: email, active: false, externalId: 'x'.repeat(257) }), 'invalidValue', /externalid must be a text/],
  ];
  test.each(REFUSED_BESIDE)('nor in a %s with %s', async (method, _what, body, scimType, detail) => {
    const person = await hire();
    const session = await signIn(issuer.url, person);
    expectError(await okta(method, `/Users/${person.id}`, body(person)), 400, scimType, detail);
    expect(await issuer.app.accounts.lookUp(person.id)).toMatchObject({ status: 'suspended', suspendedBy: 'scim:okta', email: person.email, name: 'Hired' });
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).status).toBe(400);
    const [row] = await query(issuer.databaseUrl, "SELECT detail FROM audit_rows WHERE kind = 'admin' AND detail LIKE $1 ORDER BY at DESC, seq DESC", [`%/Users/${person.id}%`]);
    expect(JSON.parse((row as { detail: string }).detail)).toMatchObject({ body: { isActive: false } });
  });

  test('nothing happens that cannot be put on record', async () => {
    const { id } = await addUser();
    await query(issuer.databaseUrl, 'ALTER FUNCTION audit_append RENAME TO audit_append_away');
    try {
      expectError(await okta('PATCH', `/Users/${id}`, patchOf({ op: 'replace', path: 'displayName', value: 'Unseen' })), 503, undefined, 'cannot reach its storage');
    } finally {
      await query(issuer.databaseUrl, 'ALTER FUNCTION audit_append_away RENAME TO audit_append');
    }
    expect((await issuer.app.accounts.lookUp(id))!.name).not.toBe('Unseen');
  });
});

describe('a PATCH', () => {
  test.each<[string, object, string, RegExp]>([
    ['no operation', patchOf(), 'invalidSyntax', /Operations must be a list/],
    ['another op', patchOf({ op: 'move', path: 'active' }), 'invalidSyntax', /op must be/],
    ['a path that cannot be read', patchOf({ op: 'add', path: 'a b', value: 1 }), 'invalidPath', /cannot be read/],
    ['brackets that never end', patchOf({ op: 'add', path: 'emails[type eq "work"', value: 1 }), 'invalidPath', /./],
    ['a removal of nothing', patchOf({ op: 'remove' }), 'noTarget', /named by a path/],
    ['a removal of the name', patchOf({ op: 'remove', path: 'userName' }), 'mutability', /cannot be removed/],
    ['a removal of active', patchOf({ op: 'remove', path: 'active' }), 'mutability', /cannot be removed/],
    ['a text for all', patchOf({ op: 'replace', value: 'false' }), 'invalidValue', /must be an object/],
    ['null for active', patchOf({ op: 'replace', path: 'active', value: null }), 'invalidValue', /true or false/],
    ['no Operations', { active: false }, 'invalidSyntax', /Operations must be/],
    ['too many', patchOf(...Array.from({ length: 101 }, () => ({ op: 'replace', path: 'active', value: true }))), 'invalidSyntax', /1 to 100/],
  ])('with %s is refused, and changes nothing', async (_what, body, scimType, detail) => {
    const user = await addUser();
    expectError(await okta('PATCH', `/Users/${user.id}`, body), 400, scimType, detail);
    expect((await okta('GET', `/Users/${user.id}`)).body).toEqual(user);
  });
});

describe('groups', () => {
  const addGroup = async (fields: object = {}, scim = okta) => {
    const answer = await scim('POST', '/Groups', { schemas: ['urn:ietf:params:scim:schemas:core:2.0:Group'], displayName: `Group ${(serial += 1)}`, ...fields });
    if (answer.status !== 201) throw new Error(`no group: ${JSON.stringify(answer.body)}`);
    return answer.body as { id: string; displayName: string; members: { value: string }[] };
  };
  const membersOf = async (id: string) => ((await okta('GET', `/Groups/${id}`)).body.members as { value: string }[]).map(({ value }) => value).sort();

  test('one is made with members, found, called otherwise and removed; policies name it by its first name', async () => {
    const [ada, bob] = [await addUser(), await addUser()];
    const group = await addGroup({ displayName: 'Data Science (EU)', externalId: 'g1', members: [{ value: ada.id }] });
    expect(group).toMatchObject({ displayName: 'Data Science (EU)', externalId: 'g1', members: [{ value: ada.id, display: ada.userName, type: 'User' }] });
    expect((await issuer.app.accounts.find(ada.id))!.groups).toEqual(['data-science-eu']);
    for (const filter of ['displayName eq "Data Science (EU)"', 'externalId eq "g1"', `id eq "${group.id}" and members eq "${ada.id}"`]) {
      expect((await okta('GET', `/Groups?excludedAttributes=members&filter=${encodeURIComponent(filter)}`)).body).toMatchObject({ totalResults: 1, Resources: [{ id: group.id, displayName: group.displayName }] });
    }
    expect((await okta('GET', `/Groups?excludedAttributes=members&filter=${encodeURIComponent('externalId eq "g1"')}`)).body.Resources[0]).not.toHaveProperty('members');
    expect((await okta('GET', `/Groups?filter=${encodeURIComponent(`members eq "${bob.id}"`)}`)).body.totalResults).toBe(0);
    expect((await okta('PATCH', `/Groups/${group.id}`, patchOf({ op: 'replace', value: { id: group.id, displayName: 'Data' } }))).status).toBe(204);
    expect((await okta('PUT', `/Groups/${group.id}`, { displayName: 'Data', members: [{ value: bob.id }] })).body).toMatchObject({ displayName: 'Data', members: [{ value: bob.id }] });
    expect([(await issuer.app.accounts.find(ada.id))!.groups, (await issuer.app.accounts.find(bob.id))!.groups]).toEqual([[], ['data-science-eu']]);
    expect((await okta('DELETE', `/Groups/${group.id}`)).status).toBe(204);
    expectError(await okta('GET', `/Groups/${group.id}`), 404, undefined, 'no such group');
  });

  test('members come and go in each of the ways in which Okta and Entra say it', async () => {
    const [ada, bob, eve] = [(await addUser()).id, (await addUser()).id, (await addUser()).id];
    const { id } = await addGroup();
    const patch = async (...operations: object[]) => {
      const answer = await okta('PATCH', `/Groups/${id}`, patchOf(...operations));
      return answer.status === 204 ? membersOf(id) : answer;
    };
    expect(await patch({ op: 'Add', path: 'members', value: [{ value: ada }, { value: bob }] })).toEqual([ada, bob].sort());
    expect(await patch({ op: 'add', value: { members: [{ value: eve }] } })).toEqual([ada, bob, eve].sort());
    expect(await patch({ op: 'Remove', path: 'members', value: [{ value: ada }] })).toEqual([bob, eve].sort());
    expect(await patch({ op: 'remove', path: `members[value eq "${bob}"]` })).toEqual([eve]);
    expect(await patch({ op: 'replace', path: 'members', value: [{ value: ada }] })).toEqual([ada]);
    expect(await patch({ op: 'remove', path: `members[value eq "${ada}"]` }, { op: 'add', path: 'members', value: [{ value: ada.toUpperCase() }] }, { op: 'add', path: 'members', value: { value: bob } })).toEqual([ada, bob].sort());
    expect(await patch({ op: 'remove', path: 'members', value: [{ value: eve }] })).toEqual([ada, bob].sort());
    expect(await patch({ op: 'remove', path: 'members' })).toEqual([]);
    expect(await patch({ op: 'add', path: 'members', value: [{ value: '00000000-0000-7000-8000-000000000000' }, { value: ada }] })).toMatchObject({ status: 400, body: { scimType: 'invalidValue', detail: expect.stringContaining('there is no user') } });
    expect(await patch({ op: 'add', path: 'members', value: ['x'] })).toMatchObject({ status: 400, body: { scimType: 'invalidValue' } });
    expect(await patch({ op: 'remove', path: 'members[display eq "x"]' })).toMatchObject({ status: 400, body: { scimType: 'invalidPath' } });
    expect(await membersOf(id)).toEqual([]);
  });

  const REFUSED_LEAVES: readonly [string, string, (stays: string) => object, RegExp][] = [
    ['PATCH', 'a name that will not do', () => patchOf({ op: 'remove', path: 'members' }, { op: 'replace', path: 'displayName', value: 'x'.repeat(101) }), /1 to 100 characters/],
    ['PATCH', 'a name that is no text', () => patchOf({ op: 'remove', path: 'members' }, { op: 'replace', path: 'displayName', value: 5 }), /displayname must be a text/],
    ['PATCH', 'a member who is unknown', () => patchOf({ op: 'remove', path: 'members' }, { op: 'add', path: 'members', value: [{ value: '00000000-0000-7000-8000-000000000000' }] }), /there is no user/],
    ['PUT', 'a member who is unknown', (stays) => ({ displayName: 'Put', members: [{ value: stays }, { value: '00000000-0000-7000-8000-000000000000' }] }), /there is no user/],
    ['PUT', 'no name', (stays) => ({ members: [{ value: stays }] }), /displayName is required/],
  ];
  test.each(REFUSED_LEAVES)('who leaves by a %s with %s has left', async (method, _what, body, detail) => {
    const [stays, leaves] = [(await addUser()).id, (await addUser()).id];
    const { id } = await addGroup({ members: [{ value: stays }, { value: leaves }] });
    expectError(await okta(method, `/Groups/${id}`, body(stays)), 400, 'invalidValue', detail);
    expect(await membersOf(id)).toEqual(method === 'PUT' ? [stays] : []);
  });

  test('an admin’s group is not there for a directory, cannot be called into being again, and another tenant’s neither', async () => {
    await issuer.app.accounts.groups.add('prod-admins');
    const [ada, stranger] = [await addUser(), await addUser(other, { userName: newEmail('other.example') })];
    expectError(await okta('POST', '/Groups', { displayName: 'Prod Admins', members: [{ value: ada.id }] }), 409, 'uniqueness', 'there is a group "prod-admins" already');
    expect((await okta('GET', `/Groups?filter=${encodeURIComponent('displayName eq "prod-admins"')}`)).body.totalResults).toBe(0);
    const { id } = (await query(issuer.databaseUrl, "SELECT id FROM groups WHERE name = 'prod-admins'"))[0] as { id: string };
    expectError(await okta('PATCH', `/Groups/${id}`, patchOf({ op: 'add', path: 'members', value: [{ value: ada.id }] })), 404, undefined, 'no such group');
    const theirs = await addGroup({ members: [{ value: stranger.id }] }, other);
    for (const method of ['GET', 'DELETE', 'PATCH']) expectError(await okta(method, `/Groups/${theirs.id}`, method === 'PATCH' ? patchOf({ op: 'remove', path: 'members' }) : undefined), 404, undefined, 'no such group');
    expectError(await okta('POST', '/Groups', { displayName: 'With a stranger', members: [{ value: stranger.id }] }), 400, 'invalidValue', 'there is no user');
    expect((await okta('GET', `/Groups?filter=${encodeURIComponent('displayName eq "With a stranger"')}`)).body.totalResults).toBe(0);
    expect((await issuer.app.accounts.find(ada.id))!.groups).toEqual([]);
  });

  test('whom an admin put in from elsewhere is not seen and not taken out', async () => {
    const stranger = await addUser(other, { userName: newEmail('other.example') });
    const group = await addGroup({ displayName: 'Shared' });
    await issuer.app.accounts.groups.addMember('shared', stranger.id);
    expect(await membersOf(group.id)).toEqual([]);
    await okta('PATCH', `/Groups/${group.id}`, patchOf({ op: 'remove', path: 'members' }));
    await okta('PATCH', `/Groups/${group.id}`, patchOf({ op: 'remove', path: 'members', value: [{ value: stranger.id }] }));
    expect((await issuer.app.accounts.groups.get('shared')).memberIds).toEqual([stranger.id]);
  });

  test('one that a policy names is not removed: whom it keeps out would come in', async () => {
    const group = await addGroup({ displayName: 'Contractors' });
    const token = await getAdminToken(issuer.url, admin);
    expect((await askAdmin(issuer.url, token, '/audiences', { name: 'https://api.example', preset: 'custom', allow: ['people'], deny: ['group:contractors'] })).status).toBe(200);
    expectError(await okta('DELETE', `/Groups/${group.id}`), 409, undefined, 'an audience names the group "contractors"');
    await askAdmin(issuer.url, token, '/audiences/set', { name: 'https://api.example', deny: [] });
    expect((await okta('DELETE', `/Groups/${group.id}`)).status).toBe(204);
  });

  test('nobody leaves by a request that is refused where a policy keeps people out by the group', async () => {
    const [stays, leaves] = [(await addUser()).id, (await addUser()).id];
    const group = await addGroup({ displayName: 'Leavers', members: [{ value: stays }, { value: leaves }] });
    const token = await getAdminToken(issuer.url, admin);
    expect((await askAdmin(issuer.url, token, '/audiences', { name: 'https://shut.example', preset: 'custom', allow: ['people'], deny: ['group:leavers'] })).status).toBe(200);
    for (const [method, , body, detail] of REFUSED_LEAVES) {
      expectError(await okta(method, `/Groups/${group.id}`, body(stays)), 400, 'invalidValue', detail);
      expect(await membersOf(group.id)).toEqual([stays, leaves].sort());
    }
    expect((await okta('PATCH', `/Groups/${group.id}`, patchOf({ op: 'remove', path: 'members', value: [{ value: leaves }] }))).status).toBe(204);
    expect(await membersOf(group.id)).toEqual([stays]);
  });

  test('one that a policy lets in stays, but lets nobody in any more', async () => {
    const ada = await addUser();
    const group = await addGroup({ displayName: 'Researchers', members: [{ value: ada.id }] });
    const token = await getAdminToken(issuer.url, admin);
    expect((await askAdmin(issuer.url, token, '/audiences', { name: 'https://lab.example', preset: 'custom', allow: ['group:researchers'] })).status).toBe(200);
    expectError(await okta('DELETE', `/Groups/${group.id}`), 409, undefined, 'its members were taken out');
    expect(await membersOf(group.id)).toEqual([]);
    expect((await issuer.app.accounts.find(ada.id))!.groups).toEqual([]);
  });

  test.each<[string, object, RegExp]>([
    ['no displayName', {}, /displayName is required/], ['nothing in it that a policy could name', { displayName: '!!!' }, /must hold a letter/], ['too long a name', { displayName: 'x'.repeat(101) }, /1 to 100 characters/],
    ['members that are none', { displayName: 'Good', members: [{}] }, /members must be a list/],
  ])('a group with %s is refused', async (_what, body, detail) => {
    expectError(await okta('POST', '/Groups', body), 400, 'invalidValue', detail);
  });
});

describe('what the service says of itself', () => {
  test('is true, and needs no token', async () => {
    const read = async (path: string) => createScimClient(issuer.url, undefined)('GET', path);
    expect((await read('/ServiceProviderConfig')).body).toMatchObject({ patch: { supported: true }, bulk: { supported: false }, filter: { supported: true, maxResults: 200 }, etag: { supported: false }, authenticationSchemes: [{ type: 'oauthbearertoken' }] });
    const types = (await read('/ResourceTypes')).body.Resources as { id: string; endpoint: string; schema: string; meta: { location: string } }[];
    expect(types.map(({ endpoint }) => endpoint)).toEqual(['/Users', '/Groups']);
    for (const { id, endpoint, schema, meta } of types) {
      expect((await (await fetch(meta.location)).json() as { id: string }).id).toBe(id);
      expect((await read(`/Schemas/${schema}`)).body.id).toBe(schema);
      expect((await okta('GET', endpoint)).status).toBe(200);
    }
    // What a resource holds, its schema names.
    const [userSchema, groupSchema] = (await read('/Schemas')).body.Resources as { attributes: { name: string }[] }[];
    const namesOf = (schema: { attributes: { name: string }[] }) => ['schemas', 'id', 'meta', ...schema.attributes.map(({ name }) => name)];
    expect(namesOf(userSchema!)).toEqual(expect.arrayContaining(Object.keys(await addUser(okta, { externalId: 'x' }))));
    expect(namesOf(groupSchema!)).toEqual(expect.arrayContaining(Object.keys((await okta('POST', '/Groups', { displayName: 'Schema', externalId: 'x' })).body)));
  });

  test('another method, and another path', async () => {
    const ask = async (method: string, path: string) => (await fetch(`${issuer.url}/scim/v2${path}`, { method })).status;
    expect([await ask('DELETE', '/Users'), await ask('GET', '/Me'), await ask('POST', '/Bulk')]).toEqual([405, 404, 404]);
  });
});
