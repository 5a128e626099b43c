import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { createCodeRequest } from '../support/oauth.ts';
import { findFreePort } from '../support/free_port.ts';

/* Behind a proxy that ends TLS: the issuer is https, the connection is not, and the proxy's headers are not believed. */

const ISSUER = 'https://vouch.example.com';
let issuer: TestIssuer;
let local: string;

beforeAll(async () => {
  const port = await findFreePort();
  local = `http://127.0.0.1:${port}`;
  issuer = await startTestIssuer({ VOUCH_ISSUER: ISSUER, VOUCH_PORT: String(port) });
});
afterAll(() => issuer.close());

const open = (headers: Record<string, string>) => fetch(createCodeRequest(ISSUER).url.replace(ISSUER, local), { redirect: 'manual', headers });

test.each([
  ['no word of the proxy', {}],
  ['a proxy that says http', { 'x-forwarded-proto': 'http', 'x-forwarded-host': 'inside.example' }],
])('cookies are for https only, with %s', async (_what, headers) => {
  const response = await open(headers);
  expect(response.status).toBe(303);
  const cookies = response.headers.getSetCookie();
  expect(cookies.length).toBeGreaterThan(0);
  for (const cookie of cookies) expect(cookie).toMatch(/; ?secure/i);
  for (const cookie of cookies) expect(cookie).toMatch(/; ?httponly/i);
  expect(JSON.stringify(Object.fromEntries(response.headers))).not.toMatch(/inside\.example|127\.0\.0\.1|http:/);
});

test('a refusal goes to the client with the https issuer', async () => {
  const { url } = createCodeRequest(ISSUER, { prompt: 'none' });
  const location = new URL((await fetch(url.replace(ISSUER, local), { redirect: 'manual' })).headers.get('location')!);
  expect(Object.fromEntries(location.searchParams)).toMatchObject({ error: 'login_required', iss: ISSUER });
});

test('discovery names https everywhere', async () => {
  const metadata = (await (await fetch(`${local}/.well-known/openid-configuration`)).json()) as Record<string, unknown>;
  for (const [name, value] of Object.entries(metadata)) if (name === 'issuer' || name.endsWith('_endpoint') || name === 'jwks_uri') expect(String(value).startsWith(ISSUER)).toBe(true);
});
