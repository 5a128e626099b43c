import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import Anthropic from '@anthropic-ai/sdk';
import { oidcFederationProvider } from '@anthropic-ai/sdk/lib/credentials/oidc-federation';
import { decodeJwt, generateKeyPair, SignJWT } from 'jose';
import OpenAI from 'openai';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { exchangeForm, postToken, signIn, type Tokens } from '../support/oauth.ts';
import { ANTHROPIC_IDS, OPENAI_AUDIENCE, OPENAI_IDS, startProviderWorld, type ProviderWorld } from '../support/provider_world.ts';

/* The providers' own SDKs, with our tokens, against emulators that fetch our keys over HTTP and know nothing else of us. */

let issuer: TestIssuer;
let tokens: Tokens;
let providers: ProviderWorld;

beforeAll(async () => {
  issuer = await startTestIssuer({ VOUCH_AUDIENCES: OPENAI_AUDIENCE, VOUCH_HOSTED_DOMAINS: 'example.com' });
  tokens = await signIn(issuer.url, await issuer.createPerson('ada@example.com'));
  providers = await startProviderWorld(issuer.url, 'ada@example.com', { clock: () => Math.floor(Date.now() / 1000) });
});
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

/** A token with the right claims and a signature of a key that the JWKS does not have. */
async function forge(audience: string): Promise<string> {
  const { privateKey } = await generateKeyPair('RS256');
  return new SignJWT({ ...decodeJwt(await mint()), aud: audience }).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'unknown-kid' }).sign(privateKey);
}

describe('Anthropic', () => {
  const createClient = (getToken: () => Promise<string>) => {
    const { rule, organization, serviceAccount, workspace } = ANTHROPIC_IDS;
    const baseURL = providers.anthropic.url;
    return new Anthropic({
      baseURL, maxRetries: 0,
      credentials: oidcFederationProvider({ identityTokenProvider: getToken, federationRuleId: rule, organizationId: organization, serviceAccountId: serviceAccount, workspaceId: workspace, baseURL, fetch }),
    });
  };
  const ask = (getToken: () => Promise<string>) => createClient(getToken).messages.create({ model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'ping' }] });
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
  const ask = (getToken: () => Promise<string>) =>
    new OpenAI({
      apiKey: null, maxRetries: 0, baseURL: `${providers.openai.url}/v1`,
      // The SDK knows one token endpoint only: this is the way to an emulator.
      fetch: (url, init) => fetch(String(url instanceof Request ? url.url : url).replace('https://auth.openai.com', providers.openai.url), init),
      workloadIdentity: { identityProviderId: OPENAI_IDS.provider, serviceAccountId: OPENAI_IDS.serviceAccount, provider: { tokenType: 'id', getToken } },
    }).responses.create({ model: 'gpt-5', input: 'ping' });
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
