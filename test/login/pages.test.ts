import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBrowser, enrol } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { createCodeRequest } from '../support/oauth.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';

let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await startTestIssuer();
});
afterAll(() => issuer.close());

const invite = async () => `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('admin')).token.reveal()}`;
const startEnrolment = async (who = { email: 'new@example.com', name: 'New' }) => {
  const [link, browser, passkey] = [await invite(), createBrowser(issuer.url), createSoftwarePasskey({ origin: issuer.url })];
  const begun = await browser.postJson(`${link}/options`, who);
  return { link, browser, passkey, begun, body: (await begun.json()) as { options: never; error?: string; message?: string; field?: string } };
};
const read = async (response: Response) => ({ status: response.status, ...((await response.json()) as object) });

describe('enrolment', () => {
  test('looking at the link does not use it; enrolling does', async () => {
    const link = await invite();
    const browser = createBrowser(issuer.url);
    for (let look = 0; look < 3; look += 1) expect((await browser.get(link)).status).toBe(200);
    const done = await enrol(browser, link, { email: 'once@example.com', name: 'Once' }, createSoftwarePasskey({ origin: issuer.url }));
    expect(done.replaceAll('<wbr>', '')).toContain('once@example.com');
    const again = await browser.get(link);
    expect(again.status).toBe(410);
    expect(await read(await browser.postJson(`${link}/options`, { email: 'two@example.com', name: 'Two' }))).toMatchObject({ status: 400, error: 'invitation_over' });
  });

  test('a newer link of the same role ends the older one', async () => {
    const older = await invite();
    await invite();
    expect((await createBrowser(issuer.url).get(older)).status).toBe(410);
  });

  test('a link is over after a day', async () => {
    const link = await invite();
    issuer.clock.advance(86_401);
    expect((await createBrowser(issuer.url).get(link)).status).toBe(410);
    issuer.clock.advance(-86_401);
  });

  test('a link that nobody made is over too', async () => {
    expect((await createBrowser(issuer.url).get(`${issuer.url}/login/enrol/${'x'.repeat(43)}`)).status).toBe(410);
  });

  test.each([
    ['no @', 'nonsense', 'N', 'invalid_email', 'email'],
    ['white space', 'a b@example.com', 'N', 'invalid_email', 'email'],
    ['a wildcard', '*@example.com', 'N', 'invalid_email', 'email'],
    ['a question mark', 'a?@example.com', 'N', 'invalid_email', 'email'],
    ['letters beyond ASCII', 'ä@example.com', 'N', 'invalid_email', 'email'],
    ['128 bytes', `${'a'.repeat(116)}@example.com`, 'N', 'invalid_email', 'email'],
    ['no name', 'a@example.com', '  ', 'invalid_name', 'name'],
    ['a control character in the name', 'a@example.com', 'a\u0000b', 'invalid_name', 'name'],
    ['a name of 101 characters', 'a@example.com', 'n'.repeat(101), 'invalid_name', 'name'],
  ])('%s is refused at its field', async (_what, email, name, error, field) => {
    const { begun, body } = await startEnrolment({ email, name });
    expect({ status: begun.status, ...body }).toEqual({ status: 400, error, field, message: expect.any(String) });
  });

  test('an e-mail that has an account is refused, however it is written', async () => {
    await issuer.createPerson('taken@example.com');
    const { begun, body } = await startEnrolment({ email: ' TAKEN@Example.COM ', name: 'N' });
    expect({ status: begun.status, ...body }).toMatchObject({ status: 400, error: 'email_taken', field: 'email' });
  });

  test('a challenge is good once', async () => {
    const { link, browser, passkey, body } = await startEnrolment({ email: 'replay@example.com', name: 'R' });
    const broken = passkey.create(body.options) as { response: { clientDataJSON: string } };
    broken.response.clientDataJSON = Buffer.from('{}').toString('base64url');
    expect(await read(await browser.postJson(`${link}/verify`, { response: broken }))).toMatchObject({ status: 400, error: 'passkey_rejected' });
    expect(await read(await browser.postJson(`${link}/verify`, { response: passkey.create(body.options) }))).toMatchObject({ status: 400, error: 'ceremony_over' });
    // The invitation is still good: nothing was lost by the failed try.
    await enrol(browser, link, { email: 'replay@example.com', name: 'R' }, passkey);
  });

  test('a passkey that did not verify its user is refused', async () => {
    const { link, browser, body } = await startEnrolment({ email: 'noverify@example.com', name: 'N' });
    const careless = createSoftwarePasskey({ origin: issuer.url, verifiesUser: false });
    expect(await read(await browser.postJson(`${link}/verify`, { response: careless.create(body.options) }))).toMatchObject({ status: 400, error: 'passkey_rejected' });
  });

  test('a passkey made on another origin is refused', async () => {
    const { link, browser, body } = await startEnrolment({ email: 'phished@example.com', name: 'N' });
    expect(await read(await browser.postJson(`${link}/verify`, { response: createSoftwarePasskey({ origin: 'https://evil.example' }).create(body.options) }))).toMatchObject({ status: 400, error: 'passkey_rejected' });
  });

  test('two who finish one link at once: one account', async () => {
    const link = await invite();
    const enrolAs = (email: string) => enrol(createBrowser(issuer.url), link, { email, name: 'N' }, createSoftwarePasskey({ origin: issuer.url }));
    const results = await Promise.allSettled(['left@example.com', 'right@example.com'].map(enrolAs));
    const rows = await query(issuer.databaseUrl, "SELECT email FROM accounts WHERE email IN ('left@example.com', 'right@example.com')");
    expect(rows).toHaveLength(results.filter(({ status }) => status === 'fulfilled').length);
    expect(rows.length).toBeLessThanOrEqual(1);
  });

  test.each([
    ['from another site', { 'sec-fetch-site': 'cross-site' }],
    ['from a sister site', { 'sec-fetch-site': 'same-site' }],
    ['with another origin', { origin: 'https://evil.example' }],
  ])('a post %s is refused', async (_what, headers) => {
    const link = await invite();
    expect(await read(await createBrowser(issuer.url).postJson(`${link}/options`, { email: 'x@example.com', name: 'X' }, headers))).toMatchObject({ status: 403, error: 'cross_origin' });
  });

  test('what is no JSON object, or is too large, is refused', async () => {
    const link = await invite();
    const browser = createBrowser(issuer.url);
    for (const body of [[], 'text', null]) expect(await read(await browser.postJson(`${link}/options`, body))).toMatchObject({ status: 400, error: 'invalid_request' });
    expect((await browser.postJson(`${link}/options`, { email: 'x'.repeat(70_000) })).status).toBe(413);
  });
});

