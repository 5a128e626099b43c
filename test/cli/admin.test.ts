import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { createBrowser, enrol } from '../support/browser.ts';
import { createScimClient } from '../support/scim_client.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';
import { findUsageFault, readHelp, startAdminCli, type AdminCli } from './admin_cli.ts';

/* People's accounts, disputes and directories' tokens from a terminal. */

jest.setTimeout(240_000);

let cli: AdminCli;
beforeAll(async () => { cli = await startAdminCli(); });
afterAll(() => cli.close());

test('every command has an example and --json', () => {
  const help = readHelp('admin');
  const names = ['invite', 'accounts', 'accounts list', 'suspend', 'resume', 'remove', 'role', 'groups', 'groups list', 'groups add', 'groups remove', 'groups add-member', 'groups remove-member', 'disputes', 'disputes list', 'disputes link', 'disputes release', 'disputes free', 'scim-tokens', 'scim-tokens list', 'scim-tokens add', 'scim-tokens revoke'];
  expect([...help.keys()]).toEqual(['admin', ...names.map((name) => `admin ${name}`)]);
  for (const [name, text] of help) {
    expect(text).toContain('  $ vouch ');
    if (!['admin', 'admin accounts', 'admin groups', 'admin disputes', 'admin scim-tokens'].includes(name)) expect(text).toContain('--json');
  }
});

test.each([
  [['invite', 'ada'], 'the e-mail must be an address, as ada@example.com'],
  [['invite', 'ada@example.com', '--role', 'root'], '--role must be admin or member'],
  [['invite', 'ada@example.com', '--expires', '15d'], '--expires must be from 5m to 14d, as 30m, 24h or 7d'],
  [['invite', 'ada@example.com', '--expires', '1'], '--expires must be from 5m to 14d, as 30m, 24h or 7d'],
  [['accounts', 'list', '--status', 'gone'], '--status must be active or suspended'],
  [['suspend', 'two words'], 'the account must be 1 to 128 visible ASCII characters without spaces'],
  [['role', 'ada@example.com', 'root'], 'the role must be admin or member'],
  [['remove', 'ada@example.com'], 'nobody can be asked: standard input is not a terminal'],
  [['disputes', 'link', 'x'], 'the dispute is named by its id, as `vouch admin disputes list` shows it'],
  [['disputes', 'free', 'ada@example.com'], 'nobody can be asked: standard input is not a terminal'],
  [['scim-tokens', 'add', 'okta', '--scope', 'users:all'], '--scope must be users:read, users:write, groups:read or groups:write'],
  [['scim-tokens', 'add', 'okta', '--expires', '1000'], '--expires must be a whole number from 1 to 730'],
  [['scim-tokens', 'revoke', 'okta'], 'nobody can be asked: standard input is not a terminal'],
])('`vouch admin %j` is a usage error', async (args, message) => {
  expect(await findUsageFault(['admin', ...args])).toEqual({ status: 2, message });
});

test('a person comes in by a link, is suspended, resumed, made an admin, and goes', async () => {
  const { issuer } = cli;
  const { code, stdout, stderr } = await cli.run(['admin', 'invite', 'ada@example.com', '--expires', '1h']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^http:\/\/localhost:\d+\/login\/enrol\/[\w-]{43}$/) });
  expect(stderr).toContain('Send this link to ada@example.com, and to nobody else: whoever opens it first is a member by that address.');
  expect(stderr).not.toContain(stdout.split('/').at(-1));
  await enrol(createBrowser(issuer.url), stdout, { email: 'ada@example.com', name: 'Ada Lovelace' }, createSoftwarePasskey({ origin: issuer.url }));
  expect((await cli.run(['admin', 'accounts', 'list'])).stdout).toMatch(/^ {2}E-MAIL +NAME +ROLE +STATE +COMES IN BY +GROUPS +LAST SIGN-IN\n {2}ada@example\.com +Ada Lovelace +member +active +1 passkey +- +never\n {2}admin@example\.com/);
  expect((await cli.run(['admin', 'suspend', 'ada@example.com'])).stdout).toContain('ada@example.com is suspended: its sessions have ended');
  expect((await cli.run(['admin', 'suspend', 'ada@example.com'])).stdout).toBe('ada@example.com was suspended already.\n');
  expect((await cli.runJson(['admin', 'accounts', 'list', '--status', 'suspended']))).toMatchObject({ is_complete: true, accounts: [{ email: 'ada@example.com', status: 'suspended', suspended_by: expect.stringMatching(/^admin:/) }] });
  expect((await cli.run(['admin', 'resume', 'ada@example.com'])).stdout).toBe('ada@example.com may sign in again.\n');
  expect((await cli.run(['admin', 'role', 'ada@example.com', 'admin'])).stdout).toBe('ada@example.com is an admin from now on.\n');
  expect((await cli.run(['admin', 'role', 'ada@example.com', 'member'])).stdout).toBe('ada@example.com is a member from now on.\n');
  expect(await cli.run(['admin', 'accounts', 'list', '--limit', '1'])).toMatchObject({ code: 0, stderr: expect.stringContaining('these are the first 1; there are more (--limit)') });
  expect((await cli.run(['admin', 'remove', 'ada@example.com', '--yes'])).stdout).toBe('Removed ada@example.com. What it did stays on record.\n');
  expect(await cli.run(['admin', 'remove', 'ada@example.com', '--yes'])).toMatchObject({ code: 5, stderr: expect.stringContaining('refused: there is no account "ada@example.com"\nhint: see `vouch admin accounts list`') });
  expect(await cli.run(['admin', 'invite', 'ada@example.com'])).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('free it first: vouch admin disputes free') });
  expect((await cli.run(['admin', 'disputes', 'free', 'ada@example.com', '--yes'])).stdout).toBe('ada@example.com is free.\n');
  expect(await cli.run(['admin', 'role', 'admin@example.com', 'member'])).toMatchObject({ code: 5, stderr: expect.stringContaining('this is the last admin who can sign in') });
});

