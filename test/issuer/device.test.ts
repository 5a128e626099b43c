import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { createBrowser, enrol, type Browser } from '../support/browser.ts';
import { approveDevice, askForDevice, beginDevice, decideDevice, DEVICE_REQUEST, enterCode, openDeviceSignIn, pollDevice, readXsrf, touchForDevice } from '../support/device.ts';
import { createProofKey, type ProofKey } from '../support/dpop.ts';
import { findFreePort } from '../support/free_port.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { codeForm, exchangeForm, getCode, postToken, signIn } from '../support/oauth.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey, type SoftwarePasskey } from '../support/software_passkey.ts';
import { startUpstreamIssuer, UPSTREAM_CLIENT, type UpstreamIssuer } from '../support/upstream_issuer.ts';
import { follow, visitUpstream } from '../support/upstream_visit.ts';

/* Device login (RFC 8628), without a window; test/flows/device.test.ts has the real browser and the real command line. */

let issuer: TestIssuer;
let okta: UpstreamIssuer;
let url: string;
let ada: { browser: Browser; passkey: SoftwarePasskey };
beforeAll(async () => {
  const port = await findFreePort();
  okta = await startUpstreamIssuer({ redirectUri: `http://localhost:${port}/login/upstream/okta/callback` });
  issuer = await startTestIssuer({
    VOUCH_PORT: String(port), VOUCH_TRUSTED_PROXIES: '1', VOUCH_HOSTED_DOMAINS: 'example.com forbidden.example', VOUCH_DEVICE_LOGIN_FORBIDDEN: 'forbidden.example',
    VOUCH_UPSTREAMS: JSON.stringify([{ id: 'okta', name: 'Okta', issuer: okta.url, ...UPSTREAM_CLIENT, domains: ['example.com'] }]),
  });
  ({ url } = issuer);
  ada = await issuer.createPerson('ada@example.com');
});
afterAll(async () => {
  await issuer.close();
  await okta.close();
});

