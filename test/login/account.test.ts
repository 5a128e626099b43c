import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { createMaker } from '../support/attestation_maker.ts';
import { createBrowser, enrol, type Browser } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { openAccount, readAccountPage, signInToAccount } from '../support/account_page.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey, type SoftwarePasskey, type SoftwarePasskeyOptions } from '../support/software_passkey.ts';

let issuer: TestIssuer;
let known: Awaited<ReturnType<typeof createMaker>>;
beforeAll(async () => {
  known = await createMaker();
  issuer = await startTestIssuer({ VOUCH_ATTESTATION_ROOTS: known.root });
});
afterAll(() => issuer.close());

let serial = 0;
/** Somebody new, enrolled by a passkey of this kind, and signed in on the account page. */
async function createOwner(options: Partial<SoftwarePasskeyOptions> = {}): Promise<{ email: string; browser: Browser; passkey: SoftwarePasskey }> {
  serial += 1;
  const email = `owner${serial}@example.com`;
  const [browser, passkey] = [createBrowser(issuer.url), createSoftwarePasskey({ origin: issuer.url, ...options })];
  await enrol(browser, `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'Owner' }, passkey);
  await signInToAccount(browser, issuer.url, passkey);
  return { email, browser, passkey };
}

const PASSKEYS = '/login/account/passkeys';
const read = async (response: Response) => ({ status: response.status, ...((await response.json()) as { error?: string; redirect?: string; options?: never }) });

async function addPasskey(browser: Browser, passkey: SoftwarePasskey) {
  const { options } = await read(await browser.postJson(`${issuer.url}${PASSKEYS}/options`, {}));
  return read(await browser.postJson(`${issuer.url}${PASSKEYS}/verify`, { response: passkey.create(options!) }));
}

const remove = (browser: Browser, { id }: SoftwarePasskey) => browser.postForm(`${issuer.url}${PASSKEYS}/${id}/remove`);
const readRow = async ({ id }: SoftwarePasskey) => (await query(issuer.databaseUrl, 'SELECT * FROM passkeys WHERE id = $1', [id]))[0]!;

const post = (browser: Browser, path: string, headers: Record<string, string> = {}) => browser.postForm(`${issuer.url}/login/account/sessions/${path}`, headers);

describe('sessions', () => {
  const exchanges = async (token: string) => (await postToken(issuer.url, exchangeForm(token))).status === 200;

  test('are listed with where and when, and ended one by one or all at once', async () => {
    const owner = await createOwner();
    const [one, two, three] = [await signIn(issuer.url, owner), await signIn(issuer.url, owner), await signIn(issuer.url, owner)];
    const { text } = await readAccountPage(owner.browser, issuer.url);
    const keys = [...text.matchAll(/sessions\/([^"/]+)\/end/g)].map(([, key]) => key);
    expect(new Set(keys)).toEqual(new Set([one, two, three].map(({ access_token: token }) => decodeJwt(token).grant_id)));
    expect(text).toContain('127.0.0.1');
    const ended = await post(owner.browser, `${decodeJwt(one.access_token).grant_id as string}/end`);
    expect([ended.status, ended.headers.get('location')]).toEqual([303, '/login/account?done=session_ended']);
    expect([await exchanges(one.access_token), await exchanges(two.access_token)]).toEqual([false, true]);
    expect((await post(owner.browser, 'end')).status).toBe(303);
    expect([await exchanges(two.access_token), await exchanges(three.access_token)]).toEqual([false, false]);
    expect((await readAccountPage(owner.browser, issuer.url)).text).toContain('No command line or application is signed in.');
  });

  test('can be ended though the sign-in is a while ago', async () => {
    const owner = await createOwner();
    const tokens = await signIn(issuer.url, owner);
    issuer.clock.advance(700);
    expect((await post(owner.browser, 'end')).status).toBe(303);
    const again = await postToken(issuer.url, { grant_type: 'refresh_token', client_id: 'vouch-cli', refresh_token: tokens.refresh_token });
    issuer.clock.advance(-700);
    expect(again.body.error).toBe('invalid_grant');
  });

  test('of another account, or from another site, are not', async () => {
    const [owner, other] = [await createOwner(), await createOwner()];
    const tokens = await signIn(issuer.url, owner);
    const key = decodeJwt(tokens.access_token).grant_id as string;
    expect((await post(other.browser, `${key}/end`)).status).toBe(404);
    expect((await post(other.browser, 'end')).status).toBe(303);
    expect((await post(createBrowser(issuer.url), `${key}/end`)).status).toBe(400);
    expect((await post(owner.browser, `${key}/end`, { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' })).status).toBe(403);
    for (const odd of ['%00', 'x'.repeat(65), '%27']) expect((await post(owner.browser, `${odd}/end`)).status).toBe(404);
    expect(await exchanges(tokens.access_token)).toBe(true);
  });

  test('one that ended because its token came twice is told of', async () => {
    const owner = await createOwner();
    const { refresh_token: token } = await signIn(issuer.url, owner);
    const form = { grant_type: 'refresh_token', client_id: 'vouch-cli', refresh_token: token };
    await postToken(issuer.url, form);
    issuer.clock.advance(31);
    await postToken(issuer.url, form);
    issuer.clock.advance(-31);
    expect((await readAccountPage(owner.browser, issuer.url)).text).toContain('because its token came twice');
  });
});

describe('the account page', () => {
  test('asks for a sign-in first, and then says who one is', async () => {
    const browser = createBrowser(issuer.url);
    expect((await browser.get(`${issuer.url}/login/account`)).headers.get('location')).toContain('/oauth/authorize?client_id=vouch-account');
    const { email, browser: theirs } = await createOwner();
    const page = await readAccountPage(theirs, issuer.url);
    expect(page.text).toContain(email);
    expect(page.passkeys).toEqual([{ id: expect.any(String), name: 'Passkey' }]);
  });

  test('is for its browser alone, and not for an account that is suspended', async () => {
    const { browser, email } = await createOwner();
    expect((await createBrowser(issuer.url).get(`${issuer.url}/login/account`)).status).toBe(303);
    await query(issuer.databaseUrl, "UPDATE accounts SET status = 'suspended' WHERE email = $1", [email]);
    expect((await browser.get(`${issuer.url}/login/account`)).status).toBe(303);
    expect(await read(await browser.postJson(`${issuer.url}${PASSKEYS}/options`, {}))).toMatchObject({ status: 400, error: 'signed_out' });
  });

  test('a second passkey is added, named, renamed, used, and the first removed', async () => {
    const { browser, passkey } = await createOwner();
    const second = createSoftwarePasskey({ origin: issuer.url, aaguid: '2fc0579f-8113-47ea-b116-bb5a8db9202a' });
    expect(await addPasskey(browser, second)).toEqual({ status: 200, redirect: '/login/account?done=passkey_added' });
    expect((await readAccountPage(browser, issuer.url)).passkeys.map(({ name }) => name)).toEqual(['Passkey', 'YubiKey 5 Series with NFC']);
    const renamed = await browser.postForm(`${issuer.url}${PASSKEYS}/${second.id}/rename`, {}, { name: '  Blue <key> ' });
    expect([renamed.status, renamed.headers.get('location')]).toEqual([303, '/login/account?done=passkey_renamed']);
    expect((await readRow(second)).name).toBe('Blue <key>');
    expect((await readRow(second)).last_used_at).toBeNull();
    const elsewhere = createBrowser(issuer.url);
    await signInToAccount(elsewhere, issuer.url, second);
    expect((await readRow(second)).last_used_at).toBeInstanceOf(Date);
    expect((await remove(elsewhere, passkey)).headers.get('location')).toBe('/login/account?done=passkey_removed');
    await expect(signInToAccount(createBrowser(issuer.url), issuer.url, passkey)).rejects.toThrow('passkey_unknown');
  });

  test('the page of one passkey says what is known of it', async () => {
    const { browser, passkey } = await createOwner({ isSynced: true, aaguid: 'bada5566-a7aa-401f-bd96-45619a55120d' });
    const page = await (await browser.get(`${issuer.url}${PASSKEYS}/${passkey.id}`)).text();
    for (const sentence of ['1Password', 'bada5566-a7aa-401f-bd96-45619a55120d', 'Kept by software', 'None given', 'Backed up, and on your other devices']) expect(page).toContain(sentence);
  });

  test('the last way in stays, even of two removals at once', async () => {
    const { browser, passkey } = await createOwner();
    const only = await remove(browser, passkey);
    expect([only.status, await only.text()]).toEqual([400, expect.stringContaining('last way to sign in')]);
    const second = createSoftwarePasskey({ origin: issuer.url });
    await addPasskey(browser, second);
    const statuses = await Promise.all([remove(browser, passkey), remove(browser, second)].map(async (response) => (await response).status));
    expect(statuses.sort()).toEqual([303, 400]);
    expect((await readAccountPage(browser, issuer.url)).passkeys).toHaveLength(1);
  });

  test('what is another account’s cannot be seen, renamed, removed or taken', async () => {
    const [one, other] = [await createOwner(), await createOwner()];
    await addPasskey(other.browser, createSoftwarePasskey({ origin: issuer.url }));
    const path = `${issuer.url}${PASSKEYS}/${other.passkey.id}`;
    expect((await one.browser.get(path)).status).toBe(404);
    expect((await one.browser.postForm(`${path}/rename`, {}, { name: 'Mine' })).status).toBe(404);
    expect((await one.browser.postForm(`${path}/remove`)).status).toBe(404);
    expect((await readRow(other.passkey)).name).toBe('Passkey');
    expect(await addPasskey(one.browser, other.passkey)).toMatchObject({ status: 400, error: 'passkey_taken' });
    expect((await readAccountPage(other.browser, issuer.url)).passkeys).toHaveLength(2);
  });

  test('a challenge for one account’s new passkey is no use to another, nor twice', async () => {
    const [one, other] = [await createOwner(), await createOwner()];
    const { options } = await read(await one.browser.postJson(`${issuer.url}${PASSKEYS}/options`, {}));
    const response = createSoftwarePasskey({ origin: issuer.url }).create(options!);
    expect(await read(await other.browser.postJson(`${issuer.url}${PASSKEYS}/verify`, { response }))).toMatchObject({ error: 'ceremony_over' });
    expect((await one.browser.postJson(`${issuer.url}${PASSKEYS}/verify`, { response })).status).toBe(200);
    expect(await read(await one.browser.postJson(`${issuer.url}${PASSKEYS}/verify`, { response }))).toMatchObject({ error: 'ceremony_over' });
  });

  test('the authenticator is told which passkeys there are, so that it makes no second one', async () => {
    const { browser, passkey } = await createOwner();
    const { options } = (await (await browser.postJson(`${issuer.url}${PASSKEYS}/options`, {})).json()) as { options: { excludeCredentials: { id: string }[]; attestation: string } };
    expect(options).toMatchObject({ attestation: 'direct', excludeCredentials: [{ id: passkey.id }] });
  });

  test('ten minutes after the sign-in, changes take another', async () => {
    const { browser, passkey } = await createOwner();
    issuer.clock.advance(601);
    try {
      const page = await readAccountPage(browser, issuer.url);
      expect(page.text).toContain('Confirm it is you');
      expect(page.text).not.toContain('data-ceremony');
      expect(await read(await browser.postJson(`${issuer.url}${PASSKEYS}/options`, {}))).toMatchObject({ status: 400, error: 'sign_in_again' });
      expect((await browser.postForm(`${issuer.url}${PASSKEYS}/${passkey.id}/rename`, {}, { name: 'Late' })).status).toBe(400);
      await openAccount(browser, `${issuer.url}/login/account/again`, passkey);
      expect((await browser.postForm(`${issuer.url}${PASSKEYS}/${passkey.id}/rename`, {}, { name: 'In time' })).status).toBe(303);
    } finally {
      issuer.clock.advance(-601);
    }
  });

  test.each([['cross-site', { 'sec-fetch-site': 'cross-site' }], ['same-site', { 'sec-fetch-site': 'same-site' }], ['another origin', { origin: 'https://evil.example' }]])('a form from elsewhere (%s) changes nothing', async (_what, headers) => {
    const { browser, passkey } = await createOwner();
    expect((await browser.postForm(`${issuer.url}${PASSKEYS}/${passkey.id}/rename`, headers, { name: 'Evil' })).status).toBe(403);
    expect((await readRow(passkey)).name).toBe('Passkey');
  });

  test.each([['no name', ''], ['61 characters', 'n'.repeat(61)], ['a control character', 'a\u0007']])('a name of %s is refused', async (_what, name) => {
    const { browser, passkey } = await createOwner();
    expect((await browser.postForm(`${issuer.url}${PASSKEYS}/${passkey.id}/rename`, {}, { name })).status).toBe(400);
  });

  test('an account has twenty passkeys and no more', async () => {
    const { browser } = await createOwner();
    for (let count = 1; count < 20; count += 1) expect((await addPasskey(browser, createSoftwarePasskey({ origin: issuer.url }))).status).toBe(200);
    expect(await addPasskey(browser, createSoftwarePasskey({ origin: issuer.url }))).toMatchObject({ status: 400, error: 'too_many_passkeys' });
  });
});

describe('what a passkey shows', () => {
  const readAmr = async (options: Partial<SoftwarePasskeyOptions>) => {
    const owner = await createOwner(options);
    return { amr: decodeJwt((await signIn(issuer.url, owner)).id_token).amr, row: await readRow(owner.passkey) };
  };

  test.each<[string, () => Promise<Partial<SoftwarePasskeyOptions>> | Partial<SoftwarePasskeyOptions>, string, string, string]>([
    ['nothing stated', () => ({}), 'pop', 'unknown', 'none'],
    ['a known maker, on one device', () => ({ maker: known.maker }), 'hwk', 'hardware', 'packed'],
    ['a known maker, but a key that is synced', () => ({ maker: known.maker, isSynced: true }), 'pop', 'hardware', 'packed'],
    ['a maker that nobody knows', async () => ({ maker: (await createMaker()).maker }), 'pop', 'unknown', 'packed'],
    ['a model known to be software', () => ({ aaguid: 'd548826e-79b4-db40-a3d8-11116f7e8349' }), 'swk', 'software', 'none'],
    ['a security key’s AAGUID without an attestation', () => ({ aaguid: '2fc0579f-8113-47ea-b116-bb5a8db9202a' }), 'pop', 'unknown', 'none'],
  ])('%s', async (_what, options, possession, keyStorage, format) => {
    const { amr, row } = await readAmr(await options());
    expect(amr).toEqual([possession, 'user', 'mfa']);
    expect(row).toMatchObject({ key_storage: keyStorage, attestation_format: format });
    expect(row.attestation_object === null).toBe(format === 'none');
  });

  test.each([['a PIN', 0x4, ['pop', 'user', 'pin', 'mfa']], ['a PIN at the client', 0x800, ['pop', 'user', 'pin', 'mfa']], ['a fingerprint', 0x2, ['pop', 'user', 'mfa']]])('an authenticator that says, signed, that it asked for %s', async (_what, uvm, amr) => {
    expect((await readAmr({ uvm })).amr).toEqual(amr);
  });

  test('a statement whose signature is false is refused', async () => {
    const forged = { privateKey: (await createMaker()).maker.privateKey, chain: known.maker.chain };
    await expect(createOwner({ maker: forged })).rejects.toThrow('passkey_rejected');
  });

  test('a counter that goes back, or stands still, is refused, and what was kept stays', async () => {
    const { browser, passkey } = await createOwner();
    passkey.rewind(0);
    await expect(signInToAccount(createBrowser(issuer.url), issuer.url, passkey)).rejects.toThrow('passkey_copied');
    passkey.rewind(50);
    await signInToAccount(browser, issuer.url, passkey, true);
    expect(Number((await readRow(passkey)).counter)).toBe(51);
  });

  test('whether it may be backed up cannot change, and whether it is does', async () => {
    const { passkey } = await createOwner({ isSynced: true });
    await query(issuer.databaseUrl, "UPDATE passkeys SET is_backed_up = false WHERE id = $1", [passkey.id]);
    await signInToAccount(createBrowser(issuer.url), issuer.url, passkey);
    expect((await readRow(passkey)).is_backed_up).toBe(true);
    await query(issuer.databaseUrl, "UPDATE passkeys SET device_type = 'singleDevice' WHERE id = $1", [passkey.id]);
    await expect(signInToAccount(createBrowser(issuer.url), issuer.url, passkey)).rejects.toThrow('passkey_rejected');
  });

  test('one that says it is another’s is refused', async () => {
    const [one, other] = [await createOwner(), await createOwner()];
    const [{ account_id: id }] = await query(issuer.databaseUrl, 'SELECT account_id FROM passkeys WHERE id = $1', [other.passkey.id]) as [{ account_id: string }];
    one.passkey.claimUser(Buffer.from(id).toString('base64url'));
    await expect(signInToAccount(createBrowser(issuer.url), issuer.url, one.passkey)).rejects.toThrow('passkey_rejected');
  });
});

describe('signing out', () => {
  const openLogout = async (browser: Browser, search = '') => {
    const page = await (await browser.get(`${issuer.url}/oauth/logout${search}`)).text();
    return { page, xsrf: /name="xsrf" value="([^"]+)"/.exec(page)?.[1] ?? '' };
  };

  test('is asked for, and ends the session: its cookie is of no use afterwards', async () => {
    const { browser } = await createOwner();
    const cookies = new Map(browser.cookies);
    const { page, xsrf } = await openLogout(browser);
    expect(page).toContain('Sign out?');
    const done = await browser.postForm(`${issuer.url}/oauth/logout/confirm`, {}, { xsrf, logout: 'yes' });
    expect(done.headers.get('location')).toBe(`${issuer.url}/oauth/logout/success`);
    expect(await (await browser.get(done.headers.get('location')!)).text()).toContain('You are signed out');
    const thief = createBrowser(issuer.url);
    for (const [name, value] of cookies) thief.setCookie(name, value);
    expect((await thief.get(`${issuer.url}/login/account`)).status).toBe(303);
  });

  test('whoever stays stays, and a forged answer does nothing', async () => {
    const { browser } = await createOwner();
    const { xsrf } = await openLogout(browser);
    expect((await browser.postForm(`${issuer.url}/oauth/logout/confirm`, {}, { xsrf: 'x'.repeat(xsrf.length), logout: 'yes' })).status).toBe(400);
    expect((await readAccountPage(browser, issuer.url)).text).toContain('Your account');
  });

  test('a relying party gets its person back where it has registered, and nowhere else', async () => {
    const back = 'https://app.example/signed-out';
    await issuer.app.clients.register({ id: 'app', name: 'App', kind: 'web', authentication: 'none', redirectUris: ['https://app.example/cb'], postLogoutRedirectUris: [back] });
    const { browser } = await createOwner();
    const { xsrf } = await openLogout(browser, `?client_id=app&post_logout_redirect_uri=${encodeURIComponent(back)}&state=s1`);
    const done = await browser.postForm(`${issuer.url}/oauth/logout/confirm`, {}, { xsrf, logout: 'yes' });
    expect(done.headers.get('location')).toBe(`${back}?state=s1`);
    const { page } = await openLogout((await createOwner()).browser, '?client_id=app&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F');
    expect(page).toContain('post_logout_redirect_uri not registered');
  });
});
