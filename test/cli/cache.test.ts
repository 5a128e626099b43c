import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findCached, obtainThroughCache, purgeCache, type CacheKey, type CacheUse } from '../../cli/cache.ts';
import { CliError } from '../../cli/errors.ts';
import { locateHome } from '../../cli/home.ts';
import type { Credential } from '../../cli/providers/provider.ts';
import { BIN, createSandbox, SETUP_OPENAI, startVouch, type Sandbox } from './run_vouch.ts';
import { signIn, startSignedIn, type SignedIn } from './signed_in.ts';

describe('the cache', () => {
  const NOW = Date.parse('2026-11-24T12:00:00Z');
  const SESSION = { kind: 'session', id: 'one', issuer: 'https://issuer.example', email: 'dev@example.com' } as const;
  const KEY: CacheKey = {
    identity: SESSION,
    provider: 'anthropic', parameters: { federation_rule_id: 'fdrl_1', workspace_id: 'wrkspc_1' }, url: 'https://api.anthropic.com/v1/oauth/token', audience: undefined,
  };
  let sandbox: Sandbox;
  let use: CacheUse & { now: number; warnings: string[] };
  let obtained: number;
  beforeEach(async () => {
    sandbox = await createSandbox();
    obtained = 0;
    const state = { now: NOW, warnings: [] as string[] };
    use = Object.assign(state, { home: locateHome(sandbox.home), clock: () => state.now, warn: (sentence: string) => { state.warnings.push(sentence); }, usesCache: true });
    await writeSession('one');
  });
  afterEach(async () => { await sandbox.remove(); });

  async function writeSession(id: string): Promise<void> {
    await mkdir(sandbox.home, { recursive: true, mode: 0o700 });
    const far = '2030-01-01T00:00:00Z';
    await writeFile(sandbox.sessionPath, JSON.stringify({ version: 1, id, issuer: SESSION.issuer, email: SESSION.email, access_token: 'a', access_token_expires_at: far, refresh_token: 'r' }));
  }
  const obtain = (seconds = 600) => async (): Promise<Credential> => ({ secrets: { token: `token-${(obtained += 1)}` }, expiresAt: use.now + seconds * 1000 });
  const get = async (key: CacheKey = KEY, seconds?: number): Promise<string> => (await obtainThroughCache(use, key, obtain(seconds))).secrets['token']!;
  const entries = async (): Promise<string[]> => (await readdir(use.home.cachePath)).filter((name) => name.endsWith('.json'));

  it('serves a token until a minute before it expires, not longer', async () => {
    expect(await get()).toBe('token-1');
    use.now = NOW + 539_999;
    expect(await get()).toBe('token-1');
    use.now = NOW + 540_000;
    expect(await get()).toBe('token-2');
    expect(await entries()).toHaveLength(1);
  });

  it('does not serve what was kept while the clock was ahead', async () => {
    await get();
    use.now = NOW - 1;
    expect(await findCached(use, KEY)).toBeUndefined();
  });

  it('does not keep what expires within a minute, or does not say when', async () => {
    await get(KEY, 60);
    await obtainThroughCache(use, KEY, async () => ({ secrets: { token: 'x' }, expiresAt: undefined }));
    expect(await entries()).toEqual([]);
  });

  const OTHERS: readonly [string, Partial<CacheKey>][] = [
    ['sign-in', { identity: { ...SESSION, id: 'two' } }],
    ['account', { identity: { ...SESSION, email: 'other@example.com' } }],
    ['issuer', { identity: { ...SESSION, issuer: 'https://other.example' } }],
    ['kind of account', { identity: { kind: 'service', issuer: SESSION.issuer, clientId: SESSION.email, subject: SESSION.email } }],
    ['provider', { provider: 'openai' }],
    ['parameter', { parameters: { ...KEY.parameters, workspace_id: 'wrkspc_2' } }],
    ['further parameter', { parameters: { ...KEY.parameters, audience: 'x' } }],
    ['place', { url: 'https://gateway.example/v1/oauth/token' }],
    ['audience', { audience: 'https://issuer.example' }],
  ];
  it.each(OTHERS)('keeps the tokens of another %s apart', async (_what, change) => {
    await get();
    expect(await findCached(use, { ...KEY, ...change })).toBeUndefined();
    expect(await findCached(use, { ...KEY, parameters: { workspace_id: 'wrkspc_1', federation_rule_id: 'fdrl_1' } })).toBeDefined();
  });

  it('is for its owner only, and names no token in a file name', async () => {
    await get();
    const [name] = await entries();
    expect(name).toMatch(/^anthropic-[0-9a-f]{64}\.json$/);
    expect((await stat(use.home.cachePath)).mode & 0o777).toBe(0o700);
    expect((await stat(join(use.home.cachePath, name!))).mode & 0o777).toBe(0o600);
    await chmod(join(use.home.cachePath, name!), 0o644);
    await get();
    expect((await stat(join(use.home.cachePath, name!))).mode & 0o777).toBe(0o600);
  });

  it.each([[''], ['{"version":1,"secrets":{"tok'], ['[]'], ['{"version":2}'], ['{"version":1,"secrets":{"token":7},"obtained_at":"x","expires_at":"y"}'], ['\0\0\0\0']])('takes a broken entry (%j) for none and replaces it', async (text) => {
    await get();
    const [name] = await entries();
    await writeFile(join(use.home.cachePath, name!), text);
    expect(await get()).toBe('token-2');
    expect(await get()).toBe('token-2');
  });

  it('lets one of many work, and the others take its token', async () => {
    const slow = async (): Promise<Credential> => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return obtain()();
    };
    const tokens = await Promise.all(Array.from({ length: 20 }, () => obtainThroughCache(use, KEY, slow)));
    expect(new Set(tokens.map(({ secrets }) => secrets['token']))).toEqual(new Set(['token-1']));
  });

  it('goes on where a vouch was killed while it held the lock', async () => {
    await get();
    const [name] = await entries();
    const lock = join(use.home.cachePath, `${name!}.lock`);
    await mkdir(lock);
    await utimes(lock, new Date(Date.now() - 20_000), new Date(Date.now() - 20_000));
    use.now = NOW + 600_000;
    expect(await get()).toBe('token-2');
    expect(await readdir(use.home.cachePath)).toEqual([name]);
  });

  it('lets the next one try when the one that worked failed', async () => {
    const fail = new CliError('configuration', 'no');
    await expect(obtainThroughCache(use, KEY, async () => { throw fail; })).rejects.toBe(fail);
    expect(await get()).toBe('token-1');
    expect(use.warnings).toEqual([]);
  });

  it('that cannot be written costs an exchange and a note, not the token', async () => {
    await writeFile(use.home.cachePath, 'a file where the folder should be');
    expect(await get()).toBe('token-1');
    expect(use.warnings).toEqual([expect.stringMatching(/^the token is not cached: could not create \S+cache \(EEXIST\)$/)]);
  });

  it('keeps the tokens of a service account without a sign-in, and those of another apart', async () => {
    const service = (clientId: string): CacheKey => ({ ...KEY, identity: { kind: 'service', issuer: SESSION.issuer, clientId, subject: 'nightly@jobs.example.com' } });
    await rm(sandbox.sessionPath);
    expect(await get(service('client-1'))).toBe('token-1');
    expect(await get(service('client-1'))).toBe('token-1');
    expect(await get(service('client-2'))).toBe('token-2');
  });

  it('leaves nothing of a sign-in that ended meanwhile', async () => {
    await obtainThroughCache(use, KEY, async () => {
      await writeSession('two');
      return obtain()();
    });
    expect(await entries()).toEqual([]);
  });

  it('removes what has expired when it keeps something', async () => {
    await get();
    use.now += 3_600_000;
    await get({ ...KEY, audience: 'other' });
    expect(await entries()).toHaveLength(1);
  });

  it('is emptied of one provider or of all, with what a killed write left behind', async () => {
    await get();
    await get({ ...KEY, provider: 'openai' });
    const [name] = (await entries()).filter((entry) => entry.startsWith('anthropic-'));
    await writeFile(join(use.home.cachePath, `${name!}.3127816211`), 'half a tok');
    await purgeCache(use.home, 'anthropic');
    expect((await readdir(use.home.cachePath)).filter((entry) => entry.startsWith('anthropic-'))).toEqual([]);
    expect(await entries()).toHaveLength(1);
    await purgeCache(use.home);
    expect(await readdir(use.home.cachePath)).toEqual([]);
  });
});

