import { describe, expect, test } from '@jest/globals';
import type { TestIssuer } from '../support/test_issuer.ts';
import { setAnthropicScene } from './anthropic_scene.ts';

const scene = setAnthropicScene();

describe('discovery and the JWKS', () => {
  const elsewhere = { location: 'http://127.0.0.1:1/' };
  test.each<[string, string, 'discovery' | 'jwks', Parameters<TestIssuer['answer']>[1]]>([
    ['a redirect', 'x_discovery_redirect', 'discovery', { status: 302, headers: elsewhere }],
    ['an error', 'x_discovery_status', 'discovery', { status: 500 }],
    ['a success other than 200', 'x_discovery_status', 'discovery', { status: 203 }],
    ['another content type', 'x_discovery_content_type', 'discovery', { headers: { 'content-type': 'text/html' } }],
    ['a body that is no JSON', 'x_discovery_body', 'discovery', { body: '<html>' }],
    ['a body above 1 MiB', 'x_discovery_body', 'discovery', { body: JSON.stringify({ pad: 'x'.repeat(1_048_576) }) }],
    ['another issuer', 'x_discovery_issuer_mismatch', 'discovery', { body: { issuer: 'https://other.example' } }],
    ['no answer in time', 'x_discovery_timeout', 'discovery', { delayMs: 2000 }],
    ['a JWKS over http elsewhere', 'x_url_refused', 'discovery', { body: { issuer: 'ISSUER', jwks_uri: 'http://issuer.example/jwks' } }],
    ['a JWKS on an IP literal', 'x_url_refused', 'discovery', { body: { issuer: 'ISSUER', jwks_uri: 'https://203.0.113.7/jwks' } }],
    ['a JWKS on a port', 'x_url_refused', 'discovery', { body: { issuer: 'ISSUER', jwks_uri: 'https://issuer.example:8443/jwks' } }],
    ['no jwks_uri', 'x_discovery_jwks_uri_missing', 'discovery', { body: { issuer: 'ISSUER' } }],
    ['a redirect of the JWKS', 'x_jwks_redirect', 'jwks', { status: 307, headers: elsewhere }],
    ['an error of the JWKS', 'x_jwks_status', 'jwks', { status: 500 }],
    ['application/jwk-set+json', 'x_jwks_content_type', 'jwks', { headers: { 'content-type': 'application/jwk-set+json' } }],
    ['a JWKS that is no object', 'x_jwks_body', 'jwks', { body: [] }],
    ['no JWKS in time', 'x_jwks_timeout', 'jwks', { delayMs: 2000 }],
  ])('with %s deny the exchange: %s', async (_name, reason, route, answer) => {
    const body = answer.body as Record<string, unknown> | undefined;
    scene.issuer.answer(route, body?.['issuer'] === 'ISSUER' ? { ...answer, body: { ...body, issuer: scene.issuer.url } } : answer);
    // Short only where it is meant to pass: a busy machine needs its time for the others.
    await scene.start({ options: { fetchTimeoutMs: answer.delayMs === undefined ? undefined : 1000 } });
    scene.expectDenied(await scene.exchange(scene.mint()), reason);
  });

  test.each<[string, string, (issuer: TestIssuer) => unknown[]]>([
    ['no keys', 'x_jwks_empty', () => []],
    ['a private key', 'x_jwk_private_member', ({ rsaKey }) => [rsaKey.privateJwk]],
    ['a private key beside the right one', 'x_jwk_private_member', ({ rsaKey, ecKey }) => [rsaKey.publicJwk, ecKey.privateJwk]],
    ['a symmetric key', 'x_jwk_private_member', ({ rsaKey }) => [rsaKey.publicJwk, { kty: 'oct', kid: 'k', k: 'AA' }]],
    ['key_ops', 'x_jwk_forbidden_member', ({ rsaKey }) => [{ ...rsaKey.publicJwk, key_ops: ['verify'] }]],
    ['x5c', 'x_jwk_forbidden_member', ({ rsaKey }) => [{ ...rsaKey.publicJwk, x5c: ['AA=='] }]],
    ['a key without a kid', 'x_jwk_kid_missing', ({ rsaKey, ecKey }) => [rsaKey.publicJwk, { ...ecKey.publicJwk, kid: undefined }]],
    ['a key with an empty kid', 'x_jwk_kid_missing', ({ rsaKey }) => [{ ...rsaKey.publicJwk, kid: '' }]],
    ['two keys with one kid', 'x_jwk_kid_duplicate', ({ rsaKey, ecKey }) => [rsaKey.publicJwk, { ...ecKey.publicJwk, kid: rsaKey.kid }]],
    ['an Ed25519 key', 'x_jwk_kty', ({ rsaKey }) => [rsaKey.publicJwk, { kty: 'OKP', crv: 'Ed25519', x: 'AA', kid: 'ed' }]],
    ['an encryption key', 'x_jwk_use', ({ rsaKey }) => [{ ...rsaKey.publicJwk, use: 'enc' }]],
    ['an entry that is no object', 'x_jwk_malformed', ({ rsaKey }) => [rsaKey.publicJwk, null]],
    ['another key only', 'jwt_kid_not_in_jwks', ({ ecKey }) => [ecKey.publicJwk]],
  ])('with %s in the JWKS deny the exchange: %s', async (_name, reason, keysOf) => {
    scene.issuer.publish(keysOf(scene.issuer));
    await scene.start();
    scene.expectDenied(await scene.exchange(scene.mint()), reason);
  });

  test('on a dead port deny the exchange: x_discovery_unreachable', async () => {
    await scene.start({ issuer: { issuerUrl: 'http://127.0.0.1:1' } });
    scene.expectDenied(await scene.exchange(scene.mint({ claims: { iss: 'http://127.0.0.1:1' } })), 'x_discovery_unreachable');
  });

  test.each([
    ['plain http', 'http://issuer.example'],
    ['credentials', 'https://user@issuer.example'],
    ['a query', 'https://issuer.example?'],
    ['no URL', 'issuer'],
  ])('under an issuer URL with %s deny the exchange: x_url_refused', async (_name, issuerUrl) => {
    await scene.start({ issuer: { issuerUrl } });
    scene.expectDenied(await scene.exchange(scene.mint({ claims: { iss: issuerUrl } })), 'x_url_refused');
  });

  test('are asked once a minute: a key must be published before it signs, and stays trusted as long', async () => {
    scene.issuer.publish([scene.issuer.rsaKey.publicJwk]);
    await scene.start();
    const spend = async (key: TestIssuer['rsaKey']): Promise<number> => (await scene.exchange(scene.mint({ key }))).status;
    expect(await spend(scene.issuer.rsaKey)).toBe(200);

    scene.issuer.publish([scene.issuer.ecKey.publicJwk]);
    scene.now += 59;
    expect(await spend(scene.issuer.ecKey)).toBe(401);
    expect(await spend(scene.issuer.rsaKey)).toBe(200);
    expect(scene.emulator.history.map(({ reason }) => reason)).toEqual(['jwt_kid_not_in_jwks']);
    expect(scene.issuer.hits).toEqual({ discovery: 1, jwks: 1 });

    scene.now += 1;
    expect(await spend(scene.issuer.ecKey)).toBe(200);
    expect(await spend(scene.issuer.rsaKey)).toBe(401);
    expect(scene.issuer.hits).toEqual({ discovery: 2, jwks: 2 });
  });
});
