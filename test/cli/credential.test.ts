import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { decodeJwt } from 'jose';
import { EMAIL, startFakeIssuer, type FakeIssuer } from '../support/fake_issuer_for_cli.ts';
import { createSandbox, SETUP_ANTHROPIC, SETUP_OPENAI, type Outcome, type Sandbox } from './run_vouch.ts';

let sandbox: Sandbox;
let fake: FakeIssuer;
beforeEach(async () => {
  sandbox = await createSandbox();
  fake = await startFakeIssuer();
  await writeSignedIn();
});
afterEach(async () => {
  await fake.close();
  await sandbox.remove();
});

/** The file that `vouch login` leaves behind; login.test.ts checks that it does. */
async function writeSignedIn(): Promise<void> {
  const { access_token, refresh_token } = await fake.openSession();
  const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();
  const session = { version: 1, issuer: fake.issuer, email: EMAIL, access_token, refresh_token };
  await mkdir(sandbox.home, { mode: 0o700 });
  await writeFile(sandbox.sessionPath, JSON.stringify({ ...session, access_token_expires_at: inSeconds(600), session_ends_at: inSeconds(8 * 3600) }));
}

const PAST = new Date(0).toISOString();
const setUpAnthropic = (...more: string[]): Promise<Outcome> => sandbox.runHere([...SETUP_ANTHROPIC, '--base-url', `${fake.issuer}/`, ...more]);
const setUpOpenai = (...more: string[]): Promise<Outcome> => sandbox.runHere([...SETUP_OPENAI, '--token-endpoint', `${fake.issuer}/openai/token`, ...more]);

async function expectNothingSecret({ stdout, stderr }: Outcome): Promise<void> {
  const session = existsSync(sandbox.sessionPath) ? await sandbox.readJson(sandbox.sessionPath) : {};
  const secrets = [session['access_token'], session['refresh_token'], ...fake.providerRequests.map(({ body }) => body['assertion'] ?? body['subject_token'])];
  expect(stdout).toBe('');
  for (const secret of secrets) if (typeof secret === 'string') expect(stderr).not.toContain(secret);
  expect(stderr).not.toMatch(/eyJ[\w-]+\.|sk-ant-/);
}

describe('the issuer', () => {
  it('gives an ID token for the audience that was asked for, else for itself', async () => {
    fake.behaviour.audiences = ['https://api.example.com'];
    const plain = await sandbox.runHere(['credential', 'id-token']);
    expect(plain).toMatchObject({ status: 0, stderr: '' });
    expect(decodeJwt(plain.stdout)).toMatchObject({ iss: fake.issuer, sub: EMAIL, aud: fake.issuer });
    const scoped = await sandbox.runHere(['credential', 'id-token', '--audience', 'https://api.example.com']);
    expect(decodeJwt(scoped.stdout)).toMatchObject({ aud: 'https://api.example.com' });
    expect(fake.exchangeRequests.map((form) => form.get('audience'))).toEqual([null, 'https://api.example.com']);
    expect(Object.fromEntries(fake.exchangeRequests[0]!)).toMatchObject({
      client_id: 'vouch-cli',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      requested_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    });
  });

  it('says what an unknown audience means', async () => {
    const outcome = await sandbox.runHere(['credential', 'id-token', '--audience', 'https://unknown.example']);
    expect(outcome.status).toBe(5);
    expect(outcome.stderr).toMatch(/^error: the issuer \S+ refused: invalid_target: .*\nhint: the audience is not registered/);
    await expectNothingSecret(outcome);
  });

  it('that is down: exit status 4, and the session stays', async () => {
    await fake.close();
    const outcome = await sandbox.runHere(['credential', 'id-token']);
    expect(outcome.status).toBe(4);
    expect(existsSync(sandbox.sessionPath)).toBe(true);
    await expectNothingSecret(outcome);
    fake = await startFakeIssuer();
  });
});

