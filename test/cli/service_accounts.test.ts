import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { generateKey, renderKeyFile } from '../../cli/service_accounts/key_file.ts';
import { findFreePort } from '../support/free_port.ts';
import { startProviderWorld, type ProviderWorld } from '../support/provider_world.ts';
import { startAdminCli, type AdminCli } from './admin_cli.ts';

/* A job without a person: from the admin's terminal to a provider's token, and every way in which it ends. */

jest.setTimeout(240_000);

const SUBJECT = 'nightly@jobs.example.com';
let cli: AdminCli;
let world: ProviderWorld;
let keyFile: string;

beforeAll(async () => {
  cli = await startAdminCli({ VOUCH_AUDIENCES: 'https://api.openai.com/v1' });
  world = await startProviderWorld(cli.issuer.url, SUBJECT);
  keyFile = join(cli.folder, 'nightly.json');
});
afterAll(async () => {
  await world.close();
  await cli.close();
});

/** As the job runs: a home of its own, in which nobody ever signed in. */
const asJob = (args: readonly string[], env: Record<string, string> = {}) => cli.run(args, { VOUCH_HOME: join(cli.folder, 'job'), VOUCH_ISSUER: '', ...env });
const readKey = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as { client_id: string; kid: string; private_jwk: Record<string, string> };
const mint = (path = keyFile, ...more: string[]) => asJob(['credential', 'id-token', '--service-account', path, ...more]);

