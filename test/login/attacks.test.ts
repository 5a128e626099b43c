import { request as send } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readAccountPage, signInToAccount } from '../support/account_page.ts';
import { createBrowser, enrol, findContinuation, type Browser } from '../support/browser.ts';
import { beginDevice, enterCode, pollDevice, readXsrf } from '../support/device.ts';
import { findFreePort } from '../support/free_port.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { codeForm, createCodeRequest, getCode } from '../support/oauth.ts';
import { createSoftwarePasskey, type SoftwarePasskey } from '../support/software_passkey.ts';
import { startUpstreamIssuer, UPSTREAM_CLIENT, type UpstreamIssuer } from '../support/upstream_issuer.ts';
import { openSignIn, visitUpstream } from '../support/upstream_visit.ts';

/*
 * What an attacker tries, on an https issuer behind a proxy. Others stand where their subject is: a reused invitation in
 * pages.test.ts; another account's passkey in account.test.ts; a cookie that was signed out or ended in account.test.ts and
 * browser_sessions.test.ts; an e-mail that changes hands, a mix-up, a replayed state in upstream.test.ts; a refresh token on
 * another machine in flows/refresh.test.ts, a device code in issuer/device.test.ts; a code that comes twice in
 * flows/refusals.test.ts; a SCIM token of another scope or tenant in scim/scim.test.ts.
 */

const ISSUER = 'https://vouch.example.com';
let issuer: TestIssuer;
let upstream: UpstreamIssuer;
let local: string;
beforeAll(async () => {
  const port = await findFreePort();
  local = `http://127.0.0.1:${port}`;
  upstream = await startUpstreamIssuer({ redirectUri: `${ISSUER}/login/upstream/okta/callback` });
  issuer = await startTestIssuer({
    VOUCH_ISSUER: ISSUER, VOUCH_PORT: String(port), VOUCH_TRUSTED_PROXIES: '1', VOUCH_UPSTREAMS: JSON.stringify([{ id: 'okta', name: 'Okta', issuer: upstream.url, ...UPSTREAM_CLIENT, domains: ['example.com'] }]),
  });
});
afterAll(async () => {
  await issuer.close();
  await upstream.close();
});

const open = () => createBrowser(ISSUER, local);
const readJson = async (response: Response) => ({ status: response.status, ...((await response.json()) as { error?: string; options?: never }) });

