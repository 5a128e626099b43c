import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, exportJWK, generateKeyPair } from 'jose';
import * as client from 'openid-client';
import { authorize } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { query } from '../support/services.ts';

let issuer: TestIssuer;
let person: Awaited<ReturnType<TestIssuer['createPerson']>>;
const REDIRECT_URI = 'https://app.example/callback';

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_HOSTED_DOMAINS: 'example.com' });
  person = await issuer.createPerson('ada@example.com');
});
afterAll(() => issuer.close());

const discover = (id: string, authentication: client.ClientAuth) =>
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so only to stand out; this issuer is on loopback
  client.discovery(new URL(issuer.url), id, undefined, authentication, { execute: [client.allowInsecureRequests] });

/** openid-client does it all as an application would: discovery, PKCE, state, nonce, `iss`, the ID token's checks. */
async function signInWith(config: client.Configuration, more: Record<string, string> = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const url = client.buildAuthorizationUrl(config, { redirect_uri: REDIRECT_URI, scope: 'openid email', code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, nonce, ...more });
  const callback = await authorize(person.browser, url.href, person.passkey);
  return client.authorizationCodeGrant(config, callback, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
}

describe('a confidential client with a secret', () => {
  let secret: string;
  beforeAll(async () => {
    const registered = await issuer.app.clients.register({ id: 'web-app', name: 'Web app', redirectUris: [REDIRECT_URI], kind: 'web', authentication: 'client_secret_basic' });
    secret = registered.secret!.reveal();
  });

  test('signs a person in, verifies the ID token and reads userinfo', async () => {
    const config = await discover('web-app', client.ClientSecretBasic(secret));
    const tokens = await signInWith(config);
    const claims = tokens.claims()!;
    expect(claims).toMatchObject({ iss: issuer.url, aud: 'web-app', email: 'ada@example.com', email_verified: false, hd: 'example.com', jti: expect.any(String), amr: ['pop', 'user', 'mfa'] });
    const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
    expect(userinfo).toEqual({ sub: claims.sub, email: 'ada@example.com', email_verified: false, hd: 'example.com', name: 'Test Person' });
  });

  test('is asked for consent once a browser session, and signs in again without a touch', async () => {
    const config = await discover('web-app', client.ClientSecretBasic(secret));
    const first = decodeJwt((await signInWith(config)).id_token!);
    const second = decodeJwt((await signInWith(config, { prompt: 'none' })).id_token!);
    expect(second.sub).toBe(first.sub);
    expect(second.jti).not.toBe(first.jti);
  });

  test('every ID token has a jti of its own, on refresh too', async () => {
    const config = await discover('web-app', client.ClientSecretBasic(secret));
    const tokens = await signInWith(config);
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token!);
    expect(refreshed.claims()!.jti).not.toBe(tokens.claims()!.jti);
    expect(refreshed.claims()!.sub).toBe(tokens.claims()!.sub);
  });

  test('does not get in with a wrong secret, nor with the hash that is kept', async () => {
    const [row] = await query(issuer.databaseUrl, 'SELECT metadata FROM clients WHERE id = $1', ['web-app']);
    const kept = (row!.metadata as { client_secret: string }).client_secret;
    expect(kept).not.toBe(secret);
    for (const wrong of [kept, `${secret}x`]) {
      const config = await discover('web-app', client.ClientSecretBasic(wrong));
      await expect(client.refreshTokenGrant(config, 'any')).rejects.toMatchObject({ status: 401 });
    }
  });

  test('may not exchange tokens unless its record says so', async () => {
    const config = await discover('web-app', client.ClientSecretBasic(secret));
    const { access_token: token } = await signInWith(config);
    await expect(client.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', { subject_token: token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' })).rejects.toMatchObject({ status: 400, error: 'invalid_request' });
  });
});

describe('a client with a key of its own', () => {
  test('authenticates by private_key_jwt, and an assertion is good once', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }] };
    await issuer.app.clients.register({ id: 'job', name: 'Job', redirectUris: [REDIRECT_URI], kind: 'web', authentication: { jwks: JSON.parse(JSON.stringify(jwks)) } });
    let assertion = '';
    const config = await discover('job', client.PrivateKeyJwt({ key: privateKey, kid: 'k1' }));
    config[client.customFetch] = (url, init) => {
      assertion = new URLSearchParams(init.body as string).get('client_assertion') ?? assertion;
      return fetch(url, init as RequestInit);
    };
    const tokens = await signInWith(config);
    expect(tokens.claims()!.aud).toBe('job');
    const replay = await fetch(`${issuer.url}/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x', client_id: 'job', client_assertion: assertion, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' }) });
    expect({ status: replay.status, error: ((await replay.json()) as { error: string }).error }).toEqual({ status: 401, error: 'invalid_client' });
  });
});

describe('pushed authorization requests', () => {
  test('work from end to end', async () => {
    const { secret } = await issuer.app.clients.register({ id: 'pushing', name: 'Pushing', redirectUris: [REDIRECT_URI], kind: 'web', authentication: 'client_secret_basic' });
    const config = await discover('pushing', client.ClientSecretBasic(secret!.reveal()));
    const verifier = client.randomPKCECodeVerifier();
    const url = await client.buildAuthorizationUrlWithPAR(config, { redirect_uri: REDIRECT_URI, scope: 'openid', code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' });
    expect(url.searchParams.get('request_uri')).toMatch(/^urn:ietf:params:oauth:request_uri:/);
    const callback = await authorize(person.browser, url.href, person.passkey);
    const tokens = await client.authorizationCodeGrant(config, callback, { pkceCodeVerifier: verifier, idTokenExpected: true });
    expect(tokens.claims()!.aud).toBe('pushing');
  });
});

test('a client that is not registered cannot be registered under the built-in id', async () => {
  await expect(issuer.app.clients.register({ id: 'vouch-cli', name: 'x', redirectUris: [], kind: 'native', authentication: 'none' })).rejects.toMatchObject({ code: 'client_id_reserved' });
});
