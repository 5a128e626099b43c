import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { CLI, codeForm, exchangeForm, getCode, postToken, signIn } from '../support/oauth.ts';
import { query } from '../support/services.ts';

let issuer: TestIssuer;
let admin: Awaited<ReturnType<TestIssuer['createPerson']>>;
let movedBy = 0;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_KEY_POLL_SECONDS: '1', VOUCH_KEY_TICK_SECONDS: '1' });
  admin = await issuer.createPerson('admin@example.com');
});
afterAll(() => issuer.close());
beforeEach(() => {
  issuer.clock.advance(-movedBy);
  movedBy = 0;
});

const getAdminToken = async (scope = 'openid keys:read keys:write', person = admin) => {
  const { code, verifier } = await getCode(issuer.url, person, { resource: `${issuer.url}/admin`, scope });
  return (await postToken(issuer.url, codeForm(code, verifier))).body;
};

interface Ring {
  ring: string;
  keys: { kid: string; state: string }[];
  next_activation: { is_requested: boolean; is_open: boolean; lead_ends_at: string };
}

interface AnswerBody {
  [name: string]: unknown;
  rings: Ring[];
  events: { kind: string }[];
  verifiers: { family: string }[];
}

async function ask(method: string, path: string, token: string | undefined, body?: object) {
  const response = await fetch(`${issuer.url}/admin/api/v1${path}`, {
    method,
    headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body: (await response.json()) as AnswerBody };
}

const readRing = async (ring: string) => {
  const { body } = await ask('GET', '/keys', (await getAdminToken()).access_token);
  return body.rings.find((candidate) => candidate.ring === ring)!;
};
const find = (ring: Ring, state: string) => ring.keys.find((key) => key.state === state)!.kid;

describe('who may', () => {
  test('a token for the admin API is for nothing else, and comes without a refresh token', async () => {
    const tokens = await getAdminToken();
    expect(decodeJwt(tokens.access_token)).toMatchObject({ aud: `${issuer.url}/admin`, scope: 'keys:read keys:write' });
    expect(tokens.refresh_token).toBeUndefined();
    expect((await postToken(issuer.url, exchangeForm(tokens.access_token))).body).toMatchObject({ error: 'invalid_request', error_description: expect.stringContaining('another audience') });
    expect((await fetch(`${issuer.url}/oauth/userinfo`, { headers: { authorization: `Bearer ${tokens.access_token}` } })).status).toBe(401);
  });

  test('nobody without a token, with a session’s token, or with a forged one', async () => {
    expect(await ask('GET', '/keys', undefined)).toMatchObject({ status: 401, challenge: 'Bearer', body: { error: 'invalid_request' } });
    const session = await signIn(issuer.url, admin);
    expect(await ask('GET', '/keys', session.access_token)).toMatchObject({ status: 401, body: { error: 'invalid_token', error_description: expect.stringContaining('another audience') } });
    const [head, , signature] = session.access_token.split('.');
    const forged = Buffer.from(JSON.stringify({ ...decodeJwt(session.access_token), aud: `${issuer.url}/admin` })).toString('base64url');
    expect(await ask('GET', '/keys', `${head}.${forged}.${signature}`)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });

  test('not an account that is no admin', async () => {
    const member = await issuer.createPerson('member@example.com');
    await query(issuer.databaseUrl, "UPDATE accounts SET role = 'member' WHERE email = 'member@example.com'");
    expect(await ask('GET', '/keys', (await getAdminToken(undefined, member)).access_token)).toMatchObject({ status: 403, body: { error: 'access_denied' } });
  });

  test('not with a scope that does not reach', async () => {
    const { access_token: token } = await getAdminToken('openid keys:read');
    expect((await ask('GET', '/keys', token)).status).toBe(200);
    expect(await ask('POST', '/keys/rotate', token, { ring: 'ES256' })).toMatchObject({ status: 403, challenge: expect.stringContaining('scope="keys:write"'), body: { error: 'insufficient_scope' } });
  });

  test('not with an old sign-in, where it changes something', async () => {
    const { access_token: token } = await getAdminToken();
    movedBy = 301;
    issuer.clock.advance(movedBy);
    expect((await ask('GET', '/keys', token)).status).toBe(200);
    expect(await ask('POST', '/keys/rotate', token, { ring: 'ES256' })).toMatchObject({ status: 401, challenge: expect.stringMatching(/insufficient_user_authentication.*max_age="300"/), body: { error: 'insufficient_user_authentication' } });
  });

  test('not another client', async () => {
    await issuer.app.clients.register({ id: 'other', name: 'Other', redirectUris: [CLI.redirectUri], kind: 'native', authentication: 'none' });
    const { callback } = await getCode(issuer.url, admin, { client_id: 'other', resource: `${issuer.url}/admin`, scope: 'openid keys:read' });
    expect(callback.searchParams.get('error')).toBe('invalid_target');
  });
});

describe('what', () => {
  test('the overview names every published key and no private half', async () => {
    const { status, body } = await ask('GET', '/keys', (await getAdminToken()).access_token);
    expect(status).toBe(200);
    const { keys } = (await (await fetch(`${issuer.url}/oauth/jwks`)).json()) as { keys: { kid: string }[] };
    const named = body.rings.flatMap((ring) => ring.keys.map(({ kid }) => kid));
    expect(named.sort()).toEqual(keys.map(({ kid }) => kid).sort());
    expect(JSON.stringify(body)).not.toMatch(/sealed|"d"/);
    expect(body.instances).toMatchObject([{ is_live: true, served_version: body.version }]);
  });

  test('a rotation is asked for once, waits for its lead, and can be called off', async () => {
    const { access_token: token } = await getAdminToken();
    const before = await readRing('ES256');
    expect(await ask('POST', '/keys/rotate', token, { ring: 'ES256' })).toMatchObject({ status: 200, body: { moves: [] } });
    const asked = await readRing('ES256');
    expect(find(asked, 'active')).toBe(find(before, 'active'));
    expect(asked.next_activation).toMatchObject({ is_requested: true, is_open: false });
    expect(await ask('POST', '/keys/rotate', token, { ring: 'ES256' })).toMatchObject({ status: 409, body: { error: 'conflict' } });
    expect(await ask('POST', '/keys/cancel', token, { ring: 'ES256' })).toMatchObject({ status: 200 });
    expect((await readRing('ES256')).next_activation.is_requested).toBe(false);
    expect(await ask('POST', '/keys/cancel', token, { ring: 'ES256' })).toMatchObject({ status: 409 });
  });

  test('two admins who rotate at once: one is told that it is asked for already', async () => {
    const { access_token: token } = await getAdminToken();
    const answers = await Promise.all([1, 2].map(() => ask('POST', '/keys/rotate', token, { ring: 'ES256' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    await ask('POST', '/keys/cancel', token, { ring: 'ES256' });
  });

  test('revoking the active key drops it at once and the standby signs', async () => {
    const tokens = await getAdminToken();
    const session = await signIn(issuer.url, admin);
    const ring = await readRing('RS256');
    const [revoked, standby] = [find(ring, 'active'), find(ring, 'pending')];
    const answer = await ask('POST', `/keys/${revoked}/revoke`, tokens.access_token, { reason: 'it was seen on a laptop' });
    expect(answer).toMatchObject({ status: 200, body: { revoked: { kid: revoked }, moves: expect.arrayContaining([expect.objectContaining({ kind: 'activate', kid: standby })]) } });
    const { keys } = (await (await fetch(`${issuer.url}/oauth/jwks`)).json()) as { keys: { kid: string; alg: string }[] };
    expect(keys.map(({ kid }) => kid)).not.toContain(revoked);
    expect(keys.filter(({ alg }) => alg === 'RS256')).toHaveLength(2);
    // What the revoked key signed is worth nothing here any more; a new sign-in is signed by the standby.
    expect((await postToken(issuer.url, exchangeForm(session.access_token))).body.error).toBe('invalid_request');
    expect(decodeProtectedHeader((await signIn(issuer.url, admin)).access_token).kid).toBe(standby);
  });

  test.each([
    ['an unknown key', 'nothing', 404],
    ['no reason', undefined, 400],
  ])('revoking with %s is refused', async (_what, kid, status) => {
    const { access_token: token } = await getAdminToken();
    const target = kid ?? find(await readRing('RS256'), 'pending');
    expect((await ask('POST', `/keys/${target}/revoke`, token, kid === undefined ? {} : { reason: 'x' })).status).toBe(status);
  });

  test('revoking the standby publishes another; revoking what is out of use is refused', async () => {
    const { access_token: token } = await getAdminToken();
    const standby = find(await readRing('ES256'), 'pending');
    expect((await ask('POST', `/keys/${standby}/revoke`, token, { reason: 'drill' })).status).toBe(200);
    expect(find(await readRing('ES256'), 'pending')).not.toBe(standby);
    expect(await ask('POST', `/keys/${standby}/revoke`, token, { reason: 'again' })).toMatchObject({ status: 400, body: { error: 'out_of_use' } });
  });

  test('the history names who did what and why', async () => {
    const { body } = await ask('GET', '/keys/events', (await getAdminToken()).access_token);
    const revoked = body.events.find((event) => event.kind === 'revoked');
    expect(revoked).toMatchObject({ actor: decodeJwt((await getAdminToken()).access_token).sub, reason: expect.any(String), version: expect.stringMatching(/^\d+$/) });
  });

  test('rewrap seals every private half again', async () => {
    const { access_token: token } = await getAdminToken();
    const read = () => query(issuer.databaseUrl, 'SELECT kid, sealed FROM signing_keys WHERE sealed IS NOT NULL ORDER BY kid');
    const before = await read();
    expect(await ask('POST', '/keys/rewrap', token)).toMatchObject({ status: 200, body: { rewrapped: 4, unproved: [] } });
    expect((await read()).map(({ sealed }) => String(sealed))).not.toEqual(before.map(({ sealed }) => String(sealed)));
    expect((await signIn(issuer.url, admin)).access_token).toEqual(expect.any(String));
  });

  test('the verifiers that fetched are listed, with what they lack', async () => {
    for (let fetchCount = 0; fetchCount < 3; fetchCount += 1) await fetch(`${issuer.url}/oauth/jwks`, { headers: { 'user-agent': 'Go-http-client/2.0' } });
    const { access_token: token } = await getAdminToken();
    let listed: Record<string, unknown> | undefined;
    for (let look = 0; look < 40 && listed === undefined; look += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      listed = (await ask('GET', '/keys/verifiers', token)).body.verifiers.find(({ family }) => family === 'Go-http-client');
    }
    expect(listed).toMatchObject({ network: '127.0.0.0/24', mean_interval_seconds: null, is_known: true, fetches: 3, lacks: [] });
    // Once more, a thousand seconds after the first.
    await query(issuer.databaseUrl, "UPDATE verifiers SET first_fetch_at = last_fetch_at - interval '1000 seconds', fetches = 4 WHERE family = 'Go-http-client'");
    expect((await ask('GET', '/keys/verifiers', token)).body.verifiers).toContainEqual(expect.objectContaining({ family: 'Go-http-client', mean_interval_seconds: 333 }));
  });
});
