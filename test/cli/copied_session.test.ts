import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startAdminCli, type AdminCli } from './admin_cli.ts';

jest.setTimeout(120_000);

let cli: AdminCli;
beforeAll(async () => { cli = await startAdminCli(); });
afterAll(() => cli.close());

test('whose refresh token was used by somebody else is told so', async () => {
  await cli.run(['login']);
  const path = join(cli.env['VOUCH_HOME']!, 'session.json');
  const session = JSON.parse(readFileSync(path, 'utf8')) as object;
  const old = JSON.stringify({ ...session, access_token_expires_at: new Date().toISOString() });
  writeFileSync(path, old);
  expect((await cli.run(['credential', 'token'])).code).toBe(0);
  writeFileSync(path, old);
  cli.issuer.clock.advance(31); // until then it gets the same answer again
  expect(await cli.run(['credential', 'token'])).toMatchObject({
    code: 3, stdout: '', stderr: `error: not signed in: the refresh token was used before, so that somebody else may have a copy of it: its session was ended; sign in again\nhint: run \`vouch login\`\nhint: see who else is signed in as you: ${cli.issuer.url}/login/account\n`,
  });
});
