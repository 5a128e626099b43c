import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { startStores } from '../cluster/stores.ts';
import { createBrowser, enrol } from '../support/browser.ts';
import { startScript } from '../support/child_script.ts';
import { createProofKey, hashAccessToken, type ProofKey } from '../support/dpop.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { startIssuerProcess } from '../support/issuer_process.ts';
import { CLI, codeForm, exchangeForm, getCode, postToken, signIn, type Tokens } from '../support/oauth.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';

/*
 * A session goes on by refresh tokens that rotate: many processes may use one at once, a copy is caught, and one that is
 * bound to a key is worth nothing on another machine.
 */

let issuer: TestIssuer;
let person: Awaited<ReturnType<TestIssuer['createPerson']>>;
beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_AUDIENCES: 'https://api.provider.example' });
  person = await issuer.createPerson('ada@example.com');
});
afterAll(() => issuer.close());

const refreshForm = (token: string) => ({ grant_type: 'refresh_token', client_id: CLI.id, refresh_token: token });
const refresh = (token: string, headers: Record<string, string> = {}) => postToken(issuer.url, refreshForm(token), headers);
const exchange = (token: string, headers: Record<string, string> = {}, more: Record<string, string> = {}) => postToken(issuer.url, exchangeForm(token, more), headers);
const sessionsOf = async () => issuer.app.sessions.list((await issuer.app.accounts.lookUp('ada@example.com'))!.id);
const endedSessionsOf = async () => issuer.app.sessions.listEnded((await issuer.app.accounts.lookUp('ada@example.com'))!.id);