type Person = Awaited<ReturnType<typeof createMember>>;
let members = 0;
async function createMember() {
  const email = `member${(members += 1)}@example.com`;
  const [browser, passkey] = [createBrowser(url), createSoftwarePasskey({ origin: url })];
  await enrol(browser, `${url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'Member' }, passkey);
  return { browser, passkey, id: (await issuer.app.accounts.lookUp(email))!.id };
}

/** Past the time between two polls. */
const wait = (seconds = 5) => {
  issuer.clock.advance(seconds);
};

// Each with an address of its own, so that no test uses up another's share.
let visitors = 0;
const from = (address?: string) => ({ 'x-forwarded-for': address ?? `198.51.100.${(visitors += 1)}` });
const noted = async (event: string) => (await issuer.app.audit.find({ kind: 'refusal', limit: 1000 })).filter((row) => row.event === event);
/** Once there are more than there were: nobody waits for a refusal to be written. */
async function notedSince(before: number): Promise<Awaited<ReturnType<typeof noted>>> {
  for (;;) {
    const rows = await noted('device_login');
    if (rows.length > before) return rows;
    await sleep(50);
  }
}

describe('the request for a code', () => {
  test('is answered as RFC 8628 3.2 says, and kept by nobody', async () => {
    const { status, headers, body } = await askForDevice(url, DEVICE_REQUEST, from());
    expect({ status, cache: headers.get('cache-control') }).toEqual({ status: 200, cache: 'no-store' });
    expect(body).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/), user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{5}-[BCDFGHJKLMNPQRSTVWXZ]{5}$/),
      verification_uri: `${url}/device`, verification_uri_complete: `${url}/device?user_code=${String(body.user_code)}`, expires_in: 600, interval: 5,
    });
    const rows = await query(issuer.databaseUrl, "SELECT payload::text AS text, id FROM oidc_artifacts WHERE model = 'DeviceCode'");
    expect(rows.length).toBeGreaterThan(0);
    expect(JSON.stringify(rows)).not.toContain(body.device_code);
  });

  test('each letter of the alphabet is as likely as any other', async () => {
    const codes = await Promise.all(Array.from({ length: 60 }, async () => (await beginDevice(url, {}, from())).user_code.replace('-', '')));
    const letters = codes.join('');
    expect(new Set(codes).size).toBe(60);
    expect(new Set(letters).size).toBe(20);
    // 600 draws of 20: 30 each; five standard deviations are 27.
    for (const letter of 'BCDFGHJKLMNPQRSTVWXZ') expect(Math.abs(letters.split(letter).length - 1 - 30)).toBeLessThan(27);
  });

  const without = (name: string) => Object.fromEntries(Object.entries(DEVICE_REQUEST).filter(([key]) => key !== name));
  test.each<[string, Record<string, string> | [string, string][], string, RegExp]>([
    ['of nobody', without('client_id'), 'invalid_request', /client/],
    ['of a client that is not there', { ...DEVICE_REQUEST, client_id: 'nobody' }, 'invalid_client', /client/],
    ['of a client that may not', { ...DEVICE_REQUEST, client_id: 'vouch-account' }, 'invalid_request', /not allowed for this client/],
    ['with a repeated name', [...Object.entries(DEVICE_REQUEST), ['device_name', 'other']], 'invalid_request', /device_name.*twice/],
    ['with a repeated client', [...Object.entries(DEVICE_REQUEST), ['client_id', 'vouch-cli']], 'invalid_request', /twice/],
    ['with a name of 65 characters', { ...DEVICE_REQUEST, device_name: 'n'.repeat(65) }, 'invalid_request', /device_name must be 1-64 visible ASCII characters/],
    ['with a name that turns the line around', { ...DEVICE_REQUEST, device_name: 'a\u202eb' }, 'invalid_request', /device_name must be/],
    ['with a control character in the system', { ...DEVICE_REQUEST, device_os: 'Linux\u001b[2J' }, 'invalid_request', /device_os must be/],
    ['for the admin API', { ...DEVICE_REQUEST, resource: 'ADMIN' }, 'invalid_target', /admin API is not for device login/],
    ['for an API that is not registered', { ...DEVICE_REQUEST, resource: 'https://nobody.example' }, 'invalid_target', /not registered/],
  ])('%s is refused', async (_what, form, error, description) => {
    const sent = Array.isArray(form) ? form : Object.fromEntries(Object.entries(form).map(([name, value]) => [name, value === 'ADMIN' ? `${url}/admin` : value]));
    const { status, body } = await askForDevice(url, sent, from());
    expect({ isRefused: status === 400 || status === 401, ...body }).toEqual({ isRefused: true, error, error_description: expect.stringMatching(description) });
  });

  test('a machine may say nothing of itself', async () => {
    const { status, body } = await askForDevice(url, { client_id: 'vouch-cli', scope: 'openid' }, from());
    expect(status).toBe(200);
    expect((await enterCode(createBrowser(url), url, String(body.user_code), from())).page).toContain('It does not say');
  });

  test('one address asks a hundred times in ten minutes, and others are not held to that', async () => {
    const [many, other] = [from('2001:db8:7:7::1'), from('2001:db8:7:8::1')];
    const answers = await Promise.all(Array.from({ length: 104 }, (_, index) => askForDevice(url, DEVICE_REQUEST, from(`2001:db8:7:7::${index}`))));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100);
    const refused = await askForDevice(url, DEVICE_REQUEST, many);
    expect({ status: refused.status, isSaidHowLong: Number(refused.headers.get('retry-after')) > 590, ...refused.body }).toEqual({ status: 429, isSaidHowLong: true, error: 'temporarily_unavailable', error_description: expect.stringContaining('ten minutes') });
    expect((await askForDevice(url, DEVICE_REQUEST, other)).status).toBe(200);
  });
});

describe('a device that is approved', () => {
  test('gets a session like any other, on record with who asked from where', async () => {
    const since = await issuer.app.audit.find({ kind: 'refusal', limit: 1000 });
    const device = await beginDevice(url, {}, from('203.0.113.7'));
    for (let poll = 0; poll < 3; poll += 1) {
      expect(await pollDevice(url, device.device_code)).toMatchObject({ status: 400, body: { error: 'authorization_pending' } });
      wait();
    }
    expect(await approveDevice(ada, url, device.user_code)).toContain('<bdi>build-42</bdi>');
    const { status, body, headers } = await pollDevice(url, device.device_code);
    expect({ status, cache: headers.get('cache-control') }).toEqual({ status: 200, cache: 'no-store' });
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 600, scope: 'openid email', refresh_token: expect.any(String), refresh_token_expires_in: expect.any(Number) });
    expect(decodeJwt(String(body.id_token))).toMatchObject({ aud: 'vouch-cli', email: 'ada@example.com', hd: 'example.com' });
    const access = decodeJwt(String(body.access_token));
    expect(access).toMatchObject({ aud: url, client_id: 'vouch-cli', amr: ['pop', 'user', 'mfa'], auth_time: expect.any(Number), grant_id: expect.any(String) });
    expect((await postToken(url, { grant_type: 'refresh_token', client_id: 'vouch-cli', refresh_token: String(body.refresh_token) })).status).toBe(200);
    const detail = { device: { name: 'build-42', os: 'Linux (x86_64)', ip: '203.0.113.7' } };
    expect((await issuer.app.audit.find({ jti: String(access.jti) }))[0]).toMatchObject({ event: 'device_code', tokenKind: 'access_token', subject: 'ada@example.com', detail });
    const signIns = await issuer.app.audit.find({ accountId: String(access.sub), kind: 'sign_in', limit: 1 });
    expect(signIns[0]).toMatchObject({ event: 'signed_in', clientId: 'vouch-cli', detail: { by: 'passkey', ...detail } });
    // Waiting is no refusal.
    expect(await issuer.app.audit.find({ kind: 'refusal', limit: 1000 })).toHaveLength(since.length);
  });

  test('takes a touch though the browser is signed in', async () => {
    const person = await issuer.createPerson('present@example.com');
    await signIn(url, person);
    const device = await beginDevice(url, {}, from());
    const page = await openDeviceSignIn(person.browser, url, device.user_code);
    expect(new URL(page).pathname).toMatch(/^\/login\//);
    expect(await (await person.browser.get(page)).text()).toMatch(/on <strong><bdi>build-42<\/bdi><\/strong> is asking to sign in as you/);
    expect(await pollDevice(url, device.device_code)).toMatchObject({ body: { error: 'authorization_pending' } });
    await touchForDevice(person.browser, page, person.passkey);
    wait();
    // Not yet: the browser has not gone on.
    expect(await pollDevice(url, device.device_code)).toMatchObject({ body: { error: 'authorization_pending' } });
  });

  const approve = async (who = ada) => {
    const device = await beginDevice(url, {}, from());
    await approveDevice(who, url, device.user_code);
    return device.device_code;
  };
  const refresh = (token: unknown, headers: Record<string, string> = {}) => postToken(url, { grant_type: 'refresh_token', client_id: 'vouch-cli', refresh_token: String(token) }, headers);

  test('gets one session, of any number of polls at the same time', async () => {
    const code = await approve();
    const answers = await Promise.all(Array.from({ length: 20 }, () => pollDevice(url, code)));
    expect(new Set(answers.map(({ status, body }) => `${status} ${String(body.refresh_token)}`)).size).toBe(1);
    expect((await refresh(answers[0]!.body.refresh_token)).status).toBe(200);
  });

  test('whose answer was lost on the way gets it again, its times counted from then', async () => {
    const code = await approve();
    const first = await pollDevice(url, code);
    issuer.clock.advance(20);
    const again = await pollDevice(url, code);
    issuer.clock.advance(-20);
    expect({ status: again.status, cache: again.headers.get('cache-control') }).toEqual({ status: 200, cache: 'no-store' });
    expect(again.body).toMatchObject({ access_token: first.body.access_token, refresh_token: first.body.refresh_token, id_token: first.body.id_token });
    expect(first.body.expires_in - again.body.expires_in).toBeGreaterThanOrEqual(20);
  });

  test('a code that is redeemed again after half a minute ends what it gave', async () => {
    const code = await approve();
    const { body } = await pollDevice(url, code);
    issuer.clock.advance(31);
    const again = await pollDevice(url, code);
    const next = await refresh(body.refresh_token);
    issuer.clock.advance(-31);
    expect([again.body.error, next.body.error]).toEqual(['invalid_grant', 'invalid_grant']);
    expect(issuer.logged).toContain('a code or a refresh token came a second time; its session was ended');
  });

  test('a copy of its code is worth nothing without its key, or to another client, inside the half minute too', async () => {
    const [key, thief] = [await createProofKey(), await createProofKey()];
    const code = await approve();
    const poll = (headers: Record<string, string>, client = 'vouch-cli') => postToken(url, { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: client, device_code: code }, headers);
    const nonce = (await poll({ DPoP: await key.prove(url) })).headers.get('dpop-nonce')!;
    const prove = async (by: ProofKey) => ({ DPoP: await by.prove(url, { nonce }) });
    const first = await poll(await prove(key));
    expect(first.status).toBe(200);
    expect(await poll({})).toMatchObject({ status: 400, body: { error: 'invalid_grant', error_description: expect.stringContaining('bound to a key') } });
    expect(await poll(await prove(thief))).toMatchObject({ status: 400, body: { error: 'invalid_grant', error_description: expect.stringContaining('bound to another key') } });
    expect(await poll({ DPoP: await key.prove(url) })).toMatchObject({ status: 400, body: { error: 'use_dpop_nonce' } });
    expect(await poll(await prove(key), 'vouch-account')).toMatchObject({ status: 400 });
    expect((await poll(await prove(key))).body.refresh_token).toBe(first.body.refresh_token);
    expect((await refresh(first.body.refresh_token, await prove(key))).status).toBe(200);
    expect((await issuer.app.audit.find({ kind: 'refusal', limit: 50 })).filter(({ event, reason }) => event === 'device_code' && String(reason).includes('another key'))).toHaveLength(1);
  });

  test('a session that was ended is not given again', async () => {
    const person = await issuer.createPerson('ended@example.com');
    const code = await approve(person);
    const { body } = await pollDevice(url, code);
    expect(await issuer.app.sessions.end(String(decodeJwt(String(body.access_token)).sub), String(decodeJwt(String(body.access_token)).grant_id), 'person')).toBe(true);
    expect(await pollDevice(url, code)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test.each<[string, (person: Person) => Promise<unknown>]>([
    ['its person ends all sessions', async ({ browser }) => {
      expect((await browser.postForm(`${url}/login/account/sessions/end`, {})).headers.get('location')).toContain('done=sessions_ended');
      expect((await browser.get(`${url}/login/account`)).status).toBe(200);
    }],
    ['an admin suspends the account, and resumes it', async ({ id }) => {
      await issuer.app.people.suspend(id, 'admin:x');
      await issuer.app.people.resume(id);
    }],
  ])('gets nothing for a code that was approved before %s, nor does who holds an authorization code or a sign-in', async (_what, end) => {
    const person = await createMember();
    const approved = await approve(person);
    const { code, verifier } = await getCode(url, person);
    // Touched for, and not fetched by the browser yet.
    const [device, elsewhere] = [await beginDevice(url, {}, from()), createBrowser(url)];
    const unfetched = await touchForDevice(elsewhere, await openDeviceSignIn(elsewhere, url, device.user_code), person.passkey);
    await end(person);
    expect(await pollDevice(url, approved)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await postToken(url, codeForm(code, verifier))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect((await elsewhere.get(unfetched)).status).toBe(400);
    expect((await elsewhere.get(`${url}/login/account`)).status).toBe(303);
    wait();
    expect(await pollDevice(url, device.device_code)).toMatchObject({ status: 400, body: { error: 'authorization_pending' } });
    expect(await query(issuer.databaseUrl, 'SELECT model FROM oidc_artifacts WHERE account_id = $1', [person.id])).toEqual([]);
    // Another's stay, and the person goes on.
    const [theirs, own] = [await approve(), await approve(person)];
    expect([(await pollDevice(url, theirs)).status, (await pollDevice(url, own)).status]).toEqual([200, 200]);
  });

  test('all sessions are all, however many there were', async () => {
    const person = await createMember();
    const first = await signIn(url, person);
    await query(issuer.databaseUrl, `INSERT INTO sessions (grant_id, account_id, client_id, started_at, used_at, ends_at, ended_at)
      SELECT $1 || n, $2, 'vouch-cli', now(), now() + interval '1 hour', now() + interval '8 hours', CASE WHEN n > 5 THEN now() END FROM generate_series(1, 600) AS n`, [`many-${person.id}-`, person.id]);
    expect(await issuer.app.sessions.list(person.id)).toHaveLength(6);
    expect(await issuer.app.sessions.endAll(person.id, 'person')).toBe(7);
    expect(await query(issuer.databaseUrl, 'SELECT 1 FROM sessions WHERE account_id = $1 AND ended_at IS NULL', [person.id])).toEqual([]);
    expect((await postToken(url, exchangeForm(first.access_token))).status).toBe(400);
  });

  test('a record that cannot be written costs an answer and not the code; what is kept of one is sealed', async () => {
    const code = await approve();
    await query(issuer.databaseUrl, 'ALTER FUNCTION audit_append RENAME TO audit_append_away');
    const refused = await pollDevice(url, code);
    await query(issuer.databaseUrl, 'ALTER FUNCTION audit_append_away RENAME TO audit_append');
    expect(refused).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
    const startedAt = performance.now();
    const { status, body } = await pollDevice(url, code);
    // At once: nobody is waited for who will not come.
    expect({ status, isAtOnce: performance.now() - startedAt < 4_000 }).toEqual({ status: 200, isAtOnce: true });
    const dump = JSON.stringify(await query(issuer.databaseUrl, 'SELECT * FROM oidc_artifacts'));
    expect(dump).toContain('DeviceAnswer');
    for (const secret of [code, body.refresh_token, body.access_token]) expect(dump).not.toContain(secret);
  });

  test('somebody who signs in as another than the browser’s session approves as themselves', async () => {
    const other = await issuer.createPerson('other@example.com');
    await signIn(url, other);
    const device = await beginDevice(url, {}, from());
    let at = await touchForDevice(other.browser, await openDeviceSignIn(other.browser, url, device.user_code), ada.passkey);
    for (let step = 0; step < 5; step += 1) {
      const response = await other.browser.get(at);
      const page = await response.text();
      const action = /<form method="post" action="([^"]*)" data-go>/.exec(page)?.[1];
      if (action === undefined) break;
      at = new URL((await other.browser.postForm(action, {}, { xsrf: readXsrf(page), logout: 'yes' })).headers.get('location')!, url).href;
    }
    const { body } = await pollDevice(url, device.device_code);
    expect(decodeJwt(String(body.id_token)).email).toBe('ada@example.com');
  });
});

describe('a device that waits', () => {
  test('is told to slow down when it asks too early, and not when it waits', async () => {
    const device = await beginDevice(url, {}, from());
    const poll = async () => (await pollDevice(url, device.device_code)).body.error as string;
    expect(await poll()).toBe('authorization_pending');
    expect([await poll(), await poll()]).toEqual(['slow_down', 'slow_down']);
    wait(5);
    expect([await poll(), await poll()]).toEqual(['authorization_pending', 'slow_down']);
    // Of one that is too early another notices nothing.
    expect((await pollDevice(url, (await beginDevice(url, {}, from())).device_code)).body.error).toBe('authorization_pending');
    await approveDevice(ada, url, device.user_code);
    expect((await pollDevice(url, device.device_code)).status).toBe(200);
  });

  test('is told that its code has expired, at the second, and so is the person', async () => {
    const device = await beginDevice(url, {}, from());
    wait(598);
    expect((await pollDevice(url, device.device_code)).body.error).toBe('authorization_pending');
    wait(3);
    expect((await pollDevice(url, device.device_code)).body.error).toBe('expired_token');
    const { response, page } = await enterCode(createBrowser(url), url, device.user_code, from());
    expect([response.status, page]).toEqual([400, expect.stringContaining('This code has expired. Start again')]);
    wait(600);
    expect((await pollDevice(url, device.device_code)).body.error).toBe('invalid_grant');
    wait(-1201);
  });

  test('a touch that comes after the end approves nothing', async () => {
    const device = await beginDevice(url, {}, from());
    const browser = createBrowser(url);
    const page = await openDeviceSignIn(browser, url, device.user_code);
    wait(590);
    const end = await touchForDevice(browser, page, ada.passkey).catch(() => undefined);
    wait(15);
    if (end !== undefined) expect((await browser.get(end)).status).toBe(400);
    expect((await pollDevice(url, device.device_code)).body.error).toBe('expired_token');
    wait(-605);
  });

  test.each([
    ['nothing', {}, 'invalid_request'],
    ['a code that nobody has', { device_code: 'x'.repeat(43) }, 'invalid_grant'],
    ['a repeated code', { device_code: ['a', 'b'] }, 'invalid_request'],
    ['a code of 20,000 characters', { device_code: 'x'.repeat(20_000) }, 'invalid_grant'],
  ])('that shows %s is refused', async (_what, more: Record<string, string | string[]>, error) => {
    const pairs = Object.entries({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'vouch-cli', ...more }).flatMap(([name, value]) => [value].flat().map((item) => [name, item] as [string, string]));
    expect(await postToken(url, pairs)).toMatchObject({ status: 400, body: { error } });
  });

  test('another client cannot redeem its code', async () => {
    const device = await beginDevice(url, {}, from());
    await query(issuer.databaseUrl, "INSERT INTO clients (id, metadata, created_at) VALUES ('other-device', $1, now())", [JSON.stringify({
      client_id: 'other-device', application_type: 'native', token_endpoint_auth_method: 'none', grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'], response_types: [], redirect_uris: [],
    })]);
    await approveDevice(ada, url, device.user_code);
    expect(await pollDevice(url, device.device_code, 'other-device')).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await pollDevice(url, device.device_code, 'vouch-account')).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect((await pollDevice(url, device.device_code)).status).toBe(200);
  });

  test('what lies in the database redeems nothing', async () => {
    const device = await beginDevice(url, {}, from());
    const [{ id }] = (await query(issuer.databaseUrl, "SELECT id FROM oidc_artifacts WHERE model = 'DeviceCode' AND user_code = $1", [device.user_code.replace('-', '')])) as [{ id: string }];
    const tryAll = async () => {
      for (const forged of [id, `#${id}`, device.user_code, `#${device.user_code}`]) expect((await pollDevice(url, forged)).body.error).toBe('invalid_grant');
    };
    await tryAll();
    await approveDevice(ada, url, device.user_code);
    await tryAll();
    expect((await pollDevice(url, device.device_code)).status).toBe(200);
  });
});