describe('vouch credential', () => {
  let world: SignedIn;
  beforeEach(async () => { world = await startSignedIn(); });
  afterEach(async () => { await world.close(); });
  const exchanges = (): number => world.fake.providerRequests.length;

  it('fifty at once make one exchange', async () => {
    await world.setUpAnthropic();
    // Started by shells, twenty-five each: what is measured is vouch, not how fast this process can start others. They
    // give way to the tests that run meanwhile, which fifty processes on two cores would starve.
    const script = 'for i in $(seq 25); do nice -n 5 "$1" "$2" credential anthropic > "$3/$4-$i" 2>&1 & done; wait';
    const folder = join(world.sandbox.home, 'out');
    await mkdir(folder);
    await Promise.all(['a', 'b'].map((name) => startVouch('/bin/sh', ['-c', script, 'sh', process.execPath, BIN, folder, name], { VOUCH_HOME: world.sandbox.home }).outcome));
    const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')));
    expect(texts).toHaveLength(50);
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toMatch(/^sk-ant-oat01-[\w-]+$/);
    expect({ exchanges: exchanges(), minted: world.fake.counts.exchanges }).toEqual({ exchanges: 1, minted: 1 });
    // Half a minute of processor time, on cores that others use too.
  }, 240_000);

  it('serves from the cache with issuer and provider down, as JSON too, and not with --no-cache', async () => {
    const { sandbox, fake, setUpAnthropic } = world;
    await setUpAnthropic();
    const first = await sandbox.run(['credential', 'anthropic']);
    await fake.close();
    expect(await sandbox.run(['credential', 'anthropic'])).toEqual(first);
    const json = await sandbox.run(['credential', 'anthropic', '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ provider: 'anthropic', token: first.stdout, expires_at: expect.stringMatching(/^\d{4}-.*Z$/), audience: null });
    expect(await sandbox.run(['credential', 'anthropic', '--no-cache'])).toMatchObject({ status: 4, stdout: '' });
    expect(await sandbox.run(['credential', 'anthropic', '--audience', 'https://other.example'])).toMatchObject({ status: 4, stdout: '' });
  });

  it('makes an exchange again after another setup, another sign-in and a logout, and keeps no secret in config.json', async () => {
    const { sandbox, fake, setUpAnthropic } = world;
    const cache = join(sandbox.home, 'cache');
    await setUpAnthropic();
    await sandbox.run(['credential', 'anthropic']);
    expect(await readdir(cache)).toHaveLength(1);
    await sandbox.run(SETUP_OPENAI);
    expect(await readdir(cache)).toHaveLength(1);
    await setUpAnthropic();
    expect(await readdir(cache)).toEqual([]);
    await sandbox.run(['credential', 'anthropic']);
    await signIn(sandbox, fake, 'sign-in-2');
    await sandbox.run(['credential', 'anthropic']);
    expect(exchanges()).toBe(3);
    await sandbox.run(['logout']);
    expect(await readdir(cache)).toEqual([]);
    expect(await sandbox.run(['credential', 'anthropic'])).toMatchObject({ status: 3, stdout: '' });
    expect(await readFile(sandbox.configPath, 'utf8')).not.toMatch(/eyJ|sk-ant|refresh/);
  });

  /** A full disk of its own, where this machine lets us mount one: the home is copied there, and back at the end. */
  const ON_FULL_DISK = `
    mount -t tmpfs -o size=64k,mode=700 tmpfs "$3"
    cp -a "$4/." "$3/"
    dd if=/dev/zero of="$3/filler" bs=4k 2> /dev/null
    VOUCH_HOME="$3" "$1" "$2" credential anthropic; echo "status $?" >&2
    sed -i 's/"access_token_expires_at":"[^"]*"/"access_token_expires_at":"1970-01-01T00:00:00Z"/' "$4/session.json"
    rm "$3/filler"; cp "$4/session.json" "$3/"; dd if=/dev/zero of="$3/filler" bs=4k 2> /dev/null
    VOUCH_HOME="$3" "$1" "$2" credential token; echo "status $?" >&2
    cmp "$3/session.json" "$4/session.json" && echo "the session is whole" >&2
    rm "$3/filler"
    VOUCH_HOME="$3" "$1" "$2" credential token > /dev/null; echo "status $?" >&2
  `;
  if (canMount()) {
    it('on a full disk gives the token and a note, and never spends a refresh token whose successor cannot be kept', async () => {
      const { sandbox, fake, setUpAnthropic } = world;
      await setUpAnthropic();
      const mountPoint = join(sandbox.home, '..', 'full');
      await mkdir(mountPoint);
      const { stdout, stderr } = await startVouch('unshare', ['-rm', 'sh', '-c', ON_FULL_DISK, 'sh', process.execPath, BIN, mountPoint, sandbox.home], {}).outcome;
      expect(stdout).toMatch(/^sk-ant-oat01-[\w-]+$/);
      expect(stderr).toMatch(new RegExp([
        /^note: the token is not cached: could not write \S+ \(ENOSPC\)\nstatus 0\n/,
        /error: could not write \S+session\.json \(ENOSPC\)\nhint: .*\nstatus 6\nthe session is whole\nstatus 0\n$/,
      ].map(({ source }) => source).join('')));
      expect(fake.counts).toMatchObject({ refreshes: 1, reuses: 0 });
    });
  }
});

function canMount(): boolean {
  try {
    execFileSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
