import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { EMAIL, startFakeIssuer, type FakeIssuer } from '../support/fake_issuer_for_cli.ts';
import { createSandbox, type Sandbox } from './run_vouch.ts';

let sandbox: Sandbox;
let fake: FakeIssuer;
beforeEach(async () => {
  sandbox = await createSandbox();
  fake = await startFakeIssuer();
});
afterEach(async () => {
  await fake.close();
  await sandbox.remove();
});

const login = () => sandbox.runHere(['login', '--device', '--issuer', fake.issuer]);

it('shows the page and the code, waits, and keeps the session', async () => {
  fake.behaviour.devicePolls = ['authorization_pending', 'authorization_pending'];
  const { status, stdout, stderr } = await login();
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  expect(stderr).toMatch(new RegExp(`^To sign in at ${fake.issuer}, open this page in a browser on any machine:\n\n  ${fake.issuer}/device\n\nand enter this code:\n\n  BCDFG-HJKLM\n\nIt is good until .* \\((9|10) min\\)\\..*\nSigned in as ${EMAIL} at ${fake.issuer} until `));
  expect(stderr).not.toContain('device-1');
  expect(await sandbox.readJson(sandbox.sessionPath)).toMatchObject({ email: EMAIL, issuer: fake.issuer, refresh_token: expect.stringMatching(/^refresh-/) });
  expect(await sandbox.readJson(sandbox.configPath)).toEqual({ issuer: fake.issuer });
  expect(fake.devicePolledAt).toHaveLength(3);
});

it('says what machine this is, for the page on which it is recognised', async () => {
  await login();
  expect(Object.fromEntries(fake.deviceRequests[0]!)).toEqual({ client_id: 'vouch-cli', scope: 'openid email', device_name: hostname().slice(0, 64), device_os: expect.stringMatching(/^\w+ \(\w+\)$/) });
});

it('waits the interval before it asks, and 5 s longer after slow_down, for good', async () => {
  fake.behaviour.deviceInterval = 0.3;
  fake.behaviour.devicePolls = ['authorization_pending', 'slow_down', 'authorization_pending'];
  const startedAt = Date.now();
  expect((await login()).status).toBe(0);
  const waits = fake.devicePolledAt.map((at, index) => at - (fake.devicePolledAt[index - 1] ?? startedAt));
  expect(waits[0]).toBeGreaterThanOrEqual(300);
  expect(waits[1]).toBeLessThan(2_000);
  expect(Math.min(waits[2]!, waits[3]!)).toBeGreaterThanOrEqual(5_300);
}, 30_000);

it.each([
  ['access_denied', 5, /^error: the sign-in was refused in the browser: fake issuer: access_denied\nhint: run `vouch login --device` to try again/m],
  ['expired_token', 1, /^error: nobody confirmed the code before it expired\nhint: run `vouch login --device` for a new one/m],
  ['invalid_grant', 5, /^error: .* refused: invalid_grant.*\nhint: run `vouch login --device` to start again/m],
  ['invalid_client', 5, /^error: .* refused: invalid_client/m],
])('%s ends the wait with %i', async (code, exitStatus, message) => {
  fake.behaviour.devicePolls = ['authorization_pending', code];
  const { status, stdout, stderr } = await login();
  expect({ status, stdout, stderr }).toEqual({ status: exitStatus, stdout: '', stderr: expect.stringMatching(message) });
  expect(existsSync(sandbox.sessionPath)).toBe(false);
  expect(fake.devicePolledAt).toHaveLength(2);
});

it('goes on after an outage, more slowly each time, and at its old pace afterwards', async () => {
  fake.behaviour.deviceInterval = 0.2;
  fake.behaviour.devicePolls = ['cut', '503', 'cut', 'authorization_pending', 'authorization_pending'];
  expect((await login()).status).toBe(0);
  const waits = fake.devicePolledAt.map((at, index) => at - (fake.devicePolledAt[index - 1] ?? at)).slice(1);
  expect(waits[0]).toBeGreaterThanOrEqual(400);
  expect(waits[1]).toBeGreaterThanOrEqual(800);
  expect(waits[2]).toBeGreaterThanOrEqual(1_600);
  expect(waits[4]).toBeLessThan(1_000);
});

