import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createBrowser, enrol } from '../support/browser.ts';
import { findFreePort } from '../support/free_port.ts';
import { spawnIssuer, startIssuerProcess } from '../support/issuer_process.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { createSoftwarePasskey, type SoftwarePasskey } from '../support/software_passkey.ts';
import { startStores, waitFor, type Stores } from './stores.ts';

/* An instance that has run before boots while Postgres and Redis are both away. */

const DOCUMENTS = ['/oauth/jwks', '/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'];

let stores: Stores;
let env: Record<string, string>;
let issuer: string;
let snapshot: string;
let published: readonly string[];
const dataDir = mkdtempSync(join(tmpdir(), 'vouch-cold-'));
let passkey: SoftwarePasskey;
const running: ChildProcess[] = [];

beforeAll(async () => {
  stores = await startStores();
  const port = await findFreePort();
  issuer = `http://localhost:${port}`;
  env = { VOUCH_PORT: String(port), VOUCH_DATA_DIR: dataDir, DATABASE_URL: stores.databaseUrl, REDIS_URL: stores.redisUrl };
  const first = await startIssuerProcess({ dataDir, port, env });
  passkey = createSoftwarePasskey({ origin: issuer });
  await enrol(createBrowser(issuer), first.invitation!, { email: 'ada@example.com', name: 'Ada' }, passkey);
  published = await Promise.all(DOCUMENTS.map(async (path) => (await fetch(issuer + path)).text()));
  expect(await first.stop()).toBe(0);
  snapshot = readFileSync(join(dataDir, 'published.json'), 'utf8');
  await Promise.all([stores.killPostgres(), stores.killRedis()]);
}, 90_000);

afterEach(() => {
  for (const child of running.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  writeFileSync(join(dataDir, 'published.json'), snapshot);
});

afterAll(async () => {
  await stores.close();
  rmSync(dataDir, { recursive: true, force: true });
});

interface Boot {
  readonly child: ChildProcess;
  readonly startedAt: number;
  readonly ended: Promise<number | null>;
  readonly stderr: () => string;
}

function boot(): Boot {
  const child = spawnIssuer(env);
  running.push(child);
  let text = '';
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return { child, startedAt: performance.now(), ended: new Promise((resolve) => child.once('exit', resolve)), stderr: () => text };
}

/** Milliseconds from the start of the process to the first answer for the keys. */
async function waitForKeys({ startedAt }: Boot): Promise<number> {
  for (;;) {
    const response = await fetch(`${issuer}/oauth/jwks`).catch(() => undefined);
    if (response !== undefined) return performance.now() - startedAt;
    if (performance.now() - startedAt > 30_000) throw new Error('no answer within 30 s');
    await sleep(10);
  }
}

test('it publishes the same bytes as before, says 503 to whoever wants a token, and SIGTERM ends it with 0', async () => {
  const instance = boot();
  const firstByteMs = await waitForKeys(instance);
  for (let round = 0; round < 3; round += 1) {
    for (const [index, path] of DOCUMENTS.entries()) {
      const response = await fetch(issuer + path);
      expect({ path, status: response.status, type: response.headers.get('content-type'), etag: response.headers.get('etag') }).toEqual({ path, status: 200, type: 'application/json', etag: expect.stringMatching(/^"[\w-]+"$/) });
      expect(await response.text()).toBe(published[index]);
      expect((await fetch(issuer + path, { headers: { 'if-none-match': response.headers.get('etag')! } })).status).toBe(304);
    }
    const token = await postToken(issuer, exchangeForm('any'));
    expect({ status: token.status, error: token.body.error }).toEqual({ status: 503, error: 'temporarily_unavailable' });
    expect((await fetch(`${issuer}/healthz`)).status).toBe(200);
    expect((await fetch(`${issuer}/readyz`)).status).toBe(503);
    await sleep(1_500); // the attempts to open the stores go on meanwhile
  }
  expect(instance.stderr()).toContain('storage is away; the last known keys are published meanwhile');
  const toldAt = performance.now();
  instance.child.kill('SIGTERM');
  expect(await instance.ended).toBe(0);
  writeSync(2, `cold boot: first byte of the keys ${Math.round(firstByteMs)} ms after the process was started, with every store away; ended ${Math.round(performance.now() - toldAt)} ms after SIGTERM\n`);
}, 60_000);

test.each([
  ['a key was slipped in', (text: string) => text.replace(/kid(\W+)\w/, 'kid$1_')],
  ['it is cut off', (text: string) => text.slice(0, text.length / 2)],
  ['it is empty', () => ''],
])('a snapshot is refused, and nothing is published, when %s', async (_why, tamper) => {
  const forged = tamper(snapshot);
  expect(forged === snapshot).toBe(false);
  writeFileSync(join(dataDir, 'published.json'), forged);
  const instance = boot();
  const answers: number[] = [];
  let code: number | null | undefined;
  void instance.ended.then((ended) => { code = ended; });
  while (code === undefined && performance.now() - instance.startedAt < 30_000) {
    const response = await fetch(`${issuer}/oauth/jwks`).catch(() => undefined);
    if (response !== undefined) answers.push(response.status);
    await sleep(20);
  }
  expect({ code, answers }).toEqual({ code: 1, answers: [] });
  expect(instance.stderr()).toContain('published.json was altered, is cut off, or was made under another key-encryption key');
  expect(instance.stderr()).toMatch(/error: cannot connect to the database/);
}, 60_000);

test('it comes to full service by itself when both stores are back', async () => {
  const instance = boot();
  await waitForKeys(instance);
  await sleep(1_000);
  const backAt = performance.now();
  await Promise.all([stores.startPostgres(), stores.startRedis()]);
  await waitFor('ready', async () => (await fetch(`${issuer}/readyz`)).ok);
  writeSync(2, `cold boot: ready ${Math.round(performance.now() - backAt)} ms after the stores were started again\n`);
  expect(await (await fetch(`${issuer}/oauth/jwks`)).text()).toBe(published[0]);
  const { access_token: accessToken } = await signIn(issuer, { browser: createBrowser(issuer), passkey });
  expect((await postToken(issuer, exchangeForm(accessToken))).status).toBe(200);
  instance.child.kill('SIGTERM');
  expect(await instance.ended).toBe(0);
}, 60_000);
