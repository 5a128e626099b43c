import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createBrowser, enrol } from '../support/browser.ts';
import { CLI, exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';
import { createDataDir, findInvitations, get, readJwks, run, startIssuer, type RunningIssuer } from './running_issuer.ts';

const START_MS = 180_000; // the embedded database takes long to open on a busy machine

// One life of an embedded issuer, in order: each start is on the data of the one before.
describe('an issuer on embedded storage', () => {
  const dataDir = createDataDir();
  const env = { VOUCH_DATA_DIR: dataDir, VOUCH_LOG_LEVEL: 'debug' };
  const passkeys = new Map<string, ReturnType<typeof createSoftwarePasskey>>();
  let issuer: RunningIssuer;
  let port: string;
  let jwks: string;
  let link: string;
  afterAll(() => issuer.stop('SIGKILL'));

  test('starts with nothing set, and tells what a person needs to know', async () => {
    issuer = await startIssuer(env);
    port = String(issuer.port);
    const { stdout, stderr } = issuer.printed();
    expect(stdout).toContain('Vouch issuer is running.\n');
    expect(stdout).toContain(`  issuer     ${issuer.url}\n`);
    expect(stdout).toContain(`  discovery  ${issuer.url}/.well-known/openid-configuration\n`);
    expect(stdout).toContain(`  data       ${dataDir} (embedded; one process on one machine)\n`);
    expect(stdout).toContain('  keys       4 signing keys created and sealed\n');
    for (const name of ['kek', 'cookie_keys']) expect(stdout).toContain(`  made       ${join(dataDir, name)} (mode 0600; keep it: the data cannot be opened without it)\n`);
    expect(stdout).toContain('There is no admin yet. Open this link to enrol the first one with a passkey');
    expect(findInvitations(stdout)).toHaveLength(1);
    expect(stderr).toBe('');
    jwks = await readJwks(issuer.port);
    expect(JSON.parse((await get(issuer.port, '/.well-known/openid-configuration')).body)).toMatchObject({ issuer: issuer.url });
    link = findInvitations(stdout)[0]!;
    expect((await fetch(link)).status).toBe(200);
  }, START_MS);

  test('keeps its secrets to its user', () => {
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dataDir).sort()).toEqual(['cookie_keys', 'db', 'kek', 'lock']);
    for (const name of ['kek', 'cookie_keys']) {
      expect(statSync(join(dataDir, name)).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(dataDir, name), 'utf8')).toMatch(/^[\w-]{43}\n$/);
    }
    const { stdout, stderr } = issuer.printed();
    for (const secret of readSecrets(dataDir)) expect(stdout + stderr).not.toContain(secret);
  });

  test('has its data folder to itself: a second process says why not, in one line, and exits with 1', async () => {
    const ended = await run({ VOUCH_DATA_DIR: dataDir, VOUCH_PORT: '0', VOUCH_ISSUER: 'http://localhost' });
    expect(ended).toEqual({ code: 1, signal: null, stdout: '', stderr: `error: ${dataDir} is in use by process ${issuer.child.pid}; stop it, or set VOUCH_DATA_DIR to another folder\n` });
    expect(await readJwks(issuer.port)).toBe(jwks);
  }, START_MS);

  test('started again while there is no admin, prints a new link, and the old one is over', async () => {
    expect(await issuer.stop('SIGINT')).toMatchObject({ code: 0, signal: null, stderr: '' });
    issuer = await startIssuer({ ...env, VOUCH_PORT: port });
    const { stdout } = issuer.printed();
    expect(stdout).not.toMatch(/^ {2}(keys|made) /m);
    expect(await readJwks(issuer.port)).toBe(jwks);
    const [fresh, ...others] = findInvitations(stdout);
    expect(others).toEqual([]);
    expect(fresh).not.toBe(link);
    expect([(await fetch(link)).status, (await fetch(fresh!)).status]).toEqual([410, 200]);
    link = fresh!;
  }, START_MS);

  test('lets an admin enrol and sign in, and its log at its most talkative tells no secret', async () => {
    const browser = createBrowser(issuer.url);
    const passkey = createSoftwarePasskey({ origin: issuer.url });
    passkeys.set(issuer.url, passkey);
    expect(await enrol(browser, link, { email: 'ada@example.com', name: 'Ada' }, passkey)).toContain('ada@example.com');
    const tokens = await signIn(issuer.url, { browser, passkey });
    const exchanged = await postToken(issuer.url, exchangeForm(tokens.access_token));
    expect(exchanged.status).toBe(200);
    const refreshed = await postToken(issuer.url, { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: tokens.refresh_token });
    const refused = await postToken(issuer.url, exchangeForm(`${tokens.access_token}x`));
    expect([refreshed.status, refused.status]).toEqual([200, 400]);
    const { stderr } = issuer.printed();
    expect(stderr).toContain('"msg":"federation token issued"');
    const secrets = [
      ...readSecrets(dataDir), link.split('/').at(-1)!, ...browser.cookies.values(), tokens.refresh_token, String(refreshed.body.refresh_token),
      ...[tokens.access_token, tokens.id_token, exchanged.body.access_token, refreshed.body.access_token].flatMap((token) => String(token).split('.').slice(1)),
    ];
    for (const secret of secrets) expect(stderr).not.toContain(secret);
  }, START_MS);

  test('started again, prints no link, and is the same issuer', async () => {
    expect(await issuer.stop()).toMatchObject({ code: 0, signal: null });
    issuer = await startIssuer({ ...env, VOUCH_PORT: port });
    const { stdout, stderr } = issuer.printed();
    expect(findInvitations(stdout + stderr)).toEqual([]);
    expect(stdout).not.toContain('There is no admin yet');
    expect(await readJwks(issuer.port)).toBe(jwks);
    const tokens = await signIn(issuer.url, { browser: createBrowser(issuer.url), passkey: passkeys.get(issuer.url)! });
    expect(tokens.scope).toBe('openid email');
    expect((await fetch(link)).status).toBe(410);
  }, START_MS);
});

/** What must never be printed of a data folder. */
function readSecrets(dataDir: string): string[] {
  return ['kek', 'cookie_keys'].map((name) => readFileSync(join(dataDir, name), 'utf8').trim());
}
