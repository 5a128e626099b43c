import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { loadConfig, renderConfigTable } from '../../server/config/config.ts';
import { createKekLine } from '../support/kek.ts';
import { findFaults } from './faults.ts';

const KEK = createKekLine();
const COOKIE_KEY = 'cookie-key-of-at-least-32-characters';
const PRODUCTION = {
  NODE_ENV: 'production', VOUCH_ISSUER: 'https://vouch.example.com', DATABASE_URL: 'postgresql://vouch:pg-password@db/vouch',
  REDIS_URL: 'rediss://:redis-password@cache', VOUCH_KEK: KEK, VOUCH_COOKIE_KEYS: COOKIE_KEY,
};

test('with nothing set, a laptop can start', () => {
  const config = loadConfig({});
  expect(config).toEqual({
    isProduction: false, issuer: 'http://localhost:3000', host: '127.0.0.1', port: 3000, opsPort: undefined, dataDir: resolve('.vouch'),
    databaseUrl: undefined, redisUrl: undefined, keks: undefined, cookieKeys: undefined, audiences: [], hostedDomains: [], deviceLoginForbidden: [], upstreams: [], attestationRoots: [], sessionSeconds: 28_800, sessionIdleSeconds: 28_800, longestTokenSeconds: 3_600, trustedProxies: 0, rateLimitScale: 1, auditRetentionDays: 400, auditCheckpointSeconds: 60,
    keys: {
      rings: ['RS256', 'ES256'], rotationSeconds: 2_592_000, leadSeconds: 86_400, retentionSeconds: 86_400, verifierWaitSeconds: 86_400, verifierWindowSeconds: 604_800,
      staleSeconds: 300, jwksMaxAgeSeconds: 300, pollSeconds: 5, tickSeconds: 15,
    }, logLevel: 'info',
  });
  expect(Object.isFrozen(config)).toBe(true);
});

test('an empty value counts as not set', () => {
  const names = ['NODE_ENV', 'VOUCH_ISSUER', 'VOUCH_HOST', 'VOUCH_PORT', 'VOUCH_OPS_PORT', 'DATABASE_URL', 'REDIS_URL', 'VOUCH_KEK', 'VOUCH_KEK_FILE', 'VOUCH_COOKIE_KEYS', 'VOUCH_AUDIENCES'];
  expect(loadConfig(Object.fromEntries(names.map((name) => [name, ''])))).toEqual(loadConfig({}));
});

test('what is set arrives', () => {
  const config = loadConfig({
    ...PRODUCTION, VOUCH_HOST: '::', VOUCH_PORT: '8080', VOUCH_OPS_PORT: '9090', VOUCH_DATA_DIR: '/var/lib/vouch', VOUCH_COOKIE_KEYS: ` ${COOKIE_KEY}-2\n\n${COOKIE_KEY}\n`,
    VOUCH_AUDIENCES: 'https://a.example, https://b.example\nurn:c https://a.example', VOUCH_HOSTED_DOMAINS: 'example.com,mail.example.co.uk', VOUCH_SESSION_SECONDS: '3600', VOUCH_LOG_LEVEL: 'debug',
  });
  expect(config).toMatchObject({
    isProduction: true, issuer: 'https://vouch.example.com', host: '::', port: 8080, opsPort: 9090, dataDir: '/var/lib/vouch',
    audiences: ['https://a.example', 'https://b.example', 'urn:c'], hostedDomains: ['example.com', 'mail.example.co.uk'], sessionSeconds: 3600, sessionIdleSeconds: 3600, logLevel: 'debug',
  });
  expect(config.databaseUrl?.reveal()).toBe(PRODUCTION.DATABASE_URL);
  expect(config.redisUrl?.reveal()).toBe(PRODUCTION.REDIS_URL);
  expect(config.keks?.reveal()).toEqual([KEK]);
  expect(config.cookieKeys?.reveal()).toEqual([`${COOKIE_KEY}-2`, COOKIE_KEY]);
});

test('the default issuer follows the port, in the one spelling that an issuer has', () => {
  expect(loadConfig({ VOUCH_PORT: '3001' }).issuer).toBe('http://localhost:3001');
  expect(loadConfig({ VOUCH_PORT: '80' }).issuer).toBe('http://localhost');
});

