import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';
import { startAdminCli, type AdminCli } from './admin_cli.ts';

/* A person's own passkeys from their terminal. */

jest.setTimeout(240_000);

let cli: AdminCli;
beforeAll(async () => { cli = await startAdminCli(); });
afterAll(() => cli.close());

const addSpare = async (name: string): Promise<string> => {
  const { id } = createSoftwarePasskey({ origin: cli.issuer.url });
  await query(cli.issuer.databaseUrl, 'INSERT INTO passkeys (id, account_id, public_key, counter, transports, device_type, is_backed_up, aaguid, name, created_at) SELECT $1, account_id, public_key, 0, transports, device_type, is_backed_up, aaguid, $2, now() FROM passkeys WHERE id = $3', [id, name, cli.admin.passkey.id]);
  return id;
};

test('they are listed, renamed and removed, by name or id, after a sign-in; the last stays', async () => {
  expect(await cli.run(['passkeys', 'list'])).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining('run `vouch login`') });
  expect(await cli.run(['login', '--no-browser'])).toMatchObject({ code: 0 });
  const id = await addSpare('Spare');
  expect((await cli.run(['passkeys', 'list'])).stdout).toMatch(/^ {2}NAME +MODEL +BACKED UP +SINCE +LAST USED +ID\n {2}Passkey .*\n {2}Spare +- +no +\d{4}-\d\d-\d\d \d\d:\d\d +never +[\w-]{8}\n$/);
  expect((await cli.run(['passkeys', 'rename', 'Spare', 'Blue key'])).stdout).toBe('Spare is called Blue key now.\n');
  expect(await cli.run(['passkeys', 'remove', 'Spare', '--yes'])).toMatchObject({ code: 5, stderr: expect.stringContaining('you have no passkey "Spare"\nhint: you have: Passkey, Blue key') });
  await addSpare('Blue key');
  expect(await cli.run(['passkeys', 'remove', 'Blue key', '--yes'])).toMatchObject({ code: 5, stderr: expect.stringContaining('fits several') });
  const removed = await cli.run(['passkeys', 'remove', '--yes', '--json', '--', id]);
  expect(JSON.parse(removed.stdout)).toEqual({ removed: id });
  expect((await cli.run(['passkeys', 'remove', 'Blue key', '--yes'])).stdout).toContain('Removed Blue key.');
  expect(await cli.run(['passkeys', 'remove', 'Passkey', '--yes'])).toMatchObject({ code: 5, stderr: expect.stringContaining('This is your last way to sign in. Add another passkey first.') });
});

test('a change ten minutes after the sign-in asks for another one', async () => {
  await addSpare('Old');
  cli.issuer.clock.advance(601);
  try {
    // The command line's own clock has not moved: it is told that its token is over, so that it asks for another one of the session.
    const path = join(cli.env['VOUCH_HOME']!, 'session.json');
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), access_token_expires_at: new Date(0).toISOString() }));
    expect(await cli.run(['passkeys', 'remove', 'Old', '--yes'])).toMatchObject({ code: 7, stdout: '', stderr: expect.stringMatching(/asks for a fresh sign-in: this needs a sign-in of at most 600 s ago.*\nhint: run `vouch login --fresh`, then this command again within 600 s/) });
  } finally {
    cli.issuer.clock.advance(-601);
  }
  expect(await query(cli.issuer.databaseUrl, "SELECT 1 FROM passkeys WHERE name = 'Old'")).toHaveLength(1);
});