test('groups are the same as `vouch groups`', async () => {
  await cli.run(['admin', 'groups', 'add', 'ops']);
  expect((await cli.run(['groups', 'list'])).stdout).toContain('ops');
});

test('a dispute is listed, and resolved either way', async () => {
  const { identities, accounts } = cli.issuer.app;
  const person = (subject: string) => ({ issuer: 'https://upstream.example', subject, email: 'admin@example.com', isEmailVerified: true, name: 'N', hostedDomain: undefined, isEmailOfUpstream: true });
  expect((await cli.run(['admin', 'disputes', 'list'])).stdout).toBe('Nobody was refused for an e-mail of another account.\n');
  await expect(identities.signIn(person('s1'))).rejects.toThrow('another account');
  const { disputes } = await cli.runJson(['admin', 'disputes', 'list']) as { disputes: { id: string }[] };
  const { id } = disputes[0]!;
  expect((await cli.run(['admin', 'disputes', 'list'])).stdout).toMatch(new RegExp(`${id} +admin@example.com +s1 of https://upstream.example +Test Person \\(admin@example.com, active\\) +1, last`));
  expect(await cli.run(['admin', 'disputes', 'release', id, '--yes'])).toMatchObject({ code: 5, stderr: expect.stringContaining('last admin') });
  expect((await cli.run(['admin', 'disputes', 'link', id])).stdout).toBe('s1 of https://upstream.example signs in to the account of admin@example.com from now on.\n');
  expect((await identities.signIn(person('s1'))).account.id).toBe((await accounts.lookUp('admin@example.com'))!.id);
  expect(await cli.run(['admin', 'disputes', 'link', id])).toMatchObject({ code: 5, stderr: expect.stringContaining('there is no such dispute, or it is resolved') });
});

test('a directory’s token is the product, once, works, and is revoked', async () => {
  expect((await cli.run(['admin', 'scim-tokens', 'list'])).stdout).toContain('There is no SCIM token.');
  const made = await cli.run(['admin', 'scim-tokens', 'add', 'okta', '--scope', 'users:read']);
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^vouch_scim_[0-9a-f]{32}_[\w-]{43}$/), stderr: expect.stringContaining(`${cli.issuer.url}/scim/v2`) });
  expect(made.stderr).not.toContain(made.stdout);
  expect((await createScimClient(cli.issuer.url, made.stdout)('GET', '/Users')).status).toBe(200);
  expect((await cli.run(['admin', 'scim-tokens', 'list'])).stdout).toMatch(/okta +example\.com +users:read +\d{4}-.* +admin@example\.com\n$/);
  expect((await cli.run(['admin', 'scim-tokens', 'revoke', 'okta', '--yes'])).stdout).toBe('Revoked the SCIM token okta.\n');
  expect((await createScimClient(cli.issuer.url, made.stdout)('GET', '/Users')).status).toBe(401);
});

test('the README names every command of the family', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  for (const name of ['invite', 'accounts list', 'suspend', 'resume', 'remove', 'role', 'disputes list', 'scim-tokens add']) expect(readme).toContain(`vouch admin ${name}`);
});
