import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { fetchPublic } from '../../server/http/guarded_fetch.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { authorize } from '../support/browser.ts';
import { CLI, codeForm, createCodeRequest, exchangeForm, getCode, postToken, signIn, type Answer, type Tokens } from '../support/oauth.ts';
import { createServiceClient, type ServiceClient } from '../support/service_client.ts';

const ACCESS = 'urn:ietf:params:oauth:token-type:access_token';
const ID = 'urn:ietf:params:oauth:token-type:id_token';
const PROVIDER = 'https://provider.example';
const API = 'https://api.example/payments';

/** Where a job's host publishes its public keys, and what it publishes. */
const JOB_KEYS = 'https://jobs.example.com/jwks.json';
const jobs = { keys: [] as object[], fetches: 0, isAway: false };
const publishJobKeys = (url: string) => {
  jobs.fetches += 1;
  if (jobs.isAway) throw new TypeError(`${url} was not fetched from: it takes too long`);
  return Response.json({ keys: jobs.keys });
};

let issuer: TestIssuer;
let person: Awaited<ReturnType<TestIssuer['createPerson']>>;
let ada: string;
let tokens: Tokens;
let service: ServiceClient;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_HOSTED_DOMAINS: 'example.com' }, { fetchPublic: async (url, ...rest) => (url === JOB_KEYS ? publishJobKeys(url) : fetchPublic(url, ...rest)) });
  person = await issuer.createPerson('ada@example.com');
  ada = (await issuer.app.accounts.lookUp('ada@example.com'))!.id;
  service = await createServiceClient(issuer, 'ci@example.com', ada);
  const { audiences } = issuer.app;
  await audiences.add({ name: PROVIDER, allow: ['people', `service:${service.id}`] });
  await audiences.add({ name: API, kind: 'api', lifetimeSeconds: 300, scopes: ['read', 'write'], allow: ['people', `service:${service.id}`] });
});
afterAll(() => issuer.close());
beforeEach(async () => {
  tokens = await signIn(issuer.url, person);
});

const exchange = (subjectToken: string, more: Record<string, string> = {}) => postToken(issuer.url, exchangeForm(subjectToken, more));
const refusal = ({ status, body }: Answer) => ({ status, error: body.error as string });
const find = (jti: unknown) => issuer.app.audit.find({ jti: String(jti) });

