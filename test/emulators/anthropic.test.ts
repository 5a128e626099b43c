import Anthropic from '@anthropic-ai/sdk';
import { oidcFederationProvider } from '@anthropic-ai/sdk/lib/credentials/oidc-federation';
import { WorkloadIdentityError } from '@anthropic-ai/sdk/lib/credentials/types';
import { describe, expect, test } from '@jest/globals';
import type { MintOptions } from '../support/test_issuer.ts';
import { AUDIENCE, OPAQUE, ORG, setAnthropicScene } from './anthropic_scene.ts';
import type { Outcome, Setting } from './anthropic_scene.ts';

const OTHER_ORG = '00000000-0000-4000-8000-000000000002';

const scene = setAnthropicScene();

describe('a successful exchange', () => {
  test('answers a bearer token and leaves no history', async () => {
    await scene.start();
    const outcome = await scene.exchange(scene.mint());
    expect(outcome).toEqual({
      status: 200,
      requestId: expect.stringMatching(/^req_/),
      body: {
        access_token: expect.stringMatching(/^sk-ant-oat01-[\w-]{43}$/),
        token_type: 'Bearer',
        expires_in: 1200,
        scope: 'workspace:developer',
      },
    });
    expect(scene.emulator.history).toEqual([]);
    expect(scene.emulator.exchanges).toBe(1);
  });

  test.each<[string, Setting, MintOptions, Record<string, unknown>?]>([
    ['ES256', {}, { header: { alg: 'ES256' } }],
    ['no typ', {}, { header: { typ: undefined } }],
    ['aud as an array with the audience in it', {}, { claims: { aud: ['other', AUDIENCE] } }],
    ['the audience of the rule', { match: { subjectPrefix: 'dev@*', audience: 'vouch' } }, { claims: { aud: 'vouch' } }],
    ['a prefix', { match: { subjectPrefix: 'dev@*' } }, {}],
    ['a claim that is the string', { match: { claims: { hd: 'example.com' } } }, { claims: { hd: 'example.com' } }],
    ['a condition on a boolean', { match: { condition: (claims) => claims['email_verified'] === true } }, { claims: { email_verified: true } }],
    ['exp - iat of exactly the maximum', {}, { claims: { exp: 1_800_003_600 } }],
    ['a longer maximum of the issuer', { issuer: { maxJwtLifetimeSeconds: 7200 } }, { claims: { exp: 1_800_007_200 } }],
    ['exp 29 s ago', {}, { claims: { iat: 1_799_999_900, exp: 1_799_999_971 } }],
    ['iat and nbf 30 s ahead', {}, { claims: { iat: 1_800_000_030, nbf: 1_800_000_030 } }],
    ['no nbf and no jti', {}, { claims: { nbf: undefined, jti: undefined } }],
    ['a workspace named by the request', { rule: { workspaceIds: ['wrkspc_01', 'wrkspc_02'] } }, {}, { workspace_id: 'wrkspc_02' }],
    ['a rule for all workspaces', { rule: { workspaceIds: 'all' } }, {}, { workspace_id: 'wrkspc_02' }],
    ['the default workspace, of which everyone is a member',
      { rule: { serviceAccountId: 'svac_02', workspaceIds: ['default'] } }, {}, { service_account_id: 'svac_02', workspace_id: 'default' }],
    ['an organization id in capitals', {}, {}, { organization_id: ORG.toUpperCase() }],
  ])('accepts %s', async (_name, setting, options, fields = {}) => {
    await scene.start(setting);
    const key = options.header?.['alg'] === 'ES256' ? scene.issuer.ecKey : scene.issuer.rsaKey;
    const outcome = await scene.exchange(scene.mint({ key, ...options }), fields);
    expect(scene.emulator.history).toEqual([]);
    expect(outcome.status).toBe(200);
  });

  test.each([
    ['twice what is left of the assertion', 100, 3600, 200],
    ['the rule\'s lifetime when that is less', 600, 300, 300],
    ['never less than a minute', 20, 3600, 60],
    ['a minute even after exp, within the leeway', -20, 3600, 60],
  ])('lets the token live for %s', async (_name, remaining, tokenLifetimeSeconds, expected) => {
    await scene.start({ rule: { tokenLifetimeSeconds } });
    const { body } = await scene.exchange(scene.mint({ claims: { iat: scene.now - 100, nbf: scene.now - 100, exp: scene.now + remaining } }));
    expect(body.expires_in).toBe(expected);
  });

  test('accepts an assertion of exactly 16384 bytes and no more', async () => {
    await scene.start();
    const pad = (size: number): string => scene.mint({ claims: { pad: 'x'.repeat(size) } });
    const [header, payload, signature] = pad(0).split('.');
    const room = Math.floor((16_384 - header!.length - signature!.length - 2) * 0.75) - Buffer.from(payload!, 'base64url').length;
    const fitting = pad(room);
    expect(fitting).toHaveLength(16_384);
    expect((await scene.exchange(pad(room + 1))).body.error.message).toBe('assertion: must be at most 16384 bytes');
    expect((await scene.exchange(fitting)).status).toBe(200);
  });
});

