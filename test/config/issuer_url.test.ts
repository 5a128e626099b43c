import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../server/config/config.ts';
import { createKekLine } from '../support/kek.ts';
import { findFaults } from './faults.ts';

const inProduction = (issuer: string) => ({
  NODE_ENV: 'production', VOUCH_ISSUER: issuer, DATABASE_URL: 'postgresql://db/vouch', REDIS_URL: 'redis://cache', VOUCH_KEK: createKekLine(), VOUCH_COOKIE_KEYS: 'k'.repeat(32),
});

const canonical = (origin: string) => `must be scheme and host alone, in lower case, with no trailing slash, path, query or fragment; write ${origin}`;
const notSecure = (host: string) => `must be https (http is for localhost only); write https://${host}`;
const NO_URL = 'is not a URL; write it like https://vouch.example.com';

describe('an issuer', () => {
  test.each(['https://vouch.example.com', 'https://vouch.example.com:8443', 'https://10.0.0.1', 'https://localhost', 'http://localhost:3000', 'http://localhost', 'http://127.0.0.1:8080', 'http://[::1]:3000'])(
    '%s is taken, byte for byte', (issuer) => {
      expect(loadConfig({ VOUCH_ISSUER: issuer }).issuer).toBe(issuer);
    });

  test.each([
    ['a trailing slash', 'https://vouch.example.com/', canonical('https://vouch.example.com')],
    ['a path', 'https://example.com/vouch', canonical('https://example.com')],
    ['a query', 'https://vouch.example.com?a=b', canonical('https://vouch.example.com')],
    ['an empty query', 'https://vouch.example.com?', canonical('https://vouch.example.com')],
    ['a fragment', 'https://vouch.example.com#a', canonical('https://vouch.example.com')],
    ['an upper-case host', 'https://Vouch.example.com', canonical('https://vouch.example.com')],
    ['an upper-case scheme', 'HTTPS://vouch.example.com', canonical('https://vouch.example.com')],
    ['the default port', 'https://vouch.example.com:443', canonical('https://vouch.example.com')],
    ['the default port of http', 'http://localhost:80', canonical('http://localhost')],
    ['credentials', 'https://user:password@vouch.example.com', canonical('https://vouch.example.com')],
    ['letters that are not ASCII', 'https://bücher.example', canonical('https://xn--bcher-kva.example')],
    ['an address in another spelling', 'https://0x7f.1', canonical('https://127.0.0.1')],
    ['white space about it', ' https://vouch.example.com', canonical('https://vouch.example.com')],
    ['a dot segment', 'https://vouch.example.com/.', canonical('https://vouch.example.com')],
    ['http to another host', 'http://vouch.example.com', notSecure('vouch.example.com')],
    ['http to a host that begins like localhost', 'http://localhost.example.com', notSecure('localhost.example.com')],
    ['http to a private address', 'http://192.168.0.1:3000', notSecure('192.168.0.1:3000')],
    ['no scheme', 'vouch.example.com', NO_URL],
    ['another scheme', 'ftp://vouch.example.com', NO_URL],
    ['a word', 'vouch', NO_URL],
    ['more than 255 characters', `https://${'a.'.repeat(124)}example.com`, 'is longer than the 255 characters that AWS takes'],
  ])('with %s is refused, and the right spelling is given', (_what, issuer, fault) => {
    expect(findFaults({ VOUCH_ISSUER: issuer })).toEqual([`VOUCH_ISSUER ${fault}`]);
  });
});

describe('an issuer in production', () => {
  const NO_ADDRESS = 'must be a public DNS name in production; providers refuse addresses and local names';
  test('that is public is taken', () => {
    expect(loadConfig(inProduction('https://vouch.example.com')).issuer).toBe('https://vouch.example.com');
  });

  test.each([
    ['http', 'http://localhost:3000', 'must be https in production; providers fetch the keys from it over the internet'],
    ['a port', 'https://vouch.example.com:8443', 'must not name a port in production; providers fetch from port 443 only'],
    ['an IPv4 address', 'https://203.0.113.7', NO_ADDRESS],
    ['an IPv6 address', 'https://[2001:db8::1]', NO_ADDRESS],
    ['localhost', 'https://localhost', NO_ADDRESS],
    ['a name without a dot', 'https://vouch', NO_ADDRESS],
    ['a name with nothing but a dot at its end', 'https://localhost.', NO_ADDRESS],
    ['a trailing slash', 'https://vouch.example.com/', canonical('https://vouch.example.com')],
  ])('with %s is refused', (_what, issuer, fault) => {
    expect(findFaults(inProduction(issuer))).toEqual([`VOUCH_ISSUER ${fault}`]);
  });
});