async function createPerson(email: string): Promise<{ browser: Browser; passkey: SoftwarePasskey }> {
  const [browser, passkey] = [open(), createSoftwarePasskey({ origin: ISSUER })];
  await enrol(browser, `${ISSUER}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'N' }, passkey);
  await signInToAccount(browser, ISSUER, passkey);
  return { browser, passkey };
}

/** A request that fetch would not let us send. */
function ask(path: string, headers: Record<string, string>, method = 'GET'): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    send({ host: '127.0.0.1', port: new URL(local).port, path, method, headers }, (response) => {
      let text = JSON.stringify(response.headers);
      response.setEncoding('utf8').on('data', (part: string) => (text += part)).on('end', () => {
        resolve({ status: response.statusCode ?? 0, text });
      });
    }).once('error', reject).end();
  });
}

describe('login CSRF', () => {
  test('the attacker’s own passkey answer, posted by the victim’s browser, signs nobody in', async () => {
    const { passkey } = await createPerson('csrf-attacker@example.com');
    const attacker = open();
    const page = await openSignIn(attacker, createCodeRequest(ISSUER).url);
    const { options } = await readJson(await attacker.postJson(`${page}/options`, {}));
    const victim = open();
    expect(await readJson(await victim.postJson(`${page}/verify`, { response: passkey.get(options!) }))).toMatchObject({ status: 404, error: 'sign_in_over' });
    expect(await readJson(await victim.postJson(`${page}/verify`, {}, { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }))).toMatchObject({ status: 403, error: 'cross_origin' });
    expect([...victim.cookies]).toEqual([]);
  });
});

describe('session fixation', () => {
  test('a session that was there before is another after the sign-in, and never becomes the victim’s', async () => {
    const attacker = await createPerson('fixes@example.com');
    const { passkey } = await createPerson('fixed@example.com');
    const victim = open();
    for (const [name, value] of attacker.browser.cookies) if (name.startsWith('__Host-')) victim.setCookie(name, value);
    const before = victim.cookies.get('__Host-vouch')!;
    expect(before).toBeDefined();
    await signInToAccount(victim, ISSUER, passkey, true);
    expect(victim.cookies.get('__Host-vouch')).not.toBe(before);
    expect((await readAccountPage(victim, ISSUER)).text).toContain('fixed@example.com');
    const response = await attacker.browser.get(`${ISSUER}/login/account`);
    expect(await response.text()).not.toContain('fixed@example.com');
  });
});

describe('session fixation, before anybody is signed in', () => {
  test('a cookie that the attacker knows is worth nothing once the victim has signed in with it', async () => {
    const { passkey } = await createPerson('planted@example.com');
    const [attacker, victim] = [open(), open()];
    await attacker.get(`${ISSUER}/device`);
    const planted = [...attacker.cookies].filter(([name]) => name.startsWith('__Host-'));
    expect(planted.length).toBeGreaterThan(0);
    for (const [name, value] of planted) victim.setCookie(name, value);
    await signInToAccount(victim, ISSUER, passkey);
    expect((await readAccountPage(victim, ISSUER)).text).toContain('planted@example.com');
    expect((await attacker.get(`${ISSUER}/login/account`)).status).toBe(303);
  });
});

describe('open redirect', () => {
  test.each([
    ['an authorization request to nowhere registered', `/oauth/authorize?${new URL(createCodeRequest(ISSUER, { redirect_uri: 'https://evil.example/', prompt: 'none' }).url).searchParams.toString()}`],
    ['a loopback that is a name', `/oauth/authorize?${new URL(createCodeRequest(ISSUER, { redirect_uri: 'http://127.0.0.1.evil.example/callback', prompt: 'none' }).url).searchParams.toString()}`],
    ['a logout to nowhere registered', '/oauth/logout?client_id=vouch-cli&post_logout_redirect_uri=https%3A%2F%2Fevil.example'],
    ['a logout without a client', '/oauth/logout?post_logout_redirect_uri=https%3A%2F%2Fevil.example'],
    ['the account page’s return', '/login/account/return?code=x&redirect=https%3A%2F%2Fevil.example&iss=https%3A%2F%2Fevil.example'],
    ['an upstream’s callback', '/login/upstream/okta/callback?code=x&state=y&redirect_uri=https%3A%2F%2Fevil.example'],
    ['a path with two slashes', '//evil.example/login/account'],
  ])('%s leads nowhere else', async (_what, path) => {
    const { text } = await ask(path, { accept: 'text/html' });
    expect(text).not.toMatch(/"location":"(?!https:\/\/vouch\.example\.com\/|\/(?!\/))/);
    expect(text).not.toMatch(/(?:href|action|url)=["']?(?:https?:)?\/\/evil/);
  });

  test('what was done is told from a list, whatever the address says', async () => {
    const { browser } = await createPerson('done@example.com');
    for (const done of ['https://evil.example', '<b>x', '__proto__', 'toString']) expect(await (await browser.get(`${ISSUER}/login/account?done=${encodeURIComponent(done)}`)).text()).not.toContain('class="notice"');
  });
});

describe('clickjacking', () => {
  test('no page can be framed, whoever makes it', async () => {
    const { browser } = await createPerson('framed@example.com');
    const signInPage = await openSignIn(open(), createCodeRequest(ISSUER).url);
    const invitation = `${ISSUER}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`;
    for (const url of [signInPage, invitation, `${ISSUER}/login/account`, `${ISSUER}/oauth/logout`, `${ISSUER}/oauth/logout/success`, `${ISSUER}/oauth/authorize`, `${ISSUER}/login/upstream/okta/callback`, `${ISSUER}/nothing`]) {
      const { headers } = await browser.get(url);
      expect({ url, policy: headers.get('content-security-policy'), frame: headers.get('x-frame-options') }).toEqual({ url, policy: expect.stringContaining("frame-ancestors 'none'"), frame: 'DENY' });
      expect(headers.get('content-security-policy')).not.toContain('unsafe');
    }
  });
});

describe('an inline script', () => {
  test('is not even in what a browser is to post on (response_mode=form_post)', async () => {
    const response = await open().get(createCodeRequest(ISSUER, { response_mode: 'form_post', prompt: 'none', state: '"><script>alert(1)</script>' }).url);
    const page = await response.text();
    expect(page).toContain('name="error" value="login_required"');
    expect(page).toContain('value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"');
    expect(page).not.toMatch(/<script(?![^>]* src=")/);
    expect(response.headers.get('content-security-policy')).not.toMatch(/sha256|unsafe/);
  });
});

describe('a stolen code', () => {
  const redeem = async (form: Record<string, string>) => {
    const response = await fetch(`${local}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
    return { status: response.status, error: ((await response.json()) as { error?: string }).error };
  };

  test('is no use without the verifier of who asked for it', async () => {
    const person = await createPerson('robbed@example.com');
    const { code, verifier } = await getCode(ISSUER, person);
    expect(await redeem(codeForm(code, 'v'.repeat(43)))).toEqual({ status: 400, error: 'invalid_grant' });
    const { code: other } = await getCode(ISSUER, person);
    expect(await redeem(codeForm(other, verifier))).toEqual({ status: 400, error: 'invalid_grant' });
  });

  test('that of the account page is no use to anybody', async () => {
    const { passkey } = await createPerson('codes@example.com');
    const browser = open();
    let code = '';
    const watching: Browser = { ...browser, get: async (url, headers) => {
      code ||= new URL(url).pathname === '/login/account/return' ? (new URL(url).searchParams.get('code') ?? '') : '';
      return browser.get(url, headers);
    } };
    await signInToAccount(watching, ISSUER, passkey);
    expect(code).not.toBe('');
    const form = { ...codeForm(code, 'v'.repeat(43)), client_id: 'vouch-account', redirect_uri: `${ISSUER}/login/account/return` };
    expect(await redeem(form)).toEqual({ status: 400, error: 'invalid_grant' });
    expect(await redeem({ ...form, code_verifier: '' })).toMatchObject({ status: 400 });
  });
});

