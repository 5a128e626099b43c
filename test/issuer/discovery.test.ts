import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Provider } from 'oidc-provider';
import { createServer, request as send, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { createConfiguration } from '../../server/issuer/configuration.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';

let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_HOSTED_DOMAINS: 'example.com' });
});
afterAll(() => issuer.close());

interface Metadata {
  [name: string]: unknown;
  claims_supported: string[];
  grant_types_supported: string[];
}

const readMetadata = async () => (await (await fetch(`${issuer.url}/.well-known/openid-configuration`)).json()) as Metadata;

/** A request as some machine on the way may have bent it: fetch would not let us send such a Host. */
function ask(path: string, headers: Record<string, string>, method = 'GET'): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(issuer.url);
    send({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    }).once('error', reject).end();
  });
}

describe('discovery', () => {
  test('is the same at both well-known paths, as JSON, cacheable, for every origin', async () => {
    const [one, other] = await Promise.all(['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'].map((path) => fetch(issuer.url + path)));
    expect(Object.fromEntries(one!.headers)).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'public, max-age=3600', etag: expect.stringMatching(/^"[\w-]+"$/), 'access-control-allow-origin': '*' });
    expect(await one!.text()).toBe(await other!.text());
  });

  test('says what oidc-provider, as we configure it, says of itself: nothing more, nothing else', async () => {
    const options = { issuer: issuer.url, sessionSeconds: 600, cookieKeys: ['k'.repeat(32)] } as unknown as Parameters<typeof createConfiguration>[0];
    const provider = new Provider(issuer.url, createConfiguration(options, issuer.app.keys.current()));
    const server = createServer((request, response) => void provider.callback()(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const library = (await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/.well-known/openid-configuration`)).json()) as Metadata;
    server.closeAllConnections();
    server.close();
    const ours = await readMetadata();
    // What the library cannot know: the exchange and userinfo are ours; it lists response modes and claims that do not apply.
    const known = ['grant_types_supported', 'userinfo_endpoint', 'claims_supported', 'scopes_supported', 'response_modes_supported', 'token_endpoint_auth_signing_alg_values_supported'];
    for (const [name, value] of Object.entries(library)) {
      if (known.includes(name) || name.endsWith('_endpoint') || name === 'jwks_uri') continue;
      expect({ [name]: ours[name] }).toEqual({ [name]: value });
    }
    for (const name of Object.keys(library).filter((key) => key.endsWith('_endpoint'))) expect(new URL(String(ours[name])).pathname).toBe(new URL(String(library[name])).pathname);
    for (const grant of library.grant_types_supported) if (grant !== 'implicit') expect(ours.grant_types_supported).toContain(grant);
  });

  test('every endpoint that it names answers, and begins with the issuer', async () => {
    const metadata = await readMetadata();
    const endpoints = Object.entries(metadata).filter(([name]) => name.endsWith('_endpoint') || name === 'jwks_uri');
    expect(endpoints.length).toBeGreaterThanOrEqual(6);
    for (const [, url] of endpoints) {
      expect(String(url).startsWith(`${issuer.url}/oauth/`)).toBe(true);
      expect((await fetch(String(url), { redirect: 'manual' })).status).not.toBe(404);
    }
  });

  test('every grant type that it names is known at the token endpoint, and no other', async () => {
    const { grant_types_supported: grants } = await readMetadata();
    for (const grant of grants) expect((await postToken(issuer.url, { grant_type: grant, client_id: 'vouch-cli' })).body.error).toBe('invalid_request');
    for (const grant of ['implicit', 'password']) {
      expect((await postToken(issuer.url, { grant_type: grant, client_id: 'vouch-cli' })).body.error).toBe('unsupported_grant_type');
    }
  });

  test('names hd and jti, and every claim that a token holds', async () => {
    const { claims_supported: claims } = await readMetadata();
    const tokens = await signIn(issuer.url, await issuer.createPerson('claims@example.com'));
    const other = await signIn(issuer.url, await issuer.createPerson('actor@example.com'));
    const actor = { actor_token: other.access_token, actor_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
    const federation = (await postToken(issuer.url, exchangeForm(tokens.access_token, actor))).body.access_token as string;
    const held = new Set([tokens.id_token, federation].flatMap((token) => Object.keys(decodeJwt(token))));
    expect([...held].filter((claim) => claim !== 'sid').sort()).toEqual([...claims].sort());
  });

  test('no word of it comes from the request', async () => {
    const plain = await ask('/.well-known/openid-configuration', {});
    const bent = await ask('/.well-known/openid-configuration', { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example' });
    expect(bent.body).toBe(plain.body);
  });
});

describe('every URL that is emitted begins with the issuer', () => {
  test('an authorization request under a poisoned Host stays here', async () => {
    const { createCodeRequest } = await import('../support/oauth.ts');
    const { pathname, search } = new URL(createCodeRequest(issuer.url).url);
    const answer = await ask(pathname + search, { host: 'evil.example', 'x-forwarded-host': 'evil.example' });
    expect(answer.status).toBe(303);
    expect(JSON.stringify(answer.headers)).not.toContain('evil.example');
  });
});

describe('the JWKS', () => {
  test('is served as the providers need it', async () => {
    const response = await fetch(`${issuer.url}/oauth/jwks`);
    expect({ status: response.status, redirected: response.redirected }).toEqual({ status: 200, redirected: false });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/json', 'cache-control': 'public, max-age=300, stale-while-revalidate=60, stale-if-error=86400', etag: expect.any(String), 'access-control-allow-origin': '*',
    });
    const { keys } = (await response.json()) as { keys: Record<string, string>[] };
    expect(keys.map(({ kty }) => kty).sort()).toEqual(['EC', 'EC', 'RSA', 'RSA']);
    for (const key of keys) expect(Object.keys(key).sort()).toEqual((key.kty === 'RSA' ? ['alg', 'e', 'kid', 'kty', 'n', 'use'] : ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']));
  });

  test('answers HEAD with no body, a known ETag with 304, a preflight, and 405 to the rest', async () => {
    const etag = (await fetch(`${issuer.url}/oauth/jwks`)).headers.get('etag')!;
    const head = await fetch(`${issuer.url}/oauth/jwks`, { method: 'HEAD' });
    expect({ status: head.status, length: Number(head.headers.get('content-length')), body: await head.text() }).toEqual({ status: 200, length: expect.any(Number), body: '' });
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(500);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) expect((await fetch(`${issuer.url}/oauth/jwks`, { headers: { 'if-none-match': known } })).status).toBe(304);
    expect((await fetch(`${issuer.url}/oauth/jwks`, { headers: { 'if-none-match': '"other"' } })).status).toBe(200);
    expect((await fetch(`${issuer.url}/oauth/jwks`, { method: 'OPTIONS', headers: { origin: 'https://x.example' } })).headers.get('access-control-allow-methods')).toBe('GET, HEAD');
    const post = await fetch(`${issuer.url}/oauth/jwks`, { method: 'POST' });
    expect({ status: post.status, allow: post.headers.get('allow') }).toEqual({ status: 405, allow: 'GET, HEAD, OPTIONS' });
  });

  test('is served to a cache-buster, and not under a look-alike path', async () => {
    expect((await fetch(`${issuer.url}/oauth/jwks?t=1`)).status).toBe(200);
    // oidc-provider's own router would take both of these.
    expect((await fetch(`${issuer.url}/oauth/JWKS`)).status).toBe(404);
    expect((await fetch(`${issuer.url}/oauth/jwks/`)).status).toBe(404);
  });
});