/** What was recorded: a refusal is written in the background. */
async function waitForRows(query: { audience: string; accountId: string; clientId: string }) {
  for (let tries = 0; tries < 200; tries += 1) {
    const rows = await issuer.app.audit.find(query);
    if (rows.length > 0) return rows;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nothing was recorded: ${JSON.stringify(query)}`);
}

describe('the policy', () => {
  const audience = async (changes: Record<string, unknown>) => (await issuer.app.audiences.add({ name: `https://${randomUUID()}.example`, ...changes })).audience.name;

  /** What one asks and gets: the code of the answer, and the clause on record. */
  const gets = (clause: string) => ({ code: 'token', clause });
  const no = (clause: string) => ({ code: 'invalid_target', clause });
  const OLD = { code: 'insufficient_user_authentication', clause: 'sign-in older than 120 s' };
  /** Ada is of the hosted domain and of a group, Eve of neither; `other` is another command line; ci has its own client. */
  const ASKERS = ['ada', 'ada by other', 'eve', 'eve by other', 'ci'] as const;
  type Cells = readonly ReturnType<typeof gets>[];
  const all = (one: ReturnType<typeof gets>): Cells => ASKERS.map(() => one);
  let eve: Awaited<ReturnType<TestIssuer['createPerson']>>;
  let ids: Readonly<Record<string, string>>;

  beforeAll(async () => {
    eve = await issuer.createPerson('eve@elsewhere.example');
    ids = { ada, eve: (await issuer.app.accounts.lookUp('eve@elsewhere.example'))!.id, ci: service.id };
    await issuer.app.accounts.groups.add('payments');
    await issuer.app.accounts.groups.addMember('payments', ada);
    await issuer.app.accounts.groups.addMember('payments', service.id);
    await issuer.app.clients.register({ id: 'other-cli', name: 'Other', redirectUris: ['http://127.0.0.1/callback'], kind: 'native', authentication: 'none', canExchangeTokens: true });
  });

  /** Asks for `name` with a sign-in of its own, and reads what was recorded of it. */
  async function tryOne(asker: string, subjectToken: string, name: string) {
    const [who = '', client] = asker.split(' by ');
    const clientId = who === 'ci' ? service.id : client === undefined ? CLI.id : 'other-cli';
    const { status, body } = who === 'ci' ? await service.exchange(subjectToken, { audience: name }) : await exchange(subjectToken, { audience: name, client_id: clientId });
    const [row] = await waitForRows({ audience: name, accountId: ids[who]!, clientId });
    expect(row).toMatchObject({ kind: status === 200 ? 'token' : 'refusal', event: 'token_exchange', ...(status === 200 ? { jti: decodeJwt(body.access_token as string).jti, subjectJti: decodeJwt(subjectToken).jti } : { code: body.error }) });
    if (status !== 200) expect({ status, said: body.error_description as string }).toEqual({ status: 400, said: expect.stringContaining(`audience "${name}" ${body.error === OLD.code ? 'needs a sign-in of at most 120 s ago' : 'is not for you'}`) });
    return { code: status === 200 ? 'token' : (body.error as string), clause: row!.clause };
  }

  async function signInAll(): Promise<string[]> {
    const by = async (who: typeof person, client: string) => {
      const { code, verifier } = await getCode(issuer.url, who, { client_id: client });
      return (await postToken(issuer.url, { ...codeForm(code, verifier), client_id: client })).body.access_token as string;
    };
    return [await by(person, CLI.id), await by(person, 'other-cli'), await by(eve, CLI.id), await by(eve, 'other-cli'), (await service.ask()).body.access_token as string];
  }

  test.each<[what: string, record: () => Record<string, unknown>, fresh: () => Cells, old?: () => Cells]>([
    ['people', () => ({ allow: ['people'] }), () => [...Array.from({ length: 4 }, () => gets('allow people')), no('no clause allows')]],
    ['the hosted domain', () => ({ allow: ['domain:example.com'] }), () => [gets('allow domain:example.com'), gets('allow domain:example.com'), ...Array.from({ length: 3 }, () => no('no clause allows'))]],
    ['another domain', () => ({ allow: ['domain:other.example'] }), () => all(no('no clause allows'))],
    ['one account', () => ({ allow: [`account:${ids.eve}`] }), () => [no('no clause allows'), no('no clause allows'), gets(`allow account:${ids.eve}`), gets(`allow account:${ids.eve}`), no('no clause allows')]],
    ['one machine', () => ({ allow: [`service:${service.id}`] }), () => [...Array.from({ length: 4 }, () => no('no clause allows')), gets(`allow service:${service.id}`)]],
    ['a group', () => ({ allow: ['group:payments'] }), () => [gets('allow group:payments'), gets('allow group:payments'), no('no clause allows'), no('no clause allows'), gets('allow group:payments')]],
    ['nobody', () => ({}), () => all(no('no clause allows'))],
    ['all but one account', () => ({ allow: ['people'], deny: [`account:${ada}`] }), () => [no(`deny account:${ada}`), no(`deny account:${ada}`), gets('allow people'), gets('allow people'), no('no clause allows')]],
    ['all but a group', () => ({ allow: ['people', `service:${service.id}`], deny: ['group:payments'] }), () => [no('deny group:payments'), no('deny group:payments'), gets('allow people'), gets('allow people'), no('deny group:payments')]],
    ['all but by one client', () => ({ allow: ['people'], deny: ['client:other-cli'] }), () => [gets('allow people'), no('deny client:other-cli'), gets('allow people'), no('deny client:other-cli'), no('no clause allows')]],
    ['whoever comes by one client', () => ({ allow: ['people', `service:${service.id}`], clients: ['other-cli'] }), () => [no('client not named'), gets('allow people'), no('client not named'), gets('allow people'), no('client not named')]],
    ['a new sign-in', () => ({ allow: ['people', `service:${service.id}`], maxAuthAgeSeconds: 120 }), () => [...Array.from({ length: 4 }, () => gets('allow people')), gets(`allow service:${service.id}`)],
      () => [OLD, OLD, OLD, OLD, gets(`allow service:${service.id}`)]],
    ['a new sign-in of a domain, by one client', () => ({ allow: ['domain:example.com'], clients: [CLI.id], maxAuthAgeSeconds: 120 }),
      () => [gets('allow domain:example.com'), no('client not named'), no('no clause allows'), no('no clause allows'), no('no clause allows')],
      () => [OLD, no('client not named'), no('no clause allows'), no('no clause allows'), no('no clause allows')]],
    ['nobody, since it is disabled', () => ({ allow: ['people'], isEnabled: false }), () => all(no('disabled'))],
    ['nobody, tried only', () => ({ mode: 'audit' }), () => all(gets('audit mode; would deny: no clause allows'))],
    ['a new sign-in, tried only', () => ({ mode: 'audit', allow: ['people'], maxAuthAgeSeconds: 120 }), () => [...Array.from({ length: 4 }, () => gets('allow people')), gets('audit mode; would deny: no clause allows')],
      () => [...Array.from({ length: 4 }, () => gets('audit mode; would deny: sign-in older than 120 s')), gets('audit mode; would deny: no clause allows')]],
  ])('an audience for %s: whoever asks, by whichever client, newly signed in or not', async (_what, record, fresh, old = fresh) => {
    const subjectTokens = await signInAll();
    for (const [when, expected] of [['newly signed in', fresh()], ['121 s later', old()]] as const) {
      if (when === '121 s later') issuer.clock.advance(121);
      const name = await audience(record()); // of its own, so that each row of the record is of one question
      const cells: Record<string, unknown> = {};
      for (const [index, asker] of ASKERS.entries()) cells[asker] = await tryOne(asker, subjectTokens[index]!, name);
      expect({ when, cells }).toEqual({ when, cells: Object.fromEntries(ASKERS.map((asker, index) => [asker, expected[index]])) });
    }
  });

  test('a group lets in from the next request on, and keeps out likewise', async () => {
    const { groups } = issuer.app.accounts;
    await groups.add('ml');
    const name = await audience({ allow: ['group:ml'] });
    expect(refusal(await exchange(tokens.access_token, { audience: name })).error).toBe('invalid_target');
    await groups.addMember('ml', ada);
    expect((await exchange(tokens.access_token, { audience: name })).status).toBe(200);
    await groups.removeMember('ml', ada);
    expect(refusal(await exchange(tokens.access_token, { audience: name })).error).toBe('invalid_target');
  });

  test('a sign-in that is too old is told how new one must be, and a new one does', async () => {
    const name = await audience({ allow: ['people'], maxAuthAgeSeconds: 120 });
    expect((await exchange(tokens.access_token, { audience: name })).status).toBe(200);
    issuer.clock.advance(121);
    const answer = await exchange(tokens.access_token, { audience: name });
    expect(answer).toMatchObject({ status: 400, body: { error: 'insufficient_user_authentication', max_age: 120 } });
    expect((await exchange((await signIn(issuer.url, person)).access_token, { audience: name })).status).toBe(200);
  });

  test('what an admin takes away is gone at once', async () => {
    const name = await audience({ allow: ['people'] });
    expect((await exchange(tokens.access_token, { audience: name })).status).toBe(200);
    await issuer.app.audiences.set(name, { deny: ['people'] });
    expect(refusal(await exchange(tokens.access_token, { audience: name })).error).toBe('invalid_target');
    await issuer.app.audiences.remove(name);
    expect((await exchange(tokens.access_token, { audience: name })).body.error_description).toContain('is not registered');
  });
});