describe('guessing the code of somebody’s device', () => {
  const here = { 'x-forwarded-for': '192.0.2.200' };

  test('ends after ten tries of a browser, fifty of an address, all at once or not; the right one is no use then either', async () => {
    const { user_code: code, device_code: deviceCode } = await beginDevice(local);
    const guess = (index: number) => `BCDFG-${String(1000 + index).replace(/\d/g, (digit) => 'BCDFGHJKLM'.charAt(Number(digit)))}B`;
    const browser = open();
    const xsrf = readXsrf(await (await browser.get(`${ISSUER}/device`, here)).text());
    const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => browser.postForm(`${ISSUER}/device`, here, { xsrf, user_code: guess(index) })));
    expect([400, 429].map((status) => answers.filter((answer) => answer.status === status).length)).toEqual([10, 30]);
    const refused = answers.find(({ status }) => status === 429)!;
    expect([Number(refused.headers.get('retry-after')) > 590, await refused.text()]).toEqual([true, expect.stringContaining('Too many codes that do not exist')]);
    const { response } = await enterCode(browser, ISSUER, code, here);
    expect(response.status).toBe(429);
    // Another browser for each guess: 41 are counted by now.
    const more: number[] = [];
    for (let index = 0; index < 12; index += 1) more.push((await enterCode(open(), ISSUER, guess(40 + index), here)).response.status);
    expect(more).toEqual([...Array.from({ length: 9 }, () => 400), 429, 429, 429]);
    expect((await enterCode(open(), ISSUER, code, here)).response.status).toBe(429);
    expect((await pollDevice(local, deviceCode)).body.error).toBe('authorization_pending');
    expect((await issuer.app.audit.find({ kind: 'refusal', limit: 1000 })).filter((row) => row.code === 'too_many_codes').length).toBeGreaterThan(30);
  });

  test('there are more than 2^43 codes, and a guess at the device’s own is one in 2^256', async () => {
    const { user_code: code, device_code: deviceCode } = await beginDevice(local);
    expect(Math.log2(20) * code.replace('-', '').length).toBeGreaterThan(43);
    expect(Buffer.from(deviceCode, 'base64url')).toHaveLength(32);
  });
});

