import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { listenForCallback } from '../../cli/callback.ts';
import { EMAIL, startFakeIssuer, type FakeIssuer } from '../support/fake_issuer_for_cli.ts';
import { createSandbox, FOLLOWING_BROWSER, SETUP_ANTHROPIC, type Sandbox } from './run_vouch.ts';

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

async function loginWith(browserBody: string): Promise<Awaited<ReturnType<Sandbox['run']>>> {
  const browser = await sandbox.writeBrowser('browser', browserBody);
  return sandbox.run(['login', '--issuer', fake.issuer], { BROWSER: browser });
}

it('signs in through the browser and keeps the session for its owner only', async () => {
  const { status, stdout, stderr } = await loginWith(FOLLOWING_BROWSER);
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  expect(stderr).toMatch(new RegExp(`Signed in as ${EMAIL} at ${fake.issuer} until \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d \\(7 h 59 min\\)\\.\n$`));
  const session = await sandbox.readJson(sandbox.sessionPath);
  expect(session).toEqual({
    version: 1,
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    issuer: fake.issuer,
    email: EMAIL,
    access_token: expect.stringMatching(/^eyJ/),
    access_token_expires_at: expect.stringMatching(/^\d{4}-.*Z$/),
    refresh_token: expect.stringMatching(/^refresh-/),
    session_ends_at: expect.stringMatching(/^\d{4}-.*Z$/),
  });
  expect((await stat(sandbox.sessionPath)).mode & 0o777).toBe(0o600);
  expect((await stat(sandbox.home)).mode & 0o777).toBe(0o700);
  expect(await sandbox.readJson(sandbox.configPath)).toEqual({ issuer: fake.issuer });
  expect(stderr).not.toContain(session['refresh_token']);
  expect(stderr).not.toContain(session['access_token']);
});

it('shows a page that says the end, keeps nothing and runs nothing', async () => {
  await loginWith(FOLLOWING_BROWSER);
  const page = await sandbox.readPage() as { status: number; headers: Record<string, string>; body: string };
  expect(page.status).toBe(200);
  expect(page.body).toContain('You can close this window.');
  expect(page.body).toContain(EMAIL);
  expect(page.body).not.toMatch(/<script|https?:\/\/(?!localhost)/);
  expect(page.headers['cache-control']).toBe('no-store');
  expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/);
  expect(page.headers['referrer-policy']).toBe('no-referrer');
});

it('strangers on the callback address change nothing', async () => {
  const { status } = await loginWith(`
    const origin = new URL(new URL(url).searchParams.get('redirect_uri')).origin;
    const state = new URL(url).searchParams.get('state');
    const tries = [
      ['GET', '/callback?code=x&state=wrong'], ['GET', '/callback?code=x'], ['GET', '/favicon.ico'], ['GET', '/'],
      ['GET', '/callback?code=x&state=' + state + '&state=' + state], ['POST', '/callback?code=x&state=' + state], ['HEAD', '/callback?code=x&state=' + state],
    ];
    const statuses = [];
    for (const [method, path] of tries) statuses.push((await fetch(origin + path, { method })).status);
    const last = await fetch(url);
    await leave({ statuses, last: last.status });
  `);
  expect(status).toBe(0);
  expect(await sandbox.readPage()).toEqual({ statuses: [400, 400, 404, 404, 400, 405, 405], last: 200 });
});

it('a refusal is said in the terminal and in the browser, escaped', async () => {
  fake.behaviour.authorize = 'deny';
  const { status, stderr } = await loginWith(FOLLOWING_BROWSER);
  expect(status).toBe(5);
  expect(stderr).toContain(`error: the issuer ${fake.issuer} refused: access_denied: The <b>person</b> declined\nhint: `);
  const { status: pageStatus, body } = await sandbox.readPage();
  expect(pageStatus).toBe(400);
  expect(body).toContain('You are not signed in');
  expect(body).toContain('The &#60;b&#62;person&#60;/b&#62; declined');
  expect(existsSync(sandbox.sessionPath)).toBe(false);
});

it("another issuer's answer is refused (RFC 9207)", async () => {
  fake.behaviour.authorize = 'wrong-iss';
  const { status, stderr } = await loginWith(FOLLOWING_BROWSER);
  expect(status).toBe(5);
  expect(stderr).toMatch(/error: the issuer \S+ gave an answer that cannot be trusted: .*"iss"/);
  expect(existsSync(sandbox.sessionPath)).toBe(false);
});