describe('refresh', () => {
  it('happens when half of the access token’s life is over, not earlier', async () => {
    await sandbox.editSession({ access_token_expires_at: new Date(Date.now() + 310_000).toISOString() });
    await sandbox.runHere(['credential', 'token']);
    expect(fake.counts.refreshes).toBe(0);
    await sandbox.editSession({ access_token_expires_at: new Date(Date.now() + 290_000).toISOString() });
    const { status, stdout } = await sandbox.runHere(['credential', 'token']);
    expect(status).toBe(0);
    expect(fake.counts.refreshes).toBe(1);
    expect(await sandbox.readJson(sandbox.sessionPath)).toMatchObject({ access_token: stdout });
  });

  it('of ten processes at once is one refresh, and all get its token', async () => {
    fake.behaviour.refreshDelayMs = 500;
    await sandbox.editSession({ access_token_expires_at: PAST });
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => sandbox.run(['credential', 'token'])));
    expect(outcomes.map(({ status, stderr }) => ({ status, stderr }))).toEqual(outcomes.map(() => ({ status: 0, stderr: '' })));
    expect(new Set(outcomes.map(({ stdout }) => stdout)).size).toBe(1);
    expect(fake.counts).toMatchObject({ refreshes: 1, reuses: 0 });
  });

  it('of a session that the issuer has ended: not signed in, and the session is removed', async () => {
    fake.revokeAll();
    await sandbox.editSession({ access_token_expires_at: PAST });
    const outcome = await sandbox.runHere(['credential', 'token']);
    expect(outcome).toMatchObject({ status: 3, stderr: 'error: not signed in: the issuer has ended the session\nhint: run `vouch login`\n' });
    await expectNothingSecret(outcome);
    expect(existsSync(sandbox.sessionPath)).toBe(false);
  });

  it('that fails for now keeps the session', async () => {
    await sandbox.editSession({ access_token_expires_at: PAST });
    fake.behaviour.tokenFailure = { status: 503, error: 'temporarily_unavailable' };
    expect((await sandbox.runHere(['credential', 'token'])).status).toBe(4);
    fake.behaviour.tokenFailure = undefined;
    expect((await sandbox.runHere(['credential', 'token'])).status).toBe(0);
  });

  it('is tried when the issuer refuses an access token that still looks fresh', async () => {
    await sandbox.editSession({ access_token: 'stale-but-not-expired' });
    expect(await sandbox.runHere(['credential', 'id-token'])).toMatchObject({ status: 0 });
    expect(fake.counts.refreshes).toBe(1);
    fake.revokeAll();
    expect(await sandbox.runHere(['credential', 'id-token'])).toMatchObject({ status: 3 });
  });

  it('that is killed in the middle leaves the session file as it was, and the next one is not locked out', async () => {
    fake.behaviour.refreshDelayMs = 3000;
    await sandbox.editSession({ access_token_expires_at: PAST });
    const before = await readFile(sandbox.sessionPath, 'utf8');
    const running = sandbox.start(['credential', 'token']);
    while (fake.counts.refreshes === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    running.child.kill('SIGKILL');
    expect(await running.outcome).toMatchObject({ signal: 'SIGKILL', stdout: '' });
    expect(JSON.parse(await readFile(sandbox.sessionPath, 'utf8'))).toEqual(JSON.parse(before));
    // Its lock is known for dead after 15 s without a sign of life.
    await utimes(`${sandbox.sessionPath}.lock`, new Date(Date.now() - 20_000), new Date(Date.now() - 20_000));
    // This issuer gives nobody the same answer twice: that the session is over is said, and signing in mends it.
    expect(await sandbox.runHere(['credential', 'token'])).toMatchObject({ status: 3, stderr: 'error: not signed in: the issuer has ended the session\nhint: run `vouch login`\n' });
    expect((await readdir(sandbox.home)).filter((name) => name.startsWith('session'))).toEqual([]);
  });

  it('is finished and written before Ctrl-C takes effect', async () => {
    fake.behaviour.refreshDelayMs = 800;
    await sandbox.editSession({ access_token_expires_at: PAST });
    const running = sandbox.start(['credential', 'token']);
    while (fake.counts.refreshes === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    running.child.kill('SIGINT');
    expect(await running.outcome).toMatchObject({ status: 130, stdout: '' });
    fake.behaviour.refreshDelayMs = 0;
    await sandbox.editSession({ access_token_expires_at: PAST });
    expect(await sandbox.runHere(['credential', 'token'])).toMatchObject({ status: 0 });
    expect(fake.counts).toMatchObject({ refreshes: 2, reuses: 0 });
  });
});

