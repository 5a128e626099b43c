import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { authorize } from '../support/browser.ts';
import { findFreePort } from '../support/free_port.ts';
import { startOnHost } from '../support/host_command.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { startIssuerProcess } from '../support/issuer_process.ts';
import type { Ended } from '../support/process_output.ts';
import { createTestDatabase, query } from '../support/services.ts';
import { findSignInUrl, runVouch, type VouchResult } from '../support/vouch_process.ts';

/* The signing keys as an admin sees and changes them from a terminal, and from the host when no admin can sign in. */

// Each test starts several processes; a machine with other work to do takes its time over them.
jest.setTimeout(240_000);

let issuer: TestIssuer;
let admin: Awaited<ReturnType<TestIssuer['createPerson']>>;
let home: string;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_KEY_POLL_SECONDS: '1', VOUCH_KEY_TICK_SECONDS: '1' });
  admin = await issuer.createPerson('admin@example.com');
  home = join(mkdtempSync(join(tmpdir(), 'vouch-home-')), '.vouch');
});
afterAll(() => issuer.close());

const adminFile = () => join(home, 'admin.json');

/** Runs `vouch keys ...`; whoever is asked for a passkey is `person`. */
async function keys(args: readonly string[], person = admin): Promise<VouchResult & { signIns: number }> {
  const visited = new Map<string, Promise<unknown>>();
  const result = await runVouch(['keys', ...args.slice(0, 1), '--no-browser', ...args.slice(1)], { VOUCH_HOME: home, NO_COLOR: '1', VOUCH_ISSUER: issuer.url }, (all) => {
    for (const line of all.split('\n')) {
      const url = findSignInUrl(`${line}\n`);
      if (url !== undefined && !visited.has(url)) visited.set(url, visit(url, person));
    }
  });
  await Promise.all(visited.values());
  return { ...result, signIns: visited.size };
}

async function visit(url: string, { browser, passkey }: typeof admin): Promise<void> {
  await fetch(await authorize(browser, url, passkey));
}

interface Listed {
  rings: { ring: string; keys: { kid: string; state: string }[]; next_activation: { is_requested: boolean } }[];
  verifiers: { family: string }[];
}

const list = async () => JSON.parse((await keys(['list', '--json'])).stdout) as Listed;
const findIn = async (databaseUrl: string, ring: string, state: string) =>
  String((await query(databaseUrl, 'SELECT kid FROM signing_keys WHERE ring = $1 AND state = $2', [ring, state]))[0]!['kid']);
