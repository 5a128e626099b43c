import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { Redis } from 'ioredis';
import { readAccountPage, signInToAccount } from '../support/account_page.ts';
import { createBrowser, enrol, type Browser } from '../support/browser.ts';
import { findFreePort } from '../support/free_port.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { createCodeRequest, postToken, signIn } from '../support/oauth.ts';
import { query, testRedisUrl } from '../support/services.ts';
import { createSoftwarePasskey, type SoftwarePasskey } from '../support/software_passkey.ts';

/* Browsers that are signed in: seen and ended on the account page, by whoever closes the account, and for good. */

const AGENTS = {
  firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0',
  phone: 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1',
};

let issuer: TestIssuer;
/** Another instance on the same stores. */
let other: TestIssuer;
let redis: Redis;
beforeAll(async () => {
  const env = { VOUCH_TRUSTED_PROXIES: '1', VOUCH_SESSION_IDLE_SECONDS: '21000', VOUCH_DATA_DIR: mkdtempSync(join(tmpdir(), 'vouch-')) };
  issuer = await startTestIssuer(env);
  const port = await findFreePort();
  other = await startTestIssuer({ ...env, DATABASE_URL: issuer.databaseUrl, VOUCH_ISSUER: issuer.url, VOUCH_PORT: String(port) });
  Object.assign(other, { url: `http://localhost:${port}` });
  redis = new Redis(testRedisUrl());
});
afterAll(async () => {
  redis.disconnect();
  await other.close();
  await issuer.close();
});

interface Owner {
  readonly id: string;
  readonly email: string;
  readonly passkey: SoftwarePasskey;
  /** Signs in with another browser. */
  open(agent: string, address?: string): Promise<Browser>;
}