it.each([
  [{ status: 503, error: 'temporarily_unavailable' }, 4, /cannot answer just now \(503\)\nhint: try again a little later/],
  [{ status: 400, error: 'invalid_grant' }, 5, /refused: invalid_grant/],
])('a token endpoint that fails with %j ends the sign-in', async (failure, exitCode, message) => {
  fake.behaviour.tokenFailure = failure;
  const { status, stderr } = await loginWith(FOLLOWING_BROWSER);
  expect(status).toBe(exitCode);
  expect(stderr).toMatch(message);
  expect(existsSync(sandbox.sessionPath)).toBe(false);
});

it('replaces a broken session file', async () => {
  await mkdir(sandbox.home);
  await writeFile(sandbox.sessionPath, 'nonsense');
  expect((await loginWith(FOLLOWING_BROWSER)).status).toBe(0);
  expect(await sandbox.readJson(sandbox.sessionPath)).toMatchObject({ email: EMAIL });
});

it('a browser that does not start is no failure, and Ctrl-C ends the wait with 130', async () => {
  const running = sandbox.start(['login'], { VOUCH_ISSUER: fake.issuer, BROWSER: '/nonexistent/browser' });
  const [, url] = await running.waitForStderr(/ {2}(http\S+)\n/);
  expect(url).toMatch(/code_challenge_method=S256/);
  running.child.kill('SIGINT');
  const { status, stdout, stderr } = await running.outcome;
  expect({ status, stdout }).toEqual({ status: 130, stdout: '' });
  expect(stderr).toContain('The browser could not be started.');
});

it('--no-browser only prints the address; the last issuer is remembered', async () => {
  await loginWith(FOLLOWING_BROWSER);
  const running = sandbox.start(['login', '--no-browser'], { BROWSER: '/nonexistent/browser' });
  const [, url = ''] = await running.waitForStderr(/ {2}(http\S+)\n/);
  expect(url.startsWith(`${fake.issuer}/oauth/authorize?`)).toBe(true);
  await fetch(url);
  const { status, stderr } = await running.outcome;
  expect(status).toBe(0);
  expect(stderr).not.toContain('could not be started');
});

it('from setup to a provider token, as the guide has it', async () => {
  await sandbox.run([...SETUP_ANTHROPIC, '--base-url', fake.issuer]);
  expect((await loginWith(FOLLOWING_BROWSER)).status).toBe(0);
  const { status, stdout } = await sandbox.run(['credential', 'anthropic']);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^sk-ant-oat01-/);
});

describe('an issuer that cannot be used', () => {
  it('unreachable: exit status 4', async () => {
    const { status, stdout, stderr } = await sandbox.run(['login', '--issuer', `http://127.0.0.1:${await findClosedPort()}`]);
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' });
    expect(stderr).toMatch(/^error: could not reach the issuer http:\/\/127\.0\.0\.1:\d+: the connection was refused\nhint: start the issuer with `npm start`/);
  });

  it('no discovery document there: exit status 5', async () => {
    const { status, stderr } = await sandbox.run(['login', '--issuer', `${fake.issuer}/elsewhere`]);
    expect(status).toBe(5);
    expect(stderr).toMatch(/answered with status 404/);
  });

  it('another name in its discovery document: exit status 5', async () => {
    fake.behaviour.discoveredIssuer = 'https://elsewhere.example';
    const { status, stderr } = await sandbox.run(['login', '--issuer', fake.issuer]);
    expect(status).toBe(5);
    expect(stderr).toMatch(/calls itself by another address/);
  });

  it('a VOUCH_ISSUER that is no address: exit status 6', async () => {
    const { status, stderr } = await sandbox.run(['login'], { VOUCH_ISSUER: 'issuer' });
    expect(status).toBe(6);
    expect(stderr).toMatch(/^error: VOUCH_ISSUER must be an address that begins with https:\/\//);
  });
});

describe('the wait', () => {
  it('ends after its time, whatever strangers ask', async () => {
    const listener = await listenForCallback('right');
    const waiting = expect(listener.receive(300)).rejects.toMatchObject({ kind: 'other', message: expect.stringMatching(/^nobody signed in within/) });
    expect((await fetch(`${listener.redirectUri}?state=wrong`)).status).toBe(400);
    await waiting;
    listener.close();
  });

  it('takes one answer only, and only under its own host name', async () => {
    const listener = await listenForCallback('right');
    const rebound = await fetch(listener.redirectUri.replace('127.0.0.1', 'localhost') + '?state=right&code=1').catch(() => undefined);
    expect(rebound?.status ?? 404).toBe(404);
    const first = fetch(`${listener.redirectUri}?state=right&code=1`);
    const { url, answer } = await listener.receive(5000);
    expect((await fetch(`${listener.redirectUri}?state=right&code=2`)).status).toBe(400);
    expect(url.searchParams.get('code')).toBe('1');
    await answer({ status: 200, title: 'Done', paragraphs: [], isFailure: false });
    expect((await first).status).toBe(200);
    listener.close();
  });
});

async function findClosedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