describe('the window', () => {
  test('twenty at once get one successor, and it is good', async () => {
    const { refresh_token: token } = await signIn(issuer.url, person);
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(token)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ body }) => body.refresh_token as string)).size).toBe(1);
    expect(new Set(answers.map(({ body }) => body.access_token as string)).size).toBe(1);
    expect((await refresh(answers[0]!.body.refresh_token as string)).status).toBe(200);
  });

  test('whoever comes a little later gets the same, its times counted from then', async () => {
    const { refresh_token: token } = await signIn(issuer.url, person);
    const first = await refresh(token);
    issuer.clock.advance(20);
    const again = await refresh(token);
    expect(again.status).toBe(200);
    expect(again.headers.get('cache-control')).toBe('no-store');
    expect(again.body).toMatchObject({ access_token: first.body.access_token, refresh_token: first.body.refresh_token, id_token: first.body.id_token, token_type: 'Bearer' });
    expect((first.body.expires_in as number) - (again.body.expires_in as number)).toBeGreaterThanOrEqual(20);
    expect((first.body.refresh_token_expires_in as number) - (again.body.refresh_token_expires_in as number)).toBeGreaterThanOrEqual(20);
  });

  test('once it is over, a second use ends the session, says so, and the person can see why', async () => {
    const { refresh_token: token } = await signIn(issuer.url, person);
    const first = await refresh(token);
    issuer.clock.advance(31);
    const again = await refresh(token);
    expect(again.status).toBe(400);
    expect(again.body).toMatchObject({ error: 'invalid_grant', error_description: expect.stringContaining('was used before') });
    expect(await refresh(first.body.refresh_token as string)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await exchange(first.body.access_token as string)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    const grantId = decodeJwt(first.body.access_token as string).grant_id;
    expect(await endedSessionsOf()).toEqual(expect.arrayContaining([expect.objectContaining({ grantId, endedBy: 'reuse' })]));
    expect(issuer.logged).toContain('a code or a refresh token came a second time; its session was ended');
  });

  test('another client that shows the token gets nothing, inside the window too', async () => {
    await issuer.app.clients.register({ id: 'other-cli', name: 'Other', redirectUris: ['http://127.0.0.1/callback'], kind: 'native', authentication: 'none' });
    const { refresh_token: token } = await signIn(issuer.url, person);
    await refresh(token);
    const stolen = await postToken(issuer.url, { ...refreshForm(token), client_id: 'other-cli' });
    expect(stolen).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect((await refresh(token)).status).toBe(200);
  });

  test('a session that was ended gives nothing more, inside the window too', async () => {
    const { refresh_token: token } = await signIn(issuer.url, person);
    const first = await refresh(token);
    const session = (await sessionsOf()).find(({ grantId }) => grantId === decodeJwt(first.body.access_token as string).grant_id)!;
    expect(await issuer.app.sessions.end(session.accountId, session.grantId, 'person')).toBe(true);
    expect(await refresh(token)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await refresh(first.body.refresh_token as string)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await exchange(first.body.access_token as string)).toMatchObject({ status: 400 });
  });

  test('a use that gave no answer is as if it had not been: the session goes on', async () => {
    const { refresh_token: token } = await signIn(issuer.url, person);
    const id = createHash('sha256').update(token).digest('base64url');
    // As an instance leaves it that is killed between using the token and answering.
    await query(issuer.databaseUrl, "UPDATE oidc_artifacts SET consumed_at = $2 WHERE model = 'RefreshToken' AND id = $1", [id, issuer.clock.now()]);
    const answer = await refresh(token);
    expect(answer.status).toBe(200);
    expect((await refresh(answer.body.refresh_token as string)).status).toBe(200);
  }, 30_000);

  test('a record that cannot be written costs an answer and not the session', async () => {
    const { refresh_token: token } = await signIn(issuer.url, person);
    await query(issuer.databaseUrl, 'ALTER FUNCTION audit_append RENAME TO audit_append_away');
    const refused = await refresh(token);
    await query(issuer.databaseUrl, 'ALTER FUNCTION audit_append_away RENAME TO audit_append');
    expect(refused).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect((await refresh(token)).status).toBe(200);
  });

  test('what is kept of an answer is sealed: no dump of the database holds a token', async () => {
    const { refresh_token: token } = await signIn(issuer.url, person);
    const { body } = await refresh(token);
    const dump = JSON.stringify(await query(issuer.databaseUrl, 'SELECT * FROM oidc_artifacts'));
    expect(dump).toContain('RefreshAnswer');
    for (const secret of [token, body.refresh_token, body.access_token, body.id_token]) expect(dump).not.toContain(secret);
  });

  test.each<[string, [string, string][]]>([
    ['no token', [['grant_type', 'refresh_token'], ['client_id', CLI.id]]],
    ['an empty token', [['grant_type', 'refresh_token'], ['client_id', CLI.id], ['refresh_token', '']]],
    ['two tokens', [['grant_type', 'refresh_token'], ['client_id', CLI.id], ['refresh_token', 'a'], ['refresh_token', 'b']]],
    ['a made-up token', [['grant_type', 'refresh_token'], ['client_id', CLI.id], ['refresh_token', 'x'.repeat(43)]]],
    ['no client', [['grant_type', 'refresh_token'], ['refresh_token', 'x'.repeat(43)]]],
  ])('%s is refused', async (...[, form]) => {
    const { status, body } = await postToken(issuer.url, form);
    expect([400, 401]).toContain(status);
    expect(body.error).toMatch(/^invalid_(request|grant|client)$/);
  });
});