describe('a malformed request', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['no grant_type', { grant_type: undefined }, 'grant_type: must be urn:ietf:params:oauth:grant-type:jwt-bearer'],
    ['the grant of RFC 8693', { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange' }, 'grant_type: must be urn:ietf:params:oauth:grant-type:jwt-bearer'],
    ['no assertion', { assertion: undefined }, 'assertion: a non-empty string is required'],
    ['an empty assertion', { assertion: '' }, 'assertion: a non-empty string is required'],
    ['an assertion that is no string', { assertion: {} }, 'assertion: a non-empty string is required'],
    ['an assertion above 16 KiB', { assertion: 'x'.repeat(16_385) }, 'assertion: must be at most 16384 bytes'],
    ['no rule', { federation_rule_id: undefined }, 'federation_rule_id: must be a tagged id fdrl_...'],
    ['a malformed rule', { federation_rule_id: 'rule_01' }, 'federation_rule_id: must be a tagged id fdrl_...'],
    ['no organization', { organization_id: undefined }, 'organization_id: must be a UUID'],
    ['an organization that is no UUID', { organization_id: 'org_01' }, 'organization_id: must be a UUID'],
    ['no service account', { service_account_id: undefined }, 'service_account_id: must be a tagged id svac_...'],
    ['a malformed service account', { service_account_id: 'svac_' }, 'service_account_id: must be a tagged id svac_...'],
    ['a malformed workspace', { workspace_id: 'Default' }, "workspace_id: must be a tagged id wrkspc_... or the literal 'default'"],
    ['an empty workspace', { workspace_id: '' }, "workspace_id: must be a tagged id wrkspc_... or the literal 'default'"],
  ])('with %s is told so and leaves no history', async (_name, fields, message) => {
    await scene.start();
    const outcome = await scene.exchange(scene.mint(), fields);
    expect(outcome.status).toBe(400);
    expect(outcome.body).toEqual({ type: 'error', error: { type: 'invalid_request_error', message }, request_id: outcome.requestId });
    expect(scene.emulator.history).toEqual([]);
  });

  test.each<[string, unknown, Record<string, string>, number, string]>([
    ['a form', 'grant_type=x', { 'content-type': 'application/x-www-form-urlencoded' }, 400, 'body: a JSON object is required'],
    ['JSON labelled as something else', '{}', { 'content-type': 'text/plain' }, 400, 'body: a JSON object is required'],
    ['an array', [], {}, 400, 'body: a JSON object is required'],
    ['broken JSON', '{', {}, 400, 'body: a JSON object is required'],
    ['an Authorization header', {}, { authorization: 'Bearer x' }, 400, 'authorization: header must not be sent'],
    ['more than 1 MiB', 'x'.repeat(1_048_577), {}, 413, 'request exceeds the maximum size'],
  ])('of %s is refused', async (_name, body, headers, status, message) => {
    await scene.start();
    const outcome = await scene.post('/v1/oauth/token', body, headers);
    expect(outcome.status).toBe(status);
    expect(outcome.body.error.message).toBe(message);
    expect(scene.emulator.history).toEqual([]);
  });

  test('to another path or by another method is not found', async () => {
    await scene.start();
    expect((await scene.post('/v1/token', {})).status).toBe(404);
    const response = await fetch(`${scene.emulator.url}/v1/oauth/token`);
    expect(response.status).toBe(404);
    expect(response.headers.get('request-id')).toMatch(/^req_/);
  });
});