describe('anthropic', () => {
  it('gets exactly the request it asks for, and its token is the only output', async () => {
    await setUpAnthropic();
    const outcome = await sandbox.runHere(['credential', 'anthropic']);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^sk-ant-oat01-[\w-]+$/);
    const [{ path, headers, body }] = fake.providerRequests as [FakeIssuer['providerRequests'][number]];
    expect(path).toBe('/v1/oauth/token');
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'anthropic-beta': 'oauth-2025-04-20,oidc-federation-2026-04-01' });
    expect(headers.authorization).toBeUndefined();
    expect(body).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: expect.any(String),
      federation_rule_id: 'fdrl_01Rule',
      organization_id: '11111111-2222-4333-8444-555555555555',
      service_account_id: 'svac_01Account',
      workspace_id: 'wrkspc_01Space',
    });
    expect((await sandbox.runHere(['credential', 'anthropic'])).status).toBe(0);
  });

  it('takes the audience of the setup, and --audience before it', async () => {
    fake.behaviour.audiences = ['from-setup', 'from-option'];
    await setUpAnthropic('--audience', 'from-setup');
    fake.behaviour.expectedAudience = 'from-setup';
    expect((await sandbox.runHere(['credential', 'anthropic'])).status).toBe(0);
    fake.behaviour.expectedAudience = 'from-option';
    expect((await sandbox.runHere(['credential', 'anthropic', '--audience', 'from-option'])).status).toBe(0);
  });

  it('is found by ANTHROPIC_BASE_URL when the setup names no place', async () => {
    await sandbox.runHere(SETUP_ANTHROPIC);
    expect((await sandbox.runHere(['credential', 'anthropic'], { ANTHROPIC_BASE_URL: fake.issuer })).status).toBe(0);
    const outcome = await sandbox.runHere(['credential', 'anthropic'], { ANTHROPIC_BASE_URL: 'http://api.example' });
    expect(outcome.status).toBe(6);
    expect(outcome.stderr).toMatch(/^error: ANTHROPIC_BASE_URL must begin with https:\/\//);
  });

  it('that denies is explained: rule, audience, issuer, subject, and where the reason is', async () => {
    await setUpAnthropic();
    fake.behaviour.expectedAudience = 'https://other.example';
    const outcome = await sandbox.runHere(['credential', 'anthropic']);
    expect(outcome.status).toBe(5);
    const [error, ...hints] = outcome.stderr.trimEnd().split('\n');
    expect(error).toBe('error: Anthropic refused the exchange (401): authentication_error: Authentication failed');
    expect(hints.every((line) => line.startsWith('hint: '))).toBe(true);
    const text = hints.join('\n');
    for (const part of ['fdrl_01Rule', `"${fake.issuer}"`, `"${EMAIL}"`, 'Workload identity -> history', '11111111-2222-4333-8444-555555555555']) expect(text).toContain(part);
    await expectNothingSecret(outcome);
  });
});

describe('openai', () => {
  it('gets exactly the request it asks for', async () => {
    await setUpOpenai();
    const outcome = await sandbox.runHere(['credential', 'openai']);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^openai-/);
    expect(fake.providerRequests[0]?.body).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: expect.any(String),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      identity_provider_id: 'wip_01',
      service_account_id: 'sa_01',
    });
  });

  it('that refuses is explained', async () => {
    await setUpOpenai();
    fake.behaviour.expectedAudience = 'https://api.openai.com/v1';
    const outcome = await sandbox.runHere(['credential', 'openai']);
    expect(outcome.status).toBe(5);
    expect(outcome.stderr).toMatch(/^error: OpenAI refused the exchange \(400\): invalid_subject_token: audience mismatch\nhint: check that identity provider wip_01 has the issuer/);
    await expectNothingSecret(outcome);
  });
});

