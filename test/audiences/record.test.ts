import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAudiences, type Audiences } from '../../server/audiences/audiences.ts';
import type { Storage } from '../../server/storage/storage.ts';
import { createName, DRIVERS, OPENING_MS } from '../support/drivers.ts';
import { createStillClock } from '../support/still_clock.ts';

const ISSUER = 'https://vouch.example';
const clock = createStillClock();
let storage: Storage;
let audiences: Audiences;
let name: string;

beforeAll(async () => {
  storage = await DRIVERS.postgres.open(clock);
  audiences = createAudiences({ store: storage.audiences, issuer: ISSUER, names: ['https://configured.example'], rings: ['RS256', 'ES256'], longestTokenSeconds: 3600, clock });
}, OPENING_MS);
afterAll(() => storage.close());
beforeEach(() => {
  name = `https://${createName('api')}.example`;
});

describe('a record', () => {
  test('has closed defaults', async () => {
    const { audience, advice } = await audiences.add({ name });
    expect(audience).toEqual({
      name, kind: 'federation', preset: 'custom', algorithm: 'RS256', lifetimeSeconds: 600, maxAuthAgeSeconds: undefined, mode: 'enforce', isEnabled: true,
      scopes: [], allow: [], deny: [], clients: [], revision: 1, isConfigured: false,
    });
    expect(advice).toEqual([]);
    expect(await audiences.find(name)).toEqual(audience);
  });

  test('is found byte for byte only', async () => {
    await audiences.add({ name });
    for (const near of [`${name}/`, name.toUpperCase(), name.replace('https', 'HTTPS'), ` ${name}`, `${name}#`]) expect(await audiences.find(near)).toBeUndefined();
  });

  test.each<[what: string, input: Record<string, unknown>, fault: RegExp]>([
    ['no name', { name: undefined }, /name/],
    ['a name with a space', { name: 'a b' }, /name must be 1-256 visible ASCII characters/],
    ['a name of 257 characters', { name: 'x'.repeat(257) }, /name must be 1-256/],
    ['an unknown preset', { preset: 'gcp' }, /preset must be one of anthropic, openai/],
    ['EdDSA', { algorithm: 'EdDSA' }, /algorithm must be RS256 or ES256/],
    ['a lifetime of 59 s', { lifetimeSeconds: 59 }, /lifetime_seconds must be at least 60/],
    ['a lifetime of 3601 s', { lifetimeSeconds: 3601 }, /lifetime_seconds must be at most 3600/],
    ['a lifetime that is no number', { lifetimeSeconds: '600' }, /lifetime_seconds must be a whole number/],
    ['an unknown mode', { mode: 'off' }, /mode must be enforce or audit/],
    ['a clause of nothing', { allow: ['everyone'] }, /"everyone" is no clause/],
    ['a wildcard', { allow: ['domain:*'] }, /"domain:\*" is no clause/],
    ['an account by its e-mail, which can change hands', { allow: ['account:ada@example.com'] }, /is no clause/],
    ['a client that allows', { allow: ['client:vouch-cli'] }, /is no clause/],
    ['an unknown member', { everyone: true }, /everyone/],
    ['ES256 for azure', { preset: 'azure', algorithm: 'ES256' }, /algorithm ES256 will not do for azure: Entra refuses ES256 \(AADSTS5002738\)/],
    ['more than Anthropic’s ceiling', { preset: 'anthropic', lifetimeSeconds: 7200 }, /at most 3600 for anthropic: the issuer setting "Maximum token lifetime"/],
    ['256 characters for aws', { preset: 'aws', name: 'x'.repeat(256) }, /name has 256 characters and AWS takes at most 255/],
    ['an API for a provider', { kind: 'api', preset: 'aws' }, /its preset must be custom/],
    ['an API that is no URI', { kind: 'api', name: 'payments' }, /must be an absolute URI without a fragment/],
    ['scopes for a provider', { scopes: ['read'] }, /scopes are for audiences of kind api/],
    ['a scope of ours', { kind: 'api', scopes: ['openid'] }, /scope openid is the issuer’s own/],
    ['the admin API', { name: `${ISSUER}/admin` }, /is the admin API of this issuer/],
  ])('is refused with %s', async (_what, changes, fault) => {
    await expect(audiences.add({ name, ...changes })).rejects.toMatchObject({ kind: 'refused', code: 'invalid_audience', message: expect.stringMatching(fault) });
    if ('name' in changes) return;
    await audiences.add({ name });
    await expect(audiences.set(name, changes as never)).rejects.toThrow(fault);
    expect(await audiences.find(name)).toMatchObject({ revision: 1 });
  });

  test('says every fault at once', async () => {
    await expect(audiences.add({ name, preset: 'azure', algorithm: 'ES256', lifetimeSeconds: 10 })).rejects.toThrow(/at least 60.*ES256 will not do/);
  });

  test('256 characters are no fault for others, and 255 none for aws', async () => {
    await audiences.add({ name: name.padEnd(256, 'x') });
    await audiences.add({ name: name.padEnd(255, 'y'), preset: 'aws' });
  });

  test('a ring that is not configured is refused', async () => {
    const only = createAudiences({ store: storage.audiences, issuer: ISSUER, names: [], rings: ['RS256'], longestTokenSeconds: 3600, clock });
    await expect(only.add({ name, algorithm: 'ES256' })).rejects.toThrow('algorithm ES256 has no signing keys here; add it to VOUCH_KEY_ALGORITHMS');
  });

  test('a name is taken once, also by two at once', async () => {
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => audiences.add({ name })));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expect(audiences.add({ name })).rejects.toMatchObject({ kind: 'conflict', message: expect.stringContaining('is registered already') });
  });
});

