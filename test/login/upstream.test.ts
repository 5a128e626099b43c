import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { readAccountPage, signInToAccount } from '../support/account_page.ts';
import { createBrowser, type Browser } from '../support/browser.ts';
import { beginDevice, openDeviceSignIn } from '../support/device.ts';
import { findFreePort } from '../support/free_port.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { codeForm, createCodeRequest, exchangeForm, postToken } from '../support/oauth.ts';
import { query } from '../support/services.ts';
import { startUpstreamIssuer, UPSTREAM_CLIENT, type UpstreamIssuer } from '../support/upstream_issuer.ts';
import { follow, openSignIn, visitUpstream } from '../support/upstream_visit.ts';

let issuer: TestIssuer;
/** Says who is verified, and keeps its claims for userinfo. */
let okta: UpstreamIssuer;
/** States `hd`, as Google does. */
let workspace: UpstreamIssuer;
const NOWHERE = 'http://localhost:9/nobody';

beforeAll(async () => {
  const port = await findFreePort();
  const callback = (id: string) => `http://localhost:${port}/login/upstream/${id}/callback`;
  okta = await startUpstreamIssuer({ redirectUri: callback('okta'), tellsInIdToken: false });
  workspace = await startUpstreamIssuer({ redirectUri: callback('workspace') });
  issuer = await startTestIssuer({
    VOUCH_PORT: String(port),
    VOUCH_HOSTED_DOMAINS: 'example.com',
    VOUCH_UPSTREAMS: JSON.stringify([
      { id: 'okta', name: 'Okta', issuer: okta.url, ...UPSTREAM_CLIENT, domains: ['example.com', 'partner.example'] },
      { id: 'workspace', name: 'Workspace', issuer: workspace.url, ...UPSTREAM_CLIENT, domains: ['corp.example'], statesHostedDomain: true },
      { id: 'down', name: 'Down', issuer: NOWHERE, clientId: 'x', domains: ['example.com'] },
    ]),
  });
});
afterAll(async () => {
  await issuer.close();
  await okta.close();
  await workspace.close();
});
beforeEach(() => {
  for (const upstream of [okta, workspace]) Object.assign(upstream, { person: undefined, bend: undefined, outage: undefined });
});

let serial = 0;
const createPerson = (claims: Record<string, unknown> = {}) => {
  serial += 1;
  return { sub: `subject-${serial}`, email: `person${serial}@example.com`, email_verified: true, name: 'Grace Hopper', ...claims };
};

/** A whole sign-in of the command line's client through an upstream: its ID tokens, or the page that it ended on. */
async function signInBy(upstream: 'okta' | 'workspace' | 'down', browser = createBrowser(issuer.url), bend?: (url: URL) => void) {
  const { url, verifier } = createCodeRequest(issuer.url);
  const page = await openSignIn(browser, url);
  const back = await visitUpstream(browser, `${page}/upstream/${upstream}`, bend);
  const { at, response } = await follow(browser, back);
  if (response !== undefined) return { page: await response.text(), status: response.status, back };
  const { body } = await postToken(issuer.url, codeForm(new URL(at).searchParams.get('code')!, verifier));
  const federation = await postToken(issuer.url, exchangeForm(body.access_token as string));
  return { own: decodeJwt(body.id_token as string), federation: decodeJwt(federation.body.access_token as string), back };
}

const countAccounts = async (email: string) => (await query(issuer.databaseUrl, 'SELECT id FROM accounts WHERE email = $1', [email])).length;

