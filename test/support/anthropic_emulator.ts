import { randomBytes } from 'node:crypto';
import type { Message } from '@anthropic-ai/sdk/resources/messages';
import { checkConfiguration, evaluateRule, readExchangeRequest } from './anthropic_rules.ts';
import type { AnthropicConfiguration, ExchangeRequest, Grant, RuleContext } from './anthropic_rules.ts';
import { isJsonRequest, parseJsonObject, readBearerToken, startHttpListener } from './http_listener.ts';
import type { HttpAnswer, HttpRequest } from './http_listener.ts';
import { createKeyCache, fetchIssuerKeys } from './issuer_keys.ts';
import { Refusal } from './refusal.ts';

export interface AnthropicEmulatorOptions extends AnthropicConfiguration {
  /** Unix seconds. Default: the system's. */
  readonly clock?: (() => number) | undefined;
  /** Default 0, any free one. */
  readonly port?: number | undefined;
  /** How long a fetched JWKS is used without a look at the issuer's. Default 60: "may fail for up to 1 minute". */
  readonly jwksCacheSeconds?: number | undefined;
  /** Of a discovery or JWKS fetch. Default 5000. */
  readonly fetchTimeoutMs?: number | undefined;
  /** Whether API calls must bring the OAuth beta, as the SDK does. Default true; the guide's curl does without. */
  readonly isApiBetaRequired?: boolean | undefined;
}

/** One denied exchange, as the Console's authentication history would list it. */
export interface AnthropicDenial {
  /** Unix seconds. */
  readonly at: number;
  readonly requestId: string;
  /** Documented names as they are, ours start with `x_`. */
  readonly reason: string;
  readonly detail: string;
  readonly ruleId: string;
  readonly issuerId: string;
  readonly serviceAccountId: string;
}

/** What arrived on the wire, well-formed or not. */
export interface AnthropicRequestRecord {
  readonly path: string;
  readonly requestId: string;
  /** The elements of `anthropic-beta`. */
  readonly betas: readonly string[];
  readonly body: string | null;
  readonly status: number;
}

export interface AnthropicEmulator {
  readonly url: string;
  /** Denied exchanges, oldest first; live. */
  readonly history: readonly AnthropicDenial[];
  /** Refused API calls: reason and detail, oldest first; live. */
  readonly apiRefusals: readonly { readonly reason: string; readonly detail: string }[];
  /** Every request, oldest first; live. */
  readonly requests: readonly AnthropicRequestRecord[];
  /** How many exchanges succeeded. */
  readonly exchanges: number;
  /** Makes the API answer 401 to every token minted so far. */
  revokeTokens(): void;
  close(): Promise<void>;
}

type ErrorType =
  | 'invalid_request_error' | 'authentication_error' | 'permission_error' | 'not_found_error' | 'request_too_large';

const STATUS: Record<ErrorType, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
};

/** A refusal by the API, which says more than the token endpoint does. */
class ApiRefusal extends Refusal {
  readonly type: ErrorType;

  constructor(type: ErrorType, reason: string, message: string) {
    super(reason, message);
    this.type = type;
  }
}

const API_BETA = 'oauth-2025-04-20';
const MODEL_SCOPES = ['workspace:developer', 'workspace:inference'];

function refuse(type: ErrorType, message: string, requestId: string): HttpAnswer {
  return { status: STATUS[type], body: { type: 'error', error: { type, message }, request_id: requestId } };
}

function readBetas(request: HttpRequest): readonly string[] {
  const header = request.headers['anthropic-beta'];
  return (Array.isArray(header) ? header.join(',') : header ?? '').split(',').map((beta) => beta.trim()).filter(Boolean);
}

function checkMessageRequest(request: HttpRequest): string {
  const body = isJsonRequest(request) && request.body !== null ? parseJsonObject(request.body) : undefined;
  const problem = (message: string): ApiRefusal => new ApiRefusal('invalid_request_error', 'x_message_invalid', message);
  if (request.headers['anthropic-version'] === undefined) throw problem('anthropic-version: header is required');
  if (body === undefined) throw problem('body: a JSON object is required');
  if (typeof body['model'] !== 'string' || body['model'] === '') throw problem('model: a string is required');
  if (!Number.isInteger(body['max_tokens']) || (body['max_tokens'] as number) < 1) throw problem('max_tokens: a positive integer is required');
  if (!Array.isArray(body['messages']) || body['messages'].length === 0) throw problem('messages: at least one is required');
  if (body['stream'] === true) throw problem('stream: not emulated');
  return body['model'];
}

