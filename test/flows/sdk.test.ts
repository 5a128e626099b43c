import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import Anthropic from '@anthropic-ai/sdk';
import { oidcFederationProvider } from '@anthropic-ai/sdk/lib/credentials/oidc-federation';
import { decodeJwt, generateKeyPair, SignJWT } from 'jose';
import OpenAI from 'openai';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { exchangeForm, postToken, signIn, type Tokens } from '../support/oauth.ts';
import { ANTHROPIC_IDS, OPENAI_AUDIENCE, OPENAI_IDS, startProviderWorld, type ProviderWorld } from '../support/provider_world.ts';
import { createServiceClient, type ServiceClient } from '../support/service_client.ts';

/* The providers' own SDKs, with our tokens, against emulators that fetch our keys over HTTP and know nothing else of us. */

/** What a rule at Anthropic asks for that names no audience. */
const ANTHROPIC_AUDIENCE = 'https://api.anthropic.com';

let issuer: TestIssuer;
let tokens: Tokens;
let service: ServiceClient;
let providers: ProviderWorld;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_AUDIENCES: OPENAI_AUDIENCE, VOUCH_HOSTED_DOMAINS: 'example.com' });
  tokens = await signIn(issuer.url, await issuer.createPerson('ada@example.com'));
  const ada = await issuer.app.accounts.lookUp('ada@example.com');
  service = await createServiceClient(issuer, 'ci@example.com', ada!.id);
  const allow = ['people', `service:${service.id}`];
  for (const name of [issuer.url, OPENAI_AUDIENCE]) await issuer.app.audiences.set(name, { allow });
  await issuer.app.audiences.add({ name: ANTHROPIC_AUDIENCE, preset: 'anthropic', allow });
  providers = await startProviderWorld(issuer.url, 'ada@example.com', { clock });
});
const clock = () => Math.floor(Date.now() / 1000);
let movedBy = 0;
const moveClock = (seconds: number) => {
  movedBy += seconds;
  issuer.clock.advance(seconds);
};
afterEach(() => {
  moveClock(-movedBy);
});
afterAll(async () => {
  await providers.close();
  await issuer.close();
});

const mint = async (audience?: string): Promise<string> =>
  (await postToken(issuer.url, exchangeForm(tokens.access_token, audience === undefined ? {} : { audience }))).body.access_token as string;

/** A token of a job, which nobody signed in for. */
async function mintForService(audience?: string): Promise<string> {
  const { body: access } = await service.ask();
  return (await service.exchange(access.access_token as string, audience === undefined ? {} : { audience })).body.access_token as string;
}

/** A token with the right claims and a signature of a key that the JWKS does not have. */
async function forge(audience: string): Promise<string> {
  const { privateKey } = await generateKeyPair('RS256');
  return new SignJWT({ ...decodeJwt(await mint()), aud: audience }).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'unknown-kid' }).sign(privateKey);
}

function askAnthropic({ anthropic: { url: baseURL } }: ProviderWorld, getToken: () => Promise<string>) {
  const { rule, organization, serviceAccount, workspace } = ANTHROPIC_IDS;
  const credentials = oidcFederationProvider({ identityTokenProvider: getToken, federationRuleId: rule, organizationId: organization, serviceAccountId: serviceAccount, workspaceId: workspace, baseURL, fetch });
  return new Anthropic({ baseURL, maxRetries: 0, credentials }).messages.create({ model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'ping' }] });
}

function askOpenAi({ openai }: ProviderWorld, getToken: () => Promise<string>) {
  return new OpenAI({
    apiKey: null, maxRetries: 0, baseURL: `${openai.url}/v1`,
    // The SDK knows one token endpoint only: this is the way to an emulator.
    fetch: (url, init) => fetch(String(url instanceof Request ? url.url : url).replace('https://auth.openai.com', openai.url), init),
    workloadIdentity: { identityProviderId: OPENAI_IDS.provider, serviceAccountId: OPENAI_IDS.serviceAccount, provider: { tokenType: 'id', getToken } },
  }).responses.create({ model: 'gpt-5', input: 'ping' });
}

