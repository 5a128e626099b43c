import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { startProviderWorld, type ProviderWorld } from '../support/provider_world.ts';
import { startAdminCli, type AdminCli } from './admin_cli.ts';

/* A job without a person, and what people have at their terminal: the cache, --json, profiles and --verbose. */

jest.setTimeout(240_000);

const SUBJECT = 'nightly@jobs.example.com';
let cli: AdminCli;
let world: ProviderWorld;
let keyFile: string;

beforeAll(async () => {
  cli = await startAdminCli();
  world = await startProviderWorld(cli.issuer.url, SUBJECT);
  keyFile = join(cli.folder, 'nightly.json');
  expect(await cli.run(['service-accounts', 'add', SUBJECT, '--name', 'Nightly', '--audience', cli.issuer.url, '--key-file', keyFile])).toMatchObject({ code: 0 });
  expect(await asJob(world.setupAnthropic)).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await world.close();
  await cli.close();
});

const home = (): string => join(cli.folder, 'job');
const asJob = (args: readonly string[], env: Record<string, string> = {}) => cli.run(args, { VOUCH_HOME: home(), VOUCH_ISSUER: '', ...env });
const entries = (): string[] => readdirSync(join(home(), 'cache')).filter((name) => name.endsWith('.json'));

test('a second command takes the token out of the cache, and nobody is asked', async () => {
  const first = await asJob(['credential', 'anthropic', '--service-account', keyFile]);
  expect(first).toMatchObject({ code: 0, stderr: '', signIns: 0, stdout: expect.stringMatching(/^sk-ant-oat01-[\w-]+$/) });
  const asked = world.anthropic.exchanges;
  const second = await asJob(['credential', 'anthropic', '--service-account', keyFile, '--json', '--verbose']);
  expect(second).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(second.stdout)).toEqual({ provider: 'anthropic', token: first.stdout, expires_at: expect.stringMatching(/^\d{4}-.*Z$/), audience: null });
  expect(world.anthropic.exchanges).toBe(asked);
  expect(entries()).toHaveLength(1);
});

test('the cached token is for who holds the key file, and not for a person or another client', async () => {
  expect(await asJob(['credential', 'anthropic'])).toMatchObject({ code: 3, stdout: '' });
  expect(await asJob(['credential', 'anthropic', '--service-account', join(cli.folder, 'none.json')])).toMatchObject({ code: 6, stdout: '' });
  const other = join(cli.folder, 'other.json');
  writeFileSync(other, readFileSync(keyFile, 'utf8').replace(/"client_id": "[^"]+"/, '"client_id": "another"'));
  expect(await asJob(['credential', 'anthropic', '--service-account', other])).toMatchObject({ code: 5, stdout: '' });
});

test('a dry run, env, exec and doctor speak for the job, too', async () => {
  const source = ['--service-account', keyFile];
  expect(await asJob([...world.setupAnthropic, '--check', ...source])).toMatchObject({ code: 0, stdout: '', signIns: 0, stderr: expect.stringContaining('It works: Anthropic gave a credential') });
  const env = await asJob(['env', '--type', 'anthropic', '--shell', 'json', ...source]);
  const { ANTHROPIC_AUTH_TOKEN: token } = JSON.parse(env.stdout) as Record<string, string>;
  expect(await asJob(['exec', '--type', 'anthropic', ...source, '--', 'sh', '-c', 'echo "$ANTHROPIC_AUTH_TOKEN"; exit 9'])).toMatchObject({ code: 9, stdout: `${token!}\n`, stderr: '' });
  expect(await asJob(['doctor', 'anthropic', ...source])).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(`sign-in         ${SUBJECT} at ${cli.issuer.url}, by its key file\n`) });
  expect(await asJob(['exec', '--type', 'anthropic', '--', 'echo', 'ran'])).toMatchObject({ code: 3, stdout: '' });
});

test('every request is on record with --verbose, and --no-cache makes them', async () => {
  const { code, stderr } = await asJob(['credential', 'anthropic', '--service-account', keyFile, '--no-cache', '--verbose']);
  expect(code).toBe(0);
  expect(stderr.split('\n').map((line) => line.replace(/: \d+ \(\d+ ms\)$/, ': it was answered'))).toEqual([
    `GET ${cli.issuer.url}/.well-known/openid-configuration: it was answered`,
    `POST ${cli.issuer.url}/oauth/token: it was answered`,
    `POST ${cli.issuer.url}/oauth/token: it was answered`,
    `POST ${world.anthropic.url}/v1/oauth/token: it was answered`,
    '',
  ]);
});

test('--json says until when the tokens of the issuer live', async () => {
  const [access, id] = await Promise.all(['token', 'id-token'].map((name) => asJob(['credential', name, '--service-account', keyFile, '--json'])));
  const { token, expires_at: expiresAt } = JSON.parse(access!.stdout) as { token: string; expires_at: string };
  expect(Math.abs(Date.parse(expiresAt) - decodeJwt(token).exp! * 1000)).toBeLessThan(10_000);
  expect(JSON.parse(id!.stdout)).toEqual({ token: expect.stringMatching(/^eyJ/), expires_at: expect.stringMatching(/Z$/), audience: cli.issuer.url, subject: SUBJECT });
});

test('a file holds the bare token: --json is not for it', async () => {
  const path = join(cli.folder, 'token.jwt');
  const refused = await asJob(['credential', 'id-token', '--service-account', keyFile, '--output-file', path, '--json']);
  expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^error: --json and --output-file exclude each other/) });
  expect(readdirSync(cli.folder)).not.toContain('token.jwt');
});

test('the stream of the admin API is on record with --verbose, too', async () => {
  const exported = await cli.run(['audit', 'export', '--verbose']);
  expect(exported).toMatchObject({ code: 0, stderr: expect.stringMatching(new RegExp(`GET ${cli.issuer.url}/admin/api/v1/audit/export: 200 \\(\\d+ ms\\)\n`)) });
  expect(exported.stderr).not.toMatch(/eyJ/);
});
