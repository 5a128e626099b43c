import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { startOpenAiEmulator } from '../support/openai_emulator.ts';
import type { OpenAiEmulator, OpenAiEmulatorOptions } from '../support/openai_emulator.ts';
import type { OpenAiErrorCode, OpenAiIdentityProvider, OpenAiMapping } from '../support/openai_mappings.ts';
import { startTestIssuer } from '../support/test_issuer.ts';
import type { MintOptions, TestIssuer } from '../support/test_issuer.ts';

export const AUDIENCE = 'https://api.openai.com/v1';
export const DESCRIPTIONS: Record<OpenAiErrorCode, string> = {
  invalid_subject_token: 'The subject token is invalid.',
  invalid_grant: 'The subject token is not accepted for this identity provider and service account.',
};

/** What a test changes of the emulator's usual configuration. */
export interface Setting {
  readonly provider?: Partial<OpenAiIdentityProvider>;
  readonly mappings?: readonly Partial<OpenAiMapping>[];
  readonly options?: Partial<OpenAiEmulatorOptions>;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever JSON came back; the assertions check it
export interface Outcome { status: number; body: any }

export interface OpenAiScene {
  /** Unix seconds, of the issuer and the emulator alike; 1800000000 when a test begins. */
  now: number;
  readonly issuer: TestIssuer;
  readonly emulator: OpenAiEmulator;
  start(setting?: Setting): Promise<void>;
  mint(options?: MintOptions): string;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Outcome>;
  exchange(subjectToken: string, fields?: Record<string, unknown>): Promise<Outcome>;
  call(token: string, body?: Record<string, unknown>): Promise<Outcome>;
  /** Asserts the status, the body and the only entry of the history. */
  expectDenied(outcome: Outcome, error: OpenAiErrorCode, reason: string): void;
}

/** One issuer per file and one emulator per `start`, closed after each test. */
export function setOpenAiScene(): OpenAiScene {
  let issuer: TestIssuer;
  let emulator: OpenAiEmulator | undefined;

  beforeAll(async () => { issuer = await startTestIssuer(() => scene.now); });
  afterAll(() => issuer.close());
  beforeEach(() => {
    scene.now = 1_800_000_000;
    issuer.reset();
  });
  afterEach(async () => {
    await emulator?.close();
    emulator = undefined;
  });

  const scene: OpenAiScene = {
    now: 0,
    get issuer() { return issuer; },
    get emulator() { return emulator!; },

    async start({ provider, mappings = [{}], options } = {}) {
      emulator = await startOpenAiEmulator({
        identityProviders: [{ id: 'wip_01', issuerUrl: issuer.url, audience: AUDIENCE, ...provider }],
        mappings: mappings.map((mapping) => ({
          identityProviderId: 'wip_01', serviceAccountId: 'sa_01', match: { sub: 'dev@example.com' }, ...mapping,
        })),
        clock: () => scene.now,
        ...options,
      });
    },

    mint(options = {}) {
      return issuer.mint({ ...options, claims: { aud: AUDIENCE, ...options.claims } });
    },

    async post(path, body, headers = {}) {
      const response = await fetch(`${scene.emulator.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      return { status: response.status, body: await response.json() };
    },

    exchange(subjectToken, fields = {}) {
      return scene.post('/oauth/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: subjectToken,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        identity_provider_id: 'wip_01',
        service_account_id: 'sa_01',
        ...fields,
      });
    },

    call(token, body = {}) {
      return scene.post('/v1/responses', { model: 'gpt-5', input: 'ping', ...body }, { authorization: `Bearer ${token}` });
    },

    expectDenied(outcome, error, reason) {
      expect(outcome).toEqual({ status: 400, body: { error, error_description: DESCRIPTIONS[error] } });
      expect(scene.emulator.history).toEqual([expect.objectContaining({ at: scene.now, error, reason })]);
      expect(scene.emulator.exchanges).toBe(0);
    },
  };
  return scene;
}
