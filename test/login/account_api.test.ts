import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { getAdminToken } from '../support/admin_token.ts';
import { createBrowser, enrol } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { CLI, codeForm, getCode, postToken, signIn } from '../support/oauth.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';

/* A person's passkeys by the token of their session: what the account page asks, this asks too. */

let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await startTestIssuer();
  await issuer.createPerson('admin@example.com');
});
afterAll(() => issuer.close());

let serial = 0;
/** Somebody who is signed in at a terminal, with so many passkeys. */
async function createOwner(passkeys = 1) {
  const email = `owner${(serial += 1)}@example.com`;
  const [browser, passkey] = [createBrowser(issuer.url), createSoftwarePasskey({ origin: issuer.url })];
  await enrol(browser, `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'Owner' }, passkey);
  const { id } = (await issuer.app.accounts.lookUp(email))!;
  for (let count = 1; count < passkeys; count += 1) {
    await query(issuer.databaseUrl, "INSERT INTO passkeys (id, account_id, public_key, counter, transports, device_type, is_backed_up, aaguid, name, created_at) SELECT $1, account_id, public_key, 0, transports, device_type, is_backed_up, aaguid, 'Spare', now() FROM passkeys WHERE id = $2", [createSoftwarePasskey({ origin: issuer.url }).id, passkey.id]);
  }
  return { id, email, browser, passkey, token: (await signIn(issuer.url, { browser, passkey })).access_token };
}

async function ask(token: string | undefined, path = '', body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${issuer.url}/login/account/api/v1/passkeys${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body: (await response.json()) as { error?: string; error_description?: string; passkeys?: { id: string; name: string }[] } };
}

test('they are listed, renamed and removed; the last way in stays', async () => {
  const { id, token, passkey } = await createOwner(2);
  const listed = (await ask(token)).body.passkeys!;
  expect(listed.map(({ name }) => name)).toEqual(['Passkey', 'Spare']);
  expect(JSON.stringify(listed)).not.toMatch(/public|counter|account/i);
  expect(await ask(token, '/rename', { passkey: passkey.id, name: ' Blue ' })).toMatchObject({ status: 200, body: { renamed: passkey.id } });
  expect(await ask(token, '/remove', { passkey: listed[1]!.id })).toMatchObject({ status: 200 });
  expect(await ask(token, '/remove', { passkey: passkey.id })).toMatchObject({ status: 400, body: { error: 'last_way_in' } });
  expect((await ask(token)).body.passkeys).toMatchObject([{ id: passkey.id, name: 'Blue' }]);
  for (let look = 0; look < 50 && (await query(issuer.databaseUrl, "SELECT 1 FROM audit_rows WHERE event = 'account_changed' AND account_id = $1", [id])).length < 2; look += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  expect((await query(issuer.databaseUrl, "SELECT detail FROM audit_rows WHERE event = 'account_changed' AND account_id = $1 ORDER BY seq", [id])).map(({ detail }) => JSON.parse(String(detail)) as unknown)).toEqual([{ what: 'passkey_renamed' }, { what: 'passkey_removed' }]);
});

test('of two removals at once, one way in is left', async () => {
  const { token } = await createOwner(2);
  const [one, two] = (await ask(token)).body.passkeys!;
  const answers = await Promise.all([one!, two!].map(({ id }) => ask(token, '/remove', { passkey: id })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 400]);
});

test('ten minutes after the sign-in a change takes another one, and a look does not', async () => {
  const { token, passkey, browser } = await createOwner(2);
  issuer.clock.advance(598);
  try {
    expect((await ask(token, '/rename', { passkey: passkey.id, name: 'In time' })).status).toBe(200);
    const refreshed = await signIn(issuer.url, { browser, passkey });
    issuer.clock.advance(599);
    const late = (await postToken(issuer.url, { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: refreshed.refresh_token })).body.access_token as string;
    issuer.clock.advance(2);
    expect((await ask(late)).status).toBe(200);
    for (const [path, more] of [['/rename', { name: 'Late' }], ['/remove', {}]] as const) {
      expect(await ask(late, path, { passkey: passkey.id, ...more })).toMatchObject({ status: 401, challenge: expect.stringMatching(/insufficient_user_authentication.*max_age="600"/), body: { error: 'insufficient_user_authentication' } });
    }
  } finally {
    issuer.clock.advance(-1199);
  }
});

describe('nobody else', () => {
  test('without a token, with a false one, with an admin’s, of a session that is over, of a suspended account', async () => {
    const owner = await createOwner();
    expect(await ask(undefined)).toMatchObject({ status: 401, challenge: 'Bearer' });
    expect(await ask('nonsense')).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    const admin = await issuer.createPerson('second@example.com');
    expect(await ask(await getAdminToken(issuer.url, admin))).toMatchObject({ status: 401, body: { error_description: expect.stringContaining('another audience') } });
    const session = await signIn(issuer.url, owner);
    await issuer.app.sessions.endAll(owner.id);
    expect(await ask(session.access_token)).toMatchObject({ status: 401, body: { error_description: expect.stringContaining('session has ended') } });
    const again = await signIn(issuer.url, owner);
    await query(issuer.databaseUrl, "UPDATE accounts SET status = 'suspended' WHERE id = $1", [owner.id]);
    expect((await ask(again.access_token)).status).toBe(401);
  });

  test('not another client, whom the person let in for something else', async () => {
    await issuer.app.clients.register({ id: 'other', name: 'Other', redirectUris: [CLI.redirectUri], kind: 'native', authentication: 'none' });
    const { browser, passkey } = await createOwner(2);
    const { code, verifier } = await getCode(issuer.url, { browser, passkey }, { client_id: 'other' });
    const { access_token: token } = (await postToken(issuer.url, { ...codeForm(code, verifier), client_id: 'other' })).body as { access_token: string };
    for (const answer of [await ask(token), await ask(token, '/remove', { passkey: passkey.id })]) expect(answer).toMatchObject({ status: 403, body: { error: 'access_denied' } });
  });

  test('not with the cookie of a browser, from whatever page', async () => {
    const { browser } = await createOwner();
    expect((await browser.get(`${issuer.url}/login/account/api/v1/passkeys`)).status).toBe(401);
  });

  test('another’s passkey cannot be renamed or removed', async () => {
    const [one, other] = [await createOwner(2), await createOwner(2)];
    for (const [path, more] of [['/rename', { name: 'Mine' }], ['/remove', {}]] as const) expect(await ask(one.token, path, { passkey: other.passkey.id, ...more })).toMatchObject({ status: 404, body: { error: 'not_found' } });
    expect((await ask(other.token)).body.passkeys).toHaveLength(2);
  });
});

test.each<[string, string, unknown]>([
  ['no passkey', '/remove', {}], ['what is no id', '/remove', { passkey: '../x' }], ['more than is asked for', '/remove', { passkey: 'AAAA', account: 'x' }], ['no name', '/rename', { passkey: 'AAAA' }],
  ['a name of 61 characters', '/rename', { passkey: 'AAAAAAAAAAAAAAAAAAAAAA', name: 'n'.repeat(61) }], ['a list', '/remove', []],
])('%s is refused', async (_what, path, body) => {
  const { token } = await createOwner();
  expect((await ask(token, path, body)).status).toBe(400);
});
