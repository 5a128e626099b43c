import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { authorize, createBrowser, type Browser } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';

/* What OpenID Connect Core asks of every provider, by two libraries that hold it to it. */

let issuer: TestIssuer;
let person: Awaited<ReturnType<TestIssuer['createPerson']>>;
let config: client.Configuration;
let secret: string;
const REDIRECT_URI = 'https://app.example/callback';
const SIGNED_OUT_URI = 'https://app.example/bye';

beforeAll(async () => {
  issuer = await startTestIssuer();
  person = await issuer.createPerson('ada@example.com');
  const registered = await issuer.app.clients.register({ id: 'web-app', name: 'Web app', redirectUris: [REDIRECT_URI], kind: 'web', authentication: 'client_secret_basic', postLogoutRedirectUris: [SIGNED_OUT_URI] });
  secret = registered.secret!.reveal();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to stand out; this issuer is on loopback
  config = await client.discovery(new URL(issuer.url), 'web-app', undefined, client.ClientSecretBasic(secret), { execute: [client.allowInsecureRequests] });
});
afterAll(() => issuer.close());

interface Asked {
  readonly url: URL;
  readonly checks: client.AuthorizationCodeGrantChecks;
}

async function ask(more: Record<string, string> = {}): Promise<Asked> {
  const [verifier, state, nonce] = [client.randomPKCECodeVerifier(), client.randomState(), client.randomNonce()];
  const url = client.buildAuthorizationUrl(config, { redirect_uri: REDIRECT_URI, scope: 'openid email', code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, nonce, ...more });
  return { url, checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, ...(more.max_age === undefined ? {} : { maxAge: Number(more.max_age) }) } };
}

async function signIn(browser: Browser, more: Record<string, string> = {}) {
  const { url, checks } = await ask(more);
  return client.authorizationCodeGrant(config, await authorize(browser, url.href, person.passkey), checks);
}

const redeem = (asked: Asked, callback: URL) => client.authorizationCodeGrant(config, callback, asked.checks);

/** Where the first step of a request leads: to the client, or to a page of ours. */
async function stepOnce(browser: Browser, more: Record<string, string>): Promise<{ url: URL; asked: Asked }> {
  const asked = await ask(more);
  const location = (await browser.get(asked.url.href)).headers.get('location');
  return { url: new URL(location!, issuer.url), asked };
}

