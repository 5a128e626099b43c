import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { createBrowser, enrol } from '../support/browser.ts';
import { createScimClient } from '../support/scim_client.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';
import { startAdminCli, type AdminCli } from './admin_cli.ts';

/* What comes of people's accounts, disputes and directories' tokens; what is said of them is in scripts/admin.txt. */

jest.setTimeout(240_000);

let cli: AdminCli;
beforeAll(async () => { cli = await startAdminCli(); });
afterAll(() => cli.close());

test('a person comes in by the link that was printed, which stands nowhere else, and goes', async () => {
  const { issuer } = cli;
  const { code, stdout, stderr } = await cli.run(['admin', 'invite', 'ada@example.com', '--expires', '1h']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^http:\/\/localhost:\d+\/login\/enrol\/[\w-]{43}$/) });
  expect(stderr).not.toContain(stdout.split('/').at(-1));
  await enrol(createBrowser(issuer.url), stdout, { email: 'ada@example.com', name: 'Ada Lovelace' }, createSoftwarePasskey({ origin: issuer.url }));
  await cli.run(['admin', 'suspend', 'ada@example.com']);
  expect((await cli.runJson(['admin', 'accounts', 'list', '--status', 'suspended']))).toMatchObject({ is_complete: true, accounts: [{ email: 'ada@example.com', status: 'suspended', suspended_by: expect.stringMatching(/^admin:/) }] });
  expect(await cli.run(['admin', 'accounts', 'list', '--limit', '1'])).toMatchObject({ code: 0, stderr: expect.stringContaining('these are the first 1; there are more (--limit)') });
});

test('who was linked signs in to the account', async () => {
  const { identities, accounts } = cli.issuer.app;
  const person = (subject: string) => ({ issuer: 'https://upstream.example', subject, email: 'admin@example.com', isEmailVerified: true, name: 'N', hostedDomain: undefined, isEmailOfUpstream: true });
  await expect(identities.signIn(person('s1'))).rejects.toThrow('another account');
  const { disputes } = await cli.runJson(['admin', 'disputes', 'list']) as { disputes: { id: string }[] };
  expect(await cli.run(['admin', 'disputes', 'link', disputes[0]!.id])).toMatchObject({ code: 0 });
  expect((await identities.signIn(person('s1'))).account.id).toBe((await accounts.lookUp('admin@example.com'))!.id);
});

test('a directory’s token is printed once, works, and does not when it is revoked', async () => {
  const made = await cli.run(['admin', 'scim-tokens', 'add', 'okta', '--scope', 'users:read']);
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^vouch_scim_[0-9a-f]{32}_[\w-]{43}$/), stderr: expect.stringContaining(`${cli.issuer.url}/scim/v2`) });
  expect(made.stderr).not.toContain(made.stdout);
  expect((await createScimClient(cli.issuer.url, made.stdout)('GET', '/Users')).status).toBe(200);
  await cli.run(['admin', 'scim-tokens', 'revoke', 'okta', '--yes']);
  expect((await createScimClient(cli.issuer.url, made.stdout)('GET', '/Users')).status).toBe(401);
});

test('the README names every command of the family', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  for (const name of ['invite', 'accounts list', 'suspend', 'resume', 'remove', 'role', 'disputes list', 'scim-tokens add']) expect(readme).toContain(`vouch admin ${name}`);
});
