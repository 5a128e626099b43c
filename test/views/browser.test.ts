import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { assets, everyPage, HOSTILE, pages } from './every_page.ts';

// The pages and passkey.js in a real browser, under the content security policy they are made for.

const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const CHROMIUM = process.env.TEST_CHROMIUM ?? '/usr/bin/chromium';
const CHALLENGE = 'Y2hhbGxlbmdlLWNoYWxsZW5nZS1jaGFsbGVuZ2U';
const REGISTRATION = {
  challenge: CHALLENGE,
  rp: { id: 'localhost', name: 'Vouch' },
  user: { id: 'YWRh', name: 'ada@example.com', displayName: 'Ada' },
  pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
  authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
};
const AUTHENTICATION = { challenge: CHALLENGE, rpId: 'localhost', userVerification: 'required' };

type Answer = [status: number, body: unknown];

let server: Server;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let base: string;
let complaints: string[];
let asked: { path: string; body: unknown }[];
let answers: Record<string, Answer>;
let documents: Record<string, string>;

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? '/';
  const asset = assets.find(path);
  const answer = answers[path];
  response.setHeader('content-security-policy', CSP);
  if (asset) {
    response.setHeader('content-type', asset.contentType).end(asset.body);
  } else if (documents[path] !== undefined) {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(documents[path]);
  } else if (answer) {
    asked.push({ path, body: await json(request) });
    response.writeHead(answer[0], { 'content-type': 'application/json' }).end(JSON.stringify(answer[1]));
  } else if (path.endsWith('/abort')) {
    response.setHeader('content-type', 'text/html; charset=utf-8').end(pages.renderContinuePage({ href: '/resume' }));
  } else if (path === '/resume') {
    const { port } = server.address() as AddressInfo;
    response.writeHead(303, { location: `http://127.0.0.1:${port}/error` }).end();
  } else {
    response.writeHead(404).end();
  }
}

async function addAuthenticator(): Promise<void> {
  const session = await context.newCDPSession(page);
  await session.send('WebAuthn.enable');
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
}

async function fillEnrolment(): Promise<void> {
  await page.goto(`${base}/enrol`);
  await page.fill('#email', ' ada@example.com ');
  await page.fill('#name', 'Ada');
}

const note = () => page.locator('[data-note]');

