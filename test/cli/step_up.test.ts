import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { createBrowser, type Browser } from '../support/browser.ts';
import { approveDevice } from '../support/device.ts';
import { findFreePort } from '../support/free_port.ts';
import { startHttpListener, type HttpListener } from '../support/http_listener.ts';
import { watchProcess } from '../support/process_output.ts';
import { startUpstreamIssuer, UPSTREAM_CLIENT, type UpstreamIssuer } from '../support/upstream_issuer.ts';
import { follow, openSignIn, visitUpstream } from '../support/upstream_visit.ts';
import { findSignInUrl, runVouch } from '../support/vouch_process.ts';
import { startAdminCli, type AdminCli } from './admin_cli.ts';
import { BIN } from './run_vouch.ts';

/* A person who signs in by the company's own issuer, which remembers them: it asks again only where it is told to. */

jest.setTimeout(240_000);

const AUDIENCE = 'https://api.anthropic.com';
const EMAIL = 'grace@example.com';
let cli: AdminCli;
let upstream: UpstreamIssuer;
let browser: Browser;
let env: Record<string, string>;
let passedSeconds = 0;
/** A provider that gives a token for whatever it is shown. */
let provider: HttpListener;
let given = 0;
let livesSeconds = 600;

beforeAll(async () => {
  const port = await findFreePort();
  upstream = await startUpstreamIssuer({ redirectUri: `http://localhost:${port}/login/upstream/okta/callback` });
  upstream.person = { sub: 'grace', email: EMAIL, email_verified: true, name: 'Grace Hopper' };
  const config = { id: 'okta', name: 'Okta', issuer: upstream.url, ...UPSTREAM_CLIENT, domains: ['example.com'] };
  cli = await startAdminCli({ VOUCH_PORT: String(port), VOUCH_UPSTREAMS: JSON.stringify([config]) });
  browser = createBrowser(cli.issuer.url);
  env = { ...cli.env, VOUCH_HOME: join(cli.folder, 'grace') };
  await cli.run(['audiences', 'add', AUDIENCE, '--allow', 'people', '--max-auth-age', '60']);
  provider = await startHttpListener(async () => ({ status: 200, body: { access_token: `provider-token-${++given}`, token_type: 'Bearer', expires_in: livesSeconds } }));
  expect((await run('login')).code).toBe(0);
  await run('setup', 'custom', '--token-endpoint', `${provider.url}/token`, '--audience', AUDIENCE, '--variable', 'MADE_TOKEN');
});
afterAll(async () => {
  await cli.close();
  await upstream.close();
  await provider.close();
});
afterEach(() => { pass(-passedSeconds); });

function pass(seconds: number): void {
  passedSeconds += seconds;
  cli.issuer.clock.advance(seconds);
}

async function visit(url: string): Promise<void> {
  const back = await visitUpstream(browser, `${await openSignIn(browser, url)}/upstream/okta`);
  const { at, response } = await follow(browser, back);
  if (response !== undefined) throw new Error(`the sign-in ended at ${at}: ${(await response.text()).slice(0, 2000)}`);
  await fetch(at);
}

/** Signs in by the upstream wherever it asks. */
async function run(...args: string[]) {
  const visits = new Map<string, Promise<void>>();
  const result = await runVouch(args, env, (all) => {
    for (const line of all.split('\n')) {
      const url = findSignInUrl(`${line}\n`);
      if (url !== undefined && !visits.has(url)) visits.set(url, visit(url));
    }
  });
  await Promise.all(visits.values());
  return { ...result, signIns: visits.size };
}

const VOUCH = `"${process.execPath}" "${BIN}"`;
const startAtTerminal = (args: string, more: Record<string, string> = {}) => startShellAtTerminal(`${VOUCH} ${args}`, more);
const startShellAtTerminal = (line: string, more: Record<string, string> = {}) =>
  // `script` gives it a terminal.
  watchProcess(spawn('script', ['-qec', line, '/dev/null'], { env: { PATH: process.env['PATH'], ...env, ...more }, stdio: ['pipe', 'pipe', 'pipe'] }));

/** The same at a terminal, with one sign-in. */
async function runAtTerminal(args: string) {
  const watched = startAtTerminal(args);
  await answer(watched);
  return readToken(watched);
}

async function answer(watched: ReturnType<typeof startAtTerminal>) {
  await watched.waitFor(/http\S+\/oauth\/authorize\?\S+\s/);
  await visit(findSignInUrl(watched.printed().stdout)!);
}

async function readToken(watched: ReturnType<typeof startAtTerminal>) {
  const { code, stdout } = await watched.ended;
  return { code, token: decodeJwt(/eyJ\S+\.\S+/.exec(stdout)![0]) };
}

const mint = ['credential', 'id-token', '--audience', AUDIENCE];