describe('an exchange that no rule can answer for', () => {
  test.each<[string, Record<string, unknown>]>([
    ['an unknown rule', { federation_rule_id: 'fdrl_02' }],
    ['another organization', { organization_id: OTHER_ORG }],
  ])('for %s gets the opaque 401 and no history', async (_name, fields) => {
    await scene.start();
    const outcome = await scene.exchange(scene.mint(), fields);
    expect(outcome.status).toBe(401);
    expect(outcome.body).toEqual({ type: 'error', error: OPAQUE, request_id: outcome.requestId });
    expect(scene.emulator.history).toEqual([]);
    expect(scene.emulator.exchanges).toBe(0);
  });
});

describe('a denied exchange is opaque, and in the history', () => {
  const unsecured: MintOptions = { header: { alg: 'none' }, signWith: 'none' };
  test.each<[string, string, MintOptions, Setting?, Record<string, unknown>?]>([
    ['an archived rule', 'x_rule_archived', {}, { rule: { isArchived: true } }],
    ['alg none', 'x_alg_not_allowed', unsecured],
    ['alg HS256 with the public key as the secret', 'x_alg_not_allowed', { header: { alg: 'HS256' }, signWith: 'HS256' }],
    ['alg EdDSA', 'x_alg_not_allowed', { header: { alg: 'EdDSA' } }],
    ['alg in small letters', 'x_alg_not_allowed', { header: { alg: 'rs256' } }],
    ['no alg', 'x_alg_not_allowed', { header: { alg: undefined } }],
    ['no kid', 'x_kid_missing', { header: { kid: undefined } }],
    ['an empty kid', 'x_kid_missing', { header: { kid: '' } }],
    ['typ at+jwt', 'x_typ_not_jwt', { header: { typ: 'at+jwt' } }],
    ['a critical extension', 'x_header_member', { header: { crit: ['exp'] } }],
    ['a key of its own', 'x_header_member', { header: { jwk: { kty: 'RSA' } } }],
    ['iss with a trailing slash', 'x_iss_mismatch', { claims: { iss: 'SLASH' } }],
    ['no iss', 'x_iss_mismatch', { claims: { iss: undefined } }],
    ['a kid that the JWKS does not have', 'jwt_kid_not_in_jwks', { header: { kid: 'another' } }],
    ['the kid of another key', 'x_jwk_alg_mismatch', { header: { kid: 'EC' } }],
    ['a signature by another key', 'x_signature_invalid', { header: { alg: 'ES256', kid: 'EC' }, signWith: 'RS256' }],
    ['no sub', 'x_sub_missing', { claims: { sub: undefined } }],
    ['an empty sub', 'x_sub_missing', { claims: { sub: '' } }],
    ['no exp', 'x_exp_missing', { claims: { exp: undefined } }],
    ['no iat', 'x_iat_missing', { claims: { iat: undefined } }],
    ['exp as a string', 'x_exp_invalid', { claims: { exp: '1800000600' } }],
    ['iat with a fraction', 'x_iat_invalid', { claims: { iat: 1_800_000_000.5 } }],
    ['nbf as null', 'x_nbf_invalid', { claims: { nbf: null } }],
    ['exp 30 s ago', 'x_exp_passed', { claims: { iat: 1_799_999_900, exp: 1_799_999_970 } }],
    ['iat 31 s ahead', 'x_iat_in_future', { claims: { iat: 1_800_000_031 } }],
    ['nbf 31 s ahead', 'x_nbf_in_future', { claims: { nbf: 1_800_000_031 } }],
    ['exp - iat of 3601', 'x_lifetime_exceeded', { claims: { exp: 1_800_003_601 } }],
    ['exp - iat above the issuer\'s own maximum', 'x_lifetime_exceeded', {}, { issuer: { maxJwtLifetimeSeconds: 599 } }],
    ['no aud', 'jwt_audience_mismatch', { claims: { aud: undefined } }],
    ['aud with a trailing slash', 'jwt_audience_mismatch', { claims: { aud: `${AUDIENCE}/` } }],
    ['aud as an array without the audience', 'jwt_audience_mismatch', { claims: { aud: ['vouch'] } }],
    ['the default aud when the rule has its own', 'jwt_audience_mismatch', {}, { match: { subjectPrefix: 'dev@*', audience: 'vouch' } }],
    ['the issuer as aud in condition mode', 'jwt_audience_mismatch', { claims: { aud: 'vouch' } }, { match: { condition: () => true } }],
    ['a sub in capitals', 'match_subject_prefix', { claims: { sub: 'Dev@example.com' } }],
    ['a sub that only begins like an exact one', 'match_subject_prefix', { claims: { sub: 'dev@example.com.evil' } }],
    ['a suffix pattern, which is no pattern', 'match_subject_prefix', {}, { match: { subjectPrefix: '*@example.com' } }],
    ['a sub outside the prefix', 'match_subject_prefix', {}, { match: { subjectPrefix: 'ops@*' } }],
    ['a claim that is missing', 'x_match_claims', {}, { match: { claims: { hd: 'example.com' } } }],
    ['a claim of another value', 'x_match_claims', { claims: { hd: 'other.com' } }, { match: { claims: { hd: 'example.com' } } }],
    ['a boolean claim', 'x_match_claims', { claims: { email_verified: true } }, { match: { claims: { email_verified: 'true' } } }],
    ['an array claim', 'x_match_claims', { claims: { groups: ['dev'] } }, { match: { claims: { groups: 'dev' } } }],
    ['an inherited name', 'x_match_claims', {}, { match: { claims: { constructor: 'x' } } }],
    ['a false condition', 'x_match_condition', {}, { match: { condition: () => false } }],
    ['one of two matchers failing', 'x_match_claims', {}, { match: { subjectPrefix: 'dev@*', claims: { hd: 'example.com' } } }],
    ['another service account', 'x_service_account_mismatch', {}, {}, { service_account_id: 'svac_02' }],
    ['no workspace when the rule has two', 'workspace_id_required', {}, { rule: { workspaceIds: ['wrkspc_01', 'wrkspc_02'] } }],
    ['no workspace when the rule has all', 'workspace_id_required', {}, { rule: { workspaceIds: 'all' } }],
    ['a workspace outside the rule', 'x_workspace_not_in_rule', {}, {}, { workspace_id: 'wrkspc_02' }],
    ['a service account outside the workspace', 'sa_not_in_workspace', {}, { rule: { workspaceIds: ['wrkspc_03'] } }],
    ['a jti that is no string', 'x_jti_invalid', { claims: { jti: 7 } }],
    ['an empty jti', 'x_jti_invalid', { claims: { jti: '' } }],
  ])('for %s: %s', async (_name, reason, options, setting = {}, fields = {}) => {
    await scene.start(setting);
    const kid = options.header?.['kid'] === 'EC' ? { kid: scene.issuer.ecKey.kid } : {};
    const iss = options.claims?.['iss'] === 'SLASH' ? { iss: `${scene.issuer.url}/` } : {};
    const { header, claims, ...rest } = options;
    scene.expectDenied(await scene.exchange(scene.mint({ header: { ...header, ...kid }, claims: { ...claims, ...iss }, ...rest }), fields), reason);
  });

  test.each<[string, (token: string) => string]>([
    ['two segments', (token) => token.split('.').slice(0, 2).join('.')],
    ['four segments', (token) => `${token}.e30`],
    ['padding', (token) => `${token}=`],
    ['a payload that is no object', (token) => token.replace(/\.[^.]+\./, '.W10.')],
    ['a payload that is no UTF-8', (token) => token.replace(/\.[^.]+\./, `.${Buffer.from('{"a":"\xff"}', 'latin1').toString('base64url')}.`)],
    ['stray bits in the header', (token) => token.replace(/^[^.]+/, 'e31')],
    ['a newline at the end', (token) => `${token}\n`],
  ])('for %s: x_jwt_malformed', async (_name, damage) => {
    await scene.start();
    scene.expectDenied(await scene.exchange(damage(scene.mint())), 'x_jwt_malformed');
  });

  test('for changed claims: x_signature_invalid', async () => {
    await scene.start();
    const [header, , signature] = scene.mint().split('.');
    const [, payload] = scene.mint({ claims: { sub: 'dev@example.com' } }).split('.');
    scene.expectDenied(await scene.exchange(`${header}.${payload}.${signature}`), 'x_signature_invalid');
  });
});

