import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { spawnIssuer } from '../support/issuer_process.ts';
import { watchProcess } from '../support/process_output.ts';

const run = (env: Record<string, string>, ...args: string[]) => watchProcess(spawnIssuer(env, args)).ended;

test('--check-config with a good configuration says so, starts nothing and exits with 0', async () => {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'vouch-')), 'data');
  const ended = await run({ VOUCH_DATA_DIR: dataDir, VOUCH_PORT: '4567' }, '--check-config');
  expect(ended).toEqual({ code: 0, signal: null, stdout: 'The configuration is good. The issuer is http://localhost:4567\n', stderr: '' });
  expect(existsSync(dataDir)).toBe(false);
});

test.each([['--check-config', ['--check-config']], ['a start', []]])('%s with faults tells all of them on standard error and exits with 2', async (_what, args) => {
  const { code, stdout, stderr } = await run({ NODE_ENV: 'production', VOUCH_ISSUER: 'https://vouch.example.com/', VOUCH_PORT: 'x', VOUCH_KEK: 'a-secret' }, ...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr.split('\n')).toEqual([
    'error: The configuration has faults:',
    expect.stringMatching(/^ {2}VOUCH_ISSUER must be scheme and host alone.*; write https:\/\/vouch\.example\.com$/),
    '  VOUCH_PORT must be a whole number from 0 to 65535',
    expect.stringMatching(/^ {2}VOUCH_KEK is unusable: key 1 is not 32 bytes in base64url; make one with: /),
    expect.stringMatching(/^ {2}DATABASE_URL must be set in production/),
    expect.stringMatching(/^ {2}REDIS_URL must be set in production/),
    expect.stringMatching(/^ {2}VOUCH_COOKIE_KEYS must be set in production/),
    '',
  ]);
  expect(stderr).not.toContain('a-secret');
});

test('--help says how it is used', async () => {
  const { code, stdout } = await run({}, '--help');
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('Usage: node server/main.ts [--check-config | --invite-admin]') });
});

test('an option that does not exist is one clear line, not a stack', async () => {
  const { code, stdout, stderr } = await run({}, '--no-such-option');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^error: .*Unknown option '--no-such-option'.*\n$/);
});