let serial = 0;
async function createOwner(): Promise<Owner> {
  serial += 1;
  const email = `browsing${serial}@example.com`;
  const passkey = createSoftwarePasskey({ origin: issuer.url });
  await enrol(createBrowser(issuer.url), `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'Owner' }, passkey);
  const open = async (agent: string, address = '203.0.113.7') => {
    const browser = createBrowser(issuer.url, issuer.url, { 'user-agent': agent, 'x-forwarded-for': address });
    await signInToAccount(browser, issuer.url, passkey);
    return browser;
  };
  return { id: (await issuer.app.accounts.lookUp(email))!.id, email, passkey, open };
}

/** What the page shows of sessions: text and, where it can be ended, its key. */
async function readRows(browser: Browser) {
  const { text } = await readAccountPage(browser, issuer.url);
  const list = /<ul class="rows" aria-labelledby="sessions">([^]*?)<\/ul>/.exec(text)?.[1] ?? '';
  return list.split('</li>').slice(0, -1).map((row) => ({ key: /browsers\/([^"/]+)\/end/.exec(row)?.[1], text: row.replace(/<form[^]*<\/form>/, '').replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ').replaceAll(' ,', ',').trim() }));
}
const isSignedIn = async (browser: Browser, at = issuer) => (await createCopy(browser, at).get(`${issuer.url}/login/account`)).status === 200;
/** Shows the same cookies, perhaps to the other instance. */
function createCopy(browser: Browser, at = issuer): Browser {
  const copy = createBrowser(issuer.url, at.url);
  for (const [name, value] of browser.cookies) copy.setCookie(name, value);
  return copy;
}
const post = (browser: Browser, path: string, headers: Record<string, string> = {}) => browser.postForm(`${issuer.url}/login/account/${path}`, headers);

describe('the account page', () => {
  test('lists browsers with what they are, from where and since when, its own first', async () => {
    const owner = await createOwner();
    const laptop = await owner.open(AGENTS.firefox);
    await owner.open(AGENTS.phone, '198.51.100.9');
    await owner.open('curl <b>8</b>', '203.0.113.200');
    const rows = await readRows(laptop);
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatchObject({ key: undefined, text: expect.stringMatching(/^Firefox on Linux This browser Since .* UTC Last used .* UTC, from 203\.0\.113\.7 Ends .* UTC$/) });
    const [odd, phone] = rows.slice(1).sort((a, b) => a.text.localeCompare(b.text));
    expect(phone).toMatchObject({ key: expect.any(String), text: expect.stringMatching(/^Safari on iPhone Since .*, from 198\.51\.100\.9 Ends/) });
    expect(odd!.text).toMatch(/^curl &lt;b&gt;8&lt;\/b&gt; Since .*, from 203\.0\.113\.200, the network you are in now Ends/);
    // What names a session on the page is not what its cookie holds.
    for (const value of laptop.cookies.values()) expect(JSON.stringify(await query(issuer.databaseUrl, 'SELECT * FROM browser_sessions'))).not.toContain(value);
  });

  test('ends one: with its next request, on every instance, and the others stay', async () => {
    const owner = await createOwner();
    const [here, there] = [await owner.open(AGENTS.firefox), await owner.open(AGENTS.phone)];
    expect([await isSignedIn(there), await isSignedIn(there, other)]).toEqual([true, true]);
    const key = (await readRows(here)).find(({ text }) => text.startsWith('Safari'))!.key!;
    const ended = await post(here, `browsers/${key}/end`);
    expect([ended.status, ended.headers.get('location')]).toEqual([303, '/login/account?done=session_ended']);
    expect([await isSignedIn(there, other), await isSignedIn(there), await isSignedIn(here)]).toEqual([false, false, true]);
    // oidc-provider’s own ways hold to it too.
    const { url } = createCodeRequest(issuer.url, { prompt: 'none', client_id: 'vouch-account', redirect_uri: `${issuer.url}/login/account/return`, scope: 'openid' });
    const errorOf = async (browser: Browser) => new URL((await createCopy(browser).get(url)).headers.get('location')!, url).searchParams.get('error');
    expect([await errorOf(there), await errorOf(here)]).toEqual(['login_required', null]);
    expect((await post(here, `browsers/${key}/end`)).status).toBe(404);
    // The person can sign in there again, and what was ended stays so.
    await signInToAccount(there, issuer.url, owner.passkey);
    expect(await isSignedIn(there)).toBe(true);
    expect(await query(issuer.databaseUrl, 'SELECT ended_by FROM browser_sessions WHERE id = $1 AND ended_at IS NOT NULL', [key])).toEqual([{ ended_by: 'person' }]);
  });

  test('ends all but the one that asks', async () => {
    const owner = await createOwner();
    const browsers = [await owner.open(AGENTS.firefox), await owner.open(AGENTS.phone), await owner.open(AGENTS.phone)] as const;
    const stranger = await (await createOwner()).open(AGENTS.phone);
    expect((await post(browsers[0], 'sessions/end')).headers.get('location')).toBe('/login/account?done=sessions_ended');
    expect(await Promise.all(browsers.map((browser) => isSignedIn(browser, other)))).toEqual([true, false, false]);
    expect(await isSignedIn(stranger)).toBe(true);
    // It stays there: what was allowed and not used yet is in no list.
    expect((await readAccountPage(browsers[0], issuer.url)).text).toContain('End all but this browser');
  });

  test('ends none of another account’s, for no other site, and nothing that is no session', async () => {
    const [owner, thief] = [await createOwner(), await createOwner()];
    const [here, there] = [await owner.open(AGENTS.firefox), await owner.open(AGENTS.phone)];
    const key = (await readRows(here)).find(({ text }) => text.startsWith('Safari'))!.key!;
    expect((await post(await thief.open(AGENTS.firefox), `browsers/${key}/end`)).status).toBe(404);
    expect((await post(createBrowser(issuer.url), `browsers/${key}/end`)).status).toBe(400);
    expect((await post(here, `browsers/${key}/end`, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    for (const odd of ['%00', 'x'.repeat(65), '%27', 'x']) expect((await post(here, `browsers/${odd}/end`)).status).toBe(404);
    expect(await isSignedIn(there)).toBe(true);
  });

  test('knows when and from where a browser was last used, though it only looked', async () => {
    const owner = await createOwner();
    const browser = await owner.open(AGENTS.firefox);
    const [before] = await issuer.app.sessions.browsers.list(owner.id);
    issuer.clock.advance(120);
    expect((await browser.get(`${issuer.url}/login/account`, { 'x-forwarded-for': '198.51.100.77' })).status).toBe(200);
    const [after] = await issuer.app.sessions.browsers.list(owner.id);
    issuer.clock.advance(-120);
    expect(after).toMatchObject({ ip: '198.51.100.77', startedAt: before!.startedAt });
    expect(after!.usedAt.getTime() - before!.usedAt.getTime()).toBeGreaterThan(119_000);
  });
});

test('a command line’s session is over when it was not refreshed for too long, and lasts on when it was', async () => {
  const owner = await createOwner();
  const browser = await owner.open(AGENTS.firefox);
  const [used, unused] = [await signIn(issuer.url, { browser, passkey: owner.passkey }), await signIn(issuer.url, { browser, passkey: owner.passkey })];
  expect(used.refresh_token_expires_in).toBe(21_000);
  const refresh = (token: string) => postToken(issuer.url, { grant_type: 'refresh_token', client_id: 'vouch-cli', refresh_token: token });
  issuer.clock.advance(20_000);
  const first = await refresh(used.refresh_token);
  issuer.clock.advance(1_001);
  const [late, second] = [await refresh(unused.refresh_token), await refresh(String(first.body.refresh_token))];
  const living = await issuer.app.sessions.list(owner.id);
  issuer.clock.advance(-21_001);
  expect([first.status, second.status, late.body.error]).toEqual([200, 200, 'invalid_grant']);
  // No longer than its sign-in lasts.
  expect(second.body.refresh_token_expires_in).toBeLessThanOrEqual(28_800 - 21_001);
  expect(living.map(({ grantId }) => grantId)).toEqual([decodeJwt(used.access_token).grant_id]);
  expect(await issuer.app.sessions.listEnded(owner.id)).toEqual([]);
});

describe('a cookie that comes back', () => {
  /** What Redis keeps of this browser's session, to be put back later. */
  const dump = async (browser: Browser) => {
    const key = `vouch:Session:${createHash('sha256').update(browser.cookies.get('vouch')!).digest('base64url')}`;
    return { key, value: (await redis.get(key))! };
  };
  const restore = ({ key, value }: Awaited<ReturnType<typeof dump>>) => redis.set(key, value, 'EX', 600);

  test('after signing out is refused, though Redis came back with what it had lost', async () => {
    const owner = await createOwner();
    const browser = await owner.open(AGENTS.firefox);
    const stolen = createCopy(browser);
    const kept = await dump(browser);
    expect(kept.value).toContain(owner.id);
    const page = await (await browser.get(`${issuer.url}/oauth/logout`)).text();
    await browser.postForm(`${issuer.url}/oauth/logout/confirm`, {}, { xsrf: /name="xsrf" value="([^"]+)"/.exec(page)![1]!, logout: 'yes' });
    expect(await isSignedIn(stolen)).toBe(false);
    await restore(kept);
    expect([await isSignedIn(stolen), await isSignedIn(stolen, other)]).toEqual([false, false]);
    expect(await issuer.app.sessions.browsers.list(owner.id)).toEqual([]);
  });

  test('after suspension and resumption is refused', async () => {
    const owner = await createOwner();
    const browser = await owner.open(AGENTS.firefox);
    const kept = await dump(browser);
    expect(kept.value).toContain(owner.id);
    expect(await issuer.app.people.suspend(owner.id, 'admin:x')).toBe(true);
    expect(await isSignedIn(browser)).toBe(false);
    expect(await issuer.app.people.resume(owner.id)).toBe(true);
    await restore(kept);
    expect([await isSignedIn(browser), await isSignedIn(browser, other)]).toEqual([false, false]);
    await signInToAccount(browser, issuer.url, owner.passkey);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('after its account was removed is refused', async () => {
    const owner = await createOwner();
    const browser = await owner.open(AGENTS.firefox);
    await issuer.app.people.remove(owner.id);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('is over when its sign-in is, however often it was used meanwhile', async () => {
    const owner = await createOwner();
    const browser = await owner.open(AGENTS.firefox);
    issuer.clock.advance(20_000);
    // oidc-provider writes it anew, and would go on for ever.
    await browser.get(`${issuer.url}/device`);
    const before = await isSignedIn(browser);
    issuer.clock.advance(8_801);
    const after = await isSignedIn(browser);
    // Who shows anew who they are begins anew.
    await signInToAccount(browser, issuer.url, owner.passkey);
    const [row] = await issuer.app.sessions.browsers.list(owner.id);
    const now = issuer.clock.now().getTime();
    issuer.clock.advance(-28_801);
    expect([before, after, Math.abs(row!.startedAt.getTime() - now) < 1_000]).toEqual([true, false, true]);
  });

  test('is over when it was not used for too long, and the page says when that would be', async () => {
    const owner = await createOwner();
    const browser = await owner.open(AGENTS.firefox);
    const [row] = await issuer.app.sessions.browsers.list(owner.id);
    expect(row!.endsAt.getTime() - row!.usedAt.getTime()).toBe(21_000_000);
    issuer.clock.advance(21_001);
    const after = [await isSignedIn(browser), (await issuer.app.sessions.browsers.list(owner.id)).length];
    issuer.clock.advance(-21_001);
    expect(after).toEqual([false, 0]);
  });

  test('of a sign-in whose row is away counts for nothing, and Postgres away is no sign-out', async () => {
    const owner = await createOwner();
    const browser = await owner.open(AGENTS.firefox);
    await query(issuer.databaseUrl, 'ALTER TABLE browser_sessions RENAME TO browser_sessions_away');
    const away = await createCopy(browser).get(`${issuer.url}/login/account`);
    await query(issuer.databaseUrl, 'ALTER TABLE browser_sessions_away RENAME TO browser_sessions');
    expect([away.status, await away.text()]).toEqual([503, expect.stringContaining('cannot reach our storage')]);
    expect(await isSignedIn(browser)).toBe(true);
    await query(issuer.databaseUrl, 'DELETE FROM browser_sessions WHERE account_id = $1', [owner.id]);
    expect(await isSignedIn(browser)).toBe(false);
  });
});