describe('sign-in', () => {
  const open = async () => {
    const browser = createBrowser(issuer.url);
    const location = (await browser.get(createCodeRequest(issuer.url).url)).headers.get('location')!;
    return { browser, page: new URL(location, issuer.url).href };
  };
  const begin = async (browser: ReturnType<typeof createBrowser>, page: string) => ((await (await browser.postJson(`${page}/options`, {})).json()) as { options: never }).options;

  test('the page names the client and allows no script but ours', async () => {
    const { browser, page } = await open();
    const response = await browser.get(page);
    expect(await response.text()).toContain('vouch');
    const policy = response.headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain('unsafe');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('referrer-policy')).toBe('no-referrer');
  });

  test('an unknown passkey, a replayed answer, and one that did not verify its user are refused', async () => {
    const { passkey } = await issuer.createPerson('refused@example.com');
    const { browser, page } = await open();
    const stranger = createSoftwarePasskey({ origin: issuer.url });
    expect(await read(await browser.postJson(`${page}/verify`, { response: stranger.get(await begin(browser, page)) }))).toMatchObject({ status: 400, error: 'passkey_unknown' });
    const answer = passkey.get(await begin(browser, page));
    expect((await browser.postJson(`${page}/verify`, { response: answer })).status).toBe(200);
    expect(await read(await browser.postJson(`${page}/verify`, { response: answer }))).toMatchObject({ status: 400, error: 'ceremony_over' });
    await begin(browser, page);
    expect(await read(await browser.postJson(`${page}/verify`, { response: answer }))).toMatchObject({ status: 400, error: 'passkey_rejected' });
    for (const response of [undefined, {}, { id: 5 }, { id: 'x'.repeat(2000) }]) {
      await begin(browser, page);
      expect(await read(await browser.postJson(`${page}/verify`, { response }))).toMatchObject({ status: 400, error: 'passkey_rejected' });
    }
  });

  test('another browser cannot go on with it', async () => {
    const { page } = await open();
    const other = createBrowser(issuer.url);
    expect((await other.get(page)).status).toBe(404);
    expect(await read(await other.postJson(`${page}/options`, {}))).toMatchObject({ status: 404, error: 'sign_in_over' });
  });

  test('a suspended account does not get in', async () => {
    const { passkey } = await issuer.createPerson('suspended@example.com');
    await query(issuer.databaseUrl, "UPDATE accounts SET status = 'suspended' WHERE email = 'suspended@example.com'");
    const { browser, page } = await open();
    expect(await read(await browser.postJson(`${page}/verify`, { response: passkey.get(await begin(browser, page)) }))).toMatchObject({ status: 400, error: 'account_closed' });
  });
});

test('a path that is none of ours is 404, as a page or as JSON', async () => {
  const page = await createBrowser(issuer.url).get(`${issuer.url}/`);
  expect({ status: page.status, text: await page.text() }).toEqual({ status: 404, text: expect.stringContaining('OpenID Connect issuer') });
  expect(await read(await fetch(`${issuer.url}/nothing`))).toMatchObject({ status: 404, error: 'not_found' });
});