function composeMessage(model: string): Message {
  return {
    id: `msg_${randomBytes(12).toString('hex')}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [{ type: 'text', text: 'pong', citations: null }],
    container: null,
    diagnostics: null,
    stop_details: null,
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: {
      input_tokens: 1,
      output_tokens: 1,
      cache_creation: null,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      inference_geo: null,
      output_tokens_details: null,
      server_tool_use: null,
      service_tier: 'standard',
      speed: null,
    },
  };
}

/** Indexes the rules with what each refers to; rules of one issuer share its JWKS cache and its used `jti`s. */
function indexRules(options: AnthropicEmulatorOptions, clock: () => number): ReadonlyMap<string, RuleContext> {
  const usedJtis = new Set<string>();
  const caches = new Map(options.issuers.map((issuer) => [issuer.id, createKeyCache({
    load: () => fetchIssuerKeys({ issuerUrl: issuer.issuerUrl, timeoutMs: options.fetchTimeoutMs }),
    clock,
    maxAgeSeconds: options.jwksCacheSeconds ?? 60,
  })]));
  return new Map(options.rules.map((rule) => [rule.id, {
    rule,
    issuer: options.issuers.find(({ id }) => id === rule.issuerId)!,
    serviceAccount: options.serviceAccounts.find(({ id }) => id === rule.serviceAccountId)!,
    keys: caches.get(rule.issuerId)!,
    usedJtis,
  }]));
}

/**
 * Plays the Anthropic API's workload identity federation (`POST /v1/oauth/token`) and one call behind it
 * (`POST /v1/messages`), as strictly as its documentation allows.
 *
 * A malformed request is told why; every other refusal is the same opaque 401, and its reason is in `history`.
 * Throws a `TypeError` for a configuration that the Console would not accept.
 */
export async function startAnthropicEmulator(options: AnthropicEmulatorOptions): Promise<AnthropicEmulator> {
  checkConfiguration(options);
  const clock = options.clock ?? (() => Math.floor(Date.now() / 1000));
  const rules = indexRules(options, clock);
  const tokens = new Map<string, Grant & { readonly expiresAt: number }>();
  const history: AnthropicDenial[] = [];
  const apiRefusals: { reason: string; detail: string }[] = [];
  const requests: AnthropicRequestRecord[] = [];
  let exchanges = 0;

  async function exchange(request: HttpRequest, requestId: string): Promise<HttpAnswer> {
    // 1. The shape: told plainly, never in the history.
    if (request.body === null) return refuse('request_too_large', 'request exceeds the maximum size', requestId);
    const fields = isJsonRequest(request) ? parseJsonObject(request.body) : undefined;
    if (fields === undefined) return refuse('invalid_request_error', 'body: a JSON object is required', requestId);
    if (request.headers.authorization !== undefined) {
      return refuse('invalid_request_error', 'authorization: header must not be sent', requestId);
    }
    const exchangeRequest = readExchangeRequest(fields);
    if (typeof exchangeRequest === 'string') return refuse('invalid_request_error', exchangeRequest, requestId);

    // 2. Whose rule it is: without one there is no history to write to.
    const context = rules.get(exchangeRequest.ruleId);
    if (context?.rule.organizationId.toLowerCase() !== exchangeRequest.organizationId) {
      return refuse('authentication_error', 'Authentication failed', requestId);
    }

    // 3. The rule.
    return grantOrDeny(exchangeRequest, context, requestId);
  }

  async function grantOrDeny(request: ExchangeRequest, context: RuleContext, requestId: string): Promise<HttpAnswer> {
    const now = clock();
    try {
      const grant = await evaluateRule(request, context, now);
      const token = `sk-ant-oat01-${randomBytes(32).toString('base64url')}`;
      tokens.set(token, { ...grant, expiresAt: now + grant.expiresIn });
      exchanges += 1;
      return {
        status: 200,
        headers: { 'cache-control': 'no-store' },
        body: { access_token: token, token_type: 'Bearer', expires_in: grant.expiresIn, scope: grant.scope },
      };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { rule, issuer } = context;
      history.push({
        at: now,
        requestId,
        reason: error.reason,
        detail: error.message,
        ruleId: rule.id,
        issuerId: issuer.id,
        serviceAccountId: request.serviceAccountId,
      });
      return refuse('authentication_error', 'Authentication failed', requestId);
    }
  }

  function checkToken(request: HttpRequest): void {
    const grant = tokens.get(readBearerToken(request) ?? '');
    if (grant === undefined) throw new ApiRefusal('authentication_error', 'x_token_unknown', 'invalid bearer token');
    if (grant.expiresAt <= clock()) throw new ApiRefusal('authentication_error', 'x_token_expired', 'invalid bearer token');
    if (options.isApiBetaRequired !== false && !readBetas(request).includes(API_BETA)) {
      throw new ApiRefusal('authentication_error', 'x_beta_missing', 'OAuth authentication is currently not supported.');
    }
    if (!MODEL_SCOPES.includes(grant.scope)) {
      throw new ApiRefusal('permission_error', 'x_scope_insufficient', 'the token lacks the scope for this call');
    }
  }

  function createMessage(request: HttpRequest, requestId: string): HttpAnswer {
    try {
      checkToken(request);
      return { status: 200, body: composeMessage(checkMessageRequest(request)) };
    } catch (error) {
      if (!(error instanceof ApiRefusal)) throw error;
      apiRefusals.push({ reason: error.reason, detail: error.message });
      return refuse(error.type, error.message, requestId);
    }
  }

  async function route(request: HttpRequest, requestId: string): Promise<HttpAnswer> {
    switch (`${request.method} ${request.path}`) {
      case 'POST /v1/oauth/token': return exchange(request, requestId);
      case 'POST /v1/messages': return createMessage(request, requestId);
      default: return refuse('not_found_error', 'Not found', requestId);
    }
  }

  const listener = await startHttpListener(async (request) => {
    const requestId = `req_${randomBytes(12).toString('hex')}`;
    const answer = await route(request, requestId);
    const { path, body } = request;
    requests.push({ path, requestId, betas: readBetas(request), body, status: answer.status });
    return { ...answer, headers: { ...answer.headers, 'request-id': requestId } };
  }, options.port);

  return {
    url: listener.url,
    history,
    apiRefusals,
    requests,
    get exchanges() { return exchanges; },
    revokeTokens() { tokens.clear(); },
    close: () => listener.close(),
  };
}
