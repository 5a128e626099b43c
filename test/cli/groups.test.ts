import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { findUsageFault, readHelp, startAdminCli, type AdminCli } from './admin_cli.ts';

/* Groups from a terminal, and what a clause that names one makes of them. */

jest.setTimeout(240_000);

let cli: AdminCli;
beforeAll(async () => { cli = await startAdminCli(); });
afterAll(() => cli.close());

test('every command has an example and --json', () => {
  const help = readHelp('groups');
  expect([...help.keys()]).toEqual(['groups', ...['list', 'add', 'remove', 'add-member', 'remove-member'].map((name) => `groups ${name}`)]);
  for (const [name, text] of help) {
    expect(text).toContain('  $ vouch groups');
    if (name !== 'groups') expect(text).toContain('--json');
  }
});

test.each([
  [['add', 'two words'], 'the group must be 1 to 128 visible ASCII characters without spaces'],
  [['add-member', 'ops'], "missing required argument 'account'"],
  [['remove-member', 'ops', ''], 'the account must be 1 to 128 visible ASCII characters without spaces'],
])('`vouch groups %j` is a usage error', async (args, message) => {
  expect(await findUsageFault(['groups', ...args])).toEqual({ status: 2, message });
});

test('a group comes, lets its members in, and goes once no audience names it', async () => {
  expect(await cli.run(['groups', 'list'])).toMatchObject({ code: 0, stdout: 'There is no group yet. Make one with `vouch groups add`.\n' });
  expect(await cli.run(['groups', 'add', 'ops'])).toMatchObject({ code: 0, stdout: 'Made the group ops. It has no members yet, and no audience names it.\n' });
  expect(await cli.run(['groups', 'add', 'ops'])).toMatchObject({ code: 5, stderr: expect.stringContaining('refused: there is a group "ops" already\nhint: see `vouch groups list`') });
  expect(await cli.run(['groups', 'add', 'Ops'])).toMatchObject({ code: 5, stderr: expect.stringContaining('1-63 lower-case letters') });
  expect(await cli.run(['groups', 'add-member', 'ops', 'nobody@example.com'])).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('refused: there is no account "nobody@example.com"') });
  expect(await cli.run(['groups', 'add-member', 'ops', 'admin@example.com'])).toMatchObject({ code: 0, stdout: 'admin@example.com is a member of ops now.\n' });
  expect(await cli.runJson(['groups', 'add-member', 'ops', 'admin@example.com'])).toEqual({ is_changed: false });
  expect((await cli.run(['groups', 'list'])).stdout).toBe('  GROUP  MEMBERS  WHO\n  ops    1        admin@example.com\n');

  await cli.run(['audiences', 'add', 'https://ops.example.com', '--allow', 'group:ops']);
  expect((await cli.run(['audiences', 'test', 'https://ops.example.com', '--account', 'admin@example.com'])).stdout).toBe('admin@example.com may have a token for https://ops.example.com: allow group:ops\n');
  expect(await cli.run(['groups', 'remove', 'ops'])).toMatchObject({ code: 5, stderr: expect.stringContaining('group "ops" is named by the audience "https://ops.example.com"; take it out there first') });
  expect((await cli.run(['groups', 'remove-member', 'ops', 'admin@example.com'])).stdout).toBe('admin@example.com is no member of ops any more.\n');
  expect(await cli.runJson(['audiences', 'test', 'https://ops.example.com', '--account', 'admin@example.com'])).toMatchObject({ is_allowed: false });
  await cli.run(['audiences', 'set', 'https://ops.example.com', '--allow', '']);
  expect((await cli.run(['groups', 'remove', 'ops'])).stdout).toBe('Removed the group ops.\n');
});
