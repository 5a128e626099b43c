import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors } from 'oidc-provider';
import type { Clients } from '../clients/clients.ts';
import { readAddress } from '../http/address.ts';
import { sendJson } from '../http/reply.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import type { Audit } from '../audit/audit.ts';
import { GRANT_TYPE, TOKEN_TYPE } from '../oauth2/vocabulary.ts';
import { readToken } from './bearer.ts';
import { answerOutOfTouch, findRetryAfter, toProtocolError } from './failure.ts';
import { verifyAccessToken } from './subject_token.ts';
import { exchangeToken, type ExchangeDependencies, type Facts } from './token_exchange.ts';

export interface SessionCredentialsDependencies extends Omit<ExchangeDependencies, 'clientId' | 'ip' | 'userAgent' | 'arrivedAt' | 'audit' | 'proveKey'> {
  readonly audit: Pick<Audit, 'record' | 'note'>;
  readonly clients: Pick<Clients, 'find'>;
  readonly clock: Clock;
  readonly trustedProxies: number;
  /** Whether this instance may sign, asked before and after. */
  readonly maySign: () => boolean;
  readonly onIssued: (facts: Facts) => void;
}

/**
 * The path of older command lines: GET with the session's access token as Bearer gives `{ id_token, expires_in }`, for the
 * issuer or for `?audience=`. The same exchange, for a client that may exchange tokens and does not know how to ask.
 */
export async function answerSessionCredentials(request: IncomingMessage, response: ServerResponse, dependencies: SessionCredentialsDependencies): Promise<void> {
  const { issuer, keys, clients, audit, clock, trustedProxies, maySign } = dependencies;
  if (!maySign()) {
    answerOutOfTouch(response);
    return;
  }
  const token = readToken(request.headers.authorization);
  if (token === undefined) {
    refuse(response, 401, 'invalid_request', "send the session's access token as: Authorization: Bearer <token>", 'Bearer');
    return;
  }
  const arrivedAt = clock.now();
  const facts: Facts = {};
  const origin = { ip: readAddress(request, trustedProxies), userAgent: request.headers['user-agent'] };
  let clientId: string | undefined;
  try {
    const subject = verifyAccessToken(token, { issuer, audience: issuer }, keys, toUnixSeconds(arrivedAt));
    if (typeof subject === 'string') throw new errors.InvalidRequest(`subject_token is unusable: ${subject}`);
    ({ clientId } = subject);
    if (!(await mayExchange(clientId, clients))) throw new errors.UnauthorizedClient('the client of this token may not exchange it');
    const given = await exchangeToken({ subject_token: token, subject_token_type: TOKEN_TYPE.accessToken, ...readAudience(request) }, { ...dependencies, ...origin, proveKey: undefined, clientId, arrivedAt }, facts);
    if (!maySign()) {
      answerOutOfTouch(response);
      return;
    }
    sendJson(response, 200, { id_token: given.access_token, expires_in: given.expires_in });
    dependencies.onIssued(facts);
  } catch (thrown) {
    const error = toProtocolError(thrown);
    if (!(error instanceof errors.OIDCProviderError)) throw error;
    const { act, ...rest } = facts;
    audit.note({ kind: 'refusal', event: 'session_credentials', at: arrivedAt, clientId, ...origin, ...rest, act: act === undefined ? undefined : { ...act }, code: error.error, reason: error.error_description });
    answerRefusal(response, error);
  }
}

function readAudience(request: IncomingMessage): { audience?: string | string[] } {
  const url = request.url ?? '';
  const at = url.indexOf('?');
  const asked = at === -1 ? [] : new URLSearchParams(url.slice(at + 1)).getAll('audience');
  const [first] = asked;
  if (first === undefined) return {};
  return { audience: asked.length === 1 ? first : asked };
}

async function mayExchange(clientId: string, clients: Pick<Clients, 'find'>): Promise<boolean> {
  const grantTypes = (await clients.find(clientId))?.grant_types;
  return Array.isArray(grantTypes) && grantTypes.includes(GRANT_TYPE.tokenExchange);
}

function answerRefusal(response: ServerResponse, error: errors.OIDCProviderError): void {
  const description = error.error_description ?? 'the request was refused';
  const retryAfter = findRetryAfter(error, error.statusCode);
  if (retryAfter !== undefined) response.setHeader('Retry-After', String(retryAfter));
  // RFC 6750 3.1: the bearer's token is what is wrong.
  if (description.startsWith('subject_token is unusable')) refuse(response, 401, 'invalid_token', description.replace('subject_token', 'the access token'), 'Bearer error="invalid_token"');
  else refuse(response, error.statusCode, error.error, description);
}

function refuse(response: ServerResponse, status: number, error: string, description: string, challenge?: string): void {
  if (challenge !== undefined) response.setHeader('WWW-Authenticate', challenge);
  sendJson(response, status, { error, error_description: description });
}
