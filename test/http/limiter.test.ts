import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { Redis } from 'ioredis';
import { createLimiter } from '../../server/http/limiter.ts';
import { createMemoryLimits, createRedisLimits } from '../../server/storage/limits.ts';
import { createBrowser, enrol } from '../support/browser.ts';
import { findFreePort } from '../support/free_port.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { createCodeRequest, exchangeForm, postToken, signIn } from '../support/oauth.ts';
import { testRedisUrl } from '../support/services.ts';
import { createStillClock } from '../support/still_clock.ts';
import { createSoftwarePasskey, type SoftwarePasskey } from '../support/software_passkey.ts';
import { startUpstreamIssuer, UPSTREAM_CLIENT, type UpstreamIssuer } from '../support/upstream_issuer.ts';
import { follow, openSignIn, visitUpstream } from '../support/upstream_visit.ts';

/* Rate limits: by network and by account, over instances, and with Redis away. */

describe.each(['memory', 'Redis'])('counting in %s', (store) => {
  let redis: Redis | undefined;
  beforeAll(async () => {
    redis = store === 'Redis' ? new Redis(testRedisUrl()) : undefined;
    await redis?.ping();
  });
  afterAll(() => { redis?.disconnect(); });
  const open = () => (redis === undefined ? createMemoryLimits() : createRedisLimits(redis));

  test('lets so many through, and says how long the next has to wait', async () => {
    const [limits, key] = [open(), randomUUID()];
    for (let take = 0; take < 3; take += 1) expect(await limits.take('a', key, { points: 3, seconds: 60 }, 1)).toBeUndefined();
    const waitMs = (await limits.take('a', key, { points: 3, seconds: 60 }, 1))!;
    expect(waitMs).toBeGreaterThan(50_000);
    expect(waitMs).toBeLessThanOrEqual(60_000);
    expect(await limits.take('b', key, { points: 3, seconds: 60 }, 1)).toBeUndefined();
    expect(await limits.take('a', randomUUID(), { points: 3, seconds: 60 }, 1)).toBeUndefined();
  });

  test('takes back what was counted, of that key alone', async () => {
    const [limits, key] = [open(), randomUUID()];
    const allowance = { points: 2, seconds: 60 };
    for (let take = 0; take < 5; take += 1) {
      expect(await limits.take('g', key, allowance, 1)).toBeUndefined();
      await limits.giveBack('g', key, allowance, 1);
    }
    for (let take = 0; take < 2; take += 1) expect(await limits.take('g', key, allowance, 1)).toBeUndefined();
    await limits.giveBack('g', randomUUID(), allowance, 1);
    expect(await limits.take('g', key, allowance, 1)).toBeGreaterThan(0);
  });

  test('takes several at once, and forgets them when their time is over', async () => {
    const [limits, key] = [open(), randomUUID()];
    expect(await limits.take('c', key, { points: 10, seconds: 1 }, 11)).toBeGreaterThan(0);
    await sleep(1_100);
    expect(await limits.take('c', key, { points: 10, seconds: 1 }, 10)).toBeUndefined();
  });
});

test('two instances count together', async () => {
  const connections = [new Redis(testRedisUrl()), new Redis(testRedisUrl())];
  await Promise.all(connections.map((redis) => redis.ping()));
  const [one, other] = connections.map((redis) => createRedisLimits(redis));
  const key = randomUUID();
  expect(await one!.take('d', key, { points: 2, seconds: 60 }, 2)).toBeUndefined();
  expect(await other!.take('d', key, { points: 2, seconds: 60 }, 1)).toBeGreaterThan(0);
  for (const redis of connections) redis.disconnect();
});

test('with Redis away it counts in this process, at once', async () => {
  const redis = new Redis({ port: 1, lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 1 });
  redis.on('error', () => undefined);
  const limits = createRedisLimits(redis);
  const startedAt = performance.now();
  expect(await limits.take('e', 'k', { points: 1, seconds: 60 }, 1)).toBeUndefined();
  expect(await limits.take('e', 'k', { points: 1, seconds: 60 }, 1)).toBeGreaterThan(0);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  redis.disconnect();
});

