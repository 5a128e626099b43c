import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createBrowser, enrol } from '../support/browser.ts';
import { createEmbeddedFolder } from '../support/embedded_folder.ts';
import { findFreePort } from '../support/free_port.ts';
import { startOnHost } from '../support/host_command.ts';
import { spawnIssuer, startIssuerProcess, type IssuerProcess } from '../support/issuer_process.ts';
import { exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { createTestDatabase, query, testRedisUrl } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';

/* The issuer as a process on embedded storage: how it starts, ends, is killed, and starts again. */

const newFolder = () => mkdtempSync(join(tmpdir(), 'vouch-life-'));
const readKids = async (url: string) => ((await (await fetch(`${url}/oauth/jwks`)).json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid).sort();

async function enrolAdmin(issuer: IssuerProcess, email: string) {
  const browser = createBrowser(issuer.url);
  const passkey = createSoftwarePasskey({ origin: issuer.url });
  await enrol(browser, issuer.invitation!, { email, name: 'Admin' }, passkey);
  return { browser, passkey };
}

/** Runs to its end, and gives what it printed. */
async function runIssuer(env: Record<string, string>, args: readonly string[] = []) {
  const child = spawnIssuer(env, args);
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

describe('start', () => {
  test('says all that a new user needs, makes secrets for their owner only, and ends well when told to', async () => {
    const issuer = await startIssuerProcess({ dataDir: newFolder() });
    const { stdout } = issuer.output();
    for (const said of [issuer.url, `${issuer.url}/.well-known/openid-configuration`, issuer.dataDir, 'npx vouch login']) expect(stdout).toContain(said);
    expect(stdout.match(/\/login\/enrol\//g)).toHaveLength(1);
    for (const file of ['kek', 'cookie_keys']) expect(statSync(join(issuer.dataDir, file)).mode & 0o777).toBe(0o600);
    const before = await readKids(issuer.url);
    expect(before).toHaveLength(4);
    await enrolAdmin(issuer, 'admin@example.com');
    expect(await issuer.stop()).toBe(0);

    const again = await startIssuerProcess({ dataDir: issuer.dataDir });
    expect(again.invitation).toBeUndefined();
    expect(await readKids(again.url)).toEqual(before);
    expect(await again.stop()).toBe(0);
  });

  test('without an admin yet, a second start prints a new link and the first is over', async () => {
    const first = await startIssuerProcess();
    const { port } = new URL(first.url);
    const oldLink = first.invitation!;
    await first.stop();
    const second = await startIssuerProcess({ dataDir: first.dataDir, port: Number(port) });
    expect(second.invitation).not.toBe(oldLink);
    expect((await createBrowser(second.url).get(oldLink)).status).toBe(410);
    await second.stop();
  });

  test('nothing secret is in what it logs', async () => {
    const issuer = await startIssuerProcess();
    const link = issuer.invitation!;
    const tokens = await signIn(issuer.url, await enrolAdmin(issuer, 'quiet@example.com'));
    const federation = (await postToken(issuer.url, exchangeForm(tokens.access_token))).body.access_token as string;
    await postToken(issuer.url, exchangeForm(`${tokens.access_token}x`));
    await issuer.stop();
    const { stderr } = issuer.output();
    const secrets = [tokens.access_token, tokens.refresh_token, tokens.id_token, federation, link.split('/').at(-1)!, readFileSync(join(issuer.dataDir, 'kek'), 'utf8').trim(), readFileSync(join(issuer.dataDir, 'cookie_keys'), 'utf8').trim()];
    expect(stderr).toContain('token exchanged');
    for (const secret of secrets) expect(stderr).not.toContain(secret);
  });

  test('again, after keys were changed while it was away: no document is older than that, from the first answer on', async () => {
    const keys = { LEAD: 4, JWKS_MAX_AGE: 1, STALE: 3, RETENTION: 14, ROTATION: 3_600, VERIFIER_WAIT: 1 };
    const env = {
      DATABASE_URL: await createTestDatabase(), REDIS_URL: testRedisUrl(), VOUCH_KEK: randomBytes(32).toString('base64url'), VOUCH_COOKIE_KEYS: randomBytes(32).toString('base64url'),
      VOUCH_LONGEST_TOKEN_SECONDS: '5', ...Object.fromEntries(Object.entries(keys).map(([name, seconds]) => [`VOUCH_KEY_${name}_SECONDS`, String(seconds)])),
    };
    const first = await startIssuerProcess({ env });
    const [revoked] = await query(env.DATABASE_URL, "SELECT kid FROM signing_keys WHERE ring = 'ES256' AND state = 'active'");
    await first.stop();
    // What it kept says so itself: after the lead, less the life of a cache, another key may sign.
    await Promise.all([
      startOnHost(['revoke', '--reason', 'drill', '--', String(revoked!['kid'])], { ...env, VOUCH_DATA_DIR: first.dataDir }).ended,
      new Promise((resolve) => setTimeout(resolve, 3_500)),
    ]);
    const seen: string[][] = [];
    const up = new AbortController();
    const watching = (async () => {
      while (!up.signal.aborted) {
        const kids = await readKids(first.url).catch(() => undefined);
        if (kids !== undefined) seen.push(kids);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    const again = await startIssuerProcess({ dataDir: first.dataDir, port: first.port, env });
    up.abort();
    await watching;
    await again.stop();
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.filter((kids) => kids.includes(String(revoked!['kid'])))).toEqual([]);
  });
});

describe('what stands in the way is said in one line', () => {
  test('a port in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const { code, stderr } = await runIssuer({ VOUCH_PORT: String(port), VOUCH_DATA_DIR: await createEmbeddedFolder(), VOUCH_LOG_LEVEL: 'error' });
    taken.close();
    expect({ code, stderr }).toEqual({ code: 1, stderr: `error: port ${port} is in use; stop what listens there, or set VOUCH_PORT\n` });
  });

  test('a data folder in use', async () => {
    const issuer = await startIssuerProcess();
    const { code, stderr } = await runIssuer({ VOUCH_PORT: String(await findFreePort()), VOUCH_DATA_DIR: issuer.dataDir, VOUCH_LOG_LEVEL: 'error' });
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^error: ${issuer.dataDir} is in use by process ${issuer.pid};.*\n$`));
    await issuer.stop();
  });

  test('thresholds that contradict each other, with both values', async () => {
    const { code, stderr } = await runIssuer({ VOUCH_DATA_DIR: newFolder(), VOUCH_KEY_LEAD_SECONDS: '400', VOUCH_KEY_RETENTION_SECONDS: '100' }, ['--check-config']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/VOUCH_KEY_LEAD_SECONDS is 400.*VOUCH_KEY_JWKS_MAX_AGE_SECONDS, which is 300/);
    expect(stderr).toMatch(/VOUCH_KEY_RETENTION_SECONDS is 100/);
  });
});

describe('killed with no goodbye', () => {
  test('at any moment of the first start: the next start works and has four keys', async () => {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const dataDir = newFolder();
      const child = spawnIssuer({ VOUCH_PORT: String(await findFreePort()), VOUCH_DATA_DIR: dataDir, VOUCH_LOG_LEVEL: 'error' });
      // Spread over the start: loading, migrating, making keys, listening.
      await new Promise((resolve) => setTimeout(resolve, 800 + attempt * 2_400));
      child.kill('SIGKILL');
      await once(child, 'close');
      const issuer = await startIssuerProcess({ dataDir });
      expect(await readKids(issuer.url)).toHaveLength(4);
      expect(issuer.invitation).toBeDefined();
      await issuer.stop();
    }
  }, 240_000);

  test('in the middle of enrolment and exchange: what was acknowledged is there, nothing is doubled', async () => {
    const first = await startIssuerProcess();
    const { port } = new URL(first.url);
    const link = first.invitation!;
    const browser = createBrowser(first.url);
    // Begun and not finished: the challenge is gone with the process, the invitation is not.
    await browser.postJson(`${link}/options`, { email: 'half@example.com', name: 'Half' });
    await first.kill();

    const second = await startIssuerProcess({ dataDir: first.dataDir, port: Number(port) });
    const kids = await readKids(second.url);
    const person = await enrolAdmin(second, 'half@example.com');
    const tokens = await signIn(second.url, person);
    const exchanges = Array.from({ length: 20 }, () => postToken(second.url, exchangeForm(tokens.access_token)).catch(() => undefined));
    await Promise.race(exchanges);
    await second.kill();
    await Promise.all(exchanges);

    const third = await startIssuerProcess({ dataDir: first.dataDir, port: Number(port) });
    expect(third.invitation).toBeUndefined();
    expect(await readKids(third.url)).toEqual(kids);
    // The session that was acknowledged goes on, and the passkey signs in.
    expect((await postToken(third.url, exchangeForm(tokens.access_token))).status).toBe(200);
    await expect(signIn(third.url, { ...person, browser: createBrowser(third.url) })).resolves.toMatchObject({ expires_in: 600 });
    await third.stop();
  }, 240_000);
});