describe('a first sign-in', () => {
  test('provisions an account, whose tokens say what the upstream says', async () => {
    okta.person = createPerson({ email: 'First.One@Example.com', sub: 'okta-first' });
    const { own, federation } = await signInBy('okta');
    expect(own).toMatchObject({ email: 'first.one@example.com', email_verified: true, hd: 'example.com', auth_time: expect.any(Number) });
    expect(own!.amr).toBeUndefined();
    expect(federation).toMatchObject({ sub: 'first.one@example.com', email_verified: true, hd: 'example.com', vouch_uid: own!.sub });
    expect(okta.asked.at(-1)).toMatchObject({ response_type: 'code', code_challenge_method: 'S256', state: expect.any(String), nonce: expect.any(String), max_age: '28800', redirect_uri: `${issuer.url}/login/upstream/okta/callback` });
    const again = await signInBy('okta');
    expect(again.own!.sub).toBe(own!.sub);
    expect(await countAccounts('first.one@example.com')).toBe(1);
  });

  test('tells how one signed in there, of the registered ways', async () => {
    workspace.person = createPerson({ hd: 'corp.example', email: 'amr@corp.example', amr: ['pwd', 'otp', 'made-up', 'mfa'] });
    expect((await signInBy('workspace')).federation).toMatchObject({ amr: ['pwd', 'otp', 'mfa'], hd: 'corp.example', sub: 'amr@corp.example' });
  });

  test('an account in a domain that is allowed and not the company’s gets no hd', async () => {
    okta.person = createPerson({ email: 'guest@partner.example' });
    const { own, federation } = await signInBy('okta');
    expect([own, federation].map((token) => token!.hd)).toEqual([undefined, undefined]);
  });

  test('two at once of one person: one account', async () => {
    okta.person = createPerson();
    const both = await Promise.all([signInBy('okta'), signInBy('okta')]);
    expect(new Set(both.map(({ own }) => own!.sub)).size).toBe(1);
    expect(await countAccounts(okta.person.email as string)).toBe(1);
  });

  test.each<[string, 'okta' | 'workspace', Record<string, unknown>, RegExp]>([
    ['another domain', 'okta', { email: 'a@elsewhere.example' }, /not of a company/],
    ['a subdomain', 'okta', { email: 'a@sub.example.com' }, /not of a company/],
    ['an e-mail that is not verified', 'okta', { email_verified: false }, /has not verified your e-mail/],
    ['an e-mail of which that is not said', 'okta', { email_verified: undefined }, /has not verified your e-mail/],
    ['an e-mail that is “verified” in words', 'okta', { email_verified: 'true' }, /has not verified your e-mail/],
    ['no e-mail', 'okta', { email: undefined }, /did not tell your e-mail/],
    ['an e-mail with a wildcard', 'okta', { email: '*@example.com' }, /cannot be used here/],
    ['an e-mail of letters that look alike', 'okta', { email: 'аda@example.com' }, /cannot be used here/],
    ['no hd, though the e-mail is in the domain', 'workspace', { email: 'personal@corp.example' }, /not of a company/],
    ['another hd, though the e-mail is in the domain', 'workspace', { email: 'a@corp.example', hd: 'elsewhere.example' }, /not of a company/],
    ['hd that is no string', 'workspace', { email: 'a@corp.example', hd: ['corp.example'] }, /not of a company/],
  ])('%s is refused, and nobody is provisioned', async (_what, upstream, claims, sentence) => {
    const person = createPerson(claims);
    (upstream === 'okta' ? okta : workspace).person = person;
    const { status, page } = await signInBy(upstream);
    expect({ status, page }).toEqual({ status: 400, page: expect.stringMatching(sentence) });
    expect(page).toContain('Back to the sign-in');
    expect(await query(issuer.databaseUrl, 'SELECT 1 FROM identities WHERE subject = $1', [person.sub])).toEqual([]);
  });

  test('who says no there is told so, and can go on with a passkey', async () => {
    const { passkey } = await issuer.createPerson('declined@example.com');
    const browser = createBrowser(issuer.url);
    expect(await signInBy('okta', browser)).toMatchObject({ status: 400, page: expect.stringContaining('it was cancelled') });
    await signInToAccount(browser, issuer.url, passkey);
  });
});

