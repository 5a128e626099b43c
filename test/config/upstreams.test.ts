import { describe, expect, test } from '@jest/globals';
import type { ConfigError} from '../../server/config/config.ts';
import { loadConfig } from '../../server/config/config.ts';

const GOOD = { id: 'okta', name: 'Okta', issuer: 'https://corp.okta.example', clientId: 'vouch', clientSecret: 'the-client-secret', domains: ['example.com'] };

function findFaults(upstreams: unknown, env: Record<string, string> = {}): string[] {
  try {
    loadConfig({ VOUCH_UPSTREAMS: typeof upstreams === 'string' ? upstreams : JSON.stringify(upstreams), ...env });
    return [];
  } catch (error) {
    return (error as ConfigError).faults.filter(({ variable }) => variable === 'VOUCH_UPSTREAMS').map(({ message }) => message);
  }
}

describe('VOUCH_UPSTREAMS', () => {
  test('is read; the secret is not printed', () => {
    const { upstreams: [okta, google, entra] } = loadConfig({
      VOUCH_UPSTREAMS: JSON.stringify([
        GOOD, { ...GOOD, id: 'google', issuer: 'https://accounts.google.com', domains: ['example.com', 'gmail.com'] },
        { ...GOOD, id: 'entra', issuer: 'https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0' },
      ]),
    });
    expect(okta).toMatchObject({ id: 'okta', issuer: GOOD.issuer, kind: { name: 'other' } });
    expect(okta!.clientSecret!.reveal()).toBe('the-client-secret');
    expect(JSON.stringify(okta)).not.toContain('the-client-secret');
    expect(google!.kind).toEqual({ name: 'states_hd', isGoogle: true });
    expect(entra!.kind).toEqual({ name: 'entra', tenant: '11111111-2222-3333-4444-555555555555', hostedDomain: 'example.com' });
  });

  test.each<[string, unknown, RegExp]>([
    ['no JSON', '[{"clientSecret": "the-client-secret"', /^must be a JSON list, like \[\{"id": "google"/],
    ['no list', { ...GOOD }, /^must be a JSON list/],
    ['an entry that is no object', [5], /^\[0\]/],
    ['no id', [{ ...GOOD, id: undefined }], /^\[0\]\.id must be a short name/],
    ['an id that is no path', [{ ...GOOD, id: '../x' }], /^\[0\]\.id must be 1-32 small letters/],
    ['a member that it does not know', [{ ...GOOD, secret: 'the-client-secret' }], /^\[0\] has no member "secret"; remove it/],
    ['an empty secret', [{ ...GOOD, clientSecret: '' }], /^\[0\]\.clientSecret is empty; leave it out/],
    ['an http issuer', [{ ...GOOD, issuer: 'http://okta.example' }], /^\[0\]\.issuer must be https/],
    ['an issuer that is no URL', [{ ...GOOD, issuer: 'okta' }], /^\[0\]\.issuer is not a URL/],
    ['an issuer with a query', [{ ...GOOD, issuer: 'https://okta.example/?a' }], /^\[0\]\.issuer must have no query/],
    ['Entra for everybody', [{ ...GOOD, issuer: 'https://login.microsoftonline.com/common/v2.0' }], /^\[0\]\.issuer must name one tenant by its id/],
    ['personal Microsoft accounts', [{ ...GOOD, issuer: 'https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0' }], /^\[0\]\.issuer is that of personal Microsoft accounts/],
    ['no domains', [{ ...GOOD, domains: [] }], /^\[0\]\.domains is empty: nobody could sign in/],
    ['a consumer domain', [{ ...GOOD, domains: ['gmail.com'] }], /^\[0\]\.domains holds "gmail\.com", a consumer domain/],
    ['a domain that is none', [{ ...GOOD, domains: ['Example.com'] }], /^\[0\]\.domains holds "Example\.com", which is not a domain name/],
    ['one id twice', [GOOD, { ...GOOD, issuer: 'https://b.example' }], /^names the id "okta" twice/],
    ['one issuer twice', [GOOD, { ...GOOD, id: 'b' }], /^names the issuer "https:\/\/corp\.okta\.example" twice/],
  ])('%s is a fault with its fix, and quotes no secret', (_what, upstreams, message) => {
    const faults = findFaults(upstreams);
    expect(faults).toEqual([expect.stringMatching(message)]);
    expect(faults.join()).not.toContain('the-client-secret');
  });

  test('all faults at once', () => {
    expect(findFaults([{ ...GOOD, id: 'X', clientId: '' }, { ...GOOD, issuer: 'http://a.example', domains: ['nope', 'gmail.com'] }])).toHaveLength(5);
  });

  test('an http upstream is for a laptop only', () => {
    const local = [{ ...GOOD, issuer: 'http://localhost:4000' }];
    expect(findFaults(local)).toEqual([]);
    expect(findFaults(local, { NODE_ENV: 'production' })).toEqual([expect.stringContaining('must be https')]);
  });
});