describe('a change', () => {
  test('touches what it names and nothing else, and takes a limit away with 0', async () => {
    await audiences.add({ name, preset: 'aws', allow: ['people'], maxAuthAgeSeconds: 300 });
    expect((await audiences.set(name, { lifetimeSeconds: 120 })).audience).toMatchObject({ preset: 'aws', allow: ['people'], maxAuthAgeSeconds: 300, lifetimeSeconds: 120, revision: 2 });
    expect((await audiences.set(name, { maxAuthAgeSeconds: 0 })).audience).toMatchObject({ maxAuthAgeSeconds: undefined, lifetimeSeconds: 120 });
    expect(await audiences.find(name)).toMatchObject({ maxAuthAgeSeconds: undefined, lifetimeSeconds: 120, revision: 3 });
  });

  test('is checked as a whole: what was right may become wrong', async () => {
    await audiences.add({ name, algorithm: 'ES256' });
    await expect(audiences.set(name, { preset: 'azure' })).rejects.toThrow('ES256 will not do for azure');
    expect(await audiences.find(name)).toMatchObject({ preset: 'custom' });
  });

  test('of two at once one is told', async () => {
    await audiences.add({ name });
    const results = await Promise.allSettled(Array.from({ length: 10 }, (_, index) => audiences.set(name, { lifetimeSeconds: 100 + index })));
    const lost = results.filter(({ status }) => status === 'rejected');
    for (const one of lost) expect((one as PromiseRejectedResult).reason).toMatchObject({ kind: 'conflict' });
    expect((await audiences.find(name))!.revision).toBe(1 + results.length - lost.length);
  });

  test('of what is not registered is not found', async () => {
    await expect(audiences.set(name, {})).rejects.toMatchObject({ kind: 'not_found' });
    await expect(audiences.remove(name)).rejects.toMatchObject({ kind: 'not_found' });
  });
});

describe('what the configuration registers', () => {
  test('is there for people from the start, can be overridden, and comes back', async () => {
    const configured = 'https://configured.example';
    expect(await audiences.find(configured)).toMatchObject({ allow: ['people'], isConfigured: true, revision: 0 });
    await expect(audiences.remove(configured)).rejects.toThrow('is an audience by configuration; disable it instead');
    await audiences.set(configured, { isEnabled: false });
    expect(await audiences.find(configured)).toMatchObject({ isEnabled: false, allow: ['people'], isConfigured: true });
    expect((await audiences.list()).filter((audience) => audience.name === configured)).toHaveLength(1);
    await audiences.remove(configured);
    expect(await audiences.find(configured)).toMatchObject({ isEnabled: true });
  });
});

test('a token never outlives the longest that the issuer gives', async () => {
  await audiences.add({ name, lifetimeSeconds: 3600 });
  const short = createAudiences({ store: storage.audiences, issuer: ISSUER, names: [], rings: ['RS256'], longestTokenSeconds: 30, clock });
  expect(await short.find(name)).toMatchObject({ lifetimeSeconds: 30 });
  expect(await short.find(ISSUER)).toMatchObject({ lifetimeSeconds: 30 });
});

test('100 look-ups at once each get their own', async () => {
  const names = await Promise.all(Array.from({ length: 20 }, async (_, index) => (await audiences.add({ name: `${name}/${index}` })).audience.name));
  const found = await Promise.all(Array.from({ length: 100 }, (_, index) => audiences.find(names[index % 20]!)));
  expect(found.map((audience) => audience?.name)).toEqual(Array.from({ length: 100 }, (_, index) => names[index % 20]));
  expect(await audiences.find(`${name}/none`)).toBeUndefined();
});
