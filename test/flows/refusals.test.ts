import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { createBrowser, findContinuation } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { CLI, codeForm, createCodeRequest, exchangeForm, getCode, postToken, signIn, type Answer, type Tokens } from '../support/oauth.ts';

let issuer: TestIssuer;
let person: Awaited<ReturnType<TestIssuer['createPerson']>>;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_AUDIENCES: 'https://api.openai.com/v1' });
  person = await issuer.createPerson('ada@example.com');
  await issuer.app.clients.register({ id: 'other-cli', name: 'Other', redirectUris: ['http://127.0.0.1/callback'], kind: 'native', authentication: 'none', canExchangeTokens: true });
});
afterAll(() => issuer.close());

/** What every refusal of the token endpoint has in common: a registered code, a sentence, and nothing to be kept. */
function expectRefusal(answer: Answer, status: number, error: string, description: string | RegExp): void {
  expect({ status: answer.status, error: answer.body.error }).toEqual({ status, error });
  expect(answer.body.error_description).toMatch(description);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
}

describe('authorization', () => {
  const open = (overrides: Record<string, string | undefined>) => createBrowser(issuer.url).get(createCodeRequest(issuer.url, overrides).url);

  test.each([
    ['another host', 'https://evil.example/callback'],
    ['another path', 'http://127.0.0.1:7777/other'],
    ['a host that only begins alike', 'http://127.0.0.1.evil.example/callback'],
    ['another scheme', 'https://127.0.0.1:7777/callback'],
  ])('a redirect_uri with %s is refused with no redirect', async (_what, redirect_uri) => {
    const response = await open({ redirect_uri });
    expect(response.status).toBe(400);
    expect(response.headers.get('location')).toBeNull();
    expect(await response.text()).toContain('invalid_redirect_uri');
  });

  test('an unknown client is refused with no redirect', async () => {
    const response = await open({ client_id: 'nobody' });
    expect({ status: response.status, location: response.headers.get('location') }).toEqual({ status: 400, location: null });
  });

  test.each([
    ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
    ['plain PKCE', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['PKCE without a method', { code_challenge_method: undefined }, 'invalid_request'],
    ['the implicit flow', { response_type: 'id_token' }, 'unsupported_response_type'],
    ['the implicit token flow', { response_type: 'token' }, 'unsupported_response_type'],
    ['prompt=none with nobody signed in', { prompt: 'none' }, 'login_required'],
    ['a resource that is not registered', { resource: 'https://api.example' }, 'invalid_target'],
    ['a request object', { request: 'eyJhbGciOiJub25lIn0.e30.' }, 'request_not_supported'],
  ])('%s is refused at the client, with iss and state', async (_what, overrides, error) => {
    const response = await open(overrides);
    const location = new URL(response.headers.get('location')!);
    const answer = new URLSearchParams(location.search || location.hash.slice(1));
    expect(location.origin + location.pathname).toBe(CLI.redirectUri);
    expect(Object.fromEntries(answer)).toMatchObject({ error, state: 'state-1', iss: issuer.url });
  });

  test('a browser that says no gives access_denied', async () => {
    const browser = createBrowser(issuer.url);
    const login = new URL((await browser.get(createCodeRequest(issuer.url).url)).headers.get('location')!, issuer.url).href;
    const back = await findContinuation(await browser.postForm(`${login}/abort`));
    const location = new URL((await browser.get(back)).headers.get('location')!);
    expect(Object.fromEntries(location.searchParams)).toMatchObject({ error: 'access_denied', state: 'state-1', iss: issuer.url });
  });
});

describe('the authorization code', () => {
  test('is good once; used again it also ends what it gave', async () => {
    const { code, verifier } = await getCode(issuer.url, person);
    const first = await postToken(issuer.url, codeForm(code, verifier));
    expect(first.status).toBe(200);
    expectRefusal(await postToken(issuer.url, codeForm(code, verifier)), 400, 'invalid_grant', /./);
    expectRefusal(await postToken(issuer.url, exchangeForm(first.body.access_token)), 400, 'invalid_request', 'its session has ended');
    const refresh = { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: first.body.refresh_token };
    expectRefusal(await postToken(issuer.url, refresh), 400, 'invalid_grant', /./);
    const userinfo = await fetch(`${issuer.url}/oauth/userinfo`, { headers: { authorization: `Bearer ${first.body.access_token}` } });
    expect({ status: userinfo.status, challenge: userinfo.headers.get('www-authenticate') }).toEqual({ status: 401, challenge: expect.stringContaining('invalid_token') });
  });

  test('gives tokens to exactly one of 50 parallel tries', async () => {
    const { code, verifier } = await getCode(issuer.url, person);
    const answers = await Promise.all(Array.from({ length: 50 }, () => postToken(issuer.url, codeForm(code, verifier))));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const answer of answers.filter(({ status }) => status !== 200)) expectRefusal(answer, 400, 'invalid_grant', /./);
  });

  test.each([
    ['a wrong verifier', { code_verifier: 'x'.repeat(43) }],
    ['no verifier', { code_verifier: undefined }],
    ['another redirect_uri', { redirect_uri: 'http://127.0.0.1:7778/callback' }],
    ['another client', { client_id: 'other-cli' }],
  ])('with %s is refused', async (_what, overrides) => {
    const { code, verifier } = await getCode(issuer.url, person);
    const form = Object.entries({ ...codeForm(code, verifier), ...overrides }).filter((pair): pair is [string, string] => pair[1] !== undefined);
    expectRefusal(await postToken(issuer.url, form), 400, 'invalid_grant', /./);
  });

  test('is over after a minute', async () => {
    const { code, verifier } = await getCode(issuer.url, person);
    issuer.clock.advance(61);
    expectRefusal(await postToken(issuer.url, codeForm(code, verifier)), 400, 'invalid_grant', /./);
  });
});