describe('a fault', () => {
  const KEK_FIX = 'make one with: openssl rand 32 | basenc --base64url';
  const COOKIE_FIX = 'make one with: openssl rand -base64 32';
  test.each([
    ['NODE_ENV', 'prod', 'NODE_ENV must be production, development or test'],
    ['VOUCH_PORT', '65536', 'VOUCH_PORT must be a whole number from 0 to 65535'],
    ['VOUCH_PORT', '-1', 'VOUCH_PORT must be a whole number from 0 to 65535'],
    ['VOUCH_PORT', '3000.5', 'VOUCH_PORT must be a whole number from 0 to 65535'],
    ['VOUCH_PORT', '0x10', 'VOUCH_PORT must be a whole number from 0 to 65535'],
    ['VOUCH_PORT', ' 3000', 'VOUCH_PORT must be a whole number from 0 to 65535'],
    ['VOUCH_OPS_PORT', 'none', 'VOUCH_OPS_PORT must be a whole number from 0 to 65535'],
    ['DATABASE_URL', 'mysql://db/vouch', 'DATABASE_URL must be a URL that begins with postgresql://'],
    ['DATABASE_URL', 'postgresql://', 'DATABASE_URL must be a URL that begins with postgresql://'],
    ['REDIS_URL', 'http://cache', 'REDIS_URL must be a URL that begins with redis:// or rediss://'],
    ['VOUCH_KEK', 'short', `VOUCH_KEK is unusable: key 1 is not 32 bytes in base64url; ${KEK_FIX}`],
    ['VOUCH_KEK', `${KEK}\n${KEK}`, 'VOUCH_KEK is unusable: it holds one key twice'],
    ['VOUCH_KEK', '# no key here', 'VOUCH_KEK holds no key'],
    ['VOUCH_KEK', `# comment\n${KEK}\n\n${KEK.slice(1)}`, `VOUCH_KEK is unusable: key 2 is not 32 bytes in base64url; ${KEK_FIX}`],
    ['VOUCH_KEK', `${KEK.slice(0, 20)} ${KEK.slice(20)}`, `VOUCH_KEK is unusable: key 1 is not 32 bytes in base64url; ${KEK_FIX}`],
    ['VOUCH_COOKIE_KEYS', 'short', `VOUCH_COOKIE_KEYS holds a key of fewer than 32 characters; ${COOKIE_FIX}`],
    ['VOUCH_COOKIE_KEYS', `${COOKIE_KEY}\nshort`, `VOUCH_COOKIE_KEYS holds a key of fewer than 32 characters; ${COOKIE_FIX}`],
    ['VOUCH_COOKIE_KEYS', '\n \n', 'VOUCH_COOKIE_KEYS holds no key'],
    ['VOUCH_AUDIENCES', 'https://a.example ä', 'VOUCH_AUDIENCES holds "ä", which is not 1-256 visible ASCII characters'],
    ['VOUCH_SESSION_SECONDS', '299', 'VOUCH_SESSION_SECONDS must be a whole number from 300 to 86400'],
    ['VOUCH_SESSION_IDLE_SECONDS', '899', 'VOUCH_SESSION_IDLE_SECONDS must be a whole number from 900 to 86400'],
    ['VOUCH_SESSION_SECONDS', '86401', 'VOUCH_SESSION_SECONDS must be a whole number from 300 to 86400'],
    ['VOUCH_LOG_LEVEL', 'verbose', 'VOUCH_LOG_LEVEL must be debug, info, warn or error'],
  ])('in %s=%j is told: %s', (name, value, fault) => {
    expect(findFaults({ [name]: value })).toEqual([fault]);
  });

  test.each([
    ['gmail.com', 'which is a consumer domain, where anybody can have an address; a hosted domain is your company’s own'],
    ['outlook.com', 'which is a consumer domain'],
    ['proton.me', 'which is a consumer domain'],
    ['Example.com', 'which is not a domain name in lower case'],
    ['example', 'which is not a domain name in lower case'],
    ['*.example.com', 'which is not a domain name in lower case'],
    ['@example.com', 'which is not a domain name in lower case'],
    ['example.com.', 'which is not a domain name in lower case'],
    ['-example.com', 'which is not a domain name in lower case'],
    ['10.0.0.1', 'which is not a domain name in lower case'],
    ['bücher.example', 'which is not a domain name in lower case'],
  ])('names the hosted domain %s, %s', (domain, why) => {
    expect(findFaults({ VOUCH_HOSTED_DOMAINS: `example.com ${domain}` })).toEqual([expect.stringContaining(`VOUCH_HOSTED_DOMAINS holds "${domain}", ${why}`)]);
  });

  test('is told for each bad item of a list', () => {
    expect(findFaults({ VOUCH_HOSTED_DOMAINS: 'gmail.com,example.com,nope' })).toHaveLength(2);
  });
});