describe('Anthropic', () => {
  const ask = (getToken: () => Promise<string>) => askAnthropic(providers, getToken);
  const lastReason = () => providers.anthropic.history.at(-1)?.reason;

  test('takes a fresh token', async () => {
    const before = providers.anthropic.history.length;
    await expect(ask(mint)).resolves.toMatchObject({ type: 'message', role: 'assistant' });
    expect(providers.anthropic.history).toHaveLength(before);
  });

  test('refuses one for another audience', async () => {
    await expect(ask(() => mint(OPENAI_AUDIENCE))).rejects.toMatchObject({ statusCode: 401 });
    expect(lastReason()).toBe('jwt_audience_mismatch');
  });

  test('refuses one that it took before', async () => {
    const token = await mint();
    await ask(async () => token);
    await expect(ask(async () => token)).rejects.toMatchObject({ statusCode: 401 });
    expect(lastReason()).toBe('jti_reused');
  });

  test('refuses one of a key that we do not publish', async () => {
    const token = await forge(issuer.url);
    await expect(ask(async () => token)).rejects.toMatchObject({ statusCode: 401 });
    expect(lastReason()).toBe('jwt_kid_not_in_jwks');
  });

  test('refuses one that has expired', async () => {
    const token = await mint();
    moveClock(631);
    await expect(ask(async () => token)).rejects.toMatchObject({ statusCode: 401 });
    expect(lastReason()).toBe('x_exp_passed');
  });
});

describe('OpenAI', () => {
  const ask = (getToken: () => Promise<string>) => askOpenAi(providers, getToken);
  const lastReason = () => providers.openai.history.at(-1)?.reason;

  test('takes a fresh token', async () => {
    await expect(ask(() => mint(OPENAI_AUDIENCE))).resolves.toMatchObject({ object: 'response' });
  });

  test('refuses one for another audience', async () => {
    await expect(ask(() => mint())).rejects.toMatchObject({ error_code: 'invalid_subject_token' });
    expect(lastReason()).toMatch(/aud/);
  });

  test('refuses one of a key that we do not publish', async () => {
    const token = await forge(OPENAI_AUDIENCE);
    await expect(ask(async () => token)).rejects.toMatchObject({ error_code: 'invalid_subject_token' });
    expect(lastReason()).toMatch(/kid|key/);
  });

  test('refuses one that has expired', async () => {
    const token = await mint(OPENAI_AUDIENCE);
    moveClock(601);
    await expect(ask(async () => token)).rejects.toMatchObject({ error_code: 'invalid_subject_token' });
    expect(lastReason()).toMatch(/exp/);
  });
});

interface Audiences {
  readonly anthropic: string | undefined;
  readonly openai: string | undefined;
}

describe.each<[who: string, subject: string, other: string, get: (audience?: string) => Promise<string>, getOther: (audience?: string) => Promise<string>]>([
  ['a person', 'ada@example.com', 'a service account', mint, mintForService],
  ['a service account', 'ci@example.com', 'a person', mintForService, mint],
])('both providers, set up for %s', (_who, subject, other, get, getOther) => {
  /** Whom the providers' rules are for, undefined where it is the issuer itself; and what their rules are not for. */
  describe.each<[what: string, right: Audiences, wrong: Audiences]>([
    ['the default audience', { anthropic: undefined, openai: undefined }, { anthropic: ANTHROPIC_AUDIENCE, openai: OPENAI_AUDIENCE }],
    ['an audience of its own', { anthropic: ANTHROPIC_AUDIENCE, openai: OPENAI_AUDIENCE }, { anthropic: undefined, openai: undefined }],
  ])('with %s', (_what, right, wrong) => {
    let world: ProviderWorld;
    const reasons = () => [world.anthropic.history.at(-1)?.reason, world.openai.history.at(-1)?.reason];
    beforeAll(async () => {
      world = await startProviderWorld(issuer.url, subject, { clock }, { anthropic: right.anthropic ?? issuer.url, openai: right.openai ?? issuer.url });
    });
    afterAll(() => world.close());

    test('take its fresh tokens', async () => {
      await expect(askAnthropic(world, () => get(right.anthropic))).resolves.toMatchObject({ type: 'message', role: 'assistant' });
      await expect(askOpenAi(world, () => get(right.openai))).resolves.toMatchObject({ object: 'response' });
    });

    test(`refuse those of ${other}`, async () => {
      await expect(askAnthropic(world, () => getOther(right.anthropic))).rejects.toMatchObject({ statusCode: 401 });
      await expect(askOpenAi(world, () => getOther(right.openai))).rejects.toMatchObject({ error_code: 'invalid_grant' });
      expect(reasons()).toEqual(['match_subject_prefix', 'x_mapping_mismatch']);
    });

    test('refuse those for another audience', async () => {
      await expect(askAnthropic(world, () => get(wrong.anthropic))).rejects.toMatchObject({ statusCode: 401 });
      await expect(askOpenAi(world, () => get(wrong.openai))).rejects.toMatchObject({ error_code: 'invalid_subject_token' });
      expect(reasons()).toEqual(['jwt_audience_mismatch', expect.stringMatching(/aud/)]);
    });
  });
});
