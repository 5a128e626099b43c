import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { startAnthropicEmulator } from '../support/anthropic_emulator.ts';
import type { AnthropicEmulator, AnthropicEmulatorOptions } from '../support/anthropic_emulator.ts';
import type { AnthropicIssuer, AnthropicMatch, AnthropicRule } from '../support/anthropic_rules.ts';
import { startTestIssuer } from '../support/test_issuer.ts';
import type { MintOptions, TestIssuer } from '../support/test_issuer.ts';

export const ORG = '00000000-0000-4000-8000-000000000001';
export const AUDIENCE = 'https://api.anthropic.com';
export const OPAQUE = { type: 'authentication_error', message: 'Authentication failed' };

/** What a test changes of the emulator's usual configuration. */
export interface Setting {
  readonly issuer?: Partial<AnthropicIssuer>;
  readonly rule?: Partial<AnthropicRule>;
  readonly match?: AnthropicMatch;
  readonly options?: Partial<AnthropicEmulatorOptions>;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever JSON came back; the assertions check it
export interface Outcome { status: number; requestId: string | null; body: any }

export interface AnthropicScene {
  /** Unix seconds, of the issuer and the emulator alike; 1800000000 when a test begins. */
  now: number;
  readonly issuer: TestIssuer;
  readonly emulator: AnthropicEmulator;
  start(setting?: Setting): Promise<void>;
  mint(options?: MintOptions): string;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Outcome>;
  exchange(assertion: string, fields?: Record<string, unknown>): Promise<Outcome>;
  call(token: string, headers?: Record<string, string>, body?: Record<string, unknown>): Promise<Outcome>;
  /** Asserts the status, the body and the only entry of the history. */
  expectDenied(outcome: Outcome, reason: string): void;
}

/** One issuer per file and one emulator per `start`, closed after each test. */
export function setAnthropicScene(): AnthropicScene {
  let issuer: TestIssuer;
  let emulator: AnthropicEmulator | undefined;

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

  const scene: AnthropicScene = {
    now: 0,
    get issuer() { return issuer; },
    get emulator() { return emulator!; },

    async start({ issuer: trusted, rule, match, options } = {}) {
      emulator = await startAnthropicEmulator({
        issuers: [{ id: 'fdis_01', organizationId: ORG, issuerUrl: issuer.url, ...trusted }],
        serviceAccounts: [
          { id: 'svac_01', organizationId: ORG, workspaceIds: ['wrkspc_01', 'wrkspc_02'] },
          { id: 'svac_02', organizationId: ORG },
        ],
        rules: [{
          id: 'fdrl_01', organizationId: ORG, issuerId: 'fdis_01', serviceAccountId: 'svac_01',
          match: match ?? { subjectPrefix: 'dev@example.com' }, workspaceIds: ['wrkspc_01'], ...rule,
        }],
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
      return { status: response.status, requestId: response.headers.get('request-id'), body: await response.json() };
    },

    exchange(assertion, fields = {}) {
      return scene.post('/v1/oauth/token', {
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion,
        federation_rule_id: 'fdrl_01',
        organization_id: ORG,
        service_account_id: 'svac_01',
        ...fields,
      });
    },

    call(token, headers = {}, body = {}) {
      const message = { model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'ping' }] };
      return scene.post('/v1/messages', { ...message, ...body }, {
        authorization: `Bearer ${token}`, 'anthropic-version': '2026-10-21', 'anthropic-beta': 'oauth-2025-04-20', ...headers,
      });
    },

    expectDenied(outcome, reason) {
      expect(outcome).toEqual({
        status: 401,
        requestId: expect.stringMatching(/^req_/),
        body: { type: 'error', error: OPAQUE, request_id: outcome.requestId },
      });
      expect(scene.emulator.history.map((entry) => entry.reason)).toEqual([reason]);
      expect(scene.emulator.history[0]).toMatchObject({
        at: scene.now, requestId: outcome.requestId, ruleId: 'fdrl_01', issuerId: 'fdis_01',
      });
      expect(scene.emulator.exchanges).toBe(0);
    },
  };
  return scene;
}
