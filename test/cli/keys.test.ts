import { afterEach, beforeEach, expect, it, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { renderTable, joinSome } from '../../cli/table.ts';
import { formatDuration } from '../../cli/time.ts';
import { findFreePort } from '../support/free_port.ts';
import { createSandbox, type Sandbox } from './run_vouch.ts';

/* What vouch keys says before it has asked anybody; with an issuer it is in test/flows/keys_cli.test.ts. */

let sandbox: Sandbox;
beforeEach(async () => { sandbox = await createSandbox(); });
afterEach(async () => { await sandbox.remove(); });

const KID = 'Qcali_OL6xYjkVTS7E-bedcMabMq97w0PqL3lPIDUqc';

it.each([[[]], [['list']], [['rotate']], [['cancel']], [['revoke']], [['history']], [['verifiers']], [['rewrap']]])('`vouch keys %j --help` is a product, with an example', async (command) => {
  const { status, stdout, stderr } = await sandbox.runHere(['keys', ...command, '--help']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain(`Usage: vouch ${['keys', ...command].join(' ')}`);
  expect(stdout).toContain('  $ vouch keys ');
  if (command.length > 0) expect(stdout).toContain('--json');
  expect(existsSync(sandbox.home)).toBe(false);
});

it.each([
  [['rotate', '--alg', 'HS256'], /^error: --alg must be RS256 or ES256\n$/],
  [['cancel', '--alg', 'none'], /^error: --alg must be RS256 or ES256\n$/],
  [['history', '--limit', '0'], /^error: --limit must be a whole number from 1 to 500\n$/],
  [['history', '--limit', '501'], /^error: --limit must be a whole number from 1 to 500\n$/],
  [['revoke', KID], /^error: required option '--reason <text>' not specified\nhint: see `vouch keys revoke --help`\n$/],
  [['revoke', '--reason', 'seen'], /^error: missing required argument 'kid'\nhint: see `vouch keys revoke --help`\n$/],
  [['revoke', '--yes', '--reason', ' ', KID], /^error: --reason must be a sentence of at most 500 characters\n$/],
  [['revoke', '--yes', '--reason', 'seen', '../keys'], /^error: the kid must be letters, digits, _ and -/],
  [['revoke', '--reason', 'seen', KID], /^error: nobody can be asked: standard input is not a terminal\nhint: add --yes if you are sure\n$/],
  [['revoke', '--reason', 'seen', '--', '-kid-with-a-dash'], /^error: nobody can be asked/],
  [['lst'], /^error: unknown command 'lst'\nhint: did you mean list\?/],
])('`vouch keys %j` is a usage error', async (parameters, stderr) => {
  const outcome = await sandbox.runHere(['keys', ...parameters]);
  expect(outcome).toMatchObject({ status: 2, stdout: '' });
  expect(outcome.stderr).toMatch(stderr);
});

it('an issuer that cannot be reached is a failure of the network', async () => {
  const outcome = await sandbox.runHere(['keys', 'list', '--no-browser'], { VOUCH_ISSUER: `http://localhost:${await findFreePort()}` });
  expect(outcome).toMatchObject({ status: 4, stdout: '' });
  expect(outcome.stderr).toMatch(/^This needs your passkey: .*\nerror: could not reach the issuer http:\/\/localhost:\d+: the connection was refused\n/);
});

it('a broken VOUCH_ISSUER is a failure of the configuration', async () => {
  expect(await sandbox.runHere(['keys', 'list'], { VOUCH_ISSUER: 'vouch.example.com' })).toMatchObject({ status: 6, stdout: '', stderr: expect.stringContaining('VOUCH_ISSUER must be an address') });
});

test('tables have columns as wide as their widest cell and end without spaces', () => {
  expect(renderTable(['A', 'LONG'], [['1234', ''], ['1', '2']])).toBe('  A     LONG\n  1234\n  1     2');
  expect(joinSome(['a', 'b', 'c'])).toBe('a, b, c');
  expect(joinSome(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 more');
});

test.each([[47 * 3600, '47 h'], [48 * 3600, '2 d'], [100 * 3600 + 59, '4 d 4 h'], [59, '59 s']])('%d s are %s', (seconds, text) => {
  expect(formatDuration(seconds * 1000)).toBe(text);
});