it('an outage that outlasts the code is what it ends with', async () => {
  fake.behaviour.deviceExpiresIn = 1;
  fake.behaviour.devicePolls = Array.from({ length: 30 }, () => '503');
  expect(await login()).toMatchObject({ status: 4, stderr: expect.stringMatching(/cannot answer just now \(503\)/) });
});

it('a code that nobody confirms is over when it says so, whatever the issuer answers', async () => {
  fake.behaviour.deviceExpiresIn = 1;
  fake.behaviour.devicePolls = Array.from({ length: 100 }, () => 'authorization_pending');
  expect(await login()).toMatchObject({ status: 1, stderr: expect.stringMatching(/nobody confirmed the code/) });
});

it('Ctrl-C ends the wait at once with 130, and keeps nothing', async () => {
  fake.behaviour.devicePolls = Array.from({ length: 1000 }, () => 'authorization_pending');
  const running = sandbox.start(['login', '--device', '--issuer', fake.issuer]);
  await running.waitForStderr(/BCDFG-HJKLM/);
  running.child.kill('SIGINT');
  const { status, stdout } = await running.outcome;
  expect({ status, stdout }).toEqual({ status: 130, stdout: '' });
  expect(existsSync(sandbox.sessionPath)).toBe(false);
});

describe('an issuer that cannot be used', () => {
  it('one without device login: exit status 5', async () => {
    fake.behaviour.hasDeviceLogin = false;
    expect(await login()).toMatchObject({ status: 5, stderr: expect.stringMatching(/does not offer sign-in by code\nhint: run `vouch login` on a machine with a browser/) });
  });

  it.each([
    ['a page that is no web page', { verification_uri: 'file:///etc/passwd' }],
    ['a page on plain http elsewhere', { verification_uri: 'http://evil.example/device' }],
    ['no code', { user_code: undefined }],
    ['no device code', { device_code: undefined }],
  ])('one whose answer holds %s: exit status 5', async (_what, wrong) => {
    const right = { device_code: 'd', user_code: 'BCDFG-HJKLM', verification_uri: `${fake.issuer}/device`, expires_in: 600, interval: 1 };
    fake.behaviour.answers['/oauth/device'] = { status: 200, body: JSON.stringify({ ...right, ...wrong }) };
    expect(await login()).toMatchObject({ status: 5, stdout: '' });
  });

  it('a code with control characters is shown without them', async () => {
    fake.behaviour.answers['/oauth/device'] = { status: 200, body: JSON.stringify({ device_code: 'device-1', user_code: 'BC\u001b[2J\u202eD', verification_uri: `${fake.issuer}/device`, expires_in: 600, interval: 0.05 }) };
    const { status, stderr } = await login();
    expect(status).toBe(0);
    expect(stderr).not.toMatch(/\u001b|\u202e/); // eslint-disable-line no-control-regex -- it is what must not be there
  });

  it('one that has had too many requests: exit status 8', async () => {
    fake.behaviour.answers['/oauth/device'] = { status: 429, headers: { 'retry-after': '600' }, body: JSON.stringify({ error: 'temporarily_unavailable', error_description: 'Too many.' }) };
    expect(await login()).toMatchObject({ status: 8, stderr: expect.stringMatching(/hint: try again in 600 s/) });
  });
});

describe('vouch login in an ssh session', () => {
  const hint = 'vouch login --device';
  const start = async (variables: Record<string, string>) => {
    const running = sandbox.start(['login', '--no-browser', '--issuer', fake.issuer], variables);
    await running.waitForStderr(/ {2}(http\S+)\n/);
    running.child.kill('SIGINT');
    return (await running.outcome).stderr;
  };

  it('without a screen names --device', async () => {
    expect(await start({ SSH_CONNECTION: '192.0.2.1 22 192.0.2.2 22' })).toContain(hint);
  });

  it.each([
    ['with a forwarded screen', { SSH_CONNECTION: '192.0.2.1 22 192.0.2.2 22', DISPLAY: ':10.0' }],
    ['at the machine itself', {}],
  ])('%s it does not', async (_where, variables) => {
    expect(await start(variables as Record<string, string>)).not.toContain(hint);
  });
});
