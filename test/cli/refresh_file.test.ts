import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { findFreePort } from '../support/free_port.ts';
import { watchProcess, type Watched } from '../support/process_output.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp_proxy.ts';
import { startAdminCli, type AdminCli } from './admin_cli.ts';
import { BIN } from './run_vouch.ts';

/* A file that SDKs read: always a token that is good, or a word that it is not. Tokens live for five seconds here. */

jest.setTimeout(240_000);

const SUBJECT = 'nightly@jobs.example.com';
let proxy: TcpProxy;
let cli: AdminCli;
let keyFile: string;
const running = new Set<Watched>();

beforeAll(async () => {
  const port = await findFreePort();
  proxy = await startTcpProxy(`http://127.0.0.1:${port}`);
  cli = await startAdminCli({ VOUCH_PORT: String(port), VOUCH_ISSUER: `http://localhost:${proxy.port}`, VOUCH_LONGEST_TOKEN_SECONDS: '5' });
  keyFile = join(cli.folder, 'nightly.json');
  await cli.run(['service-accounts', 'add', SUBJECT, '--name', 'Nightly', '--audience', cli.issuer.url, '--key-file', keyFile]);
  await cli.run(['login']);
});
afterEach(() => {
  for (const { child } of running) child.kill('SIGKILL');
  running.clear();
});
afterAll(async () => {
  await cli.close();
  await proxy.close();
});

function keep(name: string, ...more: string[]): { readonly path: string; readonly watched: Watched } {
  const path = join(cli.folder, name);
  const { PATH } = process.env;
  const watched = watchProcess(spawn(process.execPath, [BIN, 'credential', 'id-token', '--output-file', path, '--refresh', ...more], { env: { PATH, ...cli.env }, stdio: ['ignore', 'pipe', 'pipe'] }));
  running.add(watched);
  return { path, watched };
}

const read = (path: string) => decodeJwt(readFileSync(path, 'utf8'));

/** Reads the file again and again, as an SDK might at any moment, until it holds a token whose jti is none of these. */
async function waitForAnother(path: string, known: readonly (string | undefined)[]): Promise<string> {
  for (;;) {
    const { jti } = read(path);
    if (jti !== undefined && !known.includes(jti)) return jti;
    await sleep(5);
  }
}

test('without --refresh the file is written once, for its owner alone', async () => {
  const path = join(cli.folder, 'once.jwt');
  expect(await cli.run(['credential', 'id-token', '--output-file', path])).toMatchObject({ code: 0, stdout: '', stderr: `Wrote a token to ${path}.\n` });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(read(path)).toMatchObject({ sub: 'admin@example.com', aud: cli.issuer.url });
  expect(await cli.run(['credential', 'id-token', '--output-file', cli.folder])).toMatchObject({ code: 6, stdout: '', stderr: expect.stringContaining(`could not write ${cli.folder} (EISDIR)`) });
});

test('with a key file it is kept with a fresh token each time, through an absence of the issuer, until SIGTERM', async () => {
  const { path, watched } = keep('service.jwt', '--service-account', keyFile);
  await watched.waitFor(/service\.jwt holds a token for \d s; it is renewed in \d s\. Ctrl-C ends this\.\n/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const first = read(path);
  expect(first).toMatchObject({ sub: SUBJECT, aud: cli.issuer.url });
  const second = await waitForAnother(path, [first.jti]);
  await waitForAnother(path, [first.jti, second]);
  // Half of five seconds, and not the whole: it was good all the time.
  expect(read(path).iat! - first.iat!).toBeLessThan(10);

  await proxy.cut();
  await watched.waitFor(/\nnote: could not renew: could not reach the issuer http:\S+: the connection was \w+; the token in \S+ is good for another \d s\. Trying again\.\n/);
  await watched.waitFor(/\nnote: the token in \S+service\.jwt has expired; still trying to renew it\.\n/);
  const stale = read(path);
  expect(stale.exp).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000) + 1);
  await proxy.restore();
  await watched.waitFor(/service\.jwt is renewed again, with a token for \d s\.\n/);
  expect(read(path).exp! * 1000).toBeGreaterThan(Date.now());
  expect(read(path).jti).not.toBe(stale.jti);

  watched.child.kill('SIGTERM');
  const { code, signal, stdout, stderr } = await watched.ended;
  expect({ code, signal, stdout }).toEqual({ code: 0, signal: null, stdout: '' });
  expect(stderr).toMatch(/\nNo longer renewed: the token in \S+service\.jwt is good for another \d s\.\n$/);
  expect(stderr).not.toMatch(/eyJ/);
  expect(readdirSync(cli.folder).filter((name) => name.endsWith('.new'))).toEqual([]);
});

test('an issuer that hangs does not keep it from saying that the token has expired, nor from ending', async () => {
  const { watched } = keep('frozen.jwt', '--service-account', keyFile);
  await watched.waitFor(/holds a token/);
  proxy.freeze();
  try {
    await watched.waitFor(/note: the token in \S+frozen\.jwt has expired; still trying to renew it\.\n/);
    watched.child.kill('SIGINT');
    expect(await watched.ended).toMatchObject({ code: 0, signal: null, stderr: expect.stringMatching(/\nNo longer renewed: the token in \S+frozen\.jwt has expired\.\n$/) });
  } finally {
    await proxy.restore();
  }
});

test('with a session it is kept until that ends: then 3, and what the file holds', async () => {
  const { path, watched } = keep('session.jwt');
  await watched.waitFor(/holds a token/);
  const { jti, sub } = read(path);
  expect(sub).toBe('admin@example.com');
  await waitForAnother(path, [jti]);
  await cli.run(['logout']);
  const { code, stderr } = await watched.ended;
  expect(code).toBe(3);
  expect(stderr).toMatch(/\nerror: not signed in.*; the token in \S+session\.jwt (is good for another \d s|has expired)\nhint: run `vouch login`\n$/);
});

test('with a service account that is disabled it ends with 5', async () => {
  const { watched } = keep('disabled.jwt', '--service-account', keyFile);
  await watched.waitFor(/holds a token/);
  await cli.issuer.app.accounts.services.setStatus(SUBJECT, 'suspended');
  expect(await watched.ended).toMatchObject({ code: 5, stderr: expect.stringMatching(/\nerror: the issuer \S+ refused: unauthorized_client: its account is closed; the token in \S+ (is good|has expired)/) });
});
