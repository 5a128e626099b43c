import { randomBytes } from 'node:crypto';
import type { Response as ModelResponse } from 'openai/resources/responses/responses';
import { isJsonRequest, parseJsonObject, readBearerToken, startHttpListener } from './http_listener.ts';
import type { HttpAnswer, HttpRequest } from './http_listener.ts';
import { checkJwks, createKeyCache, fetchIssuerKeys } from './issuer_keys.ts';
import type { KeyCache } from './issuer_keys.ts';
import { checkConfiguration, evaluateMappings, GrantRefusal, isSameIssuer, readTokenExchangeRequest } from './openai_mappings.ts';
import type { OpenAiConfiguration, OpenAiErrorCode, OpenAiIdentityProvider, TokenExchangeGrant, TokenExchangeRequest } from './openai_mappings.ts';
import { Refusal } from './refusal.ts';

export interface OpenAiEmulatorOptions extends OpenAiConfiguration {
  /** Unix seconds. Default: the system's. */
  readonly clock?: (() => number) | undefined;
  /** Default 0, any free one. */
  readonly port?: number | undefined;
  /** Of `invalid_subject_token` and `invalid_grant`, which the documentation leaves open. Default 400. */
  readonly errorStatus?: number | undefined;
  /** Of a discovery or JWKS fetch. Default 5000. */
  readonly fetchTimeoutMs?: number | undefined;
}

/** One denied exchange. */
export interface OpenAiDenial {
  /** Unix seconds. */
  readonly at: number;
  /** What the client was told. */
  readonly error: OpenAiErrorCode;
  /** Ours, all of them: `x_...`. */
  readonly reason: string;
  readonly detail: string;
  readonly identityProviderId: string;
  readonly serviceAccountId: string;
}

/** What arrived on the wire, well-formed or not. */
export interface OpenAiRequestRecord {
  readonly path: string;
  readonly body: string | null;
  readonly status: number;
}

export interface OpenAiEmulator {
  /** The token endpoint is `${url}/oauth/token`, the API's base URL `${url}/v1`. */
  readonly url: string;
  /** Denied exchanges, oldest first; live. */
  readonly history: readonly OpenAiDenial[];
  /** Refused API calls: reason and detail, oldest first; live. */
  readonly apiRefusals: readonly { readonly reason: string; readonly detail: string }[];
  /** Every request, oldest first; live. */
  readonly requests: readonly OpenAiRequestRecord[];
  /** How many exchanges succeeded. */
  readonly exchanges: number;
  /** Makes the API answer 401 to every token minted so far. */
  revokeTokens(): void;
  close(): Promise<void>;
}

const KEY_CACHE_SECONDS = 600;

// One sentence per code: what was wrong exactly stays in the history.
const DESCRIPTIONS: Record<OpenAiErrorCode, string> = {
  invalid_subject_token: 'The subject token is invalid.',
  invalid_grant: 'The subject token is not accepted for this identity provider and service account.',
};

function refuseRequest(description: string): HttpAnswer {
  return { status: 400, body: { error: 'invalid_request', error_description: description } };
}

/** Refuses an API call in the shape that the SDK's `APIError` reads. */
function refuseCall(status: number, type: string, code: string | null, message: string): HttpAnswer {
  return { status, body: { error: { message, type, param: null, code } } };
}

function composeResponse(model: string, now: number): Omit<ModelResponse, 'output_text'> {
  return {
    id: `resp_${randomBytes(16).toString('hex')}`,
    object: 'response',
    created_at: now,
    status: 'completed',
    access_programs: null,
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    model,
    output: [{
      id: `msg_${randomBytes(16).toString('hex')}`,
      type: 'message',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'pong', annotations: [] }],
    }],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
  };
}

/** One cache per provider, filled from its uploaded JWKS or by discovery. */
function createKeyCaches(options: OpenAiEmulatorOptions, clock: () => number): ReadonlyMap<string, KeyCache> {
  return new Map(options.identityProviders.map(({ id, issuerUrl, discoveryUrl, jwks }) => [id, createKeyCache({
    load: jwks === undefined
      ? () => fetchIssuerKeys({ issuerUrl, discoveryUrl, isSameIssuer, timeoutMs: options.fetchTimeoutMs })
      : async () => checkJwks(jwks),
    clock,
    maxAgeSeconds: KEY_CACHE_SECONDS,
  })]));
}