describe('the jti of an assertion', () => {
  test('buys one exchange', async () => {
    await scene.start();
    const assertion = scene.mint();
    expect((await scene.exchange(assertion)).status).toBe(200);
    expect((await scene.exchange(assertion)).body.error).toEqual(OPAQUE);
    expect(scene.emulator.history.map(({ reason }) => reason)).toEqual(['jti_reused']);
    expect(scene.emulator.exchanges).toBe(1);
  });

  test('buys one of five simultaneous exchanges', async () => {
    await scene.start();
    const assertion = scene.mint();
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => scene.exchange(assertion)));
    expect(outcomes.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401, 401]);
    expect(scene.emulator.history.map(({ reason }) => reason)).toEqual(Array(4).fill('jti_reused'));
  });

  test('is not used up by an attempt that fails for another reason', async () => {
    await scene.start({ rule: { workspaceIds: ['wrkspc_01', 'wrkspc_02'] } });
    const assertion = scene.mint();
    expect((await scene.exchange(assertion)).status).toBe(401);
    expect((await scene.exchange(assertion, { workspace_id: 'wrkspc_01' })).status).toBe(200);
  });

  test('is not looked at when the issuer has check_jti off', async () => {
    await scene.start({ issuer: { checkJti: false } });
    const assertion = scene.mint();
    expect((await scene.exchange(assertion)).status).toBe(200);
    expect((await scene.exchange(assertion)).status).toBe(200);
  });
});