describe('a provider that', () => {
  const CASES: readonly [string, NonNullable<FakeIssuer['behaviour']['providerAnswer']>, number, RegExp][] = [
    ['redirects is not followed', { status: 307, headers: { location: '/openai/token' }, body: '' }, 5, /answered with a redirect \(307\), which is not followed/],
    ['fails', { status: 500, body: 'oops' }, 4, /cannot answer just now \(500\)\nhint: try again a little later/],
    ['is busy', { status: 429, headers: { 'retry-after': '7' }, body: '{}' }, 8, /cannot answer just now \(429\)\nhint: try again in 7 s/],
    ['refuses the form', { status: 400, body: '{"error":{"type":"invalid_request_error","message":"workspace_id: malformed"}}' }, 5, /\(400\): invalid_request_error: workspace_id: malformed/],
    ['answers with no JSON', { status: 200, body: '<html>' }, 5, /holds no access token/],
    ['answers with no token', { status: 200, body: '{"access_token":1}' }, 5, /holds no access token/],
    ['answers with a token that is a terminal trick', { status: 200, body: '{"access_token":"a\\u001b[2J"}' }, 5, /holds no access token/],
    ['answers with another kind of token', { status: 200, body: '{"access_token":"a","token_type":"DPoP"}' }, 5, /not a bearer token/],
    ['answers too much', { status: 200, body: `{"access_token":"a","x":"${'x'.repeat(1024 * 1024)}"}` }, 5, /larger than 1 MiB/],
    ['says control characters', { status: 403, body: '{"error":{"type":"e","message":"a\\u001b[2Jb\\u202ec"}}' }, 5, /\(403\): e: a \[2Jb c\n/],
  ];

  it.each(CASES)('%s', async (_name, answer, status, message) => {
    await setUpAnthropic();
    fake.behaviour.providerAnswer = answer;
    const outcome = await sandbox.runHere(['credential', 'anthropic']);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr).toMatch(message);
    expect(fake.providerRequests).toHaveLength(1);
    await expectNothingSecret(outcome);
  });

  it('repeats the assertion in its refusal does not get it printed', async () => {
    await setUpAnthropic();
    fake.behaviour.providerAnswer = { status: 401, body: '{"error":{"type":"e","message":"bad eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.sig and sk-ant-api03-secret"}}' };
    const outcome = await sandbox.runHere(['credential', 'anthropic']);
    expect(outcome.stderr).toContain('e: bad [redacted] and [redacted]');
    await expectNothingSecret(outcome);
  });

  it('is unreachable: exit status 4', async () => {
    await sandbox.runHere([...SETUP_ANTHROPIC, '--base-url', 'http://127.0.0.1:1']);
    const outcome = await sandbox.runHere(['credential', 'anthropic']);
    expect(outcome.status).toBe(4);
    expect(outcome.stderr).toMatch(/^error: could not reach Anthropic \(127\.0\.0\.1:1\)/);
  });
});

describe('logout', () => {
  it('ends the session here and at the issuer', async () => {
    expect(await sandbox.runHere(['logout'])).toMatchObject({ status: 0, stdout: '', stderr: `Signed out ${EMAIL} at ${fake.issuer}.\n` });
    expect(fake.counts.revocations).toBe(1);
    expect(existsSync(sandbox.sessionPath)).toBe(false);
  });

  it('forgets the session here even if the issuer cannot be told, and says so', async () => {
    await fake.close();
    const outcome = await sandbox.runHere(['logout']);
    expect(outcome.status).toBe(4);
    expect(outcome.stderr).toMatch(/^error: signed out on this machine, but the issuer could not be told: .*\nhint: the session stays valid there until/);
    expect(existsSync(sandbox.sessionPath)).toBe(false);
    fake = await startFakeIssuer();
  });
});