describe('the page that asks whether it is one’s own machine', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7', 'That is the address of this browser too.'],
    ['203.0.113.7', '203.0.113.9', 'That is in the same network as this browser.'],
    ['203.0.113.7', '192.0.2.9', 'That is not the network of this browser.'],
    ['2001:db8:1:1::7', '2001:db8:1:1::9', 'That is in the same network as this browser.'],
    ['2001:db8:1:1::7', '192.0.2.9', 'That is not the network of this browser.'],
  ])('asked from %s, looked at from %s: %s', async (device, browser, sentence) => {
    const { user_code: code } = await beginDevice(url, {}, from(device));
    const { response, page } = await enterCode(createBrowser(url), url, code, from(browser));
    expect(response.status).toBe(200);
    for (const shown of [sentence, `<p class="user-code" aria-labelledby="compare">${code}</p>`, '<bdi>vouch</bdi>', '<bdi>build-42</bdi>', '<bdi>Linux (x86_64)</bdi>', `<bdi>${device}</bdi>`, 'deny']) expect(page).toContain(shown);
  });

  test('takes a code as people type it', async () => {
    const { user_code: code } = await beginDevice(url, {}, from());
    for (const typed of [code.toLowerCase(), code.replace('-', ''), ` ${code.replace('-', '  ')} `]) expect((await enterCode(createBrowser(url), url, typed, from())).page).toContain(code);
  });

  test('shows what a machine says of itself as text', async () => {
    const { user_code: code } = await beginDevice(url, { device_name: '"><script>alert(1)</script>', device_os: "<b>'&" }, from());
    const { page } = await enterCode(createBrowser(url), url, code, from());
    expect(page).toContain('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).not.toMatch(/<script>|<b>/);
  });

  test('comes by the complete address too, and asks the same', async () => {
    const { verification_uri_complete: address, user_code: code } = await beginDevice(url, {}, from());
    const browser = createBrowser(url);
    const passing = await (await browser.get(address)).text();
    expect(passing).toContain('data-go');
    const page = await (await browser.postForm(`${url}/device`, from(), { xsrf: readXsrf(passing), user_code: code })).text();
    expect(page).toContain('Its terminal must show this code');
  });

  test('a no is told to the device, is final, and is on record', async () => {
    const before = (await noted('device_login')).length;
    const device = await beginDevice(url, {}, from('203.0.113.7'));
    const answer = await decideDevice(createBrowser(url), url, device.user_code, 'abort', from('192.0.2.77'));
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('Nothing was signed in')]);
    // Again: the first answer may have been lost.
    for (const _ of [1, 2]) expect(await pollDevice(url, device.device_code)).toMatchObject({ status: 400, body: { error: 'access_denied' } });
    expect((await enterCode(ada.browser, url, device.user_code, from())).page).toContain('This code was used already');
    expect((await notedSince(before))[0]).toMatchObject({ code: 'access_denied', reason: 'the person at the browser said no', clientId: 'vouch-cli', ip: '192.0.2.77', detail: { device: { name: 'build-42', os: 'Linux (x86_64)', ip: '203.0.113.7' } } });
  });

  test('so is a no where the touch is asked for', async () => {
    const device = await beginDevice(url, {}, from('203.0.113.7'));
    const before = (await noted('device_login')).length;
    const page = await openDeviceSignIn(ada.browser, url, device.user_code);
    const { response } = await follow(ada.browser, new URL(/href="([^"]+)">Continue/.exec(await (await ada.browser.postForm(`${page}/abort`)).text())![1]!, url).href);
    expect(await response!.text()).toContain('Nothing was signed in');
    expect(await pollDevice(url, device.device_code)).toMatchObject({ body: { error: 'access_denied', error_description: 'the person at the browser said no' } });
    const rows = await notedSince(before);
    expect(rows[0]).toMatchObject({ code: 'access_denied', clientId: 'vouch-cli', detail: { device: { name: 'build-42', os: 'Linux (x86_64)', ip: '203.0.113.7' } } });
    expect(rows).toHaveLength(before + 1);
  });
});