describe('an answer that is not what was asked for', () => {
  test.each<[string, (claims: Record<string, unknown>) => Record<string, unknown>]>([
    ['another issuer', (claims) => ({ ...claims, iss: workspace.url })],
    ['another audience', (claims) => ({ ...claims, aud: 'somebody-else' })],
    ['another nonce', (claims) => ({ ...claims, nonce: 'other' })],
    ['no nonce', ({ nonce: _, ...claims }) => claims],
    ['a time that is over', (claims) => ({ ...claims, exp: Number(claims.iat) - 3600, iat: Number(claims.iat) - 7200 })],
    ['no subject', ({ sub: _, ...claims }) => claims],
  ])('an ID token with %s', async (_what, bend) => {
    okta.person = createPerson();
    okta.bend = (claims) => bend(claims);
    expect(await signInBy('okta')).toMatchObject({ status: 400, page: expect.stringContaining('could not be verified') });
    expect(await countAccounts(okta.person.email as string)).toBe(0);
  });

  test('an ID token that somebody else signed', async () => {
    okta.person = createPerson();
    okta.tamper = (token) => `${token.slice(0, -10)}AAAAAAAAAA`;
    try {
      expect(await signInBy('okta')).toMatchObject({ status: 400, page: expect.stringContaining('could not be verified') });
    } finally {
      okta.tamper = undefined;
    }
  });

  test('an authorization request whose nonce, or whose PKCE challenge, was changed on the way', async () => {
    okta.person = createPerson();
    for (const name of ['nonce', 'code_challenge']) {
      expect(await signInBy('okta', undefined, (url) => { url.searchParams.set(name, 'x'.repeat(43)); })).toMatchObject({ status: 400, page: expect.stringContaining('could not be verified') });
    }
  });

  test.each<[string, (back: URL) => void]>([
    ['names another issuer (RFC 9207)', (back) => { back.searchParams.set('iss', workspace.url); }],
    ['names no issuer', (back) => { back.searchParams.delete('iss'); }],
    ['has another code', (back) => { back.searchParams.set('code', 'x'.repeat(43)); }],
    ['has its state twice', (back) => { back.searchParams.append('state', 'other'); }],
  ])('one that %s', async (_what, bend) => {
    okta.person = createPerson();
    const browser = createBrowser(issuer.url);
    const page = await openSignIn(browser, createCodeRequest(issuer.url).url);
    const back = new URL(await visitUpstream(browser, `${page}/upstream/okta`));
    bend(back);
    const { response } = await follow(browser, back.href);
    expect([response!.status, await response!.text()]).toEqual([400, expect.stringContaining('could not be verified')]);
  });

  test('a mix-up: the answer of one upstream at the address of another, with either’s state', async () => {
    okta.person = createPerson();
    workspace.person = createPerson({ email: 'mix@corp.example', hd: 'corp.example' });
    const browser = createBrowser(issuer.url);
    const visit = async (id: 'okta' | 'workspace') => new URL(await visitUpstream(browser, `${await openSignIn(browser, createCodeRequest(issuer.url).url)}/upstream/${id}`));
    const fromOkta = await visit('okta');
    const asked = [okta, workspace].map(({ hits }) => hits.get('/token') ?? 0);
    const astray = await browser.get(new URL(fromOkta.search, `${issuer.url}/login/upstream/workspace/callback`).href);
    // No code is sent on, and no way back to the sign-in is given.
    expect([astray.status, ...[okta, workspace].map(({ hits }) => hits.get('/token') ?? 0)]).toEqual([404, ...asked]);
    const fromWorkspace = await visit('workspace');
    const again = await visit('okta');
    again.searchParams.set('code', fromWorkspace.searchParams.get('code')!);
    again.searchParams.set('iss', fromWorkspace.searchParams.get('iss')!);
    const tokenRequests = workspace.hits.get('/token') ?? 0;
    const { response } = await follow(browser, again.href);
    expect(await response!.text()).toContain('could not be verified');
    expect(workspace.hits.get('/token') ?? 0).toBe(tokenRequests);
  });

  test('one that came before: a state is good once', async () => {
    okta.person = createPerson();
    const browser = createBrowser(issuer.url);
    const { back } = await signInBy('okta', browser);
    const { response } = await follow(browser, back);
    expect(response!.status).toBe(404);
  });

  test('one that another browser began: login CSRF', async () => {
    okta.person = createPerson();
    const attacker = createBrowser(issuer.url);
    const back = await visitUpstream(attacker, `${await openSignIn(attacker, createCodeRequest(issuer.url).url)}/upstream/okta`);
    const victim = createBrowser(issuer.url);
    const asked = okta.hits.get('/token') ?? 0;
    expect((await victim.get(back)).status).toBe(404);
    expect([[...victim.cookies.keys()], okta.hits.get('/token') ?? 0]).toEqual([[], asked]);
    // And even with the cookie of the visit planted, the sign-in itself is not the victim's.
    const planted = createBrowser(issuer.url);
    const second = await visitUpstream(attacker, `${await openSignIn(attacker, createCodeRequest(issuer.url).url)}/upstream/okta`);
    planted.setCookie('vouch_upstream', attacker.cookies.get('vouch_upstream')!);
    expect((await follow(planted, second)).response!.status).toBe(404);
    expect((await planted.get(`${issuer.url}/login/account`)).headers.get('location')).toContain('/oauth/authorize');
  });

  test('no visit begins from another site', async () => {
    const browser = createBrowser(issuer.url);
    const page = await openSignIn(browser, createCodeRequest(issuer.url).url);
    expect((await browser.postForm(`${page}/upstream/okta`, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
  });
});

describe('an e-mail that changes hands', () => {
  const hire = async (claims: Record<string, unknown> = {}) => {
    okta.person = createPerson(claims);
    const person = okta.person as ReturnType<typeof createPerson>;
    return { person, uid: (await signInBy('okta')).federation!.vouch_uid as string };
  };
  const refusal = { status: 400, page: expect.stringContaining('belongs, or belonged, to another account') };
  const findDispute = async (email: string) => (await issuer.app.identities.listDisputes()).find((dispute) => dispute.email === email);

  test('never yields the account that had it; an admin releases it, and the newcomer gets one of their own', async () => {
    const { person, uid } = await hire();
    okta.person = createPerson({ email: person.email });
    expect(await signInBy('okta')).toMatchObject(refusal);
    expect(await signInBy('okta')).toMatchObject(refusal);
    const dispute = await findDispute(person.email);
    expect(dispute).toMatchObject({ accountId: uid, issuer: okta.url, subject: okta.person.sub, tries: 2 });
    await issuer.app.identities.releaseEmail(dispute!.id, 'admin');
    const { federation } = await signInBy('okta');
    expect(federation).toMatchObject({ sub: person.email });
    expect(federation!.vouch_uid).not.toBe(uid);
    // Who had it does not get in any more, with the address or without.
    okta.person = person;
    expect(await signInBy('okta')).toMatchObject({ status: 400, page: expect.stringContaining('This account is closed') });
    await expect(issuer.app.identities.releaseEmail(dispute!.id, 'admin')).rejects.toThrow('resolved');
  });

  test('not even after the account is deleted', async () => {
    const { person, uid } = await hire();
    await query(issuer.databaseUrl, 'DELETE FROM accounts WHERE id = $1', [uid]);
    okta.person = createPerson({ email: person.email });
    expect(await signInBy('okta')).toMatchObject(refusal);
    const link = `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`;
    const { createSoftwarePasskey } = await import('../support/software_passkey.ts');
    const { enrol } = await import('../support/browser.ts');
    await expect(enrol(createBrowser(issuer.url), link, { email: person.email, name: 'N' }, createSoftwarePasskey({ origin: issuer.url }))).rejects.toThrow('email_taken');
    await issuer.app.identities.freeEmail(person.email, 'admin');
    expect((await signInBy('okta')).federation!.vouch_uid).not.toBe(uid);
  });

  test('a person whose address changes keeps the account, and the old address goes to nobody', async () => {
    const { person, uid } = await hire();
    const renamed = `renamed${serial}@example.com`;
    okta.person = { ...person, email: renamed };
    expect((await signInBy('okta')).federation).toMatchObject({ sub: renamed, vouch_uid: uid });
    okta.person = createPerson({ email: person.email });
    expect(await signInBy('okta')).toMatchObject(refusal);
    okta.person = person;
    expect((await signInBy('okta')).federation).toMatchObject({ sub: person.email, vouch_uid: uid });
  });

  test('a person whose new address is another’s is refused, and both accounts stay as they are', async () => {
    const [one, other] = [await hire(), await hire()];
    okta.person = { ...one.person, email: other.person.email };
    expect(await signInBy('okta')).toMatchObject(refusal);
    okta.person = other.person;
    expect((await signInBy('okta')).federation).toMatchObject({ sub: other.person.email, vouch_uid: other.uid });
  });

  test('one person at two upstreams is for an admin to say, or to link themselves', async () => {
    workspace.person = createPerson({ email: `both@corp.example`, hd: 'corp.example' });
    const uid = (await signInBy('workspace')).federation!.vouch_uid;
    await query(issuer.databaseUrl, 'UPDATE accounts SET email = $1 WHERE id = $2', ['both@example.com', uid]);
    okta.person = createPerson({ email: 'both@example.com' });
    expect(await signInBy('okta')).toMatchObject(refusal);
    await issuer.app.identities.linkDisputed((await findDispute('both@example.com'))!.id, 'admin');
    expect((await signInBy('okta')).federation!.vouch_uid).toBe(uid);
  });

  test('an invited account is not found by its e-mail either', async () => {
    await issuer.createPerson('invited@example.com');
    okta.person = createPerson({ email: 'invited@example.com' });
    expect(await signInBy('okta')).toMatchObject(refusal);
  });
});

describe('linking', () => {
  const link = async (browser: Browser, upstream = 'okta') => follow(browser, await visitUpstream(browser, `${issuer.url}/login/account/link/${upstream}`));
  const createOwner = async (email: string) => {
    const { passkey } = await issuer.createPerson(email);
    const browser = createBrowser(issuer.url);
    await signInToAccount(browser, issuer.url, passkey);
    return { browser, passkey };
  };

  test('after a fresh sign-in by passkey both lead to one account; unlinked, it leads there no more', async () => {
    const { browser } = await createOwner('linker@example.com');
    okta.person = createPerson({ email: 'linker@example.com' });
    const { at, response } = await link(browser);
    expect([at, await response!.text()]).toEqual([`${issuer.url}/login/account?done=identity_linked`, expect.stringContaining('The sign-in was linked')]);
    const { federation } = await signInBy('okta');
    expect(federation).toMatchObject({ sub: 'linker@example.com', email_verified: true });
    const key = /identities\/([\w-]+)\/unlink/.exec((await readAccountPage(browser, issuer.url)).text)![1]!;
    expect((await browser.postForm(`${issuer.url}/login/account/identities/${key}/unlink`)).headers.get('location')).toBe('/login/account?done=identity_unlinked');
    expect((await signInBy('okta')).status).toBe(400);
  });

  test('takes a fresh sign-in', async () => {
    const { browser } = await createOwner('stale@example.com');
    issuer.clock.advance(601);
    expect((await browser.postForm(`${issuer.url}/login/account/link/okta`)).status).toBe(400);
    issuer.clock.advance(-601);
  });

  test('an identity of another account stays there', async () => {
    okta.person = createPerson();
    const { federation } = await signInBy('okta');
    const { browser } = await createOwner('greedy@example.com');
    const { response } = await link(browser);
    expect([response!.status, await response!.text()]).toEqual([400, expect.stringContaining('belongs to another account')]);
    expect((await signInBy('okta')).federation!.vouch_uid).toBe(federation!.vouch_uid);
  });

  test('a visit begun for one account does not link to whoever is signed in when it ends', async () => {
    const { browser } = await createOwner('begins@example.com');
    okta.person = createPerson();
    const back = await visitUpstream(browser, `${issuer.url}/login/account/link/okta`);
    const other = await createOwner('ends@example.com');
    other.browser.setCookie('vouch_upstream', browser.cookies.get('vouch_upstream')!);
    expect((await follow(other.browser, back)).response!.status).toBe(404);
    expect(await query(issuer.databaseUrl, 'SELECT 1 FROM identities WHERE subject = $1', [okta.person.sub])).toEqual([]);
  });

  test('the last passkey may go where an upstream remains, and an upstream only where something else does', async () => {
    const { browser, passkey } = await createOwner('leaves@example.com');
    okta.person = createPerson();
    await link(browser);
    expect((await browser.postForm(`${issuer.url}/login/account/passkeys/${passkey.id}/remove`)).status).toBe(303);
    const key = /identities\/([\w-]+)\/unlink/.exec((await readAccountPage(browser, issuer.url)).text)![1]!;
    expect((await browser.postForm(`${issuer.url}/login/account/identities/${key}/unlink`)).status).toBe(400);
    // One whose upstream is not configured any more lets nobody in.
    const second = await createOwner('leaves2@example.com');
    okta.person = createPerson();
    await link(second.browser);
    await query(issuer.databaseUrl, "UPDATE identities SET issuer = 'https://gone.example' WHERE subject = $1", [okta.person.sub]);
    expect((await second.browser.postForm(`${issuer.url}/login/account/passkeys/${second.passkey.id}/remove`)).status).toBe(400);
  });

  test('who came by an upstream confirms there that it is them, freshly', async () => {
    okta.person = createPerson();
    const browser = createBrowser(issuer.url);
    await follow(browser, await visitUpstream(browser, `${await openSignIn(browser, `${issuer.url}/login/account`)}/upstream/okta`));
    expect((await readAccountPage(browser, issuer.url)).passkeys).toEqual([]);
    const page = await openSignIn(browser, `${issuer.url}/login/account/again`);
    await visitUpstream(browser, `${page}/upstream/okta`);
    expect(okta.asked.at(-1)).toMatchObject({ prompt: 'login', max_age: '0' });
    okta.bend = (claims) => ({ ...claims, auth_time: Number(claims.iat) - 3600 });
    const { response } = await follow(browser, await visitUpstream(browser, `${await openSignIn(browser, `${issuer.url}/login/account/again`)}/upstream/okta`));
    expect(await response!.text()).toContain('did not ask you to sign in again');
  });
});

describe('an upstream that does not say when one signed in there', () => {
  /** As Entra does, without the optional claim. */
  const leaveOut = ({ auth_time: _, ...claims }: Record<string, unknown>) => claims;
  const visit = async (browser: Browser, url: string) => (await follow(browser, await visitUpstream(browser, `${await openSignIn(browser, url)}/upstream/okta`))).response;

  test.each<[string, (browser: Browser) => string | Promise<string>]>([
    ['the account page asks again', () => `${issuer.url}/login/account/again`],
    ['a client asks for a sign-in now', () => createCodeRequest(issuer.url, { prompt: 'login' }).url],
    ['a client asks for one of at most a minute ago', () => createCodeRequest(issuer.url, { max_age: '60' }).url],
    ['it is to administer', () => createCodeRequest(issuer.url, { resource: `${issuer.url}/admin`, scope: 'openid accounts:read' }).url],
    ['a device asks', async (browser) => openDeviceSignIn(browser, issuer.url, (await beginDevice(issuer.url)).user_code)],
  ])('is not believed where %s, and says what to do', async (_what, begin) => {
    okta.person = createPerson();
    okta.bend = leaveOut;
    const browser = createBrowser(issuer.url);
    const response = await visit(browser, await begin(browser));
    expect([response!.status, await response!.text()]).toEqual([400, expect.stringMatching(/Okta does not say when you signed in there.*Use your passkey instead\. If you have none: sign out on your account page/)]);
    expect(okta.asked.at(-1)).toMatchObject({ prompt: 'login', max_age: '0' });
    expect((await browser.get(`${issuer.url}/login/account`)).status).toBe(303);
  });

  test('lets people in all the same, who then add their first passkey, also when they come back later', async () => {
    okta.person = createPerson();
    okta.bend = leaveOut;
    const browser = createBrowser(issuer.url);
    const mayAdd = async () => (await browser.postJson(`${issuer.url}/login/account/passkeys/options`, {})).status;
    await visit(browser, `${issuer.url}/login/account`);
    expect(await mayAdd()).toBe(200);
    issuer.clock.advance(601);
    try {
      expect(await mayAdd()).toBe(400);
      // What the sentence says.
      const page = await (await browser.get(`${issuer.url}/oauth/logout`)).text();
      await browser.postForm(`${issuer.url}/oauth/logout/confirm`, {}, { xsrf: /name="xsrf" value="([^"]+)"/.exec(page)![1]!, logout: 'yes' });
      await visit(browser, `${issuer.url}/login/account`);
      expect(await mayAdd()).toBe(200);
    } finally {
      issuer.clock.advance(-601);
    }
  });

  test('gives a token whose auth_time is when it spoke', async () => {
    okta.person = createPerson();
    okta.bend = leaveOut;
    const { own } = await signInBy('okta');
    expect(Math.abs(Number(own!.auth_time) - Number(own!.iat))).toBeLessThan(5);
  });
});

describe('an upstream that is down', () => {
  test('did not keep the issuer from starting, is said quickly, and passkeys go on', async () => {
    const { passkey } = await issuer.createPerson('anyway@example.com');
    const browser = createBrowser(issuer.url);
    const page = await openSignIn(browser, createCodeRequest(issuer.url).url);
    const answer = await browser.postForm(`${page}/upstream/down`);
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('Down does not answer just now')]);
    await signInToAccount(browser, issuer.url, passkey);
  });

  test('is asked again after a while, and what is known goes on being used', async () => {
    okta.person = createPerson();
    await signInBy('okta');
    const asked = () => okta.hits.get('/.well-known/openid-configuration') ?? 0;
    const before = asked();
    await signInBy('okta');
    expect(asked()).toBe(before);
    issuer.clock.advance(3601);
    try {
      await signInBy('okta');
      expect(asked()).toBe(before + 1);
    } finally {
      issuer.clock.advance(-3601);
    }
  });

  test('in the middle of a sign-in', async () => {
    okta.person = createPerson();
    const browser = createBrowser(issuer.url);
    const back = await visitUpstream(browser, `${await openSignIn(browser, createCodeRequest(issuer.url).url)}/upstream/okta`);
    okta.outage = 'error';
    const { response } = await follow(browser, back);
    expect([response!.status, await response!.text()]).toEqual([503, expect.stringContaining('Okta does not answer')]);
  });

  test('an upstream that nobody configured is not there', async () => {
    const browser = createBrowser(issuer.url);
    const page = await openSignIn(browser, createCodeRequest(issuer.url).url);
    expect((await browser.postForm(`${page}/upstream/other`)).status).toBe(404);
    expect((await browser.get(`${issuer.url}/login/upstream/other/callback?state=x&code=y`)).status).toBe(404);
  });
});