const find = (ring: string, state: string) => findIn(issuer.databaseUrl, ring, state);
const jwksKids = async () => ((await (await fetch(`${issuer.url}/oauth/jwks`)).json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
/** An instance tells of its clock once a tick: until then the list shows the one that a test gave it. */
async function clockIsReported(): Promise<void> {
  while ((await query(issuer.databaseUrl, 'SELECT 1 FROM instances WHERE abs(skew_ms) > 10000')).length > 0) await sleep(100);
}
const readKeys = () => query(issuer.databaseUrl, 'SELECT kid, state, requested_at FROM signing_keys ORDER BY kid');

describe('the sign-in', () => {
  beforeEach(() => {
    rmSync(adminFile(), { force: true });
  });

  test('is asked for once, said why, and kept for its owner alone', async () => {
    const first = await keys(['list']);
    expect(first).toMatchObject({ code: 0, signIns: 1 });
    expect(first.stderr).toMatch(/^This needs your passkey: .*\nTo sign in at .*, visit:\n/);
    expect(statSync(adminFile()).mode & 0o777).toBe(0o600);
    expect(Object.keys(JSON.parse(readFileSync(adminFile(), 'utf8')) as object)).toEqual(['issuer', 'access_token', 'expires_at']);
    expect(await keys(['list'])).toMatchObject({ code: 0, stderr: '', signIns: 0 });
  });

  test('is asked for again when it is about to expire, or is of another issuer', async () => {
    await keys(['list']);
    const kept = JSON.parse(readFileSync(adminFile(), 'utf8')) as object;
    writeFileSync(adminFile(), JSON.stringify({ ...kept, expires_at: new Date(Date.now() + 20_000).toISOString() }));
    expect(await keys(['list'])).toMatchObject({ code: 0, signIns: 1 });
    writeFileSync(adminFile(), JSON.stringify({ ...kept, issuer: 'https://other.example.com' }));
    expect(await keys(['list'])).toMatchObject({ code: 0, signIns: 1 });
  });

  test('is asked for again when the issuer no longer takes it', async () => {
    writeFileSync(adminFile(), JSON.stringify({ issuer: issuer.url, access_token: 'eyJ.not.one', expires_at: new Date(Date.now() + 600_000).toISOString() }));
    expect(await keys(['list'])).toMatchObject({ code: 0, signIns: 1, stderr: expect.stringContaining('This needs your passkey: the issuer no longer takes the last admin sign-in.\n') });
  });

  test('must be fresh where something changes, and only there', async () => {
    await keys(['list']);
    issuer.clock.advance(301);
    try {
      expect(await keys(['list'])).toMatchObject({ code: 0, signIns: 0 });
      const rotated = await keys(['rotate', '--alg', 'ES256']);
      expect(rotated).toMatchObject({ code: 0, signIns: 1, stderr: expect.stringContaining('This needs your passkey: a change takes a sign-in of at most 300 s ago.\n') });
      expect(await keys(['cancel', '--alg', 'ES256'])).toMatchObject({ code: 0, signIns: 0 });
    } finally {
      issuer.clock.advance(-301);
      rmSync(adminFile(), { force: true });
      await clockIsReported();
    }
  });

  test('of somebody who is no admin is refused, and the next one may be another’s', async () => {
    const member = await issuer.createPerson('member@example.com');
    await query(issuer.databaseUrl, "UPDATE accounts SET role = 'member' WHERE email = 'member@example.com'");
    const refused = await keys(['list'], member);
    expect(refused).toMatchObject({ code: 5, stdout: '', signIns: 1 });
    expect(refused.stderr).toMatch(/\nerror: the issuer http:\S+ refused: this account is not an admin\nhint: ask an admin/);
    expect(existsSync(adminFile())).toBe(false);
    expect(await keys(['list'])).toMatchObject({ code: 0, signIns: 1 });
  });

  test('is forgotten by vouch logout', async () => {
    await keys(['list']);
    expect(await runVouch(['logout'], { VOUCH_HOME: home })).toMatchObject({ code: 0 });
    expect(existsSync(adminFile())).toBe(false);
  });
});

describe('what it says and does', () => {
  test('list shows each ring, what is next and when, and the instances', async () => {
    const { code, stdout } = await keys(['list']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Version \d+ at \d{4}-/);
    expect(stdout).toMatch(/\nRS256\n {2}KID +STATE +AGE +NEXT +LACKED BY\n {2}\S{43} {2}active +\d+ \S+.* signs until the standby takes over +-\n {2}\S{43} {2}pending .* activates \d{4}-\d\d-\d\d \d\d:\d\d, by age/);
    expect(stdout).toMatch(/\nInstances\n {2}HOST +ID +VERSION +CLOCK +LAST HEARD +STATE\n.* [+-]\d+ ms +.* ago +live\n$/);
    expect((await list()).rings.map(({ ring }) => ring)).toEqual(['RS256', 'ES256']);
  });

  test('rotate --plan says the timeline and changes nothing', async () => {
    const before = await readKeys();
    const { code, stdout } = await keys(['rotate', '--plan']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^A rotation of RS256 would go like this; nothing was changed\.\n/);
    for (const line of [/\nIf asked now +\d{4}-/, /\nStandby +\S{43}, published since/, /\nActivation +\d{4}-.* at the earliest/, /\nOld key +\S{43}\n/, /\n {2}published /, /\n {2}its tokens /]) expect(stdout).toMatch(line);
    const [beforeKids, afterKids] = ['before', 'after '].map((name) => new RegExp(`\nJWKS ${name} +(.*)`).exec(stdout)![1]!);
    for (const kid of await jwksKids()) for (const kids of [beforeKids, afterKids]) expect(kids).toContain(kid);
    for (const who of ['Anthropic', 'OpenAI', 'jwksJson', 'Cloudflare', 'Vault', 'Kubernetes']) expect(stdout).toContain(who);
    const plan = JSON.parse((await keys(['rotate', '--plan', '--json', '--alg', 'ES256'])).stdout) as Record<string, unknown>;
    expect(plan).toMatchObject({ ring: 'ES256', is_plan: true, is_requested: false, has_activated: false, moves: [], old_key: { kid: await find('ES256', 'active') }, standby: { kid: await find('ES256', 'pending') } });
    expect(await readKeys()).toEqual(before);
  });

  test('rotate asks once, cancel calls it off once, the second of each is a conflict', async () => {
    expect(await keys(['rotate'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^The rotation of RS256 is asked for\./) });
    expect((await list()).rings[0]!.next_activation.is_requested).toBe(true);
    expect((await keys(['list'])).stdout).toMatch(/pending .* activates \d{4}-\S+ \d\d:\d\d, after lead/);
    expect(await keys(['rotate'])).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('refused: a rotation of RS256 is asked for already\nhint: ') });
    expect(await keys(['cancel', '--json'])).toMatchObject({ code: 0, stdout: `${JSON.stringify({ ring: 'RS256', cancelled: true }, null, 2)}\n` });
    expect(await keys(['cancel'])).toMatchObject({ code: 5, stderr: expect.stringContaining('no rotation of RS256 is asked for') });
  });

  test('history is newest first, and as long as asked for', async () => {
    const { stdout } = await keys(['history', '--limit', '2']);
    expect(stdout.trimEnd().split('\n')).toEqual([expect.stringMatching(/AT +VERSION +RING +WHAT +KID +BY +WHY/), expect.stringContaining('rotation called off'), expect.stringContaining('rotation asked for')]);
    expect((JSON.parse((await keys(['history', '--limit', '1', '--json'])).stdout) as { events: object[] }).events).toMatchObject([{ kind: 'rotation called off' }]);
  });

  test('verifiers shows who fetched, when, and what they lack', async () => {
    for (let fetchCount = 0; fetchCount < 3; fetchCount += 1) await fetch(`${issuer.url}/oauth/jwks`, { headers: { 'user-agent': 'Go-http-client/2.0' } });
    let stdout = '';
    for (let look = 0; look < 10 && !stdout.includes('Go-http-client'); look += 1) ({ stdout } = await keys(['verifiers']));
    expect(stdout).toMatch(/^ {2}FAMILY +NETWORK +LAST FETCH +MEAN INTERVAL +VERSION +FETCHES +WAITED FOR +LACKS\n/);
    expect(stdout).toMatch(/Go-http-client +127\.0\.0\.0\/24 +\d+ s ago +(-|\d+ s) +\d+ +3 \(0 unchanged\) +yes +-\n/);
    // Two more, ten hours after the first.
    await query(issuer.databaseUrl, "UPDATE verifiers SET first_fetch_at = last_fetch_at - interval '10 hours', fetches = 5 WHERE family = 'Go-http-client'");
    expect((await keys(['verifiers'])).stdout).toMatch(/Go-http-client +127\.0\.0\.0\/24 +\d+ s ago +2 h 30 min +\d+ +5 /);
    expect((JSON.parse((await keys(['verifiers', '--json'])).stdout) as Listed).verifiers.map(({ family }) => family)).toContain('Go-http-client');
  });

  test('rewrap says how many', async () => {
    expect(await keys(['rewrap', '--json'])).toMatchObject({ code: 0, stdout: `${JSON.stringify({ rewrapped: 4, unproved: [] }, null, 2)}\n` });
  });

  test('revoke without a terminal and without --yes is refused, and changes nothing', async () => {
    const before = await readKeys();
    expect(await keys(['revoke', '--reason', 'drill', '--', await find('ES256', 'active')])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--yes') });
    expect(await readKeys()).toEqual(before);
  });

  test('revoke --yes shows the blast radius, revokes, and proves', async () => {
    const [active, standby] = [await find('ES256', 'active'), await find('ES256', 'pending')];
    const { code, stdout, stderr } = await keys(['revoke', '--yes', '--reason', 'seen on a laptop', '--', active]);
    expect({ code, stderr: stderr.includes('error:') }).toEqual({ code: 0, stderr: false });
    expect(stderr).toContain(`its standby ${standby} signs at once`);
    for (const who of ['Anthropic', 'OpenAI', 'jwksJson', 'Cloudflare', 'Vault']) expect(stderr).toContain(who);
    expect(stdout).toContain(`Revoked ${active}.\nIts standby ${standby} signs now.`);
    expect(stdout).toMatch(/\nproved: http:\S+\/oauth\/jwks answered 10 times in a row without /);
    expect(stdout).toMatch(/\nproved: instance \S+ \S{8} serves version \d+\n$/);
    expect(await jwksKids()).not.toContain(active);
    expect(await keys(['revoke', '--yes', '--reason', 'again', '--', active])).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('is revoked already') });
  });

  test('revoking the key that signed the admin’s own token proves it all the same, after another sign-in', async () => {
    const active = await find('RS256', 'active');
    const { code, stdout, signIns } = await keys(['revoke', '--yes', '--json', '--reason', 'drill', '--', active]);
    expect({ code, signIns }).toEqual({ code: 0, signIns: 1 });
    expect(JSON.parse(stdout)).toMatchObject({ revoked: { kid: active, ring: 'RS256', was: 'active' }, is_proved: true, proofs: [{ what: 'jwks', is_proved: true }, { what: 'instance', is_proved: true }] });
  });

  test('what is not proved is said, with exit 1', async () => {
    // An instance that lives and never learns: as one that hangs.
    await query(issuer.databaseUrl, "INSERT INTO instances (id, host, started_at, seen_at, served_version, skew_ms) VALUES (gen_random_uuid(), 'hung', now(), now(), 1, 0)");
    try {
      const { code, stdout, stderr } = await keys(['revoke', '--yes', '--wait', '3', '--reason', 'drill', '--', await find('ES256', 'pending')]);
      expect(code).toBe(1);
      expect(stdout).toMatch(/\nnot proved: instance hung \S+ last said .* ago that it serves version 1, and \d+ is needed/);
      expect(stderr).toMatch(/\nerror: \S+ is revoked, and it is not proved that it is gone: instance hung .*\nhint: /);
    } finally {
      await query(issuer.databaseUrl, "DELETE FROM instances WHERE host = 'hung'");
    }
  });

  test('an instance that went silent within a day is named as not proved', async () => {
    // Cut off from Postgres for an hour, it would serve the key from memory; nobody looks for what was silent for two days.
    await query(issuer.databaseUrl, "INSERT INTO instances (id, host, started_at, seen_at, served_version, skew_ms) VALUES (gen_random_uuid(), 'cut-off', now(), now() - interval '1 hour', 1, 0), (gen_random_uuid(), 'gone', now(), now() - interval '2 days', 1, 0)");
    try {
      const { code, stdout } = await keys(['revoke', '--yes', '--json', '--reason', 'drill', '--', await find('ES256', 'pending')]);
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        is_proved: false,
        proofs: [{ what: 'jwks', is_proved: true }, { what: 'instance', is_proved: true }, { what: 'instance', is_proved: false, sentence: expect.stringMatching(/^instance cut-off \S{8} was last heard of 1 h ago: if it still runs, it publishes the key; stop it$/) }],
      });
    } finally {
      await query(issuer.databaseUrl, "DELETE FROM instances WHERE host IN ('cut-off', 'gone')");
    }
  });

  test('an unknown key is refused before anything is asked', async () => {
    expect(await keys(['revoke', '--yes', '--reason', 'drill', 'nothing'])).toMatchObject({ code: 5, stderr: expect.stringContaining('there is no signing key nothing') });
  });
});

