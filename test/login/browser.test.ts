import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openChromium, type ChromiumPage } from '../support/chromium.ts';
import { findFreePort } from '../support/free_port.ts';
import { startHttpListener } from '../support/http_listener.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { createCodeRequest } from '../support/oauth.ts';
import { findSeriousFaults } from '../support/pages_on_screen.ts';
import { query } from '../support/services.ts';
import { startUpstreamIssuer, UPSTREAM_CLIENT, type UpstreamIssuer } from '../support/upstream_issuer.ts';

/* A real Chromium with virtual authenticators, on the real pages. */

let issuer: TestIssuer;
let upstream: UpstreamIssuer;
let chromium: ChromiumPage;
beforeAll(async () => {
  const port = await findFreePort();
  upstream = await startUpstreamIssuer({ redirectUri: `http://localhost:${port}/login/upstream/okta/callback` });
  issuer = await startTestIssuer({
    VOUCH_PORT: String(port), VOUCH_UPSTREAMS: JSON.stringify([{ id: 'okta', name: 'Okta', issuer: upstream.url, ...UPSTREAM_CLIENT, domains: ['example.com'] }]),
  });
});
afterAll(async () => {
  await issuer.close();
  await upstream.close();
});
beforeEach(async () => {
  chromium = await openChromium();
});
afterEach(async () => {
  await chromium.close();
  expect(chromium.complaints).toEqual([]);
});

const account = () => `${issuer.url}/login/account`;

async function enrolInBrowser(email: string): Promise<void> {
  const { page } = chromium;
  await page.goto(`${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`);
  await page.getByLabel('Name').fill('Ada Lovelace');
  await page.getByLabel(/mail/).fill(email);
  await page.getByRole('button', { name: /passkey/i }).click();
  await page.waitForURL(/\/done$/);
}

const signInByButton = async () => {
  await chromium.page.getByRole('button', { name: 'Continue with passkey' }).click();
};

/** A second authenticator, as a security key that is plugged in; the first no longer answers. */
async function plugIn(): Promise<{ first: string; second: string }> {
  const { devtools, authenticatorId } = chromium;
  await devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled: false });
  const { authenticatorId: second } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'usb', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  return { first: authenticatorId, second };
}

async function answerBy(chosen: string, other: string): Promise<void> {
  await chromium.devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId: other, enabled: false });
  await chromium.devtools.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId: chosen, enabled: true });
}

async function signOut(): Promise<void> {
  const { page } = chromium;
  await page.goto(account());
  await page.getByRole('link', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
}

describe('passkeys', () => {
  test('two are enrolled, each signs in, one is removed', async () => {
    const { page } = chromium;
    await enrolInBrowser('two@example.com');
    await page.goto(account());
    await signInByButton();
    await page.getByRole('heading', { name: 'Your account' }).waitFor();
    const { first, second } = await plugIn();
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('The passkey was added.').waitFor();
    expect(await page.getByRole('link', { name: /^Manage/ }).count()).toBe(2);
    expect(await findSeriousFaults(page)).toEqual([]);
    await chromium.screenshot('account-two-passkeys');
    for (const [chosen, other] of [[second, first], [first, second]] as const) {
      await signOut();
      await answerBy(chosen, other);
      await page.goto(account());
      await signInByButton();
      await page.getByRole('heading', { name: 'Your account' }).waitFor();
    }
    expect(await query(issuer.databaseUrl, "SELECT last_used_at IS NOT NULL AS used, attestation_format FROM passkeys JOIN accounts ON accounts.id = account_id WHERE email = 'two@example.com'"))
      .toEqual([{ used: true, attestation_format: 'packed' }, { used: true, attestation_format: 'packed' }]);
    await page.getByRole('link', { name: /^Manage/ }).first().click();
    await page.getByLabel('Name').fill('Laptop');
    await page.getByRole('button', { name: 'Save name' }).click();
    await page.getByText('Laptop').first().waitFor();
    await page.getByRole('link', { name: 'Manage Laptop' }).click();
    expect(await findSeriousFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Remove this passkey' }).click();
    await page.getByText('The passkey was removed.').waitFor();
    expect(await page.getByRole('link', { name: /^Manage/ }).count()).toBe(1);
    await signOut();
    await answerBy(first, second);
    await page.goto(account());
    await signInByButton();
    await page.getByText('This passkey is not known here').waitFor();
    chromium.forgive(/status of 400/);
  });

  test('one is picked from the field, with no button and nothing typed (conditional mediation)', async () => {
    const { page } = chromium;
    await enrolInBrowser('picks@example.com');
    await page.goto(account());
    await page.getByLabel('Or pick a passkey').focus();
    await page.getByRole('heading', { name: 'Your account' }).waitFor();
    expect(await page.getByText('picks@').count()).toBe(1);
  });

  test('an authenticator that has one is not given a second', async () => {
    const { page } = chromium;
    await enrolInBrowser('once@example.com');
    await page.goto(account());
    await signInByButton();
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('already holds a passkey').waitFor();
  });
});

describe('an upstream', () => {
  test('signs in, on pages that need no script; the keyboard is enough', async () => {
    upstream.person = { sub: 'browser-1', email: 'okta1@example.com', email_verified: true, name: 'Grace Hopper' };
    const { page } = chromium;
    await page.goto(account());
    await page.getByRole('button', { name: 'Continue with Okta' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Your account' }).waitFor();
    expect(await page.textContent('main')).toContain('Grace Hopper');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('The passkey was added.').waitFor();
    await page.getByRole('button', { name: /^Unlink/ }).click();
    await page.getByText('The sign-in was unlinked.').waitFor();
    await page.getByRole('button', { name: 'Link Okta' }).click();
    await page.getByText('The sign-in was linked.').waitFor();
    expect(await findSeriousFaults(page)).toEqual([]);
  });

  test('whoever signs in as somebody else is that from then on', async () => {
    upstream.person = { sub: 'browser-3', email: 'okta3@example.com', email_verified: true };
    const { page } = chromium;
    await enrolInBrowser('first@example.com');
    await page.goto(account());
    await signInByButton();
    await page.getByText('first@').waitFor();
    await page.goto(`${account()}/again`);
    await page.getByRole('button', { name: 'Continue with Okta' }).click();
    await page.getByText('okta3@').first().waitFor();
    expect(page.url()).toBe(account());
  });

  test('works with JavaScript off, up to the client', async () => {
    upstream.person = { sub: 'browser-2', email: 'okta2@example.com', email_verified: true };
    const context = await chromium.page.context().browser()!.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    const client = await startHttpListener(async () => ({ status: 200, body: 'there' }));
    await page.goto(createCodeRequest(issuer.url, { redirect_uri: `${client.url}/callback` }).url);
    await page.getByRole('button', { name: 'Continue with Okta' }).click();
    await page.waitForURL(`${client.url}/callback?*`);
    expect(new URL(page.url()).searchParams.get('code')).toBeTruthy();
    await client.close();
    await page.goto(account());
    expect(await page.textContent('main')).toContain('okta2@');
    await page.getByRole('link', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await context.close();
  });
});