describe('the token endpoint', () => {
  test('refuses an unknown grant', async () => {
    expectRefusal(await postToken(issuer.url, { grant_type: 'password', client_id: CLI.id, username: 'a', password: 'b' }), 400, 'unsupported_grant_type', /./);
  });

  test('refuses an unknown client', async () => {
    expectRefusal(await postToken(issuer.url, { grant_type: 'authorization_code', client_id: 'nobody', code: 'x' }), 401, 'invalid_client', /./);
  });

  test.each(['grant_type', 'client_id', 'code', 'code_verifier', 'redirect_uri'])('refuses a repeated %s', async (name) => {
    const pairs = Object.entries(codeForm('code', 'v'.repeat(43)));
    expectRefusal(await postToken(issuer.url, [...pairs, [name, 'again']]), 400, 'invalid_request', /./);
  });

  test('refuses GET, and says what it takes', async () => {
    const response = await fetch(`${issuer.url}/oauth/token?grant_type=authorization_code`);
    expect({ status: response.status, allow: response.headers.get('allow'), cache: response.headers.get('cache-control') }).toEqual({ status: 405, allow: 'POST', cache: 'no-store' });
    expect(await response.json()).toEqual({ error: 'invalid_request', error_description: 'send POST to /oauth/token' });
  });

  test('refuses a body of 100 KiB', async () => {
    const answer = await postToken(issuer.url, { grant_type: 'authorization_code', client_id: CLI.id, code: 'x'.repeat(100 * 1024) });
    expectRefusal(answer, 413, 'invalid_request', 'larger than 65536 bytes');
  });

  test('refuses a body of 100 KiB that does not say its length', async () => {
    const chunk = new TextEncoder().encode('x'.repeat(1024));
    let left = 100;
    const body = new ReadableStream({ pull: (controller) => { if (left-- > 0) controller.enqueue(chunk); else controller.close(); } });
    const response = await fetch(`${issuer.url}/oauth/token`, { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    expect({ status: response.status, error: ((await response.json()) as { error: string }).error }).toEqual({ status: 400, error: 'invalid_request' });
  });

  test('refuses JSON', async () => {
    const response = await fetch(`${issuer.url}/oauth/token`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
    expect({ status: response.status, error: ((await response.json()) as { error: string }).error }).toEqual({ status: 400, error: 'invalid_request' });
  });
});

describe('token exchange', () => {
  let tokens: Tokens;
  beforeEach(async () => {
    tokens = await signIn(issuer.url, person);
  });
  const exchange = (token: string, more: Record<string, string> = {}) => postToken(issuer.url, exchangeForm(token, more));
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const readKeys = async () => ((await (await fetch(`${issuer.url}/oauth/jwks`)).json()) as { keys: { kid: string; alg: string; n: string }[] }).keys;
  const headerOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string };

  test.each(['https://api.example', 'HTTPS://API.OPENAI.COM/v1', 'https://api.openai.com/v1/', 'https://api.openai.com'])('an audience that is not registered, byte for byte, is invalid_target: %s', async (audience) => {
    expectRefusal(await exchange(tokens.access_token, { audience }), 400, 'invalid_target', 'is not registered');
  });

  test.each([['with a space', 'a b'], ['not ASCII', 'https://ä.example'], ['too long', 'x'.repeat(257)], ['empty', '']])('an audience that is %s is refused', async (_what, audience) => {
    const { status, body } = await exchange(tokens.access_token, { audience });
    if (audience === '') expect(decodeJwt(body.access_token).aud).toBe(issuer.url); // an empty parameter counts as omitted (RFC 6749 3.2)
    else expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_target' });
  });

  test('audience and resource may agree and must not differ', async () => {
    const target = 'https://api.openai.com/v1';
    const agreed = await exchange(tokens.access_token, { audience: target, resource: target });
    expect(decodeJwt(agreed.body.access_token).aud).toBe(target);
    expectRefusal(await exchange(tokens.access_token, { audience: target, resource: issuer.url }), 400, 'invalid_target', 'different targets');
  });

  test.each(['audience', 'resource'])('several of %s is invalid_target, said plainly', async (name) => {
    const pairs = Object.entries(exchangeForm(tokens.access_token));
    expectRefusal(await postToken(issuer.url, [...pairs, [name, issuer.url], [name, 'https://api.openai.com/v1']]), 400, 'invalid_target', 'exactly one audience');
  });

  test.each([
    ['no subject_token', { subject_token: '' }, 'subject_token is required'],
    ['another subject_token_type', { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }, 'subject_token_type must be'],
    ['another requested_token_type', { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }, 'requested_token_type must be'],
    ['an actor_token of another type', { actor_token: 'x', actor_token_type: 'urn:ietf:params:oauth:token-type:jwt' }, 'actor_token_type must be'],
    ['an actor_token without its type', { actor_token: 'x' }, 'actor_token_type must be'],
    ['an actor_token_type without its token', { actor_token_type: 'urn:ietf:params:oauth:token-type:access_token' }, 'actor_token is required'],
    ['an actor_token that is no JWT', { actor_token: 'x', actor_token_type: 'urn:ietf:params:oauth:token-type:access_token' }, 'actor_token is unusable'],
    ['what is no JWT', { subject_token: 'nonsense' }, 'not a JWT'],
  ])('%s is invalid_request', async (_what, more, sentence) => {
    expectRefusal(await exchange(tokens.access_token, more), 400, 'invalid_request', sentence);
  });

  test('a subject token with alg none is refused', async () => {
    const [, body] = tokens.access_token.split('.');
    expectRefusal(await exchange(`${encode({ alg: 'none', typ: 'at+jwt', kid: headerOf(tokens.access_token).kid })}.${body}.`), 400, 'invalid_request', 'not a JWT');
  });

  test('a subject token with HS256 under our public key is refused', async () => {
    const key = (await readKeys()).find(({ alg }) => alg === 'RS256')!;
    const head = encode({ alg: 'HS256', typ: 'at+jwt', kid: key.kid });
    const input = `${head}.${tokens.access_token.split('.')[1]}`;
    expectRefusal(await exchange(`${input}.${createHmac('sha256', JSON.stringify(key)).update(input).digest('base64url')}`), 400, 'invalid_request', 'not a JWT');
  });

  test('a subject token that claims the kid of another ring is refused', async () => {
    const key = (await readKeys()).find(({ alg }) => alg === 'ES256')!;
    const [, body, signature] = tokens.access_token.split('.');
    expectRefusal(await exchange(`${encode({ alg: 'RS256', typ: 'at+jwt', kid: key.kid })}.${body}.${signature}`), 400, 'invalid_request', 'not signed by a key');
  });

  test('a subject token of another issuer is refused, whoever it names', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const forge = (kid: string) => {
      const input = `${encode({ alg: 'RS256', typ: 'at+jwt', kid })}.${encode(decodeJwt(tokens.access_token))}`;
      return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`;
    };
    expectRefusal(await exchange(forge('unknown')), 400, 'invalid_request', 'not signed by a key');
    expectRefusal(await exchange(forge(headerOf(tokens.access_token).kid)), 400, 'invalid_request', 'not signed by a key');
  });

  test('an altered subject token is refused', async () => {
    const [head, , signature] = tokens.access_token.split('.');
    expectRefusal(await exchange(`${head}.${encode({ ...decodeJwt(tokens.access_token), sub: 'somebody-else' })}.${signature}`), 400, 'invalid_request', 'not signed by a key');
  });

  test('our own ID tokens are no access tokens', async () => {
    expectRefusal(await exchange(tokens.id_token), 400, 'invalid_request', /not a JWT|not an access token/);
    const federation = await exchange(tokens.access_token);
    expectRefusal(await exchange(federation.body.access_token), 400, 'invalid_request', 'not an access token');
  });

  test('an expired subject token is refused; the session goes on', async () => {
    issuer.clock.advance(601);
    expectRefusal(await exchange(tokens.access_token), 400, 'invalid_request', 'it has expired');
  });

  test('a subject token of another client is refused', async () => {
    expectRefusal(await exchange(tokens.access_token, { client_id: 'other-cli' }), 400, 'invalid_request', 'given to another client');
  });

  test('a sign-out ends what can be exchanged at once', async () => {
    const revoked = await fetch(`${issuer.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token: tokens.refresh_token, client_id: CLI.id }) });
    expect(revoked.status).toBe(200);
    expectRefusal(await exchange(tokens.access_token), 400, 'invalid_request', 'its session has ended');
  });
});