test('in a script it names the sign-in that opens it, for a plain one does not', async () => {
  expect((await run(...mint)).code).toBe(0);
  pass(90);
  expect(await run('login')).toMatchObject({ code: 0, signIns: 1 });
  const refused = await run(...mint);
  expect(refused).toMatchObject({ code: 7, signIns: 0, stderr: expect.stringMatching(/\nhint: run `vouch login --fresh`, then this command again within 60 s\n$/) });
  expect(await run('login', '--fresh')).toMatchObject({ code: 0, signIns: 1 });
  expect(upstream.asked.at(-1)).toMatchObject({ prompt: 'login', max_age: '0' });
  expect((await run(...mint)).code).toBe(0);
});

test('at a terminal it goes on after one sign-in', async () => {
  await run('login', '--fresh');
  pass(90);
  expect(await runAtTerminal(mint.join(' '))).toMatchObject({ code: 0, token: { aud: AUDIENCE, sub: EMAIL } });
});

describe('what hands a credential on', () => {
  const READ = 'printf "made=<%s>\\n" "$MADE_TOKEN"';
  beforeEach(async () => {
    await run('login', '--fresh');
    pass(90);
  });

  test.each([
    ['env, whose lines the shell takes', `eval "$(${VOUCH} env --type custom)"; ${READ}`, /made=<provider-token-\d+>/],
    ['exec', `${VOUCH} exec --type custom -- sh -c '${READ}'`, /made=<provider-token-\d+>/],
    ['setup --check', `${VOUCH} setup custom --check`, /It works: the custom provider gave a credential/],
  ])('%s goes on after one sign-in at a terminal', async (_what, line, made) => {
    const watched = startShellAtTerminal(line);
    await answer(watched);
    const { code, stdout } = await watched.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(made) });
    expect(stdout.match(/\/oauth\/authorize\?/g)).toHaveLength(1);
  });

  test.each([['env', '--type', 'custom'], ['exec', '--type', 'custom', '--', 'true'], ['setup', 'custom', '--check']])('in a script vouch %s ends with 7', async (...args) => {
    expect(await run(...args)).toMatchObject({ code: 7, stdout: '', signIns: 0, stderr: expect.stringContaining('hint: run `vouch login --fresh`') });
  });

  test('exec --refresh asks nobody for what it renews later', async () => {
    livesSeconds = 3;
    const watched = startShellAtTerminal(`${VOUCH} exec --refresh --type custom -- sh -c '${READ}; read -r line'`);
    await answer(watched);
    await watched.waitFor(/made=<provider-token-/);
    pass(90);
    await watched.waitFor(/note: the credential of custom could not be renewed: .* fresh sign-in/);
    watched.child.stdin!.write('go on\n');
    const { code, stdout } = await watched.ended;
    livesSeconds = 600;
    expect({ code, asked: stdout.match(/\/oauth\/authorize\?/g)!.length }).toEqual({ code: 0, asked: 1 });
  });
});

test('a change by an admin goes on after one sign-in too', async () => {
  await run('login', '--fresh');
  await cli.run(['admin', 'role', EMAIL, 'admin']);
  pass(330);
  expect(await run('groups', 'list')).toMatchObject({ code: 0, signIns: 1 });
  pass(330);
  expect(await run('groups', 'add', 'contractors')).toMatchObject({ code: 0, signIns: 1, stderr: expect.stringContaining('a change takes a sign-in of at most 300 s ago') });
});

describe('where there is no browser', () => {
  const CODE = /\n {2}([B-Z]{5}-[B-Z]{5})\r?\n/;
  const loginByDevice = async () => {
    const approvals: Promise<unknown>[] = [];
    const { code } = await runVouch(['login', '--device'], env, (all) => {
      const shown = CODE.exec(all)?.[1];
      if (shown !== undefined && approvals.length === 0) approvals.push(approveDevice(cli.admin, cli.issuer.url, shown));
    });
    await Promise.all(approvals);
    return code;
  };
  const stepUp = async (more?: Record<string, string>) => {
    const watched = startAtTerminal(mint.join(' '), more);
    await approveDevice(cli.admin, cli.issuer.url, (await watched.waitFor(CODE))[1]!);
    return readToken(watched);
  };

  test('a session that began with a code is renewed with a code, and a script is told so', async () => {
    expect(await loginByDevice()).toBe(0);
    pass(90);
    expect(await run(...mint)).toMatchObject({ code: 7, stderr: expect.stringMatching(/\nhint: run `vouch login --device`, then this command again within 60 s\n$/) });
    expect(await stepUp()).toMatchObject({ code: 0, token: { aud: AUDIENCE, sub: 'admin@example.com' } });
    // And is one of these from then on.
    pass(90);
    expect(await stepUp()).toMatchObject({ code: 0 });
  });

  test('so is any session in an ssh session without a screen', async () => {
    await run('login', '--fresh');
    pass(90);
    expect(await stepUp({ SSH_CONNECTION: '192.0.2.1 22 192.0.2.2 22' })).toMatchObject({ code: 0, token: { sub: 'admin@example.com' } });
  });
});
