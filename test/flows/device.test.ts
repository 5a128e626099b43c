import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { openChromium, type ChromiumPage } from '../support/chromium.ts';
import { startIssuerProcess, type IssuerProcess } from '../support/issuer_process.ts';
import { findSeriousFaults } from '../support/pages_on_screen.ts';
import { runVouch } from '../support/vouch_process.ts';

/* `vouch login --device` as a process, and the person in a real browser with a virtual authenticator. */

let issuer: IssuerProcess;
let chromium: ChromiumPage;
let homes = 0;
const folder = mkdtempSync(join(tmpdir(), 'vouch-homes-'));
const env = (home: string) => ({ VOUCH_HOME: join(folder, home), NO_COLOR: '1' });

beforeAll(async () => {
  issuer = await startIssuerProcess({ env: { VOUCH_HOSTED_DOMAINS: 'example.com' } });
  chromium = await openChromium({ width: 390, height: 844 });
  const { page } = chromium;
  await page.goto(issuer.invitation!);
  await page.getByLabel('Name').fill('Ada Lovelace');
  await page.getByLabel(/mail/).fill('ada@example.com');
  await page.getByRole('button', { name: /passkey/i }).click();
  await page.waitForURL(/\/done$/);
});
afterAll(async () => {
  await chromium.close();
  await issuer.stop();
});
afterEach(() => {
  expect(chromium.complaints).toEqual([]);
});

interface Shown {
  readonly url: string;
  readonly code: string;
}

/** Runs the command line; once it shows its code, the person does their part. */
async function loginByDevice(act: (shown: Shown) => Promise<void>): Promise<{ home: string; code: number | null; stdout: string; stderr: string }> {
  const home = `home-${(homes += 1)}`;
  let acting: Promise<void> | undefined;
  const outcome = await runVouch(['login', '--device', '--issuer', issuer.url], env(home), (stderr) => {
    const [, url, code] = / {2}(http\S+)\n[^]* {2}([A-Z]{5}-[A-Z]{5})\n/.exec(stderr) ?? [];
    if (url !== undefined && code !== undefined) acting ??= act({ url, code });
  });
  await acting;
  return { home, ...outcome };
}

async function enter({ url, code }: Shown): Promise<void> {
  const { page } = chromium;
  await page.goto(url);
  await page.getByLabel('Code').fill(code.toLowerCase());
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { name: 'Is this your machine?' }).waitFor();
}

test('the code, the question, a touch: the terminal is signed in', async () => {
  const { page } = chromium;
  const { home, code, stdout, stderr } = await loginByDevice(async (shown) => {
    expect(shown.url).toBe(`${issuer.url}/device`);
    await page.goto(shown.url);
    expect(await findSeriousFaults(page)).toEqual([]);
    await enter(shown);
    const text = await page.innerText('main');
    expect(text).toContain(shown.code);
    expect(text).toContain('That is the address of this browser too.');
    expect(await findSeriousFaults(page)).toEqual([]);
    await chromium.screenshot('device-flow-confirm');
    await page.getByRole('button', { name: 'It is mine' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    expect(await page.innerText('main')).toContain(shown.code);
    expect(await findSeriousFaults(page)).toEqual([]);
    await chromium.screenshot('device-flow-touch');
    await page.getByRole('button', { name: 'Sign it in with passkey' }).click();
    await page.getByRole('heading', { name: 'It is signed in' }).waitFor();
  });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: expect.stringMatching(/Signed in as ada@example\.com at .* until/) });
  expect(await runVouch(['credential', 'id-token'], env(home))).toMatchObject({ code: 0, stdout: expect.stringMatching(/^eyJ/) });
});

test('asks for the touch again though the browser is signed in by now, and takes a no there', async () => {
  const { page } = chromium;
  const { code, stderr } = await loginByDevice(async (shown) => {
    await enter(shown);
    await page.getByRole('button', { name: 'It is mine' }).click();
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.getByRole('heading', { name: 'Denied' }).waitFor();
  });
  expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringMatching(/error: the sign-in was refused in the browser: the person at the browser said no/) });
});

test('takes a no where it asks whose machine it is', async () => {
  const { page } = chromium;
  const { home, code } = await loginByDevice(async (shown) => {
    await enter(shown);
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.getByRole('heading', { name: 'Denied' }).waitFor();
    await chromium.screenshot('device-flow-denied');
  });
  expect(code).toBe(5);
  expect(await runVouch(['status'], env(home))).toMatchObject({ code: 3 });
});

test('the address that holds the code leads to the same question', async () => {
  const { page } = chromium;
  const { code } = await loginByDevice(async ({ url, code: shown }) => {
    await page.goto(`${url}?user_code=${shown}`);
    await page.getByRole('heading', { name: 'Is this your machine?' }).waitFor();
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.getByRole('heading', { name: 'Denied' }).waitFor();
  });
  expect(code).toBe(5);
});

test('a wrong code is said and corrected in place', async () => {
  const { page } = chromium;
  const { code } = await loginByDevice(async (shown) => {
    await page.goto(shown.url);
    await page.getByLabel('Code').fill('BBBBB-BBBBB');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('alert').filter({ hasText: 'Nobody has this code' }).waitFor();
    expect(await findSeriousFaults(page)).toEqual([]);
    chromium.forgive(/status of 400/);
    await page.getByLabel('Code').fill(shown.code);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.getByRole('heading', { name: 'Denied' }).waitFor();
  });
  expect(code).toBe(5);
});

test('works without JavaScript up to the touch, which needs it, and takes a no there', async () => {
  const context = await chromium.page.context().browser()!.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  const { code } = await loginByDevice(async ({ url, code: shown }) => {
    await page.goto(`${url}?user_code=${shown}`);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('button', { name: 'It is mine' }).click();
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.getByRole('heading', { name: 'Denied' }).waitFor();
  });
  await context.close();
  expect(code).toBe(5);
});