const onHost = (args: readonly string[], env: Record<string, string>): Promise<Ended> => startOnHost(args, env).ended;

describe('on the host', () => {
  let env: Record<string, string>;
  const findOnHost = (ring: string, state: string) => findIn(env.DATABASE_URL!, ring, state);

  beforeAll(async () => {
    // Redis is down all the time.
    env = { VOUCH_KEK: randomBytes(32).toString('base64url'), DATABASE_URL: await createTestDatabase(), REDIS_URL: `redis://127.0.0.1:${await findFreePort()}`, VOUCH_DATA_DIR: mkdtempSync(join(tmpdir(), 'vouch-')) };
    await onHost(['list'], env);
  });

  test('list works with the database alone, and says that Redis is away', async () => {
    const { code, stdout, stderr } = await onHost(['list'], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Version 1 of .*\n\nRS256\n.* active .*published/s);
    expect(stderr).toBe('Redis does not answer: instances learn of a change by polling (VOUCH_KEY_POLL_SECONDS).\n');
    expect(JSON.parse((await onHost(['list', '--json'], env)).stdout)).toMatchObject({ version: '1', rings: [{ ring: 'RS256', is_requested: false }, { ring: 'ES256' }], instances: [] });
  });

  test('rotate and cancel, each once', async () => {
    expect(await onHost(['rotate', '--alg', 'ES256'], env)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^A rotation of ES256 is asked for\. The standby is due at once, as asked for; its lead ends/) });
    expect(await onHost(['rotate', '--alg', 'ES256'], env)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('error: a rotation of ES256 is asked for already\n') });
    expect(await onHost(['cancel', '--alg', 'ES256', '--json'], env)).toMatchObject({ code: 0, stdout: expect.stringContaining('"cancelled": true') });
  });

  test('revoke drops the key, says what it cannot reach, and is in the history by name', async () => {
    const [active, standby] = [await findOnHost('RS256', 'active'), await findOnHost('RS256', 'pending')];
    const { code, stdout } = await onHost(['revoke', '--reason', 'nobody can sign in', '--', active], env);
    expect(code).toBe(0);
    expect(stdout).toContain(`Revoked ${active} of RS256, which was active: `);
    expect(stdout).toContain(`signs now: ${standby}`);
    for (const what of ['Out of reach from here:', 'go-oidc', 'jwksJson', '/oauth/jwks']) expect(stdout).toContain(what);
    expect(await findOnHost('RS256', 'active')).toBe(standby);
    const { stdout: history } = await onHost(['history', '--limit', '5'], env);
    expect(history).toMatch(new RegExp(`revoked {2}${active} {2}host:${userInfo().username} {2}nobody can sign in\n`));
    expect(await onHost(['revoke', '--reason', 'again', '--', active], env)).toMatchObject({ code: 1, stderr: expect.stringContaining(`error: signing key ${active} is revoked already`) });
  });

  test('revoke waits for instances, and says with exit 1 which one is left', async () => {
    await query(env.DATABASE_URL!, "INSERT INTO instances (id, host, started_at, seen_at, served_version, skew_ms) VALUES (gen_random_uuid(), 'hung', now(), now(), 1, 0)");
    const { code, stdout, stderr } = await onHost(['revoke', '--json', '--wait', '3', '--reason', 'drill', '--', await findOnHost('RS256', 'pending')], env);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ is_proved: false, late_instances: [expect.stringContaining('instance hung')] });
    expect(stderr).toMatch(/\nnot proved: instance hung .* serves version 1.*\nThe key is revoked\. /);
    await query(env.DATABASE_URL!, 'DELETE FROM instances');
  });

  test('revoke names an instance that went silent within a day, without waiting for it', async () => {
    await query(env.DATABASE_URL!, "INSERT INTO instances (id, host, started_at, seen_at, served_version, skew_ms) VALUES (gen_random_uuid(), 'cut-off', now(), now() - interval '1 hour', 1, 0)");
    const { code, stdout, stderr } = await onHost(['revoke', '--json', '--wait', '200', '--reason', 'drill', '--', await findOnHost('RS256', 'pending')], env);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ is_proved: false, late_instances: [], silent_instances: [expect.stringContaining('instance cut-off')] });
    expect(stderr).toMatch(/\nnot proved: instance cut-off \S{8} was last heard of at \S+Z: if it still runs, it publishes the key; stop it\nThe key is revoked\. /);
    await query(env.DATABASE_URL!, 'DELETE FROM instances');
  });

  test('rewrap goes on after Ctrl-C where nothing is lost', async () => {
    const sealed = async () => (await query(env.DATABASE_URL!, 'SELECT sealed FROM signing_keys WHERE sealed IS NOT NULL ORDER BY kid')).map((row) => createHash('sha256').update(row['sealed'] as Buffer).digest('hex'));
    const before = await sealed();
    const running = startOnHost(['rewrap'], env);
    running.child.stderr!.on('data', (text: string) => {
      if (text.includes('1 of 4')) running.child.kill('SIGINT');
    });
    const stopped = await running.ended;
    expect(stopped).toMatchObject({ code: 1, stdout: '' });
    expect(stopped.stderr).toMatch(/\nerror: stopped after [1-3] of 4; each key is whole/);
    expect(await onHost(['rewrap'], env)).toMatchObject({ code: 0, stdout: '4 private halves are sealed again under the first key of VOUCH_KEK.\n', stderr: expect.stringContaining('4 of 4') });
    const after = await sealed();
    expect(after.filter((hash) => before.includes(hash))).toEqual([]);
    expect(await onHost(['list'], env)).toMatchObject({ code: 0 });
  });

  test('rewrap names the keys that nothing shows to be the issuer’s, and adopt takes one back', async () => {
    const kid = await findOnHost('RS256', 'revoked');
    await query(env.DATABASE_URL!, 'UPDATE signing_keys SET proof = NULL WHERE kid = $1', [kid]);
    const named = expect.stringContaining(`no key of VOUCH_KEK shows that ${kid} is this issuer's`);
    expect(await onHost(['rewrap', '--json'], env)).toMatchObject({ code: 0, stdout: `${JSON.stringify({ rewrapped: 4, unproved: [kid] }, null, 2)}\n`, stderr: named });
    expect(await onHost(['adopt', '--reason', 'x', '--', await findOnHost('RS256', 'active')], env)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('only one that signs no more is adopted') });
    expect(await onHost(['adopt', '--', kid], env)).toMatchObject({ code: 2, stderr: expect.stringContaining('adopt takes --reason') });
    expect(await onHost(['adopt', '--reason', 'the log knows it', '--', kid], env)).toMatchObject({ code: 0, stdout: expect.stringContaining(`${kid} counts as this issuer's`) });
    expect(await onHost(['rewrap'], env)).toMatchObject({ code: 0, stderr: expect.not.stringContaining('shows that') });
    expect((await onHost(['history', '--limit', '20'], env)).stdout).toContain(`adopted  ${kid}  host:${userInfo().username}  the log knows it`);
  });

  test.each<[string, () => Record<string, string>]>([
    ['without a key-encryption key', () => ({ VOUCH_KEK: '' })],
    ['with one that opens nothing', () => ({ VOUCH_KEK: randomBytes(32).toString('base64url') })],
    ['in production, with a file of it that is gone', () => ({ VOUCH_KEK: '', VOUCH_KEK_FILE: '/nowhere/kek', NODE_ENV: 'production', VOUCH_ISSUER: 'https://vouch.example.com' })],
  ])('%s an emergency is dealt with all the same: only the next standby is left to the instances', async (...[, more]) => {
    const without = { ...env, ...more() };
    const listed = await onHost(['list'], without);
    expect(listed.code).toBe(0);
    expect(listed.stderr).toContain('none is made here');
    const [active, standby] = [await findOnHost('RS256', 'active'), await findOnHost('RS256', 'pending')];
    const { code, stdout } = await onHost(['revoke', '--reason', 'drill', '--', active], without);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining(`signs now: ${standby}`) });
    expect(await query(env.DATABASE_URL!, "SELECT kid FROM signing_keys WHERE ring = 'RS256' AND state = 'pending'")).toEqual([]);
    // Now nothing could take over: the ring would have nobody that signs.
    expect(await onHost(['revoke', '--reason', 'again', '--', standby], without)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('error: the ring RS256 would be left without a key that signs') });
    expect(await findOnHost('RS256', 'active')).toBe(standby);
    expect(await onHost(['rewrap'], without)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('error: this needs the key-encryption key') });
    // Whoever has the key makes the standby, as an instance does at its next tick.
    expect(await onHost(['list'], env)).toMatchObject({ code: 0, stderr: expect.stringContaining('Before that, what was due: made a new key') });
    expect(await findOnHost('RS256', 'pending')).not.toBe(standby);
  });

  test('a database that is away is said', async () => {
    expect(await onHost(['list'], { ...env, DATABASE_URL: `postgresql://x@127.0.0.1:${await findFreePort()}/x` })).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: cannot connect to the database: /) });
  });

  test('the embedded data folder is for one process: said while the issuer runs, and used once it has stopped', async () => {
    const running = await startIssuerProcess();
    const folder = { VOUCH_DATA_DIR: running.dataDir };
    expect(await onHost(['list'], folder)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: \S+ is in use by process \d+; .*\nhint: while the issuer runs on this folder, use `vouch keys`, or stop it first\n$/) });
    await running.stop();
    expect(await onHost(['list'], folder)).toMatchObject({ code: 0, stdout: expect.stringContaining('RS256') });
  });

  test.each([
    [[], 'say what to do'], [['lst'], 'there is no such command'], [['list', 'x'], 'only revoke and adopt take a kid'], [['revoke', '--reason', 'x'], 'revoke takes one kid'],
    [['revoke', 'x'], 'revoke takes --reason'], [['rotate', '--alg', 'HS256'], '--alg must be RS256 or ES256'], [['history', '--limit', '0'], '--limit must be'], [['list', '--foo'], "Unknown option '--foo'"], [['revoke', 'x', '--reason', 'x', '--wait', '0'], '--wait must be a whole number of seconds from 1 to 600'],
  ])('%j is a usage error', async (args, sentence) => {
    expect(await onHost(args, env)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(new RegExp(`^error: ${sentence}.*\nhint: see: npm run keys -- --help\n$`)) });
  });
});
