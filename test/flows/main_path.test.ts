import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { exchangeForm, postToken, signIn, type Tokens } from '../support/oauth.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';

let issuer: TestIssuer;
let tokens: Tokens;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_AUDIENCES: 'https://api.openai.com/v1', VOUCH_HOSTED_DOMAINS: 'example.com' });
  tokens = await signIn(issuer.url, await issuer.createPerson('Ada@Example.com'));
});
afterAll(() => issuer.close());

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('a sign-in gives an RFC 9068 access token, a relying-party ID token and the end of the session', () => {
  expect(decodeProtectedHeader(tokens.access_token)).toEqual({ alg: 'RS256', typ: 'at+jwt', kid: expect.any(String) });
  const access = decodeJwt(tokens.access_token);
  expect(access).toMatchObject({ iss: issuer.url, aud: issuer.url, client_id: 'vouch-cli', scope: 'openid email', sub: expect.stringMatching(UUID_V7), amr: ['pop', 'user', 'mfa'] });
  expect(access.exp! - access.iat!).toBe(600);
  expect(tokens.expires_in).toBe(600);
  expect(tokens.refresh_token_expires_in).toBeGreaterThan(28_790);
  const id = decodeJwt(tokens.id_token);
  expect(id).toMatchObject({ iss: issuer.url, aud: 'vouch-cli', sub: access.sub, nonce: 'nonce-1', email: 'ada@example.com', email_verified: false, hd: 'example.com', jti: expect.stringMatching(UUID_V7) });
});

test('the exchange gives a federation token exactly as the design says', async () => {
  const { status, body, headers } = await postToken(issuer.url, exchangeForm(tokens.access_token));
  expect({ status, cache: headers.get('cache-control') }).toEqual({ status: 200, cache: 'no-store' });
  expect(body).toEqual({ access_token: expect.any(String), issued_token_type: 'urn:ietf:params:oauth:token-type:id_token', token_type: 'N_A', expires_in: 600 });
  const { payload, protectedHeader } = await jwtVerify(body.access_token, createRemoteJWKSet(new URL(`${issuer.url}/oauth/jwks`)), { issuer: issuer.url, audience: issuer.url });
  expect(Object.keys(protectedHeader).sort()).toEqual(['alg', 'kid', 'typ']);
  expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'JWT' });
  const { iat } = payload;
  expect(payload).toEqual({
    iss: issuer.url, sub: 'ada@example.com', aud: issuer.url, iat, nbf: iat, exp: iat! + 600, jti: expect.stringMatching(UUID_V7),
    email: 'ada@example.com', email_verified: false, hd: 'example.com', auth_time: expect.any(Number), amr: ['pop', 'user', 'mfa'],
    vouch_uid: decodeJwt(tokens.access_token).sub,
  });
});