describe('the issuer', () => {
  let issuer: TestIssuer;
  let upstream: UpstreamIssuer;
  beforeAll(async () => {
    // A tenth of each allowance; one proxy, so that a test can come from where it likes.
    const port = await findFreePort();
    upstream = await startUpstreamIssuer({ redirectUri: `http://localhost:${port}/login/upstream/okta/callback` });
    issuer = await startTestIssuer({
      VOUCH_RATE_LIMIT_SCALE: '0.1', VOUCH_TRUSTED_PROXIES: '1', VOUCH_PORT: String(port), VOUCH_UPSTREAMS: JSON.stringify([{ id: 'okta', name: 'Okta', issuer: upstream.url, ...UPSTREAM_CLIENT, domains: ['example.com'] }]),
    });
  });
  afterAll(async () => {
    await issuer.close();
    await upstream.close();
  });

  let serial = 0;
  /** A network of its own. */
  const newNetwork = () => `2001:db8:${(serial += 1).toString(16)}:${Math.floor(Math.random() * 65_536).toString(16)}`;
  const from = (address: string, more: Record<string, string> = {}) => ({ 'X-Forwarded-For': address, ...more });
  /** Somebody new, from a network of their own: the counts of this machine's are those of every test that runs now. */
  async function createPerson(email: string) {
    const [browser, passkey] = [createBrowser(issuer.url, issuer.url, from(`${newNetwork()}::1`)), createSoftwarePasskey({ origin: issuer.url })];
    await enrol(browser, `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'N' }, passkey);
    return { browser, passkey };
  }
  const guess = (address: string) => fetch(`${issuer.url}/login/enrol/${'x'.repeat(43)}`, { headers: from(address, { Accept: 'text/html' }) });
  /** Asks until it is held up, and gives that answer; fails after `most`. */
  async function untilHeldUp(most: number, ask: () => Promise<Response>): Promise<{ response: Response; asked: number }> {
    for (let asked = 0; asked < most; asked += 1) {
      const response = await ask();
      if (response.status === 429) return { response, asked };
      await response.arrayBuffer();
      if (asked % 5 === 4) await sleep(300);
    }
    throw new Error(`not held up after ${most} requests`);
  }

  test('holds up a network that guesses invitations, on a page that says for how long', async () => {
    const network = newNetwork();
    let host = 0;
    const { response, asked } = await untilHeldUp(40, () => guess(`${network}::${(host += 1).toString(16)}`));
    expect(asked).toBeGreaterThanOrEqual(10);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(200);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await response.text()).toMatch(/Too many attempts[^]*Try again in 5 minutes/);
    expect(issuer.logged).toEqual(expect.arrayContaining([expect.objectContaining({ rule: 'sign-in refused' })]));
    // The neighbour goes on, and so do those who only read what is public.
    expect((await guess(`${newNetwork()}::1`)).status).toBe(410);
    for (const path of ['/oauth/jwks', '/.well-known/openid-configuration', '/healthz']) expect((await fetch(issuer.url + path, { headers: from(`${network}::1`) })).status).toBe(200);
  });

  test('is over when its time is', async () => {
    const network = newNetwork();
    await untilHeldUp(40, () => guess(`${network}::1`));
    issuer.clock.advance(301);
    expect((await guess(`${network}::1`)).status).toBe(410);
    issuer.clock.advance(-301);
  });

  test('what an inventive client writes in front of the header changes nothing', async () => {
    const network = newNetwork();
    await untilHeldUp(40, () => guess(`${newNetwork()}::1, ${network}::1`));
    expect((await guess(`1.2.3.4, ${network}::2`)).status).toBe(429);
  });

  test('refused token requests are counted, and answered in JSON', async () => {
    const network = newNetwork();
    const ask = () => fetch(`${issuer.url}/oauth/token`, { method: 'POST', headers: from(`${network}::1`), body: new URLSearchParams(exchangeForm('nonsense')) });
    for (let round = 0; round < 4; round += 1) {
      await Promise.all(Array.from({ length: 30 }, ask));
      await sleep(300);
    }
    const held = await ask();
    expect(held.status).toBe(429);
    expect(held.headers.get('cache-control')).toBe('no-store');
    expect(Number(held.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await held.json()).toMatchObject({ error: 'temporarily_unavailable', error_description: expect.stringContaining('Try again in') });
  });

  describe('failed sign-ins', () => {
    type Verdict = { status: number; retry: string | null; error?: string; message?: string; redirect?: string };
    /** One ceremony, from a network of its own; `bend` spoils the passkey's answer. */
    async function tryPasskey(passkey: SoftwarePasskey, bend: (response: { id: string; response: { signature: string } }) => void = () => undefined): Promise<Verdict> {
      const browser = createBrowser(issuer.url, issuer.url, from(`${newNetwork()}::1`));
      const page = await openSignIn(browser, createCodeRequest(issuer.url).url);
      const { options } = (await (await browser.postJson(`${page}/options`, {})).json()) as { options: never };
      const response = passkey.get(options) as { id: string; response: { signature: string } };
      bend(response);
      const answer = await browser.postJson(`${page}/verify`, { response });
      return { status: answer.status, retry: answer.headers.get('retry-after'), ...((await answer.json()) as object) };
    }
    const spoil = (response: { response: { signature: string } }) => {
      response.response.signature = Buffer.from('no').toString('base64url');
    };

    test('of an account are counted wherever they come from; its own passkey still gets in, and nobody else is held up', async () => {
      const { passkey } = await createPerson('target@example.com');
      const { passkey: other } = await createPerson('bystander@example.com');
      for (let time = 0; time < 3; time += 1) expect(await tryPasskey(passkey, spoil)).toMatchObject({ status: 400, error: 'passkey_rejected', retry: null });
      await sleep(400);
      const held = await tryPasskey(passkey, spoil);
      expect(held).toMatchObject({ status: 429, error: 'too_many_attempts', message: expect.stringMatching(/^Too many answers of this passkey were wrong\. Use another, or try again in 5 minutes\.$/) });
      expect(Number(held.retry)).toBeGreaterThan(200);
      expect(await tryPasskey(passkey)).toMatchObject({ status: 200, redirect: expect.any(String) });
      expect(await tryPasskey(other, spoil)).toMatchObject({ status: 400, error: 'passkey_rejected' });
      expect(issuer.logged).toEqual(expect.arrayContaining([expect.objectContaining({ rule: 'failed sign-ins of an account' })]));
      issuer.clock.advance(301);
      expect(await tryPasskey(passkey, spoil)).toMatchObject({ status: 400, error: 'passkey_rejected' });
      issuer.clock.advance(-301);
    });

    test('that succeed are not counted, nor those of a passkey that nobody has', async () => {
      const { passkey } = await createPerson('busy@example.com');
      for (let time = 0; time < 4; time += 1) {
        expect((await tryPasskey(passkey)).status).toBe(200);
        expect(await tryPasskey(passkey, (response) => { response.id = 'x'.repeat(43); })).toMatchObject({ status: 400, error: 'passkey_unknown' });
      }
      await sleep(400);
      expect(await tryPasskey(passkey, spoil)).toMatchObject({ status: 400, error: 'passkey_rejected' });
    });

    test('at an upstream hold up who was refused there, on a page, and not who has the address', async () => {
      const owner = await createPerson('held@example.com');
      const visit = async (sub: string) => {
        upstream.person = { sub, email: 'held@example.com', email_verified: true, name: 'N' };
        const browser = createBrowser(issuer.url, issuer.url, from(`${newNetwork()}::1`));
        const { response } = await follow(browser, await visitUpstream(browser, `${await openSignIn(browser, createCodeRequest(issuer.url).url)}/upstream/okta`));
        return { status: response!.status, retry: Number(response!.headers.get('retry-after')), page: await response!.text() };
      };
      for (let time = 0; time < 3; time += 1) expect(await visit('stranger')).toMatchObject({ status: 400, page: expect.stringContaining('belongs, or belonged, to another account') });
      await sleep(400);
      const held = await visit('stranger');
      expect(held).toMatchObject({ status: 429, page: expect.stringMatching(/<h1>Too many attempts<\/h1>[^]*This sign-in was refused too often\. Ask an admin of your company, or try again in 5 minutes/) });
      expect(held.retry).toBeGreaterThan(200);
      expect((await visit('another stranger')).status).toBe(400);
      expect((await signIn(issuer.url, owner)).access_token).toEqual(expect.any(String));
    });
  });

  test('an account that takes too many tokens is held up wherever it comes from, and nobody else is', async () => {
    const greedy = await createPerson('greedy@example.com');
    const modest = await createPerson('modest@example.com');
    const tokens = await signIn(issuer.url, greedy);
    const ask = () => postToken(issuer.url, exchangeForm(tokens.access_token), from(`${newNetwork()}::1`));
    for (let round = 0; round < 16; round += 1) await Promise.all(Array.from({ length: 20 }, ask));
    await sleep(500);
    const held = await ask();
    expect(held).toMatchObject({ status: 429, body: { error: 'temporarily_unavailable', error_description: expect.stringContaining('too many tokens') } });
    expect(Number(held.headers.get('retry-after'))).toBeGreaterThan(0);
    // Through the library's way, too.
    expect(await postToken(issuer.url, { ...exchangeForm(tokens.access_token), extra: 'x'.repeat(10) }, { ...from(`${newNetwork()}::1`), 'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8' })).toMatchObject({ status: 429 });
    const theirs = await signIn(issuer.url, modest);
    expect((await postToken(issuer.url, exchangeForm(theirs.access_token), from(`${newNetwork()}::1`))).status).toBe(200);
    expect(decodeJwt(theirs.access_token).sub).not.toBe(decodeJwt(tokens.access_token).sub);
  });
});

describe('who seems to share one address', () => {
  const WARNING = /everyone .*seems to share its address/;
  const ask = async (env: Record<string, string>, headers: Record<string, string>, count = 60) => {
    const issuer = await startTestIssuer(env);
    for (let request = 0; request < count; request += 1) await fetch(`${issuer.url}/login/nothing`, { headers });
    const warnings = issuer.logged.filter((line) => typeof line === 'string' && WARNING.test(line));
    await issuer.close();
    return warnings;
  };
  test('behind a proxy that is not trusted is told to the operator, once', async () => {
    expect(await ask({}, { 'X-Forwarded-For': '203.0.113.1' })).toEqual([expect.stringContaining('set VOUCH_TRUSTED_PROXIES to the number of proxies')]);
  });
  test('behind a trusted proxy that says nothing, too', async () => {
    expect(await ask({ VOUCH_TRUSTED_PROXIES: '1' }, {})).toEqual([expect.stringContaining('have it send the header')]);
  });
  const CDN = '198.51.100.1';
  /** What is said of requests with these entries, of which the last is what the nearest proxy wrote. */
  const watch = (requests: readonly string[][], trustedProxies: number) => {
    const said: string[] = [];
    const limiter = createLimiter({ limits: createMemoryLimits(), rules: [], scale: 1, trustedProxies, clock: createStillClock(), renderLimitedPage: () => '', events: { onLimited: () => undefined, onSharedAddress: (fault) => said.push(fault) } });
    for (const entries of requests) limiter.answer({ method: 'GET', headers: { 'x-forwarded-for': entries.join(', ') }, socket: { remoteAddress: '10.0.0.1' } } as never, {} as never, '/');
    return said;
  };
  const people = (count: number, make: (index: number) => string[]) => Array.from({ length: count }, (_, index) => make(index));
  test.each<[string, string[][], number, string[]]>([
    ['a CDN before the balancer, one trusted', people(500, (index) => [`203.0.113.${index % 250}`, CDN]), 1, ['too_few_trusted']],
    ['the same, said once', people(2_000, (index) => [`203.0.113.${index % 250}`, CDN]), 1, ['too_few_trusted']],
    ['the same after a quiet while', [...people(500, (index) => [`203.0.113.${index % 250}`]), ...people(500, (index) => [`203.0.113.${index % 250}`, CDN])], 1, ['too_few_trusted']],
    ['nearly all by way of it', people(500, (index) => (index >= 475 ? ['203.0.113.9'] : ['203.0.113.1', CDN])), 1, ['too_few_trusted']],
    ['not nearly all', people(500, (index) => (index >= 474 ? ['203.0.113.9'] : ['203.0.113.1', CDN])), 1, []],
    ['fewer requests', people(499, () => ['203.0.113.1', CDN]), 1, []],
    ['both trusted', people(1_000, (index) => [`203.0.113.${index % 250}`, CDN]), 2, []],
    ['people who invent entries', people(1_000, (index) => ['10.0.0.1', `203.0.113.${index % 250}`]), 1, []],
    ['one caller alone', people(1_000, () => ['203.0.113.1']), 1, []],
  ])('where more proxies stand in front than are trusted: %s', (_what, requests, trusted, said) => {
    expect(watch(requests, trusted)).toEqual(said);
  });
  test('is told to the operator there, too', async () => {
    expect(await ask({ VOUCH_TRUSTED_PROXIES: '1' }, { 'X-Forwarded-For': `203.0.113.1, ${CDN}` }, 510)).toEqual([expect.stringContaining('to the number of all proxies')]);
  });

  test('and nothing is said where all is well', async () => {
    expect(await ask({}, {})).toEqual([]);
    expect(await ask({ VOUCH_TRUSTED_PROXIES: '1' }, { 'X-Forwarded-For': '203.0.113.1' })).toEqual([]);
  });
});