describe('a service account', () => {
  test('whose making is refused, or cannot be asked for, leaves no file', async () => {
    const refused = await cli.run(['service-accounts', 'add', SUBJECT, '--name', 'Nightly', '--audience', 'https://nobody.knows', '--key-file', keyFile]);
    expect(refused).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('audience "https://nobody.knows" is not registered') });
    const unreachable = await cli.run(['service-accounts', 'add', SUBJECT, '--name', 'Nightly', '--key-file', join(cli.folder, 'no', 'such', 'folder', 'k')]);
    expect(unreachable).toMatchObject({ code: 6, stderr: expect.stringMatching(/could not write \S+ \(ENOENT\)\nhint: make the folder \S+ first\n/) });
    expect(readdirSync(cli.folder)).toEqual(['home']);
    expect(await cli.issuer.app.accounts.services.list()).toEqual([]);
  });

  test('has its key in a file for its owner alone, and the issuer has the public half', async () => {
    const added = await cli.run(['service-accounts', 'add', SUBJECT, '--name', 'Nightly', '--audience', cli.issuer.url, '--key-file', keyFile]);
    expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining(`Its key is in ${keyFile}, and nowhere else`) });
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    const key = readKey(keyFile);
    expect(key).toEqual({ issuer: cli.issuer.url, client_id: expect.stringMatching(/^[0-9a-f-]{36}$/), subject: SUBJECT, kid: expect.stringMatching(/^\S{43}$/), private_jwk: { kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String), d: expect.any(String) } });
    expect(added.stdout + added.stderr).not.toContain(key.private_jwk['d']);
    const { d: _, ...publicHalf } = key.private_jwk;
    expect((await cli.issuer.app.clients.find(key.client_id))!['jwks']).toEqual({ keys: [{ ...publicHalf, kid: key.kid, alg: 'ES256', use: 'sig' }] });
    const before = readFileSync(keyFile, 'utf8');
    expect(await cli.run(['service-accounts', 'add', 'other@jobs.example.com', '--name', 'Other', '--key-file', keyFile])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(`${keyFile} is there already, and is not overwritten\nhint: `) });
    // The subject is taken: the file that --force allows to overwrite stays, too.
    expect(await cli.run(['service-accounts', 'add', SUBJECT, '--name', 'Nightly', '--key-file', keyFile, '--force'])).toMatchObject({ code: 5, stderr: expect.stringContaining(`"${SUBJECT}" is, or was, the subject of another account`) });
    expect(readFileSync(keyFile, 'utf8')).toBe(before);
    expect((await cli.run(['service-accounts', 'list'])).stdout).toMatch(new RegExp(`\n  ${SUBJECT} +Nightly +works +${key.kid.slice(0, 8)} +${cli.issuer.url} +admin@example.com +\\d{4}-`));
  });

  test('gets a provider’s token without a session and without a browser, each time by a fresh ID token', async () => {
    await asJob(world.setupAnthropic);
    chmodSync(keyFile, 0o644);
    const given = await asJob(['credential', 'anthropic', '--service-account', keyFile]);
    expect(given).toMatchObject({ code: 0, stderr: '', signIns: 0, stdout: expect.stringMatching(/^sk-ant-oat01-[\w-]+$/) });
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    const [first, second] = [decodeJwt((await mint()).stdout), decodeJwt((await mint()).stdout)];
    expect(first).toMatchObject({ iss: cli.issuer.url, aud: cli.issuer.url, sub: SUBJECT, amr: ['pop'] });
    expect(first.email).toBeUndefined();
    expect(first.jti).not.toBe(second.jti);
    expect(decodeJwt((await asJob(['credential', 'token', '--service-account', keyFile])).stdout)).toMatchObject({ aud: cli.issuer.url, client_id: readKey(keyFile).client_id });
    expect(existsSync(join(cli.folder, 'job', 'session.json'))).toBe(false);
  });

  test('gets no audience that does not let it in, and is told what an admin would type', async () => {
    const refused = await mint(keyFile, '--audience', 'https://api.openai.com/v1');
    expect(refused).toMatchObject({ code: 5, stdout: '', signIns: 0 });
    expect(refused.stderr).toMatch(/^error: the issuer \S+ refused: invalid_target: .* is not for you: no clause allows it for this account\nhint: an admin lets it in with `vouch audiences set https:\/\/api\.openai\.com\/v1 --add-allow service:nightly@jobs\.example\.com`\n/);
    await cli.run(['audiences', 'set', 'https://api.openai.com/v1', '--add-allow', `service:${SUBJECT}`]);
    expect(decodeJwt((await mint(keyFile, '--audience', 'https://api.openai.com/v1')).stdout)).toMatchObject({ aud: 'https://api.openai.com/v1' });
    // Only through its own client, as it really asks.
    await cli.run(['audiences', 'set', 'https://api.openai.com/v1', '--client', readKey(keyFile).client_id]);
    expect(await cli.runJson(['audiences', 'test', 'https://api.openai.com/v1', '--account', SUBJECT])).toMatchObject({ is_allowed: true });
    expect(await mint(keyFile, '--audience', 'https://api.openai.com/v1')).toMatchObject({ code: 0 });
  });

  test('with a key that the issuer does not know gets nothing', async () => {
    const wrong = join(cli.folder, 'wrong.json');
    const { client_id: clientId, kid } = readKey(keyFile);
    writeFileSync(wrong, renderKeyFile({ issuer: cli.issuer.url, clientId, subject: SUBJECT, kid, privateJwk: generateKey().privateJwk }));
    const refused = await mint(wrong);
    expect(refused).toMatchObject({ code: 5, stdout: '' });
    expect(refused.stderr).toMatch(/^error: the issuer \S+ refused: invalid_client: .*\nhint: the key in \S+wrong\.json is none that the issuer knows for nightly@jobs\.example\.com/);
    expect(refused.stderr).not.toMatch(/eyJ/);
  });

  test('is not confused by files and variables that belong elsewhere', async () => {
    const broken = join(cli.folder, 'broken.json');
    writeFileSync(broken, '{"issuer":"http://localhost:1","client_id":"a","subject":"b","kid":"c","private_jwk":{"kty":"oct","k":"secret-secret"}}', { mode: 0o644 });
    const [bad, missing, other, away] = await Promise.all([
      mint(broken), mint(join(cli.folder, 'none.json')),
      asJob(['credential', 'id-token', '--service-account', keyFile], { VOUCH_ISSUER: 'https://other.example.com' }),
      (async () => {
        const path = join(cli.folder, 'away.json');
        writeFileSync(path, readFileSync(keyFile, 'utf8').replace(cli.issuer.url, `http://localhost:${await findFreePort()}`));
        return mint(path);
      })(),
    ]);
    expect(bad).toMatchObject({ code: 6, stdout: '', stderr: expect.stringMatching(/^error: \S+broken\.json is no key file: "x" is missing\n/) });
    // What is no key file is left as it is.
    expect(statSync(broken).mode & 0o777).toBe(0o644);
    expect(missing).toMatchObject({ code: 6, stderr: expect.stringMatching(/^error: there is no key file \S+none\.json\nhint: /) });
    expect(other).toMatchObject({ code: 6, stderr: expect.stringContaining('and VOUCH_ISSUER names https://other.example.com') });
    expect(away).toMatchObject({ code: 4, stderr: expect.stringContaining('the connection was refused') });
  });

  test('gets another key; the former works until it is ended', async () => {
    const former = join(cli.folder, 'former.json');
    writeFileSync(former, readFileSync(keyFile));
    const rotated = await cli.runJson(['service-accounts', 'rotate-key', SUBJECT, '--key-file', keyFile]);
    expect(rotated).toEqual({ subject: SUBJECT, client_id: readKey(former).client_id, kid: readKey(keyFile).kid, former_kids: [readKey(former).kid], key_file: keyFile });
    expect(readKey(keyFile).private_jwk['d']).not.toBe(readKey(former).private_jwk['d']);
    expect((await Promise.all([mint(former), mint()])).map(({ code }) => code)).toEqual([0, 0]);
    const ended = await cli.run(['service-accounts', 'rotate-key', SUBJECT, '--key-file', keyFile, '--now']);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('No former key works any more.') });
    expect((await Promise.all([mint(former), mint()])).map(({ code }) => code)).toEqual([5, 0]);
  });

  test('keeps its file when a rotation is refused, and the file of another account is not overwritten', async () => {
    const before = readFileSync(keyFile, 'utf8');
    expect(await cli.run(['service-accounts', 'rotate-key', 'nobody@jobs.example.com', '--key-file', keyFile])).toMatchObject({ code: 2, stderr: expect.stringContaining(`${keyFile} is the key file of ${SUBJECT} at ${cli.issuer.url}, and is not overwritten`) });
    expect(await cli.run(['service-accounts', 'rotate-key', 'nobody@jobs.example.com', '--key-file', keyFile, '--force'])).toMatchObject({ code: 5, stderr: expect.stringContaining('there is no service account "nobody@jobs.example.com"\nhint: see `vouch service-accounts list`') });
    expect(readFileSync(keyFile, 'utf8')).toBe(before);
    expect(readdirSync(cli.folder).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  test('that is disabled gets nothing until it is enabled', async () => {
    expect(await cli.run(['service-accounts', 'disable', SUBJECT])).toMatchObject({ code: 0, stdout: `${SUBJECT} gets no token from now on. What was given lives until it expires.\n` });
    expect(await mint()).toMatchObject({ code: 5, stdout: '', stderr: expect.stringMatching(/refused: unauthorized_client: its account is closed\nhint: an admin may have disabled nightly@jobs\.example\.com/) });
    expect(await cli.runJson(['service-accounts', 'disable', SUBJECT])).toMatchObject({ is_changed: false, service: { subject: SUBJECT, status: 'suspended' } });
    expect((await cli.run(['service-accounts', 'enable', SUBJECT])).stdout).toBe(`${SUBJECT} gets tokens again.\n`);
    expect(await mint()).toMatchObject({ code: 0 });
  });

  test('may publish keys of its own; no file is made then', async () => {
    const files = readdirSync(cli.folder);
    expect(await cli.runJson(['service-accounts', 'add', 'own@jobs.example.com', '--name', 'Own', '--jwks-uri', 'https://jobs.example.com/jwks'])).toMatchObject({ subject: 'own@jobs.example.com', jwks_uri: 'https://jobs.example.com/jwks', kids: [], key_file: null });
    expect(await cli.run(['service-accounts', 'add', 'near@jobs.example.com', '--name', 'Near', '--jwks-uri', 'https://10.0.0.1/jwks'])).toMatchObject({ code: 5, stderr: expect.stringContaining('jwks_uri must be an https URL of a public host') });
    expect(readdirSync(cli.folder)).toEqual(files);
  });
});
