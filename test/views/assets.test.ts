import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { loadAssets } from '../../server/views/views.ts';

const assets = loadAssets();

test.each([
  ['style.css', 'text/css; charset=utf-8', /^\/login\/assets\/style\.[0-9a-f]{16}\.css$/],
  ['passkey.js', 'text/javascript; charset=utf-8', /^\/login\/assets\/passkey\.[0-9a-f]{16}\.js$/],
  ['submit.js', 'text/javascript; charset=utf-8', /^\/login\/assets\/submit\.[0-9a-f]{16}\.js$/],
  ['webauthn.js', 'text/javascript; charset=utf-8', /^\/login\/assets\/webauthn\.[0-9a-f]{16}\.js$/],
  ['icon.svg', 'image/svg+xml', /^\/login\/assets\/icon\.[0-9a-f]{16}\.svg$/],
])('%s has a path that names its content', (name, contentType, shape) => {
  const path = assets.path(name);
  expect(path).toMatch(shape);
  const asset = assets.find(path)!;
  expect(asset.contentType).toBe(contentType);
  const hash = createHash('sha256').update(asset.body).digest('hex').slice(0, 16);
  expect(asset.etag).toBe(`"${hash}"`);
  expect(path).toContain(hash);
});

test('the WebAuthn bundle is the browser build, which defines the global that passkey.js calls', () => {
  const bundle = assets.find(assets.path('webauthn.js'))!.body.toString('utf8');
  expect(bundle).toContain('SimpleWebAuthnBrowser');
  expect(bundle).toContain('startRegistration');
});

test.each(['/login/assets/style.css', '/login/assets/style.0000000000000000.css', '/login/assets/../assets.ts', '/login/assets/', 'style.css', '__proto__'])(
  'finds nothing at %s',
  (pathname) => {
    expect(assets.find(pathname)).toBeUndefined();
  },
);

test('a name that no asset has is a programmer mistake', () => {
  expect(() => assets.path('other.css')).toThrow(new TypeError('No asset is named other.css'));
});