describe('prompt', () => {
  test('none without a session is login_required, at the client, with state and iss', async () => {
    const { url, asked } = await stepOnce(createBrowser(issuer.url), { prompt: 'none' });
    expect(url.origin + url.pathname).toBe(REDIRECT_URI);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({ error: 'login_required', state: asked.checks.expectedState, iss: issuer.url });
    await expect(redeem(asked, url)).rejects.toMatchObject({ error: 'login_required' });
  });

  test('none with a session that has not agreed is consent_required', async () => {
    await issuer.app.clients.register({ id: 'other-app', name: 'Other', redirectUris: [REDIRECT_URI], kind: 'web', authentication: 'none' });
    await signIn(person.browser);
    const { url } = await stepOnce(person.browser, { prompt: 'none', client_id: 'other-app' });
    expect(url.searchParams.get('error')).toMatch(/^(consent|interaction)_required$/);
  });

  test('none with a session gives a code at once, of the same sign-in', async () => {
    const before = await signIn(person.browser);
    const { url, asked } = await stepOnce(person.browser, { prompt: 'none' });
    const after = await redeem(asked, url);
    expect(after.claims()!.auth_time).toBe(before.claims()!.auth_time);
    expect(after.claims()!.sub).toBe(before.claims()!.sub);
  });

  test('login asks for a touch in spite of the session, and auth_time is of now', async () => {
    const before = await signIn(person.browser);
    issuer.clock.advance(30);
    expect((await stepOnce(person.browser, { prompt: 'login' })).url.pathname).toMatch(/^\/login\//);
    const after = await signIn(person.browser, { prompt: 'login', max_age: '600' });
    expect(after.claims()!.auth_time! - before.claims()!.auth_time!).toBeGreaterThanOrEqual(29);
  });

  test('consent asks again though it was given', async () => {
    await signIn(person.browser);
    const { url } = await stepOnce(person.browser, { prompt: 'consent' });
    expect(await (await person.browser.get(url.href)).text()).toContain('/consent"');
    expect((await signIn(person.browser, { prompt: 'consent' })).claims()!.sub).toEqual(expect.any(String));
  });

  test('none with another is refused', async () => {
    const { url } = await stepOnce(person.browser, { prompt: 'none login' });
    expect(url.searchParams.get('error')).toBe('invalid_request');
  });
});

describe('max_age', () => {
  test('a sign-in that is young enough will do, an older one is asked again', async () => {
    await signIn(person.browser, { prompt: 'login' });
    const young = await stepOnce(person.browser, { max_age: '60', prompt: 'none' });
    expect((await redeem(young.asked, young.url)).claims()!.auth_time).toEqual(expect.any(Number));
    issuer.clock.advance(61);
    expect((await stepOnce(person.browser, { max_age: '60', prompt: 'none' })).url.searchParams.get('error')).toBe('login_required');
    const again = await signIn(person.browser, { max_age: '60' });
    expect(Math.floor(issuer.clock.now().getTime() / 1000) - again.claims()!.auth_time!).toBeLessThan(30);
  });
});

describe('hints', () => {
  test('login_hint changes nothing of who signs in', async () => {
    const tokens = await signIn(person.browser, { login_hint: 'somebody.else@example.com' });
    expect(tokens.claims()!.email).toBe('ada@example.com');
  });

  test('id_token_hint of whoever is signed in lets them through, of another asks for a sign-in', async () => {
    const mine = await signIn(person.browser);
    const through = await stepOnce(person.browser, { prompt: 'none', id_token_hint: mine.id_token! });
    expect(through.url.searchParams.has('code')).toBe(true);
    const other = await issuer.createPerson('other@example.com');
    const asked = await ask();
    const { id_token: hint } = await redeem(asked, await authorize(other.browser, asked.url.href, other.passkey));
    const refused = await stepOnce(person.browser, { prompt: 'none', id_token_hint: hint! });
    expect(refused.url.searchParams.get('error')).toBe('login_required');
  });
});

describe('response_mode', () => {
  test('form_post gives code, state and iss in a form', async () => {
    await signIn(person.browser);
    const asked = await ask({ response_mode: 'form_post', prompt: 'none' });
    const page = await (await person.browser.get(asked.url.href)).text();
    expect(page).toContain(`action="${REDIRECT_URI}"`);
    const fields = Object.fromEntries([...page.matchAll(/name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) => [name!, value!]));
    expect(fields).toMatchObject({ code: expect.any(String), state: asked.checks.expectedState, iss: issuer.url });
    const callback = new URL(REDIRECT_URI);
    for (const [name, value] of Object.entries(fields)) callback.searchParams.set(name, value);
    expect((await redeem(asked, callback)).claims()!.email).toBe('ada@example.com');
  });

  test.each(['web_message', 'nonsense'])('%s is not offered and refused', async (mode) => {
    expect(config.serverMetadata().response_modes_supported).not.toContain(mode);
    const asked = await ask({ response_mode: mode, prompt: 'none' });
    const response = await person.browser.get(asked.url.href);
    const location = response.headers.get('location');
    const told = location === null ? await response.text() : location;
    expect(told).toMatch(/unsupported_response_mode|invalid_request/);
  });
});

describe('what a client checks', () => {
  test('another state, another nonce, another issuer’s iss: the library refuses', async () => {
    const asked = await ask();
    const callback = await authorize(person.browser, asked.url.href, person.passkey);
    await expect(client.authorizationCodeGrant(config, callback, { ...asked.checks, expectedState: 'other' })).rejects.toThrow();
    const elsewhere = new URL(callback);
    elsewhere.searchParams.set('iss', 'https://evil.example');
    await expect(redeem(asked, elsewhere)).rejects.toThrow();
    await expect(client.authorizationCodeGrant(config, callback, { ...asked.checks, expectedNonce: 'other' })).rejects.toThrow();
  });
});

describe('RP-initiated logout', () => {
  const confirm = async (browser: Browser, url: URL) => {
    const page = await (await browser.get(url.href)).text();
    const xsrf = /name="xsrf" value="([^"]*)"/.exec(page)?.[1] ?? '';
    return browser.postForm(`${issuer.url}/oauth/logout/confirm`, {}, { xsrf, logout: 'yes' });
  };

  test('ends the session and takes the browser back with its state', async () => {
    const { id_token: hint } = await signIn(person.browser);
    const url = client.buildEndSessionUrl(config, { post_logout_redirect_uri: SIGNED_OUT_URI, id_token_hint: hint!, state: 'after' });
    const answer = await confirm(person.browser, url);
    expect(answer.headers.get('location')).toBe(`${SIGNED_OUT_URI}?state=after`);
    expect((await stepOnce(person.browser, { prompt: 'none' })).url.searchParams.get('error')).toBe('login_required');
  });
});

test('oauth4webapi, which takes nothing for granted, goes the whole way', async () => {
  const insecure = { [oauth.allowInsecureRequests]: true }; // eslint-disable-line @typescript-eslint/no-deprecated -- loopback
  const expected = new URL(issuer.url);
  const server = await oauth.processDiscoveryResponse(expected, await oauth.discoveryRequest(expected, insecure));
  const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(server.authorization_endpoint!);
  const parameters = { client_id: 'web-app', redirect_uri: REDIRECT_URI, response_type: 'code', scope: 'openid email', code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, nonce, max_age: '300' };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const relyingParty = { client_id: 'web-app' };
  const callback = oauth.validateAuthResponse(server, relyingParty, await authorize(person.browser, url.href, person.passkey), state);
  const authentication = oauth.ClientSecretBasic(secret);
  const response = await oauth.authorizationCodeGrantRequest(server, relyingParty, authentication, callback, REDIRECT_URI, verifier, insecure);
  const tokens = await oauth.processAuthorizationCodeResponse(server, relyingParty, response, { expectedNonce: nonce, maxAge: 300, requireIdToken: true });
  const claims = oauth.getValidatedIdTokenClaims(tokens)!;
  await oauth.validateApplicationLevelSignature(server, response, insecure);
  const userinfo = await oauth.processUserInfoResponse(server, relyingParty, claims.sub, await oauth.userInfoRequest(server, relyingParty, tokens.access_token, insecure));
  expect(userinfo).toMatchObject({ sub: claims.sub, email: 'ada@example.com' });
  const refreshed = await oauth.processRefreshTokenResponse(server, relyingParty, await oauth.refreshTokenGrantRequest(server, relyingParty, authentication, tokens.refresh_token!, insecure));
  expect(decodeJwt(refreshed.access_token).sub).toBe(claims.sub);
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, relyingParty, authentication, refreshed.refresh_token!, insecure));
  await expect(oauth.refreshTokenGrantRequest(server, relyingParty, authentication, refreshed.refresh_token!, insecure).then((again) => oauth.processRefreshTokenResponse(server, relyingParty, again))).rejects.toMatchObject({ error: 'invalid_grant' });
});