describe('the API', () => {
  test('answers a message to a minted token', async () => {
    await scene.start();
    const { body } = await scene.exchange(scene.mint());
    const outcome = await scene.call(body.access_token, { 'anthropic-beta': 'other-2025-01-01, oauth-2025-04-20' });
    expect(outcome.status).toBe(200);
    expect(outcome.body).toMatchObject({ type: 'message', role: 'assistant', model: 'claude-opus-5', stop_reason: 'end_turn' });
    expect(scene.emulator.apiRefusals).toEqual([]);
  });

  test.each<[string, number, string, string, Setting, (token: string) => Promise<Outcome>]>([
    ['an unknown token', 401, 'authentication_error', 'x_token_unknown', {}, () => scene.call('sk-ant-oat01-x')],
    ['the assertion itself', 401, 'authentication_error', 'x_token_unknown', {}, () => scene.call(scene.mint())],
    ['a static key', 401, 'authentication_error', 'x_token_unknown', {}, (token) => scene.call('', { authorization: '', 'x-api-key': token })],
    ['an expired token', 401, 'authentication_error', 'x_token_expired', {}, (token) => { scene.now += 1200; return scene.call(token); }],
    ['a revoked token', 401, 'authentication_error', 'x_token_unknown', {}, (token) => { scene.emulator.revokeTokens(); return scene.call(token); }],
    ['no oauth beta', 401, 'authentication_error', 'x_beta_missing', {}, (token) => scene.call(token, { 'anthropic-beta': 'oidc-federation-2026-04-01' })],
    ['a beta that only begins like it', 401, 'authentication_error', 'x_beta_missing', {}, (token) => scene.call(token, { 'anthropic-beta': 'oauth-2025-04-20x' })],
    ['another scope', 403, 'permission_error', 'x_scope_insufficient', { rule: { scope: 'workspace:manage_tunnels' } }, (token) => scene.call(token)],
    ['no model', 400, 'invalid_request_error', 'x_message_invalid', {}, (token) => scene.call(token, {}, { model: undefined })],
    ['no messages', 400, 'invalid_request_error', 'x_message_invalid', {}, (token) => scene.call(token, {}, { messages: [] })],
    ['no max_tokens', 400, 'invalid_request_error', 'x_message_invalid', {}, (token) => scene.call(token, {}, { max_tokens: undefined })],
  ])('refuses %s', async (_name, status, type, reason, setting, attempt) => {
    await scene.start(setting);
    const { body } = await scene.exchange(scene.mint());
    const outcome = await attempt(body.access_token);
    expect(outcome).toMatchObject({ status, body: { type: 'error', error: { type }, request_id: outcome.requestId } });
    expect(scene.emulator.apiRefusals.map((refusal) => refusal.reason)).toEqual([reason]);
  });

  test('accepts a token until the second before it expires', async () => {
    await scene.start();
    const { body } = await scene.exchange(scene.mint());
    scene.now += body.expires_in - 1;
    expect((await scene.call(body.access_token)).status).toBe(200);
  });
});