describe('expiry', () => {
  test('is capped by the audience, by the session and by the subject token, in the token and in the answer', async () => {
    const short = (await issuer.app.audiences.add({ name: `https://${randomUUID()}.example`, lifetimeSeconds: 60, allow: ['people'] })).audience.name;
    const read = async (more: Record<string, string>) => {
      const { body } = await exchange(tokens.access_token, more);
      const { iat = 0, exp = 0, nbf } = decodeJwt(body.access_token as string);
      expect([exp - iat, nbf]).toEqual([body.expires_in, iat]);
      return exp;
    };
    const subject = decodeJwt(tokens.access_token).exp!;
    expect(await read({ audience: PROVIDER })).toBe(subject);
    issuer.clock.advance(300);
    expect(await read({ audience: PROVIDER })).toBe(subject);
    expect((await exchange(tokens.access_token, { audience: short })).body.expires_in).toBe(60);
    issuer.clock.advance(260);
    expect(await read({ audience: short })).toBe(subject);
  });
});

test('a sign-in at an instance whose clock is 3 s ahead is no sign-in of the future', async () => {
  issuer.clock.advance(3);
  const ahead = await signIn(issuer.url, person);
  const asked = await getCode(issuer.url, person, { resource: API, scope: 'openid read' });
  issuer.clock.advance(-3);
  const now = issuer.clock.now().getTime() / 1000;
  expect(decodeJwt(ahead.access_token).auth_time).toBeGreaterThan(now + 1);
  const answers = [
    await exchange(ahead.access_token, { audience: PROVIDER }),
    await exchange(ahead.access_token, { requested_token_type: ACCESS, resource: API }),
    await postToken(issuer.url, codeForm(asked.code, asked.verifier)),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  const late = answers.map(({ body }) => decodeJwt(body.access_token as string)).map(({ iat, auth_time: authTime }) => Number(authTime) - Number(iat));
  expect(late).toEqual([0, 0, 0]);
});

describe('an ID token as subject', () => {
  test('that came with the sign-in is exchanged like the access token', async () => {
    const answer = await exchange(tokens.id_token, { subject_token_type: ID, audience: PROVIDER });
    expect(decodeJwt(answer.body.access_token as string)).toMatchObject({ sub: 'ada@example.com', aud: PROVIDER, vouch_uid: ada, auth_time: decodeJwt(tokens.id_token).auth_time });
  });

  test('for a provider is none: whoever receives one must not be able to use it here', async () => {
    const { body } = await exchange(tokens.access_token, { audience: PROVIDER });
    expect(refusal(await exchange(body.access_token as string, { subject_token_type: ID }))).toEqual({ status: 400, error: 'invalid_request' });
    await issuer.app.audiences.add({ name: CLI.id, allow: ['people'] });
    const confused = await exchange(tokens.access_token, { audience: CLI.id });
    expect((await exchange(confused.body.access_token as string, { subject_token_type: ID })).body.error_description).toContain('it is not the ID token of a session');
  });

  test('is no access token, nor the other way round', async () => {
    expect((await exchange(tokens.id_token)).body.error_description).toContain('it is not an access token');
    expect((await exchange(tokens.access_token, { subject_token_type: ID })).body.error_description).toContain('it is not an ID token');
  });

  test('ends with its session', async () => {
    await fetch(`${issuer.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ client_id: CLI.id, token: tokens.refresh_token }) });
    expect((await exchange(tokens.id_token, { subject_token_type: ID })).body.error_description).toContain('its session has ended');
  });
});

describe('an access token out of an exchange', () => {
  const forApi = (subject: string, more: Record<string, string> = {}) => exchange(subject, { requested_token_type: ACCESS, resource: API, ...more });

  test('is for one API, and no ID token', async () => {
    const { body } = await forApi(tokens.access_token);
    expect(body).toMatchObject({ issued_token_type: ACCESS, token_type: 'Bearer', expires_in: 300 });
    const token = body.access_token as string;
    expect(decodeProtectedHeader(token)).toMatchObject({ typ: 'at+jwt', alg: 'RS256' });
    expect(decodeJwt(token)).toMatchObject({ iss: issuer.url, sub: ada, aud: API, client_id: CLI.id });
    expect(decodeJwt(token)).not.toHaveProperty('grant_id');
    expect((await exchange(token)).body.error_description).toContain('it is for another audience');
  });

  test('of an API that is not registered, or for a provider, is invalid_target', async () => {
    expect(refusal(await exchange(tokens.access_token, { requested_token_type: ACCESS, resource: 'https://api.example/other' })).error).toBe('invalid_target');
    expect((await exchange(tokens.access_token, { requested_token_type: ACCESS, audience: PROVIDER })).body.error_description).toContain('takes ID tokens');
    expect((await exchange(tokens.access_token, { audience: API })).body.error_description).toContain('is an API; ask for requested_token_type');
    expect(refusal(await exchange(tokens.access_token, { requested_token_type: ACCESS, audience: `${issuer.url}/admin` })).error).toBe('invalid_target');
  });

  test('a scope can only become narrower', async () => {
    const signedIn = await signInFor(API, 'openid read write');
    expect(decodeJwt(signedIn.access_token)).toMatchObject({ aud: API, scope: 'read write' });
    const narrow = await exchange(tokens.access_token, { requested_token_type: ACCESS, audience: issuer.url, scope: 'openid' });
    expect(narrow.body).toMatchObject({ scope: 'openid' });
    const narrower = narrow.body.access_token as string;
    expect(refusal(await exchange(narrower, { requested_token_type: ACCESS, audience: issuer.url, scope: 'openid email' }))).toEqual({ status: 400, error: 'invalid_scope' });
    expect(decodeJwt((await exchange(narrower, { requested_token_type: ACCESS, audience: issuer.url })).body.access_token as string).scope).toBe('openid');
    expect((await fetch(`${issuer.url}/oauth/userinfo`, { headers: { authorization: `Bearer ${narrower}` } })).status).toBe(200);
    expect(refusal(await forApi(tokens.access_token, { scope: 'read' })).error).toBe('invalid_scope');
  });
});

async function signInFor(resource: string, scope: string): Promise<Tokens> {
  const { code, verifier } = await getCode(issuer.url, person, { resource, scope });
  const { status, body } = await postToken(issuer.url, codeForm(code, verifier));
  if (status !== 200) throw new Error(JSON.stringify(body));
  return body as Tokens;
}

describe('who acts for whom', () => {
  const actor = (token: string) => ({ actor_token: token, actor_token_type: ACCESS });

  test('stands in act, and every actor before within', async () => {
    const bob = await signIn(issuer.url, await issuer.createPerson(`bob-${randomUUID()}@example.com`));
    const { access_token: machine } = (await service.ask()).body as { access_token: string };
    const first = await exchange(tokens.access_token, { requested_token_type: ACCESS, audience: issuer.url, ...actor(machine) });
    expect(decodeJwt(first.body.access_token as string).act).toEqual({ sub: 'ci@example.com', vouch_uid: service.id });
    const second = await exchange(first.body.access_token as string, { audience: PROVIDER, ...actor(bob.access_token) });
    const claims = decodeJwt(second.body.access_token as string);
    expect(claims).toMatchObject({ sub: 'ada@example.com', act: { sub: expect.stringMatching(/^bob-/), act: { sub: 'ci@example.com', vouch_uid: service.id } } });
    expect(await find(claims.jti)).toMatchObject([{ act: claims.act, subject: 'ada@example.com' }]);
    // The chain stays when nobody new acts.
    const third = await exchange(first.body.access_token as string, { audience: PROVIDER });
    expect(decodeJwt(third.body.access_token as string).act).toEqual({ sub: 'ci@example.com', vouch_uid: service.id });
  });

  test('is refused for an actor without a session, of one account, and beyond four', async () => {
    expect((await exchange(tokens.access_token, actor('nonsense'))).body.error_description).toContain('actor_token is unusable');
    expect((await exchange(tokens.access_token, actor(tokens.access_token))).body.error_description).toContain('are of one account');
    const others = await Promise.all(Array.from({ length: 5 }, async (_, index) => createServiceClient(issuer, `job-${index}-${randomUUID()}@example.com`, ada)));
    let token = tokens.access_token;
    for (const [index, other] of others.entries()) {
      const answer = await exchange(token, { requested_token_type: ACCESS, audience: issuer.url, ...actor((await other.ask()).body.access_token as string) });
      if (index === 4) expect(answer.body.error_description).toContain('4 have acted for each other already');
      else token = answer.body.access_token as string;
    }
    expect((await exchange(tokens.access_token, actor(token))).body.error_description).toContain('somebody acts for its account already');
  });
});

describe('a machine', () => {
  test('gets an access token for its key, and an ID token that claims no person', async () => {
    const { status, body } = await service.ask();
    expect({ status, type: body.token_type, expiresIn: body.expires_in, refresh: body.refresh_token }).toEqual({ status: 200, type: 'Bearer', expiresIn: 600, refresh: undefined });
    const access = decodeJwt(body.access_token as string);
    expect(access).toMatchObject({ iss: issuer.url, sub: service.id, client_id: service.id, aud: issuer.url, amr: ['pop'] });
    expect(await find(access.jti)).toMatchObject([{ event: 'client_credentials', tokenKind: 'access_token', accountId: service.id, subject: 'ci@example.com' }]);
    const exchanged = await service.exchange(body.access_token as string, { audience: PROVIDER });
    const { iat, exp, nbf, jti, ...claims } = decodeJwt(exchanged.body.access_token as string);
    expect(claims).toEqual({ iss: issuer.url, sub: 'ci@example.com', aud: PROVIDER, amr: ['pop'], vouch_uid: service.id });
    expect(exp! - iat!).toBeLessThanOrEqual(600);
    expect(nbf).toBe(iat);
    expect(await find(jti)).toMatchObject([{ event: 'token_exchange', accountId: service.id, clause: `allow service:${service.id}` }]);
  });

  test('has no audience that does not name it: not even the issuer’s own', async () => {
    const { body } = await service.ask();
    const answer = await service.exchange(body.access_token as string);
    expect(answer.body.error_description).toContain('no clause allows it for this account');
  });

  test('cannot be spoken for by another client, and its token is no session', async () => {
    const { body } = await service.ask();
    expect((await exchange(body.access_token as string, { audience: PROVIDER })).body.error_description).toContain('given to another client');
    expect((await service.exchange(tokens.access_token, { audience: PROVIDER })).body.error_description).toContain('given to another client');
    expect((await fetch(`${issuer.url}/oauth/userinfo`, { headers: { authorization: `Bearer ${body.access_token as string}` } })).status).toBe(401);
  });

  test('is refused without an assertion, and with one for another issuer', async () => {
    expect(refusal(await postToken(issuer.url, { grant_type: 'client_credentials', client_id: service.id }))).toEqual({ status: 401, error: 'invalid_client' });
    const form = { ...(await service.authenticate()), client_assertion: await service.assert({ aud: 'https://other.example' }) };
    expect(refusal(await postToken(issuer.url, { grant_type: 'client_credentials', ...form }))).toEqual({ status: 401, error: 'invalid_client' });
  });

  test('is refused with another key, an expired assertion, and one that was used', async () => {
    const send = (client_assertion: string) => postToken(issuer.url, { grant_type: 'client_credentials', client_id: service.id, client_assertion, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(refusal(await send(await service.assert({}, privateKey)))).toEqual({ status: 401, error: 'invalid_client' });
    expect(refusal(await send(await service.assert({ exp: Math.floor(Date.now() / 1000) - 60 })))).toEqual({ status: 401, error: 'invalid_client' });
    const once = await service.assert();
    expect((await send(once)).status).toBe(200);
    expect(refusal(await send(once))).toEqual({ status: 401, error: 'invalid_client' });
  });

  test('that is disabled gets nothing, nor does what it holds', async () => {
    const other = await createServiceClient(issuer, `off-${randomUUID()}@example.com`, ada);
    const { body } = await other.ask();
    await issuer.app.accounts.services.setStatus(other.subject, 'suspended');
    expect((await other.exchange(body.access_token as string)).body.error_description).toContain('its account is closed');
    expect(refusal(await other.ask())).toEqual({ status: 400, error: 'unauthorized_client' });
  });

  test('changes its key with an overlap, and without', async () => {
    const other = await createServiceClient(issuer, `turn-${randomUUID()}@example.com`, ada);
    const { services } = issuer.app.clients;
    const next = () => ({ jwks: { keys: [{ ...(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) as Record<string, string>), kid: randomUUID(), alg: 'ES256' }] } });
    expect((await services.replaceKeys(other.id, next(), { keepsNewest: true })).kids).toHaveLength(2);
    expect((await other.ask()).status).toBe(200);
    expect((await services.replaceKeys(other.id, next(), { keepsNewest: true })).kids).not.toContain(other.kid);
    expect(refusal(await other.ask())).toEqual({ status: 401, error: 'invalid_client' });
    expect((await services.replaceKeys(other.id, next(), { keepsNewest: false })).kids).toHaveLength(1);
  });

  test.each([
    ['http', 'http://keys.example/jwks'], ['an address', 'https://10.0.0.1/jwks'], ['an IPv6 address', 'https://[::1]/jwks'], ['this host', 'https://localhost/jwks'],
    ['an inner name', 'https://vault.internal/jwks'], ['a password', 'https://a:b@keys.example/jwks'], ['a fragment', 'https://keys.example/jwks#x'],
  ])('publishes no keys at %s', async (_what, jwksUri) => {
    await expect(issuer.app.clients.services.register({ id: randomUUID(), name: 'x', keys: { jwksUri } })).rejects.toMatchObject({ code: 'invalid_jwks_uri' });
  });

  test('whose jwks_uri leads to this machine by its name is refused, with nothing fetched', async () => {
    const { services } = issuer.app.clients;
    const other = await createServiceClient(issuer, `far-${randomUUID()}@example.com`, ada);
    await services.replaceKeys(other.id, { jwksUri: 'https://nothing.example.invalid/jwks' }, { keepsNewest: false });
    expect(refusal(await other.ask())).toEqual({ status: 401, error: 'invalid_client' });
  });

  test('publishes its keys at its own host, changes them there, and is refused while that host is away', async () => {
    const other = await createServiceClient(issuer, `host-${randomUUID()}@example.com`, ada);
    const make = () => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const kid = randomUUID();
      return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' } };
    };
    const askWith = async ({ kid, privateKey }: { kid: string; privateKey: KeyObject }) => {
      const iat = Math.floor(Date.now() / 1000);
      const assertion = await new SignJWT({ iss: other.id, sub: other.id, aud: issuer.url, jti: randomUUID(), iat, exp: iat + 60 }).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey);
      return postToken(issuer.url, { grant_type: 'client_credentials', client_id: other.id, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion });
    };
    const [first, next, foreign] = [make(), make(), make()];
    jobs.keys = [first.jwk];
    await issuer.app.clients.services.replaceKeys(other.id, { jwksUri: JOB_KEYS }, { keepsNewest: false });
    const given = await askWith(first);
    expect(given.status).toBe(200);
    expect(decodeJwt(given.body.access_token as string)).toMatchObject({ sub: other.id });
    expect(refusal(await other.ask())).toEqual({ status: 401, error: 'invalid_client' }); // by the key that was registered before
    expect(refusal(await askWith(foreign))).toEqual({ status: 401, error: 'invalid_client' });
    expect(refusal(await askWith({ ...foreign, kid: first.kid }))).toEqual({ status: 401, error: 'invalid_client' });
    // A new key is looked for a minute after the last look; one that is gone from there, or a host that is away, is noticed in five.
    jobs.keys = [next.jwk];
    issuer.clock.advance(61);
    expect((await askWith(next)).status).toBe(200);
    expect(refusal(await askWith(first))).toEqual({ status: 401, error: 'invalid_client' });
    jobs.keys = [first.jwk];
    issuer.clock.advance(300);
    expect(refusal(await askWith(next))).toEqual({ status: 401, error: 'invalid_client' });
    expect((await askWith(first)).status).toBe(200);
    jobs.isAway = true;
    issuer.clock.advance(300);
    expect(refusal(await askWith(first))).toEqual({ status: 401, error: 'invalid_client' });
    jobs.isAway = false;
    expect((await askWith(first)).status).toBe(200);
    issuer.clock.advance(-661);
    expect(jobs.fetches).toBeGreaterThan(2);
  });

  test.each<[string, Record<string, unknown>]>([
    ['a private half', { kty: 'EC', crv: 'P-256', alg: 'ES256', kid: 'a', x: 'x', y: 'y', d: 'd' }],
    ['a secret', { kty: 'oct', k: 'k', kid: 'a', alg: 'HS256' }],
    ['no kid', { kty: 'EC', crv: 'P-256', alg: 'ES256' }],
    ['a point that is none', { kty: 'EC', crv: 'P-256', alg: 'ES256', kid: 'a', x: 'AA', y: 'AA' }],
    ['another curve', { kty: 'EC', crv: 'P-384', alg: 'ES384', kid: 'a' }],
    ['a short RSA key', { ...(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' }) as object), alg: 'RS256', kid: 'a' }],
  ])('cannot register %s', async (_what, key) => {
    await expect(issuer.app.clients.services.register({ id: randomUUID(), name: 'x', keys: { jwks: { keys: [key as never] } } })).rejects.toMatchObject({ code: 'invalid_jwks' });
  });
});

describe('resource (RFC 8707)', () => {
  test('on an authorization request names the one audience of its access tokens, and a refresh cannot widen it', async () => {
    const given = await signInFor(API, 'openid read');
    expect(decodeJwt(given.access_token)).toMatchObject({ aud: API, scope: 'read' });
    expect(given.expires_in).toBe(300);
    const refresh = (refreshToken: string, more: Record<string, string> = {}) => postToken(issuer.url, { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: refreshToken, ...more });
    const again = await refresh(given.refresh_token);
    expect(decodeJwt(again.body.access_token as string)).toMatchObject({ aud: API, scope: 'read' });
    expect(refusal(await refresh(again.body.refresh_token as string, { resource: issuer.url })).error).toBe('invalid_target');
    expect(refusal(await refresh(again.body.refresh_token as string, { scope: 'openid read write' })).error).toBe('invalid_scope');
  });

  test('of several, each token is for the one that is named with its request', async () => {
    const { url, verifier } = createCodeRequest(issuer.url, { resource: API, scope: 'openid read' });
    const callback = await authorize(person.browser, `${url}&resource=${encodeURIComponent(issuer.url)}`, person.passkey);
    const form = codeForm(callback.searchParams.get('code')!, verifier);
    const { body } = await postToken(issuer.url, { ...form, resource: API });
    expect(decodeJwt(body.access_token as string)).toMatchObject({ aud: API, scope: 'read' });
    const refresh = { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: body.refresh_token as string };
    const other = await postToken(issuer.url, { ...refresh, resource: issuer.url });
    expect(decodeJwt(other.body.access_token as string)).toMatchObject({ aud: issuer.url, scope: 'openid' });
    expect(refusal(await postToken(issuer.url, { ...refresh, refresh_token: other.body.refresh_token as string }))).toEqual({ status: 400, error: 'invalid_target' });
  });

  test('that would be denied, were its policy enforced, is counted and logged with every grant', async () => {
    const tried = `https://${randomUUID()}.example`;
    await issuer.app.audiences.add({ name: tried, kind: 'api', scopes: ['read'], mode: 'audit' });
    const ops = createServer(issuer.app.handleOps).listen(0, '127.0.0.1');
    await once(ops, 'listening');
    const count = async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${(ops.address() as AddressInfo).port}/metrics`)).text();
      return Number(metrics.split('\n').find((line) => line.startsWith(`vouch_policy_would_deny_total{audience="${tried}"}`))?.split(' ').at(-1) ?? 0);
    };
    try {
      const given = await signInFor(tried, 'openid read');
      expect(await count()).toBe(1);
      expect((await postToken(issuer.url, { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: given.refresh_token })).status).toBe(200);
      expect(await count()).toBe(2);
      expect((await service.ask({ resource: tried })).status).toBe(200);
      expect(await count()).toBe(3);
      expect((await exchange(tokens.access_token, { requested_token_type: ACCESS, resource: tried })).status).toBe(200);
      expect(await count()).toBe(4);
      const told = issuer.logged.filter((line) => (line as { audience?: string } | undefined)?.audience === tried);
      expect(told).toEqual(Array.from({ length: 4 }, () => expect.objectContaining({ audience: tried, clause: 'audit mode; would deny: no clause allows' })));
      await signInFor(API, 'openid read');
      expect(await count()).toBe(4);
    } finally {
      ops.close();
    }
  });

  test('that is unknown, for a provider, or nearly right is invalid_target', async () => {
    for (const resource of ['https://api.example', `${API}/`, PROVIDER, API.toUpperCase()]) {
      const { callback } = await getCode(issuer.url, person, { resource }).catch((error: unknown) => ({ callback: new URL(`https://x/?error=${String(error)}`) }));
      expect(callback.searchParams.get('error')).toBe('invalid_target');
    }
    expect(refusal(await service.ask({ resource: `${API}/` })).error).toBe('invalid_target');
  });

  test('of a machine is checked against the policy of the API', async () => {
    const { body } = await service.ask({ resource: API, scope: 'read' });
    expect(decodeJwt(body.access_token as string)).toMatchObject({ aud: API, sub: service.id, scope: 'read' });
    const other = await createServiceClient(issuer, `no-${randomUUID()}@example.com`, ada);
    expect(refusal(await other.ask({ resource: API })).error).toBe('invalid_target');
    expect(refusal(await other.ask({ resource: `${issuer.url}/admin` })).error).toBe('invalid_target');
  });
});

describe('a key that may not sign any more when its token is there', () => {
  // As of a process that was stopped for an hour in between.
  const mayNotAfter = async (looks: number, ask: () => Promise<Response>) => {
    const maySign = issuer.app.keys.maySign.bind(issuer.app.keys);
    let asked = 0;
    Object.assign(issuer.app.keys, { maySign: (...given: Parameters<typeof maySign>) => (asked += 1) <= looks && maySign(...given) });
    try {
      const response = await ask();
      return { status: response.status, retryAfter: response.headers.get('retry-after'), body: await response.json(), asked };
    } finally {
      Object.assign(issuer.app.keys, { maySign });
    }
  };
  const outOfTouch = { status: 503, retryAfter: '1', body: { error: 'temporarily_unavailable' }, asked: 2 };
  const postExchange = (form: Record<string, string>) => fetch(`${issuer.url}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });

  test.each<[string, () => Promise<Response>]>([
    ['the straight way', () => postExchange(exchangeForm(tokens.access_token))],
    ['the way through the library', () => postExchange({ ...exchangeForm(tokens.access_token), client_secret: '' })],
    ['the path of older command lines', () => fetch(`${issuer.url}/v1/credentials/aws/token`, { headers: { authorization: `Bearer ${tokens.access_token}` } })],
  ])('%s gives none', async (_what, ask) => {
    expect(await mayNotAfter(1, ask)).toMatchObject(outOfTouch);
    expect((await ask()).status).toBe(200);
  });
});

describe('the path of older command lines', () => {
  const get = async (token: string | undefined, query = '') => {
    const response = await fetch(`${issuer.url}/v1/credentials/aws/token${query}`, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
  };

  test('gives the same ID token for the bearer of a session', async () => {
    const { status, body, headers } = await get(tokens.access_token);
    expect({ status, keys: Object.keys(body), cache: headers.get('cache-control') }).toEqual({ status: 200, keys: ['id_token', 'expires_in'], cache: 'no-store' });
    const { aud, sub, exp, iat, jti } = decodeJwt(body.id_token as string);
    expect({ aud, sub, seconds: exp! - iat! }).toEqual({ aud: issuer.url, sub: 'ada@example.com', seconds: body.expires_in });
    expect(await find(jti)).toMatchObject([{ kind: 'token', accountId: ada }]);
    expect(decodeJwt((await get(tokens.access_token, `?audience=${encodeURIComponent(PROVIDER)}`)).body.id_token as string).aud).toBe(PROVIDER);
  });

  test('tells what is wrong', async () => {
    expect(refusal(await get(undefined))).toEqual({ status: 401, error: 'invalid_request' });
    const bad = await get('nonsense');
    expect([refusal(bad), bad.headers.get('www-authenticate')]).toEqual([{ status: 401, error: 'invalid_token' }, 'Bearer error="invalid_token"']);
    expect(refusal(await get(tokens.access_token, '?audience=https://nobody.example'))).toEqual({ status: 400, error: 'invalid_target' });
    expect(refusal(await get(tokens.access_token, `?audience=${issuer.url}&audience=${PROVIDER}`))).toEqual({ status: 400, error: 'invalid_target' });
    expect((await fetch(`${issuer.url}/v1/credentials/aws/token`, { method: 'POST' })).status).toBe(405);
  });

  test('is closed to a client that may not exchange', async () => {
    await issuer.app.clients.register({ id: 'reader', name: 'Reader', redirectUris: ['http://127.0.0.1/callback'], kind: 'native', authentication: 'none' });
    const { code, verifier } = await getCode(issuer.url, person, { client_id: 'reader' });
    const { body } = await postToken(issuer.url, { ...codeForm(code, verifier), client_id: 'reader' });
    expect(refusal(await get(body.access_token as string))).toEqual({ status: 400, error: 'unauthorized_client' });
  });
});

test('every token of a sign-in is on record before it leaves', async () => {
  const jtis = [tokens.access_token, tokens.id_token].map((token) => decodeJwt(token).jti);
  for (const jti of jtis) expect(await find(jti)).toMatchObject([{ kind: 'token', event: 'authorization_code', accountId: ada, subject: 'ada@example.com', clientId: CLI.id, kid: expect.any(String), ip: expect.any(String), expiresAt: expect.any(Date) }]);
  const refresh = await issuer.app.audit.find({ accountId: ada, kind: 'token', limit: 20 });
  expect(refresh.map(({ tokenKind }) => tokenKind)).toContain('refresh_token');
  const signIns = await issuer.app.audit.find({ accountId: ada, kind: 'sign_in', limit: 200 });
  expect(signIns.map(({ event }) => event)).toEqual(expect.arrayContaining(['enrolled', 'signed_in']));
  // What would be usable is nowhere in the record.
  expect(JSON.stringify(refresh, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))).not.toContain(tokens.refresh_token);
});