describe('an issuer from a header', () => {
  const poison = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http', forwarded: 'host=evil.example;proto=http', accept: 'text/html' };

  test.each(['/login/account', '/login/account/again', '/oauth/logout', '/nothing'])('%s says nothing of it', async (path) => {
    expect((await ask(path, poison)).text).not.toMatch(/evil\.example|"location":"http:/);
  });

  test('an upstream is told the issuer’s own address to come back to', async () => {
    const browser = open();
    const page = await openSignIn(browser, createCodeRequest(ISSUER).url);
    const { host: _, ...headers } = poison;
    const url = new URL(await findContinuation(await browser.postForm(`${page}/upstream/okta`, headers)));
    expect([url.origin, url.searchParams.get('redirect_uri')]).toEqual([upstream.url, `${ISSUER}/login/upstream/okta/callback`]);
  });
});

describe('a cookie that a sister site could set', () => {
  test('is not read: only names with __Host- are', async () => {
    const { browser } = await createPerson('sister@example.com');
    const tossed = open();
    for (const [name, value] of browser.cookies) if (name.startsWith('__Host-')) tossed.setCookie(name.slice('__Host-'.length), value);
    expect(tossed.cookies.size).toBeGreaterThan(0);
    expect((await tossed.get(`${ISSUER}/login/account`)).status).toBe(303);
    upstream.person = { sub: 'sister', email: 'sister2@example.com', email_verified: true };
    const attacker = open();
    const back = await visitUpstream(attacker, `${await openSignIn(attacker, createCodeRequest(ISSUER).url)}/upstream/okta`);
    tossed.setCookie('vouch_upstream', attacker.cookies.get('__Host-vouch_upstream')!);
    const redeemed = upstream.hits.get('/token') ?? 0;
    expect([(await tossed.get(back)).status, upstream.hits.get('/token') ?? 0]).toEqual([404, redeemed]);
  });

  test('ours are for https, this host, this path, and no script', async () => {
    const { passkey } = await createPerson('cookies@example.com');
    const lines: string[] = [];
    const browser = open();
    const keep = (response: Response) => {
      lines.push(...response.headers.getSetCookie());
      return response;
    };
    const watching: Browser = { ...browser, get: async (...of) => keep(await browser.get(...of)), postForm: async (...of) => keep(await browser.postForm(...of)) };
    await signInToAccount(watching, ISSUER, passkey);
    await watching.postForm(`${await openSignIn(watching, createCodeRequest(ISSUER).url)}/upstream/okta`);
    const kept = lines.filter((line) => line.startsWith('__Host-'));
    expect(new Set(kept.map((line) => line.slice(0, line.indexOf('='))))).toEqual(new Set(['__Host-vouch', '__Host-vouch.sig', '__Host-vouch_upstream']));
    for (const line of kept) {
      expect(line).toMatch(/; ?path=\/(;|$)/i);
      expect(line).toMatch(/; ?secure/i);
      expect(line).toMatch(/; ?httponly/i);
      expect(line).toMatch(/; ?samesite=lax/i);
      expect(line).not.toMatch(/; ?domain=/i);
    }
  });

  test('a signed cookie whose signature is another’s is not believed', async () => {
    const { browser } = await createPerson('forged@example.com');
    const forged = open();
    forged.setCookie('__Host-vouch', browser.cookies.get('__Host-vouch')!);
    expect((await forged.get(`${ISSUER}/login/account`)).status).toBe(303);
    forged.setCookie('__Host-vouch.sig', 'A'.repeat(27));
    expect((await forged.get(`${ISSUER}/login/account`)).status).toBe(303);
  });
});
