import type { ServerResponse } from 'node:http';
import { errors } from 'oidc-provider';
import { sendJson } from '../http/reply.ts';
import { Trouble } from '../lib/errors.ts';

/** RFC 9470 3, as the token endpoint says it: a sign-in of at most `maxAgeSeconds` ago would do. */
export class InsufficientUserAuthentication extends errors.CustomOIDCProviderError {
  readonly maxAgeSeconds: number;
  constructor(description: string, maxAgeSeconds: number) {
    super('insufficient_user_authentication', description);
    Object.assign(this, { status: 400, statusCode: 400, expose: true });
    this.maxAgeSeconds = maxAgeSeconds;
  }
}

/** Too much of something: RFC 6749 has no code for it. */
export class TooMany extends errors.CustomOIDCProviderError {
  readonly retryAfterSeconds: number;
  constructor(description: string, retryAfterSeconds: number) {
    super('temporarily_unavailable', description);
    Object.assign(this, { status: 429, statusCode: 429, expose: true });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** When a client that is refused may come again, in seconds; undefined where that would not help. */
export function findRetryAfter(error: unknown, status: number): number | undefined {
  if (error instanceof TooMany) return error.retryAfterSeconds;
  return status === 503 ? 1 : undefined;
}

/** What a client hears from an instance that must not sign just now (503). */
export const OUT_OF_TOUCH = { error: 'temporarily_unavailable', error_description: 'This instance is out of touch with its signing keys. Try again in a moment.' };

/** Answers so where oidc-provider does not. */
export function answerOutOfTouch(response: ServerResponse): void {
  response.setHeader('Retry-After', '1');
  sendJson(response, 503, OUT_OF_TOUCH);
}

/**
 * What a client is told of trouble inside: the one place where our kinds become registered codes. An unreachable store
 * is 503 `temporarily_unavailable` (RFC 6749 4.1.2.1), never `invalid_grant`: a CLI that is told its grant is invalid
 * throws its session away.
 */
export function toProtocolError(error: unknown): unknown {
  if (!(error instanceof Trouble)) return error;
  switch (error.kind) {
    case 'unavailable':
      return withStatus(503, 'temporarily_unavailable', 'The issuer cannot reach its storage just now. Try again in a moment.', error);
    case 'refused':
      return withStatus(400, 'access_denied', error.message, error);
    case 'not_found':
    case 'conflict':
      return withStatus(400, 'invalid_request', 'The request does not fit what the issuer knows.', error);
  }
}

/** Runs what oidc-provider asks of us, and tells it trouble in its own words. */
export async function guardProtocol<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toProtocolError(error);
  }
}

/** The trouble of ours behind an error that came back through the library, or the error itself. */
export function fromProtocolError(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Trouble ? error.cause : error;
}

function withStatus(status: number, code: string, description: string, cause: Error): Error {
  return Object.assign(new errors.CustomOIDCProviderError(code, description), { status, statusCode: status, expose: true, cause });
}