describe('the official SDK', () => {
  function createClient(identityTokenProvider: () => string, workspaceId?: string): Anthropic {
    return new Anthropic({
      baseURL: scene.emulator.url,
      credentials: oidcFederationProvider({
        identityTokenProvider, federationRuleId: 'fdrl_01', organizationId: ORG, serviceAccountId: 'svac_01', workspaceId,
        baseURL: scene.emulator.url, fetch,
      }),
    });
  }

  function ping(client: Anthropic): Promise<Anthropic.Message> {
    return client.messages.create({ model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'ping' }] });
  }

  test('exchanges once for several calls and parses the message', async () => {
    await scene.start();
    const client = createClient(() => scene.mint(), 'wrkspc_01');
    const [message] = await Promise.all([ping(client), ping(client), ping(client)]);
    expect(message.content).toEqual([{ type: 'text', text: 'pong', citations: null }]);
    await ping(client);
    expect(scene.emulator.exchanges).toBe(1);
    expect(scene.emulator.history).toEqual([]);
    expect(scene.emulator.requests[0]).toMatchObject({
      path: '/v1/oauth/token', status: 200, betas: ['oauth-2025-04-20', 'oidc-federation-2026-04-01'],
    });
    expect(scene.emulator.requests.slice(1).map(({ path, betas }) => [path, betas])).toEqual(Array(4).fill(['/v1/messages', ['oauth-2025-04-20']]));
  });

  test('exchanges anew when the API refuses the token', async () => {
    await scene.start();
    const client = createClient(() => scene.mint());
    await ping(client);
    scene.emulator.revokeTokens();
    await ping(client);
    expect(scene.emulator.exchanges).toBe(2);
  });

  test('reports a denial with the status and the request id, and does not retry', async () => {
    await scene.start();
    const denial: unknown = await ping(createClient(() => scene.mint({ claims: { aud: 'vouch' } }))).catch((error: unknown) => error);
    expect(denial).toBeInstanceOf(WorkloadIdentityError);
    expect(denial).toMatchObject({ statusCode: 401, requestId: scene.emulator.history[0]!.requestId });
    expect(scene.emulator.history.map(({ reason }) => reason)).toEqual(['jwt_audience_mismatch']);
    expect(scene.emulator.requests.map(({ path }) => path)).toEqual(['/v1/oauth/token']);
  });

  test('cannot exchange an assertion twice', async () => {
    await scene.start();
    const assertion = scene.mint();
    await ping(createClient(() => assertion));
    await expect(ping(createClient(() => assertion))).rejects.toThrow(/Token exchange failed with status 401 \(request-id req_/);
    expect(scene.emulator.history.map(({ reason }) => reason)).toEqual(['jti_reused']);
  });
});

describe('a configuration that the Console would not accept', () => {
  test.each<[string, Setting, string]>([
    ['a rule that matches anybody', { match: { audience: 'vouch' } }, 'rule fdrl_01: matches anybody'],
    ['a rule with the prefix *', { match: { subjectPrefix: '*' } }, 'rule fdrl_01: matches anybody'],
    ['a rule for an unknown issuer', { rule: { issuerId: 'fdis_02' } }, 'rule fdrl_01: unknown issuer'],
    ['a rule for an unknown service account', { rule: { serviceAccountId: 'svac_03' } }, 'rule fdrl_01: unknown service account'],
    ['a rule of no workspace', { rule: { workspaceIds: [] } }, 'rule fdrl_01: workspaces'],
    ['a token lifetime of 59 s', { rule: { tokenLifetimeSeconds: 59 } }, 'rule fdrl_01: token_lifetime_seconds is 60 to 86400'],
    ['a lifetime above 49 h', { issuer: { maxJwtLifetimeSeconds: 176_401 } }, 'issuer fdis_01: max_jwt_lifetime_seconds is 1 to 176400'],
    ['a scope that does not exist', { rule: { scope: 'workspace:admin' } }, 'rule fdrl_01: unknown scope workspace:admin'],
  ])('is a TypeError: %s', async (_name, setting, message) => {
    const failure: unknown = await scene.start(setting).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TypeError);
    expect((failure as Error).message).toBe(message);
  });
});