/**
 * Plays the OpenAI API's workload identity federation (`POST /oauth/token`) and one call behind it
 * (`POST /v1/responses`), as strictly as its documentation allows; an assertion may be exchanged again.
 *
 * Why an exchange was denied is in `history`. Throws a `TypeError` for a configuration that the dashboard would not accept.
 */
export async function startOpenAiEmulator(options: OpenAiEmulatorOptions): Promise<OpenAiEmulator> {
  checkConfiguration(options);
  const clock = options.clock ?? (() => Math.floor(Date.now() / 1000));
  const caches = createKeyCaches(options, clock);
  const keysOf = (provider: OpenAiIdentityProvider): KeyCache => caches.get(provider.id)!;
  const tokens = new Map<string, { readonly expiresAt: number }>();
  const history: OpenAiDenial[] = [];
  const apiRefusals: { reason: string; detail: string }[] = [];
  const requests: OpenAiRequestRecord[] = [];
  let exchanges = 0;

  async function exchange(request: HttpRequest): Promise<HttpAnswer> {
    const fields = isJsonRequest(request) && request.body !== null ? parseJsonObject(request.body) : undefined;
    if (fields === undefined) return refuseRequest('The body must be a JSON object of at most 1 MiB.');
    if (request.headers.authorization !== undefined) return refuseRequest('An Authorization header must not be sent.');
    const exchangeRequest = readTokenExchangeRequest(fields);
    if (typeof exchangeRequest === 'string') return refuseRequest(exchangeRequest);
    return grantOrDeny(exchangeRequest);
  }

  async function grantOrDeny(request: TokenExchangeRequest): Promise<HttpAnswer> {
    const now = clock();
    try {
      return grantToken(await evaluateMappings(request, options, keysOf, now), now);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const code: OpenAiErrorCode = error instanceof GrantRefusal ? 'invalid_grant' : 'invalid_subject_token';
      const { identityProviderId, serviceAccountId } = request;
      history.push({ at: now, error: code, reason: error.reason, detail: error.message, identityProviderId, serviceAccountId });
      return { status: options.errorStatus ?? 400, body: { error: code, error_description: DESCRIPTIONS[code] } };
    }
  }

  function grantToken({ expiresIn, scope }: TokenExchangeGrant, now: number): HttpAnswer {
    // It looks like a JWT from afar, as the real one does; nobody but the API may read it.
    const token = `eyJ${randomBytes(48).toString('base64url')}`;
    tokens.set(token, { expiresAt: now + expiresIn });
    exchanges += 1;
    return {
      status: 200,
      headers: { 'cache-control': 'no-store' },
      body: {
        access_token: token,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: expiresIn,
        ...(scope === undefined ? {} : { scope }),
      },
    };
  }

  function createResponse(request: HttpRequest): HttpAnswer {
    const refuseToken = (reason: string, detail: string): HttpAnswer => {
      apiRefusals.push({ reason, detail });
      return refuseCall(401, 'invalid_request_error', 'invalid_api_key', 'Incorrect API key provided.');
    };
    const token = tokens.get(readBearerToken(request) ?? '');
    if (token === undefined) return refuseToken('x_token_unknown', 'no bearer token, or one that was not minted here');
    if (token.expiresAt <= clock()) return refuseToken('x_token_expired', `expired at ${token.expiresAt}`);
    const body = isJsonRequest(request) && request.body !== null ? parseJsonObject(request.body) : undefined;
    if (typeof body?.['model'] !== 'string' || body['input'] === undefined || body['stream'] === true) {
      apiRefusals.push({ reason: 'x_response_invalid', detail: 'model and input are required, stream is not emulated' });
      return refuseCall(400, 'invalid_request_error', null, 'model and input are required; stream is not emulated.');
    }
    return { status: 200, body: composeResponse(body['model'], clock()) };
  }

  async function route(request: HttpRequest): Promise<HttpAnswer> {
    switch (`${request.method} ${request.path}`) {
      case 'POST /oauth/token': return exchange(request);
      case 'POST /v1/responses': return createResponse(request);
      default: return refuseCall(404, 'invalid_request_error', null, 'Not found.');
    }
  }

  const listener = await startHttpListener(async (request) => {
    const answer = await route(request);
    requests.push({ path: request.path, body: request.body, status: answer.status });
    return { ...answer, headers: { ...answer.headers, 'x-request-id': `req_${randomBytes(16).toString('hex')}` } };
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
