import { describe, expect, test } from '@jest/globals';
import OpenAI, { OAuthError } from 'openai';
import type { OpenAiErrorCode } from '../support/openai_mappings.ts';
import type { MintOptions } from '../support/test_issuer.ts';
import { AUDIENCE, DESCRIPTIONS, setOpenAiScene } from './openai_scene.ts';
import type { Outcome, Setting } from './openai_scene.ts';

const scene = setOpenAiScene();

describe('a successful exchange', () => {
  test('answers an access token and leaves no history', async () => {
    await scene.start();
    expect(await scene.exchange(scene.mint())).toEqual({
      status: 200,
      body: {
        access_token: expect.stringMatching(/^eyJ[\w-]{64}$/),
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: 600,
      },
    });
    expect(scene.emulator.history).toEqual([]);
    expect(scene.emulator.exchanges).toBe(1);
  });

  test.each<[string, Setting, MintOptions, Record<string, unknown>?]>([
    ['the type id_token', {}, {}, { subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' }],
    ['client_id and scope, which do nothing', {}, {}, { client_id: 'c', scope: 'everything' }],
    ['ES256', {}, { header: { alg: 'ES256' } }],
    ['aud as an array with the audience in it', {}, { claims: { aud: ['other', AUDIENCE] } }],
    ['iss with a trailing slash', {}, { claims: { iss: 'SLASH' } }],
    ['a configured issuer with a trailing slash', { provider: { issuerUrl: 'SLASH' } }, {}],
    ['no nbf and no jti', {}, { claims: { nbf: undefined, jti: undefined } }],
    ['a lifetime of a day', {}, { claims: { exp: 1_800_086_400 } }],
    ['one second before exp', {}, { claims: { exp: 1_800_000_001 } }],
    ['a prefix', { mappings: [{ match: { sub: 'dev@*' } }] }, {}],
    ['a boolean claim as a string', { mappings: [{ match: { email_verified: 'true' } }] }, { claims: { email_verified: true } }],
    ['a number claim as a string', { mappings: [{ match: { level: '7' } }] }, { claims: { level: 7 } }],
    ['a derived value', {
      provider: { transformations: { 'openai.domain': ({ sub }) => (sub as string).split('@')[1] } },
      mappings: [{ match: { 'openai.domain': 'example.com' } }],
    }, {}],
    ['one match beside mappings that are disabled, other or for others', {
      mappings: [{}, { isEnabled: false }, { match: { sub: 'ops@*' } }, { serviceAccountId: 'sa_02' }],
    }, {}],
  ])('accepts %s', async (_name, { provider, ...setting }, options, fields = {}) => {
    const issuerUrl = provider?.issuerUrl === 'SLASH' ? { issuerUrl: `${scene.issuer.url}/` } : {};
    await scene.start({ ...setting, provider: { ...provider, ...issuerUrl } });
    const key = options.header?.['alg'] === 'ES256' ? scene.issuer.ecKey : scene.issuer.rsaKey;
    const iss = options.claims?.['iss'] === 'SLASH' ? { iss: `${scene.issuer.url}/` } : {};
    const outcome = await scene.exchange(scene.mint({ ...options, key, claims: { ...options.claims, ...iss } }), fields);
    expect(scene.emulator.history).toEqual([]);
    expect(outcome.status).toBe(200);
  });

  test.each([
    ['as long as the subject token', 100, 100],
    ['an hour at most', 7200, 3600],
  ])('lets the token live %s', async (_name, remaining, expected) => {
    await scene.start();
    const { body } = await scene.exchange(scene.mint({ claims: { exp: scene.now + remaining } }));
    expect(body.expires_in).toBe(expected);
  });

  test('names the permissions of the mapping as scope', async () => {
    await scene.start({ mappings: [{ permissions: ['api.model.read', 'api.model.request'] }] });
    expect((await scene.exchange(scene.mint())).body.scope).toBe('api.model.read api.model.request');
  });

  test('may be repeated with the same subject token', async () => {
    await scene.start();
    const token = scene.mint();
    expect((await scene.exchange(token)).status).toBe(200);
    expect((await scene.exchange(token)).status).toBe(200);
    expect(scene.emulator.exchanges).toBe(2);
  });
});

describe('a malformed request', () => {
  const types = 'subject_token_type must be one of urn:ietf:params:oauth:token-type:jwt urn:ietf:params:oauth:token-type:id_token';
  const grant = 'grant_type must be urn:ietf:params:oauth:grant-type:token-exchange';
  test.each<[string, Record<string, unknown>, string]>([
    ['no grant_type', { grant_type: undefined }, grant],
    ['the grant of RFC 7523', { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer' }, grant],
    ['no subject_token_type', { subject_token_type: undefined }, types],
    ['the type access_token', { subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' }, types],
    ['no subject_token', { subject_token: undefined }, 'subject_token is required'],
    ['an empty subject_token', { subject_token: '' }, 'subject_token is required'],
    ['no identity_provider_id', { identity_provider_id: undefined }, 'identity_provider_id is required'],
    ['a service_account_id that is no string', { service_account_id: 1 }, 'service_account_id is required'],
  ])('with %s is told so and leaves no history', async (_name, fields, description) => {
    await scene.start({ options: { errorStatus: 401 } });
    expect(await scene.exchange(scene.mint(), fields)).toEqual({ status: 400, body: { error: 'invalid_request', error_description: description } });
    expect(scene.emulator.history).toEqual([]);
  });

  test.each<[string, unknown, Record<string, string>, string]>([
    ['a form', 'grant_type=x', { 'content-type': 'application/x-www-form-urlencoded' }, 'The body must be a JSON object of at most 1 MiB.'],
    ['broken JSON', '{', {}, 'The body must be a JSON object of at most 1 MiB.'],
    ['more than 1 MiB', 'x'.repeat(1_048_577), {}, 'The body must be a JSON object of at most 1 MiB.'],
    ['an Authorization header', {}, { authorization: 'Bearer x' }, 'An Authorization header must not be sent.'],
  ])('of %s is refused', async (_name, body, headers, description) => {
    await scene.start();
    expect(await scene.post('/oauth/token', body, headers)).toEqual({
      status: 400, body: { error: 'invalid_request', error_description: description },
    });
    expect(scene.emulator.history).toEqual([]);
  });

  test('to another path is not found', async () => {
    await scene.start();
    expect((await scene.post('/v1/oauth/token', {})).status).toBe(404);
  });
});

describe('invalid_subject_token is the answer', () => {
  test.each<[string, string, MintOptions, Setting?]>([
    ['alg none', 'x_alg_not_allowed', { header: { alg: 'none' }, signWith: 'none' }],
    ['alg HS256 with the public key as the secret', 'x_alg_not_allowed', { header: { alg: 'HS256' }, signWith: 'HS256' }],
    ['an alg that the provider does not take', 'x_alg_not_allowed', {}, { provider: { algorithms: ['ES256'] } }],
    ['no alg', 'x_alg_not_allowed', { header: { alg: undefined } }],
    ['no kid', 'x_kid_missing', { header: { kid: undefined } }],
    ['typ at+jwt', 'x_typ_not_jwt', { header: { typ: 'at+jwt' } }],
    ['a key of its own', 'x_header_member', { header: { jku: 'https://evil.example/jwks' } }],
    ['another iss', 'x_iss_mismatch', { claims: { iss: 'https://other.example' } }],
    ['iss with two trailing slashes', 'x_iss_mismatch', { claims: { iss: 'SLASHES' } }],
    ['no iss', 'x_iss_mismatch', { claims: { iss: undefined } }],
    ['a kid that the JWKS does not have', 'x_kid_not_in_jwks', { header: { kid: 'another' } }],
    ['a signature by another key', 'x_signature_invalid', { header: { alg: 'ES256', kid: 'EC' }, signWith: 'RS256' }],
    ['no sub', 'x_sub_missing', { claims: { sub: undefined } }],
    ['no exp', 'x_exp_missing', { claims: { exp: undefined } }],
    ['no iat', 'x_iat_missing', { claims: { iat: undefined } }],
    ['exp now', 'x_exp_passed', { claims: { iat: 1_799_999_900, exp: 1_800_000_000 } }],
    ['iat a second ahead', 'x_iat_in_future', { claims: { iat: 1_800_000_001 } }],
    ['nbf a second ahead', 'x_nbf_in_future', { claims: { nbf: 1_800_000_001 } }],
    ['no aud', 'x_audience_mismatch', { claims: { aud: undefined } }],
    ['aud with a trailing slash', 'x_audience_mismatch', { claims: { aud: `${AUDIENCE}/` } }],
    ['aud as an array without the audience', 'x_audience_mismatch', { claims: { aud: ['vouch'] } }],
  ])('to %s: %s', async (_name, reason, options, setting = {}) => {
    await scene.start(setting);
    const kid = options.header?.['kid'] === 'EC' ? { kid: scene.issuer.ecKey.kid } : {};
    const iss = options.claims?.['iss'] === 'SLASHES' ? { iss: `${scene.issuer.url}//` } : {};
    const { header, claims, ...rest } = options;
    const token = scene.mint({ header: { ...header, ...kid }, claims: { ...claims, ...iss }, ...rest });
    scene.expectDenied(await scene.exchange(token), 'invalid_subject_token', reason);
  });

  test('to something that is no JWT: x_jwt_malformed', async () => {
    await scene.start();
    scene.expectDenied(await scene.exchange('opaque'), 'invalid_subject_token', 'x_jwt_malformed');
  });

  test.each<[string, string, () => void]>([
    ['redirects', 'x_discovery_redirect', () => { scene.issuer.answer('discovery', { status: 301, headers: { location: '/' } }); }],
    ['answers 500', 'x_jwks_status', () => { scene.issuer.answer('jwks', { status: 500 }); }],
    ['has another issuer in discovery', 'x_discovery_issuer_mismatch', () => { scene.issuer.answer('discovery', { body: { issuer: 'https://x.example' } }); }],
    ['is too slow', 'x_jwks_timeout', () => { scene.issuer.answer('jwks', { delayMs: 2000 }); }],
    ['publishes a private key', 'x_jwk_private_member', () => { scene.issuer.publish([scene.issuer.rsaKey.privateJwk]); }],
    ['publishes a key without a kid', 'x_jwk_kid_missing', () => { scene.issuer.publish([scene.issuer.rsaKey.publicJwk, { ...scene.issuer.ecKey.publicJwk, kid: '' }]); }],
    ['publishes a kid twice', 'x_jwk_kid_duplicate', () => { scene.issuer.publish([scene.issuer.rsaKey.publicJwk, scene.issuer.rsaKey.publicJwk]); }],
    ['publishes key_ops', 'x_jwk_forbidden_member', () => { scene.issuer.publish([{ ...scene.issuer.rsaKey.publicJwk, key_ops: ['verify'] }]); }],
  ])('when the issuer %s: %s', async (_name, reason, arrange) => {
    arrange();
    await scene.start({ options: { fetchTimeoutMs: 1000 } });
    scene.expectDenied(await scene.exchange(scene.mint()), 'invalid_subject_token', reason);
  });
});

describe('invalid_grant is the answer', () => {
  const derived = (transform: () => unknown): Setting => ({
    provider: { transformations: { 'openai.team': transform } }, mappings: [{ match: { 'openai.team': 'a*' } }],
  });
  test.each<[string, string, Setting, MintOptions?, Record<string, unknown>?]>([
    ['an unknown provider', 'x_provider_unknown', {}, {}, { identity_provider_id: 'wip_02' }],
    ['a disabled provider', 'x_provider_disabled', { provider: { isEnabled: false } }],
    ['an unknown service account', 'x_mapping_unknown', {}, {}, { service_account_id: 'sa_02' }],
    ['a disabled mapping', 'x_mapping_disabled', { mappings: [{ isEnabled: false }] }],
    ['a sub in capitals', 'x_mapping_mismatch', {}, { claims: { sub: 'Dev@example.com' } }],
    ['a sub that only begins like an exact one', 'x_mapping_mismatch', {}, { claims: { sub: 'dev@example.com.evil' } }],
    ['a sub outside the prefix', 'x_mapping_mismatch', { mappings: [{ match: { sub: 'ops@*' } }] }],
    ['one of two claims missing', 'x_mapping_mismatch', { mappings: [{ match: { sub: 'dev@*', hd: 'example.com' } }] }],
    ['an array claim', 'x_mapping_mismatch', { mappings: [{ match: { groups: 'dev' } }] }, { claims: { groups: ['dev'] } }],
    ['a null claim', 'x_mapping_mismatch', { mappings: [{ match: { hd: 'null' } }] }, { claims: { hd: null } }],
    ['an inherited name', 'x_mapping_mismatch', { mappings: [{ match: { toString: 'f*' } }] }],
    ['a claim in the derived namespace', 'x_mapping_mismatch', { mappings: [{ match: { 'openai.team': 'a' } }] }, { claims: { 'openai.team': 'a' } }],
    ['two mappings that match', 'x_mapping_ambiguous', { mappings: [{}, { match: { sub: 'dev@*' } }] }],
    ['a transformation to an array', 'x_transformation_failed', derived(() => ['a'])],
    ['a transformation to null', 'x_transformation_failed', derived(() => null)],
    ['a transformation that fails', 'x_transformation_failed', derived(() => { throw new Error('no such key'); })],
  ])('to %s: %s', async (_name, reason, setting, options = {}, fields = {}) => {
    await scene.start(setting);
    scene.expectDenied(await scene.exchange(scene.mint(options), fields), 'invalid_grant', reason);
  });
});

describe('the status of a denial', () => {
  test.each([401, 403])('can be %i', async (errorStatus) => {
    await scene.start({ options: { errorStatus } });
    expect((await scene.exchange('opaque')).status).toBe(errorStatus);
    expect((await scene.exchange(scene.mint(), { service_account_id: 'sa_02' })).status).toBe(errorStatus);
  });
});

describe('discovery and the JWKS', () => {
  test('are kept for 600 s, and asked again once for an unknown kid', async () => {
    scene.issuer.publish([scene.issuer.rsaKey.publicJwk]);
    await scene.start();
    expect((await scene.exchange(scene.mint())).status).toBe(200);
    scene.now += 599;
    expect((await scene.exchange(scene.mint())).status).toBe(200);
    expect(scene.issuer.hits).toEqual({ discovery: 1, jwks: 1 });

    // One refresh does not find it, and there is no second one.
    expect((await scene.exchange(scene.mint({ key: scene.issuer.ecKey }))).status).toBe(400);
    expect(scene.emulator.history.map(({ reason }) => reason)).toEqual(['x_kid_not_in_jwks']);
    expect(scene.issuer.hits).toEqual({ discovery: 2, jwks: 2 });

    // A key that signs as soon as it is published is found by the refresh.
    scene.issuer.publish([scene.issuer.ecKey.publicJwk]);
    expect((await scene.exchange(scene.mint({ key: scene.issuer.ecKey }))).status).toBe(200);
    expect(scene.issuer.hits).toEqual({ discovery: 3, jwks: 3 });
  });

  test('let a withdrawn key go on for 600 s', async () => {
    await scene.start();
    expect((await scene.exchange(scene.mint())).status).toBe(200);
    scene.issuer.publish([scene.issuer.ecKey.publicJwk]);
    scene.now += 599;
    expect((await scene.exchange(scene.mint())).status).toBe(200);
    scene.now += 1;
    expect((await scene.exchange(scene.mint())).status).toBe(400);
    expect(scene.emulator.history.map(({ reason }) => reason)).toEqual(['x_kid_not_in_jwks']);
  });

  test('are not asked when a JWKS was uploaded', async () => {
    await scene.start({ provider: { jwks: { keys: [scene.issuer.rsaKey.publicJwk] } } });
    expect((await scene.exchange(scene.mint())).status).toBe(200);
    expect((await scene.exchange(scene.mint({ key: scene.issuer.ecKey }))).status).toBe(400);
    expect(scene.issuer.hits).toEqual({ discovery: 0, jwks: 0 });
  });

  test('are found under a custom discovery URL', async () => {
    await scene.start({ provider: { discoveryUrl: `${scene.issuer.url}/elsewhere` } });
    scene.expectDenied(await scene.exchange(scene.mint()), 'invalid_subject_token', 'x_discovery_status');
    expect(scene.emulator.history[0]!.detail).toContain(`${scene.issuer.url}/elsewhere: 404`);
  });
});

describe('the API', () => {
  test('answers a response to a minted token until it expires', async () => {
    await scene.start();
    const { body } = await scene.exchange(scene.mint());
    scene.now += 599;
    const outcome = await scene.call(body.access_token);
    expect(outcome.status).toBe(200);
    expect(outcome.body).toMatchObject({ object: 'response', status: 'completed', model: 'gpt-5' });
    scene.now += 1;
    expect((await scene.call(body.access_token)).status).toBe(401);
    expect(scene.emulator.apiRefusals.map(({ reason }) => reason)).toEqual(['x_token_expired']);
  });

  test.each<[string, number, string | null, string, (token: string) => Promise<Outcome>]>([
    ['an unknown token', 401, 'invalid_api_key', 'x_token_unknown', () => scene.call('eyJx')],
    ['the subject token itself', 401, 'invalid_api_key', 'x_token_unknown', () => scene.call(scene.mint())],
    ['no token', 401, 'invalid_api_key', 'x_token_unknown', () => scene.post('/v1/responses', {})],
    ['a revoked token', 401, 'invalid_api_key', 'x_token_unknown', (token) => { scene.emulator.revokeTokens(); return scene.call(token); }],
    ['no model', 400, null, 'x_response_invalid', (token) => scene.call(token, { model: undefined })],
    ['no input', 400, null, 'x_response_invalid', (token) => scene.call(token, { input: undefined })],
  ])('refuses %s', async (_name, status, code, reason, attempt) => {
    await scene.start();
    const { body } = await scene.exchange(scene.mint());
    expect(await attempt(body.access_token)).toMatchObject({ status, body: { error: { type: 'invalid_request_error', param: null, code } } });
    expect(scene.emulator.apiRefusals.map((refusal) => refusal.reason)).toEqual([reason]);
  });
});

describe('the official SDK', () => {
  function createClient(getToken: () => string): OpenAI {
    return new OpenAI({
      apiKey: null,
      baseURL: `${scene.emulator.url}/v1`,
      // The SDK's token endpoint is fixed; this is the only way to reach another one.
      fetch: (input, init) => {
        const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
        return fetch(url.replace('https://auth.openai.com', scene.emulator.url), init);
      },
      workloadIdentity: {
        identityProviderId: 'wip_01', serviceAccountId: 'sa_01', provider: { tokenType: 'jwt', getToken: async () => getToken() },
      },
    });
  }

  const ping = (client: OpenAI): Promise<OpenAI.Responses.Response> => client.responses.create({ model: 'gpt-5', input: 'ping' });

  test('exchanges once for several calls and parses the response', async () => {
    await scene.start();
    const client = createClient(() => scene.mint());
    expect((await ping(client)).output_text).toBe('pong');
    await ping(client);
    expect(scene.emulator.exchanges).toBe(1);
    expect(scene.emulator.requests.map(({ path }) => path)).toEqual(['/oauth/token', '/v1/responses', '/v1/responses']);
  });

  test('exchanges anew when the API refuses the token', async () => {
    await scene.start();
    const client = createClient(() => scene.mint());
    await ping(client);
    scene.emulator.revokeTokens();
    await ping(client);
    expect(scene.emulator.exchanges).toBe(2);
  });

  test.each<[OpenAiErrorCode, string, number | undefined, MintOptions]>([
    ['invalid_subject_token', 'x_audience_mismatch', undefined, { claims: { aud: 'vouch' } }],
    ['invalid_grant', 'x_mapping_mismatch', 401, { claims: { sub: 'ops@example.com' } }],
  ])('reports %s as a typed error', async (code, reason, errorStatus, options) => {
    await scene.start({ options: { errorStatus } });
    const denial: unknown = await ping(createClient(() => scene.mint(options))).catch((error: unknown) => error);
    expect(denial).toBeInstanceOf(OAuthError);
    expect(denial).toMatchObject({ status: errorStatus ?? 400, error_code: code });
    expect((denial as Error).message).toContain(DESCRIPTIONS[code]);
    expect(scene.emulator.history.map((entry) => entry.reason)).toEqual([reason]);
    expect(scene.emulator.requests.map(({ path }) => path)).toEqual(['/oauth/token']);
  });
});

describe('a configuration that the dashboard would not accept', () => {
  test.each<[string, Setting, string]>([
    ['a wildcard alone', { mappings: [{ match: { sub: '*' } }] }, 'wip_01/sa_01: only one trailing * after a non-empty prefix'],
    ['a suffix pattern', { mappings: [{ match: { sub: '*@example.com' } }] }, 'wip_01/sa_01: only one trailing * after a non-empty prefix'],
    ['two wildcards', { mappings: [{ match: { sub: 'dev**' } }] }, 'wip_01/sa_01: only one trailing * after a non-empty prefix'],
    ['a mapping that matches anybody', { mappings: [{ match: {} }] }, 'wip_01/sa_01: matches anybody'],
    ['a mapping for an unknown provider', { mappings: [{ identityProviderId: 'wip_02' }] }, 'wip_02/sa_01: unknown identity provider'],
    ['no audience', { provider: { audience: '' } }, 'wip_01: an audience is required'],
    ['a derived name outside openai.*', { provider: { transformations: { team: () => 'a' } } }, "wip_01: a derived name starts with 'openai.'"],
    ['a discovery URL over http', { provider: { discoveryUrl: 'http://issuer.example/d' } }, 'wip_01: discovery: url must use https scheme: http://issuer.example/d'],
    ['a discovery URL with a query', { provider: { discoveryUrl: 'https://issuer.example/d?x=1' } }, 'wip_01: discovery: a query or a fragment: https://issuer.example/d?x=1'],
    ['an empty upload', { provider: { jwks: { keys: [] } } }, 'wip_01: keys is not a non-empty array'],
    ['an upload with a private key', { provider: { jwks: { keys: [{ kty: 'RSA', kid: 'a', d: 'AA' }] } } }, "wip_01: keys[0] has the private member 'd'"],
    ['51 mappings', { mappings: Array.from({ length: 51 }, () => ({})) }, 'wip_01: more than 50 mappings'],
  ])('is a TypeError: %s', async (_name, setting, message) => {
    const failure: unknown = await scene.start(setting).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TypeError);
    expect((failure as Error).message).toBe(message);
  });
});
