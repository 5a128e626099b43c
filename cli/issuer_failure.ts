// What openid-client throws, as a failure that a person can act on.
import { AuthorizationResponseError, ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client';
import { CliError, readErrorCode } from './errors.ts';
import { FreshSignInNeeded, IssuerRefusal, readMaxAge } from './issuer_refusal.ts';
import { classifyPassing, describeUnreachableIssuer, isPassing, suggestRetry } from './network.ts';
import { quoteSafely } from './redact.ts';
import { findProxy } from './wire.ts';

const HINTS: Readonly<Record<string, readonly string[]>> = {
  invalid_target: [
    'the audience is not registered with the issuer, or you may not have it: audiences are closed by default',
    'ask an admin of the issuer to register it, or correct --audience',
  ],
  invalid_client: ['the issuer does not know the client vouch-cli: check that it is a Vouch issuer'],
  unsupported_grant_type: ['check that the issuer is a Vouch issuer of this or a later version'],
  access_denied: ['run `vouch login` to try again'],
};
const CHECK_ADDRESS = 'check the address of the issuer (--issuer, VOUCH_ISSUER)';
/** An answer that no issuer gives comes from something else. */
const CHECK_WAY = `${CHECK_ADDRESS}, and whether a proxy or a sign-in page of the network answers in its place`;

export function describeIssuerFailure(thrown: unknown, issuer: string): Error {
  if (thrown instanceof CliError) return thrown;
  // What the wire said comes back in the library's own error.
  if (thrown instanceof Error && thrown.cause instanceof CliError) return thrown.cause;
  if (thrown instanceof ResponseBodyError) return describeRefusal(thrown, issuer);
  if (thrown instanceof AuthorizationResponseError) return createRefusal(thrown, issuer);
  if (thrown instanceof WWWAuthenticateChallengeError) return describeChallenge(thrown, issuer);
  const unreachable = describeUnreachableIssuer(thrown, issuer, findProxy(issuer));
  if (unreachable !== undefined) return unreachable;
  if (thrown instanceof ClientError || isProtocolFault(thrown)) return describeBadAnswer(thrown, issuer);
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function describeRefusal(refusal: ResponseBodyError, issuer: string): CliError {
  const isOverloaded = isPassing(refusal.status) || refusal.error === 'temporarily_unavailable' || refusal.error === 'server_error';
  if (!isOverloaded) return createRefusal(refusal, issuer);
  return new CliError(classifyPassing(refusal.status), `the issuer ${issuer} cannot answer just now (${refusal.status}): ${quoteRefusal(refusal)}`, {
    hints: suggestRetry(refusal.response.headers),
    cause: refusal,
  });
}

interface Refused {
  readonly error: string;
  readonly error_description?: string | undefined;
  /** The answer's JSON, or the parameters of the challenge, of a refusal that has one. */
  readonly cause?: unknown;
}

// RFC 9470 3, and what OIDC Core 3.1.2.6 says in its place.
const WANTS_FRESH_SIGN_IN = ['insufficient_user_authentication', 'login_required', 'interaction_required'];

/** The refusals that a challenge holds (RFC 6750 3), else the bare status. */
function describeChallenge(thrown: WWWAuthenticateChallengeError, issuer: string): CliError {
  const parameters = thrown.cause.map((challenge) => challenge.parameters).find(({ error }) => error !== undefined);
  return createRefusal({ error: parameters?.['error'] ?? `status ${thrown.status}`, error_description: parameters?.['error_description'], cause: parameters }, issuer);
}

function createRefusal(refusal: Refused, issuer: string): CliError {
  if (WANTS_FRESH_SIGN_IN.includes(refusal.error)) {
    // It stands beside the error (RFC 9470 3).
    return new FreshSignInNeeded(issuer, quoteRefusal(refusal), readMaxAge((refusal.cause as { max_age?: unknown } | undefined)?.max_age), { cause: refusal });
  }
  const hints = HINTS[refusal.error] ?? [];
  return new IssuerRefusal(refusal.error, `the issuer ${issuer} refused: ${quoteRefusal(refusal)}`, { hints, cause: refusal, description: refusal.error_description === undefined ? undefined : quoteSafely(refusal.error_description) });
}

function quoteRefusal({ error, error_description: description }: Refused): string {
  return quoteSafely(description === undefined ? error : `${error}: ${description}`);
}

/** What the library lets through from the one below it. */
function isProtocolFault(thrown: unknown): thrown is Error & { readonly code: string } {
  return thrown instanceof Error && readErrorCode(thrown)?.startsWith('OAUTH_') === true;
}

/** The answer came, but is not what the protocol asks for. */
function describeBadAnswer(error: Error & { readonly code?: string }, issuer: string): CliError {
  const response = error.cause instanceof Response ? error.cause : undefined;
  if (response !== undefined && isPassing(response.status)) {
    return new CliError(classifyPassing(response.status), `the issuer ${issuer} cannot answer just now (${response.status})`, {
      hints: suggestRetry(response.headers),
      cause: error,
    });
  }
  const { reason, hint } = explainBadAnswer(error, response);
  return new CliError('refused', `the issuer ${issuer} ${reason}`, { hints: [hint], cause: error });
}

const NO_WEB_ADDRESS = { reason: 'names an address in its discovery document that does not begin with https://', hint: 'tell the people who run the issuer' };

/** What openid-client's codes mean to a person, as the rest of a sentence that begins with the issuer. */
const BAD_ANSWERS: Readonly<Record<string, { readonly reason: string; readonly hint: string }>> = {
  OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED: {
    reason: 'calls itself by another address in its discovery document',
    hint: `${CHECK_ADDRESS}: it must match exactly`,
  },
  OAUTH_JWT_TIMESTAMP_CHECK_FAILED: { reason: 'gave an ID token that is not valid at this time', hint: 'check the clock of this machine' },
  OAUTH_RESPONSE_IS_NOT_JSON: { reason: 'did not answer with JSON', hint: CHECK_WAY },
  OAUTH_PARSE_ERROR: { reason: 'did not answer with JSON', hint: CHECK_WAY },
  OAUTH_HTTP_REQUEST_FORBIDDEN: NO_WEB_ADDRESS,
  OAUTH_REQUEST_PROTOCOL_FORBIDDEN: NO_WEB_ADDRESS,
};

function explainBadAnswer(error: Error & { readonly code?: string }, response: Response | undefined): { reason: string; hint: string } {
  const known = BAD_ANSWERS[error.code ?? ''];
  if (known !== undefined) return known;
  if (response !== undefined && response.status >= 300 && response.status < 400) return { reason: `answered with a redirect (${response.status}), which is not followed`, hint: CHECK_WAY };
  if (response !== undefined) return { reason: `answered with status ${response.status}, which the protocol does not expect there`, hint: CHECK_ADDRESS };
  // The library's inner message says which field; its values stay in the cause.
  const detail = error.cause instanceof Error ? error.cause.message : error.message;
  return { reason: `gave an answer that cannot be trusted: ${quoteSafely(detail)}`, hint: CHECK_ADDRESS };
}