describe('the refresh token', () => {
  const refresh = (token: string, client_id = CLI.id) => postToken(issuer.url, { grant_type: 'refresh_token', client_id, refresh_token: token });

  test('rotates; used again it ends the session', async () => {
    const tokens = await signIn(issuer.url, person);
    const next = await refresh(tokens.refresh_token);
    expect(next.status).toBe(200);
    expect(next.body.refresh_token).not.toBe(tokens.refresh_token);
    expect(decodeJwt(next.body.access_token)).toMatchObject({ sub: decodeJwt(tokens.access_token).sub, amr: ['pop', 'user', 'mfa'], auth_time: decodeJwt(tokens.access_token).auth_time });
    issuer.clock.advance(31); // a moment later it gets the same answer: flows/refresh.test.ts
    expectRefusal(await refresh(tokens.refresh_token), 400, 'invalid_grant', /./);
    expectRefusal(await refresh(next.body.refresh_token), 400, 'invalid_grant', /./);
    expectRefusal(await postToken(issuer.url, exchangeForm(next.body.access_token)), 400, 'invalid_request', 'its session has ended');
  });

  test('is of its client', async () => {
    const tokens = await signIn(issuer.url, person);
    expectRefusal(await refresh(tokens.refresh_token, 'other-cli'), 400, 'invalid_grant', /./);
  });

  test('gives one successor to 40 parallel tries', async () => {
    const tokens = await signIn(issuer.url, person);
    const answers = await Promise.all(Array.from({ length: 40 }, () => refresh(tokens.refresh_token)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(40);
    expect(new Set(answers.map(({ body }) => body.refresh_token as string)).size).toBe(1);
  });
});

describe('the end of the session', () => {
  test('caps every token and its expires_in, and ends refreshing', async () => {
    const tokens = await signIn(issuer.url, person);
    let refreshToken = tokens.refresh_token;
    issuer.clock.advance(tokens.refresh_token_expires_in - 100);
    const late = await postToken(issuer.url, { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: refreshToken });
    expect(late.status).toBe(200);
    refreshToken = late.body.refresh_token;
    expect(late.body.expires_in).toBeLessThanOrEqual(100);
    const { body } = await postToken(issuer.url, exchangeForm(late.body.access_token));
    const { exp, iat } = decodeJwt(body.access_token);
    expect(body.expires_in).toBeLessThanOrEqual(100);
    expect(exp! - iat!).toBe(body.expires_in);
    issuer.clock.advance(101);
    expectRefusal(await postToken(issuer.url, { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: refreshToken }), 400, 'invalid_grant', /./);
  });
});
