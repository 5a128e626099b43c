import { randomBytes } from 'node:crypto';
import { mediaTypeOf, startHttpListener, type HttpAnswer, type HttpRequest } from './http_listener.ts';
import { createKeyCache, fetchIssuerKeys, type KeyCache } from './issuer_keys.ts';
import { Refusal } from './refusal.ts';
import { checkHeader, checkTimes, decodeSubjectJwt, hasAudience, verifySignature } from './subject_jwt.ts';

export interface OpenRouterPolicy {
  /** UUID. */
  readonly id: string;
  readonly issuerUrl: string;
  readonly subject: string;
  readonly audience: string;
}

export interface OpenRouterEmulator {
  /** The token endpoint is `${url}/api/v1/oauth/token`. */
  readonly url: string;
  readonly requests: readonly URLSearchParams[];
  /** Why each token was refused: the caller gets one message for all. */
  readonly history: readonly { readonly reason: string; readonly detail: string }[];
  close(): Promise<void>;
}

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
const MAX_BODY_BYTES = 32 * 1024;
const MAX_TOKEN_BYTES = 16 * 1024;
const LONGEST_SECONDS = 900;

/** Plays OpenRouter's workload identity federation (PROVIDERS.md 5.1): a form, RS256 and ES256, fifteen minutes at the most. */
export async function startOpenRouterEmulator({ policies, clock = () => Math.floor(Date.now() / 1000) }: { policies: readonly OpenRouterPolicy[]; clock?: () => number }): Promise<OpenRouterEmulator> {
  const requests: URLSearchParams[] = [];
  const history: { reason: string; detail: string }[] = [];
  const caches = new Map(policies.map(({ id, issuerUrl }) => [id, createKeyCache({ load: () => fetchIssuerKeys({ issuerUrl }), clock, maxAgeSeconds: 60 })]));

  async function answer(request: HttpRequest): Promise<HttpAnswer> {
    if (request.method !== 'POST' || request.path !== '/api/v1/oauth/token') return refuse(404, 'not_found');
    if (request.body === null || Buffer.byteLength(request.body) >= MAX_BODY_BYTES) return refuse(413, 'invalid_request', 'the body is too large');
    if (mediaTypeOf(request.headers['content-type'] ?? '') !== 'application/x-www-form-urlencoded') return refuse(400, 'invalid_request', 'the body must be a form');
    const form = new URLSearchParams(request.body);
    requests.push(form);
    const fault = findFault(form);
    return fault ?? grant(form);
  }

  async function grant(form: URLSearchParams): Promise<HttpAnswer> {
    const policy = policies.find(({ id }) => id === form.get('federation_policy_id'));
    try {
      if (policy === undefined) throw new Refusal('x_policy_unknown', String(form.get('federation_policy_id')));
      const { exp } = await verify(form.get('subject_token') ?? '', policy, caches.get(policy.id));
      const expiresIn = Math.min(LONGEST_SECONDS, exp - clock());
      return { status: 200, headers: { 'cache-control': 'no-store' }, body: { access_token: `or-fed-${randomBytes(24).toString('base64url')}`, issued_token_type: ACCESS_TOKEN_TYPE, token_type: 'Bearer', expires_in: expiresIn, scope: 'inference' } };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      history.push({ reason: error.reason, detail: error.message });
      const isUnreachable = /^x_(discovery|jwks)_/.test(error.reason);
      return isUnreachable ? refuse(503, 'temporarily_unavailable', 'the signing keys of the issuer cannot be fetched') : refuse(400, 'invalid_grant', 'the subject token was not accepted');
    }
  }

  async function verify(token: string, policy: OpenRouterPolicy, keys: KeyCache | undefined): Promise<{ exp: number }> {
    if (Buffer.byteLength(token) > MAX_TOKEN_BYTES) throw new Refusal('x_token_too_large', 'more than 16 KB');
    const jwt = checkHeader(decodeSubjectJwt(token), ['RS256', 'ES256']);
    if (jwt.unverifiedClaims['iss'] !== policy.issuerUrl) throw new Refusal('x_iss_mismatch', String(jwt.unverifiedClaims['iss']));
    const key = await keys?.find(jwt.kid);
    if (key === undefined) throw new Refusal('x_kid_unknown', jwt.kid);
    const claims = await verifySignature(jwt, key);
    const { sub, exp } = checkTimes(claims, clock(), 0);
    if (sub !== policy.subject) throw new Refusal('x_sub_mismatch', sub);
    if (!hasAudience(claims, policy.audience)) throw new Refusal('x_aud_mismatch', JSON.stringify(claims['aud']));
    return { exp };
  }

  const listener = await startHttpListener(answer);
  return { url: listener.url, requests, history, close: () => listener.close() };
}

function findFault(form: URLSearchParams): HttpAnswer | undefined {
  const isRepeated = [...form.keys()].some((name, index, names) => names.indexOf(name) !== index);
  if (isRepeated) return refuse(400, 'invalid_request', 'a field is repeated');
  if (form.get('grant_type') !== GRANT_TYPE) return refuse(400, 'unsupported_grant_type');
  if (form.get('subject_token_type') !== JWT_TYPE || (form.get('subject_token') ?? '') === '') return refuse(400, 'invalid_request', 'subject_token and its type are required');
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(form.get('federation_policy_id') ?? '')) return refuse(400, 'invalid_request', 'federation_policy_id must be a UUID');
  if ((form.get('requested_token_type') ?? ACCESS_TOKEN_TYPE) !== ACCESS_TOKEN_TYPE) return refuse(400, 'invalid_request', 'requested_token_type');
  if ((form.get('scope') ?? 'inference') !== 'inference') return refuse(400, 'invalid_scope');
  return undefined;
}

function refuse(status: number, error: string, description?: string): HttpAnswer {
  return { status, body: { error, ...(description === undefined ? {} : { error_description: description }) } };
}
