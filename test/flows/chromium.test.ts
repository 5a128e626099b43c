import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { openChromium, type ChromiumPage } from '../support/chromium.ts';
import { startIssuerProcess, type IssuerProcess } from '../support/issuer_process.ts';
import { OPENAI_AUDIENCE, startProviderWorld, type ProviderWorld } from '../support/provider_world.ts';
import { findSignInUrl, runVouch } from '../support/vouch_process.ts';

/* What a new user does, in order: one test after another, on one issuer started as a process on embedded storage. */

let issuer: IssuerProcess;
let providers: ProviderWorld;
let chromium: ChromiumPage;
const home = join(mkdtempSync(join(tmpdir(), 'vouch-home-')), '.vouch');
const env = () => ({ VOUCH_HOME: home, NO_COLOR: '1' });

beforeAll(async () => {
  issuer = await startIssuerProcess({ env: { VOUCH_AUDIENCES: OPENAI_AUDIENCE, VOUCH_HOSTED_DOMAINS: 'example.com' } });
  providers = await startProviderWorld(issuer.url, 'ada@example.com');
  chromium = await openChromium();
});
afterAll(async () => {
  await chromium.close();
  await providers.close();
  await issuer.stop();
});

test('the printed link enrols a passkey', async () => {
  const { page } = chromium;
  await page.goto(issuer.invitation!);
  await chromium.screenshot('enrol');
  await page.getByLabel('Name').fill('Ada Lovelace');
  await page.getByLabel(/mail/).fill('not an address');
  await page.getByRole('button', { name: /passkey/i }).click();
  await chromium.screenshot('enrol-fault');
  await page.getByLabel(/mail/).fill('ada@example.com');
  await page.getByRole('button', { name: /passkey/i }).click();
  await page.waitForURL(/\/done$/);
  await chromium.screenshot('enrolled');
  expect(await page.textContent('main')).toContain('npx vouch login');
});

test('the link is spent', async () => {
  const { page } = chromium;
  expect((await page.goto(issuer.invitation!))?.status()).toBe(410);
  await chromium.screenshot('invitation-used');
});

test('vouch login signs in through the browser, and says who and until when', async () => {
  const { page } = chromium;
  let visited: Promise<unknown> | undefined;
  const { code, stdout, stderr } = await runVouch(['login', '--issuer', issuer.url, '--no-browser'], env(), (all) => {
    const url = findSignInUrl(all);
    if (url === undefined || visited !== undefined) return;
    visited = (async () => {
      await page.goto(url);
      await chromium.screenshot('sign-in');
      await page.getByRole('button', { name: /passkey/i }).click();
      await page.waitForURL(/127\.0\.0\.1:\d+\/callback/);
      await chromium.screenshot('signed-in');
    })();
  });
  await visited;
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: expect.stringMatching(/ada@example\.com.*until/s) });
  expect(await page.textContent('body')).toContain('close this window');
});

test('what is stored is for its owner only, and the parameters hold no token', async () => {
  for (const args of [providers.setupAnthropic, providers.setupOpenAi]) expect(await runVouch(args, env())).toMatchObject({ code: 0, stdout: '' });
  expect(statSync(home).mode & 0o777).toBe(0o700);
  for (const file of ['config.json', 'session.json']) expect(statSync(join(home, file)).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(home, 'config.json'), 'utf8')).not.toMatch(/eyJ|refresh|access_token/);
});

test('vouch credential prints the provider’s token and nothing else', async () => {
  const anthropic = await runVouch(['credential', 'anthropic'], env());
  expect(anthropic).toEqual({ code: 0, stdout: expect.stringMatching(/^sk-ant-oat01-[\w-]+$/), stderr: '' });
  const openai = await runVouch(['credential', 'openai'], env());
  expect(openai).toEqual({ code: 0, stdout: expect.stringMatching(/^\S+$/), stderr: '' });
  const token = await runVouch(['credential', 'token'], env());
  expect(decodeJwt(token.stdout)).toMatchObject({ iss: issuer.url, aud: issuer.url, client_id: 'vouch-cli' });
  const answer = await fetch(`${providers.anthropic.url}/v1/messages`, {
    method: 'POST', headers: { authorization: `Bearer ${anthropic.stdout}`, 'anthropic-version': '2023-06-01', 'anthropic-beta': 'oauth-2025-04-20', 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'ping' }] }),
  });
  expect(answer.status).toBe(200);
});

test('an audience that is not registered is refused in words', async () => {
  const { code, stdout, stderr } = await runVouch(['credential', 'anthropic', '--audience', 'https://api.anthropic.com'], env());
  expect({ code, stdout }).toEqual({ code: 5, stdout: '' });
  expect(stderr).toContain('is not registered');
});

test('a sign-in that the person cancels says so in the terminal', async () => {
  const { page } = chromium;
  let visited: Promise<unknown> | undefined;
  const { code, stderr } = await runVouch(['login', '--issuer', issuer.url, '--no-browser'], env(), (all) => {
    const url = findSignInUrl(all);
    if (url === undefined || visited !== undefined) return;
    visited = (async () => {
      await page.goto(url);
      await page.getByRole('button', { name: /cancel/i }).click();
      await page.waitForURL(/127\.0\.0\.1:\d+\/callback/);
      await chromium.screenshot('cancelled');
    })();
  });
  await visited;
  expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringMatching(/error: .*(cancel|denied|refused|said no)/i) });
});

test('a passkey whose user is not verified does not sign in, and the page says what to do', async () => {
  const { page, devtools, authenticatorId } = chromium;
  await page.goto(`${issuer.url}/oauth/authorize?client_id=vouch-cli&response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback&scope=openid&code_challenge=${'a'.repeat(43)}&code_challenge_method=S256&state=s`);
  const { credentials } = (await devtools.send('WebAuthn.getCredentials', { authenticatorId })) as { credentials: unknown[] };
  expect(credentials).toHaveLength(1);
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.getByRole('button', { name: /passkey/i }).click();
  await page.getByRole('status').filter({ hasText: /try again/i }).waitFor();
  await chromium.screenshot('sign-in-refused');
  expect(page.url()).toContain('/login/');
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
});

test('no page complained, of a script, a style or its policy', () => {
  expect(chromium.complaints.filter((line) => !/status of 4\d\d/.test(line))).toEqual([]);
});

test('vouch logout ends the session here and at the issuer', async () => {
  const { stdout: token } = await runVouch(['credential', 'token'], env());
  expect(await runVouch(['logout'], env())).toMatchObject({ code: 0 });
  expect(await runVouch(['credential', 'token'], env())).toMatchObject({ code: 3, stdout: '' });
  const userinfo = await fetch(`${issuer.url}/oauth/userinfo`, { headers: { authorization: `Bearer ${token}` } });
  expect(userinfo.status).toBe(401);
});