describe('a code', () => {
  test('is opened by one browser, of any number at the same time', async () => {
    const device = await beginDevice(url, {}, from());
    const browsers = await Promise.all(Array.from({ length: 8 }, async () => {
      const [browser, headers] = [createBrowser(url), from()];
      return { browser, headers, xsrf: readXsrf((await enterCode(browser, url, device.user_code, headers)).page) };
    }));
    const answers = await Promise.all(browsers.map(({ browser, headers, xsrf }) => browser.postForm(`${url}/device`, headers, { xsrf, user_code: device.user_code, confirm: 'yes' })));
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
    const pages = await Promise.all(answers.filter(({ status }) => status !== 303).map((answer) => answer.text()));
    for (const page of pages) expect(page).toContain('This code was used already');
  });

  test('that is decided stays so: a no after the yes changes nothing', async () => {
    const device = await beginDevice(url, {}, from());
    const [late, headers] = [createBrowser(url), from()];
    const { page } = await enterCode(late, url, device.user_code, headers);
    await approveDevice(ada, url, device.user_code);
    expect(await (await late.postForm(`${url}/device`, headers, { xsrf: readXsrf(page), user_code: device.user_code, abort: 'yes' })).text()).toContain('This code was used already');
    expect((await pollDevice(url, device.device_code)).status).toBe(200);
  });

  test('that nobody has can be corrected on the page that says so', async () => {
    const { user_code: code } = await beginDevice(url, {}, from());
    const [browser, headers] = [createBrowser(url), from()];
    const { response, page } = await enterCode(browser, url, 'BBBBB-BBBBB', headers);
    expect([response.status, page]).toEqual([400, expect.stringContaining('Nobody has this code')]);
    expect(page).toContain('value="BBBBB-BBBBB"');
    expect(await (await browser.postForm(`${url}/device`, headers, { xsrf: readXsrf(page), user_code: code })).text()).toContain('Its terminal must show this code');
  });

  test.each([
    ['nothing', '', 'Enter the code that your terminal shows'],
    ['a character that no database takes', '\u0000', 'Nobody has this code'],
    ['markup', '"><script>alert(1)</script>', 'Nobody has this code'],
    ['20,000 letters', 'B'.repeat(20_000), 'Nobody has this code'],
    ['what stands for any text', '%%%%%-%%%%%', 'Nobody has this code'],
  ])('of %s is refused', async (_what, typed, sentence) => {
    const { response, page } = await enterCode(createBrowser(url), url, typed, from());
    expect([response.status, page]).toEqual([400, expect.stringContaining(sentence)]);
    expect(page).not.toContain('<script>alert');
  });

  test.each<[string, Record<string, string>, Record<string, string>, number, RegExp]>([
    ['without the form’s secret', {}, {}, 400, /Enter the code again/],
    ['with another browser’s', { xsrf: 'x'.repeat(48) }, {}, 400, /Enter the code again/],
    ['without any session', { noSession: 'yes' }, {}, 400, /your browser keeps no cookies/],
    ['with a session that is gone', { goneSession: 'yes' }, {}, 400, /Enter a code|Enter the code/],
    ['from another site', {}, { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, 403, /did not come from a page of this site/],
  ])('%s is not looked at', async (_what, fields, headers, status, sentence) => {
    const device = await beginDevice(url, {}, from());
    let browser = createBrowser(url);
    const { page } = await enterCode(browser, url, device.user_code, from());
    if (fields.noSession !== undefined) browser = createBrowser(url);
    if (fields.goneSession !== undefined) issuer.clock.advance(28_900);
    const given = headers.origin === undefined ? fields : { xsrf: readXsrf(page) };
    const answer = await browser.postForm(`${url}/device`, { ...from(), ...headers }, { ...given, user_code: device.user_code, confirm: 'yes' });
    expect([answer.status, await answer.text()]).toEqual([status, expect.stringMatching(sentence)]);
    if (fields.goneSession !== undefined) issuer.clock.advance(-28_900);
    expect(await pollDevice(url, device.device_code)).toMatchObject({ body: { error: 'authorization_pending' } });
  });

  test('the end of another browser’s sign-in is not taken', async () => {
    const device = await beginDevice(url, {}, from());
    const end = await touchForDevice(ada.browser, await openDeviceSignIn(ada.browser, url, device.user_code), ada.passkey);
    const answer = await createBrowser(url).get(end);
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('begun in another browser')]);
    expect((await pollDevice(url, device.device_code)).body.error).toBe('authorization_pending');
  });
});

