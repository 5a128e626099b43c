import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { decodeJwt } from 'jose';
import { watchProcess } from '../support/process_output.ts';
import { findSignInUrl } from '../support/vouch_process.ts';
import { BIN } from './run_vouch.ts';
import { startAdminCli, visit, type AdminCli } from './admin_cli.ts';

/* Who may have which token, as an admin says it from a terminal and as a person feels it. */

jest.setTimeout(240_000);

const AUDIENCE = 'https://api.anthropic.com';
let cli: AdminCli;

beforeAll(async () => { cli = await startAdminCli(); });
afterAll(() => cli.close());

describe('an audience', () => {
  test('is added with the advice on standard error, and a second time is a conflict', async () => {
    const added = await cli.run(['audiences', 'add', AUDIENCE, '--preset', 'anthropic', '--lifetime', '300', '--allow', 'account:admin@example.com', '--deny', 'client:other-app']);
    expect(added).toMatchObject({ code: 0, signIns: 1, stdout: `Registered ${AUDIENCE}.\n  ID tokens, preset anthropic, RS256, for 300 s\n  policy: enforced\n  for: account:admin@example.com; not client:other-app\n` });
    expect(added.stderr).toMatch(/\nnote: set the rule’s expected audience to exactly this string/);
    expect(await cli.run(['audiences', 'add', AUDIENCE])).toMatchObject({ code: 5, stdout: '', signIns: 0, stderr: expect.stringMatching(/refused: audience ".*" is registered already; change it with set\nhint: see `vouch audiences list`/) });
  });

  test('changes as it is told and in nothing else; accounts are shown by name', async () => {
    const { audience } = await cli.runJson(['audiences', 'set', AUDIENCE, '--add-deny', 'account:admin@example.com', '--add-allow', 'people', '--max-auth-age', '600']);
    expect(audience).toMatchObject({ lifetime_seconds: 300, max_auth_age_seconds: 600, preset: 'anthropic', allow: [{ label: 'account:admin@example.com' }, { clause: 'people' }], deny: [{ clause: 'client:other-app' }, { label: 'account:admin@example.com' }] });
    expect((await cli.run(['audiences', 'list'])).stdout).toMatch(/ {2}https:\/\/api\.anthropic\.com +federation +anthropic +RS256 +300 s +enforced, sign-in at most 600 s old +account:admin@example\.com, people; not client:other-app, account:admin@example\.com\n/);
    const back = await cli.run(['audiences', 'set', AUDIENCE, '--remove-deny', 'account:admin@example.com', '--remove-allow', 'people', '--max-auth-age', '0', '--client', 'vouch-cli']);
    expect(back.stdout).toContain('policy: enforced\n  for: account:admin@example.com; not client:other-app; only by vouch-cli\n');
    expect(await cli.run(['audiences', 'set', AUDIENCE, '--remove-allow', 'group:ops'])).toMatchObject({ code: 5, stderr: `error: "group:ops" does not stand in allow of ${AUDIENCE}\nhint: there is: account:admin@example.com\n` });
  });

  test('keeps what another admin changed meanwhile', async () => {
    const { audiences } = cli.issuer.app;
    const { revision } = (await audiences.find(AUDIENCE))!;
    await audiences.set(AUDIENCE, { scopes: [] }, revision);
    await expect(audiences.set(AUDIENCE, { scopes: [] }, revision)).rejects.toThrow('was changed by somebody else meanwhile');
    // As the command line asks: with the revision that it read the lists at.
    const asked = (await cli.issuer.app.audit.find({ kind: 'admin', limit: 100 })).filter(({ event, detail }) => event === 'audience.set' && 'deny' in (detail!['body'] as object));
    expect(asked.map(({ detail }) => detail!['body'])).toEqual([expect.objectContaining({ revision: expect.any(Number) }), expect.objectContaining({ revision: 1 })]);
  });

  test('is tested without a token: who, whether, and by which clause', async () => {
    await cli.issuer.createPerson('eve@example.com');
    expect((await cli.run(['audiences', 'test', AUDIENCE])).stdout).toBe(`1 of 2 accounts could have a token for ${AUDIENCE}:\n\n  ACCOUNT            KIND    BY CLAUSE\n  admin@example.com  person  allow account:admin@example.com\n`);
    expect(await cli.run(['audiences', 'test', AUDIENCE, '--account', 'eve@example.com'])).toMatchObject({ code: 0, stdout: `eve@example.com gets no token for ${AUDIENCE}: no clause allows (no clause allows it for this account)\n` });
    expect(await cli.runJson(['audiences', 'test', AUDIENCE, '--account', 'admin@example.com', '--client', 'other-app'])).toMatchObject({ is_allowed: false, clause: 'deny client:other-app' });
  });

  test('that wants a newer sign-in ends a script with 7, and a person at a terminal signs in and goes on', async () => {
    await cli.run(['login']);
    await cli.run(['audiences', 'set', AUDIENCE, '--max-auth-age', '60']);
    const given = await cli.run(['credential', 'id-token', '--audience', AUDIENCE]);
    expect(decodeJwt(given.stdout)).toMatchObject({ aud: AUDIENCE, sub: 'admin@example.com' });
    cli.issuer.clock.advance(61);
    try {
      const refused = await cli.run(['credential', 'id-token', '--audience', AUDIENCE]);
      expect(refused).toMatchObject({ code: 7, stdout: '', signIns: 0 });
      expect(refused.stderr).toMatch(/^error: the issuer \S+ asks for a fresh sign-in: insufficient_user_authentication: .* needs a sign-in of at most 60 s ago; sign in again\nhint: run `vouch login --fresh`, then this command again within 60 s\n$/);
      // `script` gives it a terminal.
      const { PATH } = process.env;
      const watched = watchProcess(spawn('script', ['-qec', `"${process.execPath}" "${BIN}" credential id-token --audience ${AUDIENCE}`, '/dev/null'], { env: { PATH, ...cli.env }, stdio: ['pipe', 'pipe', 'pipe'] }));
      await watched.waitFor(/This needs your passkey: .*\r\n/);
      await watched.waitFor(/http\S+\/oauth\/authorize\?\S+\s/);
      await visit(findSignInUrl(watched.printed().stdout)!, cli.admin);
      const { code, stdout } = await watched.ended;
      expect({ code, token: decodeJwt(/eyJ\S+\.\S+/.exec(stdout)![0]) }).toMatchObject({ code: 0, token: { aud: AUDIENCE } });
    } finally {
      cli.issuer.clock.advance(-61);
    }
  });

  test('that is disabled gives nothing to anybody', async () => {
    await cli.run(['audiences', 'set', AUDIENCE, '--max-auth-age', '0', '--disable']);
    expect(await cli.run(['credential', 'id-token', '--audience', AUDIENCE])).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('it is disabled') });
  });

  test('is removed by whoever can be asked, or is sure', async () => {
    expect(await cli.run(['audiences', 'remove', AUDIENCE])).toMatchObject({ code: 2, stdout: '', signIns: 0, stderr: 'error: nobody can be asked: standard input is not a terminal\nhint: add --yes if you are sure\n' });
    expect(await cli.run(['audiences', 'remove', AUDIENCE, '--yes'])).toMatchObject({ code: 0, stdout: `Removed ${AUDIENCE}.\n` });
    expect(await cli.run(['audiences', 'remove', AUDIENCE, '--yes'])).toMatchObject({ code: 5, stderr: expect.stringContaining('is not registered with this issuer\nhint: see `vouch audiences list`') });
    expect(await cli.run(['audiences', 'remove', cli.issuer.url, '--yes'])).toMatchObject({ code: 5, stderr: expect.stringContaining('the issuer is an audience by configuration; disable it instead') });
  });
});