describe('sessions', () => {
  test('name client, place and time, and go on with each refresh', async () => {
    const { refresh_token: token, access_token: accessToken } = await signIn(issuer.url, person);
    const find = async () => (await sessionsOf()).find(({ grantId }) => grantId === decodeJwt(accessToken).grant_id)!;
    const before = await find();
    expect(before).toMatchObject({ clientId: CLI.id, ip: '127.0.0.1', userAgent: expect.any(String) });
    expect(before.endsAt.getTime() - before.startedAt.getTime()).toBeGreaterThan(7.9 * 3600_000);
    issuer.clock.advance(60);
    await refresh(token, { 'User-Agent': 'elsewhere\t1.0' });
    const after = await find();
    expect(after.userAgent).toBe('elsewhere 1.0');
    expect(after.startedAt).toEqual(before.startedAt);
    expect(after.usedAt.getTime()).toBeGreaterThan(before.usedAt.getTime() + 59_000);
  });

  test('signing out takes it off the list', async () => {
    const { refresh_token: token, access_token: accessToken } = await signIn(issuer.url, person);
    await fetch(`${issuer.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token, client_id: CLI.id }) });
    expect((await sessionsOf()).map(({ grantId }) => grantId)).not.toContain(decodeJwt(accessToken).grant_id);
  });

  test('one account’s cannot be ended by another, all but one can be ended at once', async () => {
    const other = await issuer.createPerson('eve@example.com');
    const eve = (await issuer.app.accounts.lookUp('eve@example.com'))!;
    const kept = await signIn(issuer.url, other);
    const gone = await signIn(issuer.url, other);
    const grantOf = (tokens: Tokens) => decodeJwt(tokens.access_token).grant_id as string;
    expect(await issuer.app.sessions.end((await issuer.app.accounts.lookUp('ada@example.com'))!.id, grantOf(gone), 'person')).toBe(false);
    expect((await exchange(gone.access_token)).status).toBe(200);
    // With the browser that it was signed in by.
    expect(await issuer.app.sessions.endAll(eve.id, 'person', [grantOf(kept)])).toBe(2);
    expect((await exchange(gone.access_token)).status).toBe(400);
    expect((await exchange(kept.access_token)).status).toBe(200);
  });
});

describe('a session that is bound to a key (DPoP)', () => {
  let key: ProofKey;
  let nonce: string;
  beforeAll(async () => {
    key = await createProofKey();
    const asked = await refresh('x'.repeat(43), { DPoP: await key.prove(issuer.url) });
    expect(asked).toMatchObject({ status: 400, body: { error: 'use_dpop_nonce' } });
    nonce = asked.headers.get('dpop-nonce')!;
  });
  const proof = async (from: ProofKey = key, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) => ({ DPoP: await from.prove(issuer.url, { nonce, ...claims }, header) });
  async function signInBound(client: { id: string } = CLI): Promise<Tokens & { token_type: string }> {
    const { code, verifier } = await getCode(issuer.url, person, client.id === CLI.id ? {} : { client_id: client.id });
    const { status, body } = await postToken(issuer.url, { ...codeForm(code, verifier), client_id: client.id }, await proof());
    expect({ status, body }).toMatchObject({ status: 200 });
    return body as Tokens & { token_type: string };
  }

  test('refreshes with its key, and with no other or none', async () => {
    const { refresh_token: token, token_type: type, access_token: accessToken } = await signInBound();
    // The command line's access tokens are for a person to use, with curl.
    expect(type).toBe('Bearer');
    expect(decodeJwt(accessToken)).not.toHaveProperty('cnf');
    expect((await exchange(accessToken)).status).toBe(200);
    expect(await refresh(token)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await refresh(token, await proof(await createProofKey()))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect((await refresh(token, await proof())).status).toBe(200);
  });

  test('in the window too: a copy on another machine gets nothing, and ends nothing', async () => {
    const { refresh_token: token } = await signInBound();
    const answers = await Promise.all(Array.from({ length: 10 }, async () => refresh(token, await proof())));
    expect(new Set(answers.map(({ body }) => body.refresh_token as string)).size).toBe(1);
    expect(await refresh(token)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await refresh(token, await proof(await createProofKey()))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    issuer.clock.advance(31);
    expect(await refresh(token)).toMatchObject({ status: 400 });
    expect((await refresh(answers[0]!.body.refresh_token as string, await proof())).status).toBe(200);
  });

  test('one proof serves one request', async () => {
    const { refresh_token: token } = await signInBound();
    const used = await proof();
    const first = await refresh(token, used);
    expect(first.status).toBe(200);
    expect((await refresh(token, used)).body.error).toMatch(/^invalid_(grant|dpop_proof)$/);
    expect((await refresh(first.body.refresh_token as string, used)).body.error).toMatch(/^invalid_(grant|dpop_proof)$/);
  });

  describe('of a client whose access tokens are bound', () => {
    const client = { id: 'bound-cli' };
    let tokens: Tokens & { token_type: string };
    beforeAll(async () => {
      await issuer.app.clients.register({ id: client.id, name: 'Bound', redirectUris: [CLI.redirectUri], kind: 'native', authentication: 'none', canExchangeTokens: true });
      tokens = await signInBound(client);
      expect(tokens.token_type).toBe('DPoP');
      expect(decodeJwt(tokens.access_token).cnf).toEqual({ jkt: key.jkt });
    });
    const asClient = { client_id: client.id };
    const asAccessToken = { ...asClient, requested_token_type: 'urn:ietf:params:oauth:token-type:access_token' };

    test('the exchange takes it with a proof: an access token stays bound, an ID token is a provider’s', async () => {
      const bound = await exchange(tokens.access_token, await proof(), asAccessToken);
      expect(bound).toMatchObject({ status: 200, body: { token_type: 'DPoP' } });
      expect(decodeJwt(bound.body.access_token as string).cnf).toEqual({ jkt: key.jkt });
      const identity = await exchange(tokens.access_token, await proof(), { ...asClient, audience: 'https://api.provider.example' });
      expect(identity).toMatchObject({ status: 200, body: { token_type: 'N_A' } });
      expect(decodeJwt(identity.body.access_token as string)).not.toHaveProperty('cnf');
    });

    test('a nonce of the library’s is one of the exchange’s, and the other way round', async () => {
      const given = await exchange(tokens.access_token, await proof(), asClient);
      expect(given.status).toBe(200);
      const ours = given.headers.get('dpop-nonce')!;
      expect(await postToken(issuer.url, { ...refreshForm(tokens.refresh_token), ...asClient }, await proof(key, { nonce: ours }))).toMatchObject({ status: 200 });
    });

    test.each<[string, (valid: Record<string, string>) => Promise<Record<string, string>>, string]>([
      ['no proof', async () => ({}), 'invalid_dpop_proof'],
      ['the proof of another key', async () => proof(await createProofKey()), 'invalid_dpop_proof'],
      ['a proof without a nonce', () => proof(key, { nonce: undefined }), 'use_dpop_nonce'],
      ['a proof with a nonce of somebody else', () => proof(key, { nonce: 'x'.repeat(43) }), 'use_dpop_nonce'],
      ['a proof for another method', () => proof(key, { htm: 'GET' }), 'invalid_dpop_proof'],
      ['a proof for another address', () => proof(key, { htu: 'https://elsewhere.example/oauth/token' }), 'invalid_dpop_proof'],
      ['a proof for no address', () => proof(key, { htu: 'x' }), 'invalid_dpop_proof'],
      ['a proof without a jti', () => proof(key, { jti: undefined }), 'invalid_dpop_proof'],
      ['a proof without an iat', () => proof(key, { iat: undefined }), 'invalid_dpop_proof'],
      ['a proof of another type', () => proof(key, {}, { typ: 'JWT' }), 'invalid_dpop_proof'],
      ['two proofs', async (valid) => ({ DPoP: `${valid.DPoP!}, ${valid.DPoP!}` }), 'invalid_dpop_proof'],
      ['no JWT', async () => ({ DPoP: 'nonsense' }), 'invalid_dpop_proof'],
      ['a proof that was altered', async ({ DPoP: valid }) => ({ DPoP: `${valid!.slice(0, -6)}AAAAAA` }), 'invalid_dpop_proof'],
    ])('the exchange refuses it with %s', async (...[, make, error]) => {
      const answer = await exchange(tokens.access_token, await make(await proof()), asClient);
      expect(answer).toMatchObject({ status: 400, body: { error } });
      if (error === 'use_dpop_nonce') expect(answer.headers.get('dpop-nonce')).toMatch(/^[\w-]{43}$/);
    });

    test('a proof that was used is refused by the exchange', async () => {
      const used = await proof();
      expect((await exchange(tokens.access_token, used, asClient)).status).toBe(200);
      expect(await exchange(tokens.access_token, used, asClient)).toMatchObject({ status: 400, body: { error: 'invalid_dpop_proof' } });
    });

    test('userinfo takes it as DPoP with a proof for it, and not as Bearer', async () => {
      const ask = (headers: Record<string, string>) => fetch(`${issuer.url}/oauth/userinfo`, { headers });
      const htu = `${issuer.url}/oauth/userinfo`;
      const ath = hashAccessToken(tokens.access_token);
      const bound = { Authorization: `DPoP ${tokens.access_token}` };
      expect((await ask({ ...bound, ...(await proof(key, { htm: 'GET', htu, ath })) })).status).toBe(200);
      expect((await ask({ ...bound, ...(await proof(key, { htm: 'GET', htu, ath, nonce: undefined })) })).status).toBe(200);
      for (const headers of [
        { Authorization: `Bearer ${tokens.access_token}` },
        bound,
        { ...bound, ...(await proof(key, { htm: 'GET', htu })) },
        { ...bound, ...(await proof(key, { htm: 'POST', htu, ath })) },
        { ...bound, ...(await proof(await createProofKey(), { htm: 'GET', htu, ath })) },
      ]) expect((await ask(headers)).status).toBe(401);
      expect((await fetch(`${issuer.url}/v1/credentials/aws/token`, { headers: { Authorization: `Bearer ${tokens.access_token}` } })).status).toBeGreaterThanOrEqual(400);
    });
  });
});

test('a hundred at once from ten processes, on two instances, with Redis started anew in between: one successor each time, nobody is logged out', async () => {
  const stores = await startStores();
  const env = { DATABASE_URL: stores.databaseUrl, REDIS_URL: stores.redisUrl, VOUCH_LOG_LEVEL: 'error' };
  const first = await startIssuerProcess({ env });
  const browser = createBrowser(first.url);
  const passkey = createSoftwarePasskey({ origin: first.url });
  await enrol(browser, first.invitation!, { email: 'ada@example.com', name: 'Ada' }, passkey);
  const second = await startIssuerProcess({ dataDir: first.dataDir, env: { ...env, VOUCH_ISSUER: first.url } });
  const urls = [first, second].map(({ port }) => `http://127.0.0.1:${port}`);
  const children = Array.from({ length: 10 }, () => startScript('refreshing_child.ts', urls));
  try {
    let { refresh_token: token } = await signIn(first.url, { browser, passkey });
    await Promise.all(children.map((child) => child.waitFor(/ready/)));
    for (let round = 0; round < 4; round += 1) {
      const name = createHash('sha256').update(token).digest('hex');
      if (round === 1) await stores.killRedis();
      for (const child of children) child.tell(token);
      if (round === 1) await stores.startRedis();
      const said = await Promise.all(children.map((child) => child.waitFor(new RegExp(`${name}: (.*)\n`))));
      const answers = said.flatMap(([, json]) => JSON.parse(json!) as { status: number; error?: string; successor?: string }[]);
      expect({ round, statuses: [...new Set(answers.map(({ status, error }) => `${status} ${error ?? ''}`))] }).toEqual({ round, statuses: ['200 '] });
      const successors = [...new Set(answers.map(({ successor }) => successor))];
      expect({ round, answers: answers.length, successors: successors.length }).toEqual({ round, answers: 100, successors: 1 });
      token = successors[0]!;
    }
  } finally {
    for (const { child } of children) child.kill('SIGKILL');
    await Promise.all([first.kill(), second.kill()]);
    await stores.close();
  }
}, 240_000);