describe('codes that nobody has', () => {
  test('are counted by IPv6 /64, whatever the browser', async () => {
    const guess = (index: number, network = '2001:db8:9:9') => enterCode(createBrowser(url), url, 'BCDFG-BCDFG', from(`${network}::${index.toString(16)}`));
    const statuses: number[] = [];
    for (let index = 0; index < 52; index += 1) statuses.push((await guess(index)).response.status);
    expect(statuses).toEqual([...Array.from({ length: 50 }, () => 400), 429, 429]);
    expect((await guess(1, '2001:db8:9:8')).response.status).toBe(400);
  });

  test('codes that somebody has are not', async () => {
    const { user_code: code } = await beginDevice(url, {}, from());
    const [browser, headers] = [createBrowser(url), from()];
    for (let look = 0; look < 15; look += 1) expect((await enterCode(browser, url, code, headers)).response.status).toBe(200);
  });
});

describe('a domain whose people may not', () => {
  test('is refused once they are known: on the page, to the device, on record; and signs nobody in', async () => {
    const { passkey } = await issuer.createPerson('eve@forbidden.example');
    const before = (await noted('device_login')).length;
    const device = await beginDevice(url, {}, from('203.0.113.7'));
    const browser = createBrowser(url);
    const end = await touchForDevice(browser, await openDeviceSignIn(browser, url, device.user_code), passkey);
    const page = await (await browser.get(end)).text();
    expect(page).toContain('Device login is not allowed for accounts of forbidden.example.');
    expect(await pollDevice(url, device.device_code)).toMatchObject({ status: 400, body: { error: 'access_denied', error_description: 'device login is not allowed for accounts of forbidden.example' } });
    expect((await notedSince(before))[0]).toMatchObject({ code: 'access_denied', clientId: 'vouch-cli', accountId: expect.any(String), reason: expect.stringContaining('forbidden.example'), detail: { device: { ip: '203.0.113.7' } } });
    expect((await browser.get(`${url}/login/account`)).status).toBe(303);
  });

  test('may sign in with the browser’s own command line', async () => {
    expect((await signIn(url, await issuer.createPerson('mallory@forbidden.example'))).access_token).toEqual(expect.any(String));
  });
});

describe('somebody without a passkey', () => {
  test('signs in at the upstream, freshly', async () => {
    okta.person = { sub: 'u-1', email: 'upstream@example.com', email_verified: true, name: 'U' };
    const device = await beginDevice(url, {}, from());
    const browser = createBrowser(url);
    const page = await openDeviceSignIn(browser, url, device.user_code);
    const { response } = await follow(browser, await visitUpstream(browser, `${page}/upstream/okta`));
    expect(okta.asked.at(-1)).toMatchObject({ prompt: 'login', max_age: '0' });
    expect(await response!.text()).toContain('is signed in as you');
    expect(decodeJwt(String((await pollDevice(url, device.device_code)).body.id_token)).email).toBe('upstream@example.com');
  });
});