describe('in a browser', () => {
  beforeAll(async () => {
    server = createServer((request, response) => void serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, resolve));
    base = `http://localhost:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  });

  afterAll(async () => {
    await browser.close();
    server.closeAllConnections();
    server.close();
  });

  beforeEach(async () => {
    const hostile = Object.entries(everyPage(HOSTILE)).map(([name, text]) => [`/hostile/${name}`, text]);
    documents = {
      '/enrol': pages.renderEnrolPage({ token: 'tok', issuer: base }),
      '/sign-in': pages.renderSignInPage({ uid: 'uid', clientName: 'vouch', isCli: true, issuer: base }),
      '/error': pages.renderErrorPage({ title: 'Gone', message: 'It has expired.' }),
      ...(Object.fromEntries(hostile) as Record<string, string>),
    };
    answers = {
      '/login/enrol/tok/options': [200, { options: REGISTRATION }],
      '/login/enrol/tok/verify': [200, { redirect: '/error' }],
      '/login/uid/options': [200, { options: AUTHENTICATION }],
      '/login/uid/verify': [200, { redirect: '/error' }],
    };
    complaints = [];
    asked = [];
    context = await browser.newContext({ viewport: { width: 320, height: 640 } });
    page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (/Content Security Policy/i.test(message.text())) complaints.push(message.text());
    });
    page.on('dialog', (dialog) => void dialog.dismiss().then(() => complaints.push('a dialog opened')));
  });

  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  test('every page with hostile values keeps to the policy and to a width of 320', async () => {
    for (const path of Object.keys(documents).filter((name) => name.startsWith('/hostile/') && name !== '/hostile/goOn')) {
      await page.goto(base + path);
      expect(await page.locator('h1').count()).toBe(1);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(320);
    }
  });

  test('enrols and then signs in with the passkey', async () => {
    await addAuthenticator();
    await fillEnrolment();
    await page.keyboard.press('Enter');
    await page.waitForURL(`${base}/error`);
    expect(asked).toEqual([
      { path: '/login/enrol/tok/options', body: { email: 'ada@example.com', name: 'Ada' } },
      { path: '/login/enrol/tok/verify', body: { response: expect.objectContaining({ type: 'public-key' }) } },
    ]);
    asked = [];
    await page.goto(`${base}/sign-in`);
    await page.getByRole('button', { name: 'Continue with passkey' }).click();
    await page.waitForURL(`${base}/error`);
    expect(asked.map(({ path }) => path)).toEqual(['/login/uid/options', '/login/uid/verify']);
    await page.goBack();
    await page.getByRole('button', { name: 'Continue with passkey' }).waitFor();
  });

  test('names an empty and a malformed field without asking the server', async () => {
    await page.goto(`${base}/enrol`);
    await page.fill('#email', 'ada@');
    await page.getByRole('button').click();
    expect(await page.textContent('#email-hint')).toBe('Enter a full e-mail address, like ada@example.com.');
    expect(await page.textContent('#name-hint')).toBe('Enter your name.');
    expect(await page.evaluate('document.activeElement.id')).toBe('email');
    await page.fill('#email', 'ada@example.com');
    expect(await page.textContent('#email-hint')).toBe('Your work address.');
    expect(await page.getAttribute('#email', 'aria-invalid')).toBeNull();
    expect(asked).toEqual([]);
  });

  test('shows a refusal at the field the server names, and lets the person try again', async () => {
    await addAuthenticator();
    answers['/login/enrol/tok/options'] = [409, { error: 'conflict', message: '<b>Taken</b>.', field: 'email' }];
    await fillEnrolment();
    await page.getByRole('button').click();
    await page.waitForSelector('#email[aria-invalid="true"]');
    expect(await page.textContent('#email-hint')).toBe('<b>Taken</b>.');
    expect(await page.getAttribute('#email-hint', 'aria-live')).toBe('polite');
    expect(await page.evaluate('document.activeElement.id')).toBe('email');
    answers['/login/enrol/tok/options'] = [200, { options: REGISTRATION }];
    await page.getByRole('button', { name: 'Create passkey' }).click();
    await page.waitForURL(`${base}/error`);
  });

  test.each<[string, Answer, string]>([
    ['a refusal', [429, { error: 'rate_limited', message: 'Too many attempts. Wait a minute.' }], 'Too many attempts. Wait a minute.'],
    ['a limit by network', [429, { error: 'temporarily_unavailable', error_description: 'Too many requests came from your network. Try again in 5 minutes.' }], 'Too many requests came from your network. Try again in 5 minutes.'],
    ['an answer that is not ours', [502, 'Bad gateway'], 'Something went wrong on our side. Try again in a moment.'],
    ['another site as relying party', [200, { options: { ...AUTHENTICATION, rpId: 'example.org' } }], 'Passkeys work only at the address localhost:'],
  ])('says what to do after %s, and is ready again', async (_what, answer, sentence) => {
    answers['/login/uid/options'] = answer;
    await page.goto(`${base}/sign-in`);
    const top = async () => (await page.locator('footer').boundingBox())!.y;
    const before = await top();
    await page.locator('.primary').click();
    await page.waitForSelector('[data-note][data-state="error"]');
    expect(await note().textContent()).toContain(sentence);
    expect(await note().getAttribute('role')).toBe('status');
    expect(await page.getAttribute('.primary', 'aria-busy')).toBe('false');
    expect(await top()).toBe(before);
  });

  test('is busy during the ceremony, ignores a second press, and takes a cancelled prompt kindly', async () => {
    await page.goto(`${base}/sign-in`);
    await page.locator('.primary').click();
    await page.getByRole('button', { name: 'Waiting' }).waitFor();
    await page.locator('.primary').press('Enter');
    expect(await page.getAttribute('.primary', 'aria-busy')).toBe('true');
    await page.evaluate('SimpleWebAuthnBrowser.WebAuthnAbortService.cancelCeremony()');
    await page.waitForSelector('[data-note][data-state="error"]');
    expect(await note().textContent()).toBe('You are not signed in: the prompt was closed, timed out or found no passkey. You can try again.');
    expect(asked).toHaveLength(1);
  });

  test('says so when the server does not answer', async () => {
    await page.route('**/options', (route) => route.abort());
    await page.goto(`${base}/sign-in`);
    await page.locator('.primary').click();
    await page.waitForSelector('[data-note][data-state="error"]');
    expect(await note().textContent()).toBe('The server did not answer. Check your connection and try again.');
  });

  test.each(['javascript:alert(1)', 'data:text/html,x', '', null])('does not follow the answer to %j', async (redirect) => {
    await addAuthenticator();
    answers['/login/enrol/tok/verify'] = [200, { redirect }];
    await fillEnrolment();
    await page.getByRole('button').click();
    await page.waitForSelector('[data-note][data-state="error"]');
    expect(page.url()).toBe(`${base}/enrol`);
  });

  test.each([
    ['no WebAuthn', 'delete window.PublicKeyCredential', 'This browser cannot use passkeys.'],
    ['no secure context', 'Object.defineProperty(window, "isSecureContext", { value: false })', 'Passkeys need a secure connection.'],
  ])('with %s it explains and keeps the button off', async (_what, script, sentence) => {
    await page.addInitScript(script);
    await page.goto(`${base}/sign-in`);
    expect(await note().textContent()).toContain(sentence);
    expect(await page.locator('.primary').isDisabled()).toBe(true);
    expect(await page.getByRole('button', { name: 'Cancel' }).isEnabled()).toBe(true);
  });

  test('without JavaScript it says so, and cancelling reaches the client on another origin', async () => {
    const quiet = await browser.newContext({ javaScriptEnabled: false });
    const still = await quiet.newPage();
    await still.goto(`${base}/sign-in`);
    expect(await still.locator('noscript').innerText()).toBe('Passkeys need JavaScript. Turn it on for this site, then reload the page.');
    await still.getByRole('button', { name: 'Cancel' }).click();
    await still.waitForURL('http://127.0.0.1:*/error');
    await quiet.close();
  });
});