test('all faults are told at once, in one message fit for a terminal', () => {
  const faulty = { NODE_ENV: 'production', VOUCH_PORT: 'x', VOUCH_ISSUER: 'http://localhost:3000', VOUCH_KEK: 'short', VOUCH_HOSTED_DOMAINS: 'gmail.com', REDIS_URL: 'http://cache' };
  expect(() => loadConfig(faulty)).toThrow(/^The configuration has faults:\n( {2}[A-Z_]+ .+\n?)+$/);
  const named = findFaults(faulty).map((fault) => fault.split(' ')[0]);
  expect(named.sort()).toEqual(['DATABASE_URL', 'REDIS_URL', 'VOUCH_COOKIE_KEYS', 'VOUCH_HOSTED_DOMAINS', 'VOUCH_ISSUER', 'VOUCH_KEK', 'VOUCH_PORT']);
});

describe('in production', () => {
  test('everything given is enough', () => {
    expect(findFaults(PRODUCTION)).toEqual([]);
  });

  test.each([
    ['VOUCH_ISSUER', 'VOUCH_ISSUER must be set in production, like https://vouch.example.com'],
    ['DATABASE_URL', 'DATABASE_URL must be set in production, as it is or as DATABASE_URL_FILE; the embedded store is for one process on one machine'],
    ['REDIS_URL', 'REDIS_URL must be set in production, as it is or as REDIS_URL_FILE; memory is not shared between instances'],
    ['VOUCH_KEK', 'VOUCH_KEK must be set in production, as it is or as VOUCH_KEK_FILE; make one with: openssl rand 32 | basenc --base64url > kek'],
    ['VOUCH_COOKIE_KEYS', 'VOUCH_COOKIE_KEYS must be set in production, as it is or as VOUCH_COOKIE_KEYS_FILE; make one with: openssl rand -base64 32 > cookie_keys'],
  ])('a missing %s is refused, with its fix', (name, fault) => {
    expect(findFaults(Object.fromEntries(Object.entries(PRODUCTION).filter(([key]) => key !== name)))).toEqual([fault]);
  });

  test('an empty environment is told all five', () => {
    expect(findFaults({ NODE_ENV: 'production' })).toHaveLength(5);
  });
});

describe('a secret', () => {
  const config = loadConfig(PRODUCTION);
  const forms = [KEK, Buffer.from(KEK, 'base64url').toString('hex'), Buffer.from(KEK, 'base64url').toString('base64'), COOKIE_KEY, 'pg-password', 'redis-password'];

  test.each([
    ['inspect', () => inspect(config, { depth: 20, showHidden: true })],
    ['JSON', () => JSON.stringify(config)],
    ['String', () => Object.values(config).map(String).join()],
    ['a template', () => `${String(config.databaseUrl)} ${String(config.keks)}`],
    ['a thrown error', () => inspect(new Error('x', { cause: config }), { depth: 20 })],
  ])('is not in %s', (_how, print) => {
    const printed = print();
    for (const form of forms) expect(printed).not.toContain(form);
    expect(printed).toContain('[redacted]');
  });

  test('is not in the message of a fault', () => {
    const bad = { ...PRODUCTION, DATABASE_URL: 'mysql://u:pg-password@db', REDIS_URL: 'http://:redis-password@cache', VOUCH_KEK: `${KEK}\n${KEK}`, VOUCH_COOKIE_KEYS: 'short-cookie-key', VOUCH_PORT: 'x' };
    const faults = findFaults(bad);
    expect(faults).toHaveLength(5);
    for (const secret of [...forms, 'short-cookie-key']) expect(faults.join()).not.toContain(secret);
  });
});

test("the README's table is the one that the schema renders", () => {
  const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
  const table = /<!-- config:begin -->\n([^]*?)\n<!-- config:end -->/.exec(readme)?.[1];
  expect(table?.trim()).toBe(renderConfigTable());
});
