import { errors } from 'oidc-provider';
import type { Account, Accounts } from '../accounts/accounts.ts';
import type { Audience, Audiences } from '../audiences/audiences.ts';
import { toUnixSeconds } from '../lib/clock.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { isAudience, isResourceIndicator } from '../oauth2/syntax.ts';
import { TOKEN_TYPE } from '../oauth2/vocabulary.ts';
import { mintFederationToken } from './federation_token.ts';
import { verifyAccessToken, type Subject } from './subject_token.ts';

/*
 * Token exchange (RFC 8693) in five phases, each of which takes only what the one before made: read, verify the subject,
 * find the audience, check the session, mint. Every refusal is one of the RFCs' codes with a sentence that says what to
 * change.
 */

export const EXCHANGE_PARAMETERS = [
  'audience', 'resource', 'scope', 'requested_token_type', 'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type',
] as const;

export type ExchangeParameters = Partial<Record<(typeof EXCHANGE_PARAMETERS)[number], string | string[] | undefined>>;

/** RFC 8693 2.2.1. */
export interface ExchangeResponse {
  readonly access_token: string;
  readonly issued_token_type: string;
  readonly token_type: 'N_A';
  readonly expires_in: number;
}

/** What an exchange gave to whom: for the log. The token itself is not in it. */
export interface Issued {
  readonly jti: string;
  readonly kid: string;
  readonly audience: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly subjectJti: string;
  readonly expiresIn: number;
}

export interface ExchangeDependencies {
  readonly issuer: string;
  readonly keys: KeySnapshot;
  readonly accounts: Accounts;
  readonly audiences: Audiences;
  /** When the grant's session ends, in Unix seconds; undefined when it has ended or was revoked. */
  readonly findSessionEnd: (grantId: string) => Promise<number | undefined>;
  readonly clientId: string;
  readonly arrivedAt: Date;
}

export async function exchangeToken(parameters: ExchangeParameters, dependencies: ExchangeDependencies): Promise<{ response: ExchangeResponse; issued: Issued }> {
  const request = readRequest(parameters, dependencies.issuer);
  const subject = verifySubject(request.subjectToken, dependencies);
  const audience = await findAudience(request.audience, dependencies);
  const session = await checkSession(subject, dependencies);
  return mint(subject, audience, session, dependencies);
}

interface ExchangeRequest {
  readonly subjectToken: string;
  readonly audience: string;
}

// 1. Read: shapes only. Says the first thing that is wrong with the request itself.
function readRequest(parameters: ExchangeParameters, issuer: string): ExchangeRequest {
  const { subject_token: subjectToken, subject_token_type: subjectTokenType, requested_token_type: requested } = parameters;
  if (typeof subjectToken !== 'string' || subjectToken === '') throw new errors.InvalidRequest('subject_token is required');
  if (subjectTokenType !== TOKEN_TYPE.accessToken) throw new errors.InvalidRequest(`subject_token_type must be ${TOKEN_TYPE.accessToken}`);
  if (requested !== undefined && requested !== TOKEN_TYPE.idToken) throw new errors.InvalidRequest(`requested_token_type must be ${TOKEN_TYPE.idToken}`);
  if (parameters.actor_token !== undefined || parameters.actor_token_type !== undefined) throw new errors.InvalidRequest('actor_token is not supported');
  return { subjectToken, audience: readTarget(parameters) ?? issuer };
}

/** One target by one name, or the same by both. RFC 8707 2 and RFC 8693 2.1 allow several; a token here has one `aud`. */
function readTarget({ audience, resource }: ExchangeParameters): string | undefined {
  if (Array.isArray(audience) || Array.isArray(resource)) throw new errors.InvalidTarget('ask for exactly one audience: a token is for one');
  if (audience !== undefined && resource !== undefined && audience !== resource) {
    throw new errors.InvalidTarget('audience and resource name different targets; give one of them');
  }
  if (audience !== undefined && !isAudience(audience)) throw new errors.InvalidTarget('audience must be 1-256 visible ASCII characters');
  if (resource !== undefined && !isResourceIndicator(resource)) throw new errors.InvalidTarget('resource must be an absolute URI without a fragment');
  return audience ?? resource;
}

// 2. Verify the subject token: ours, unexpired, and given to the client that shows it (RFC 8693 2.2.2).
function verifySubject(token: string, { issuer, keys, clientId, arrivedAt }: ExchangeDependencies): Subject {
  const subject = verifyAccessToken(token, { issuer, audience: issuer }, keys, toUnixSeconds(arrivedAt));
  if (typeof subject === 'string') throw new errors.InvalidRequest(`subject_token is unusable: ${subject}`);
  if (subject.clientId !== clientId) throw new errors.InvalidRequest('subject_token is unusable: it was given to another client');
  return subject;
}

// 3. Find the audience: closed by default, compared byte for byte.
async function findAudience(name: string, { audiences }: ExchangeDependencies): Promise<Audience> {
  const audience = await audiences.find(name);
  if (audience === undefined) throw new errors.InvalidTarget(`audience "${name}" is not registered with this issuer`);
  return audience;
}

interface LiveSession {
  readonly account: Account;
  readonly endsAt: number;
}

// 4. Check the session: a token that verifies says nothing of a sign-out since. Never cached.
async function checkSession({ grantId, accountId }: Subject, { accounts, findSessionEnd, arrivedAt }: ExchangeDependencies): Promise<LiveSession> {
  const [endsAt, account] = await Promise.all([findSessionEnd(grantId), accounts.find(accountId)]);
  if (endsAt === undefined || endsAt <= toUnixSeconds(arrivedAt)) throw new errors.InvalidRequest('subject_token is unusable: its session has ended');
  if (account === undefined) throw new errors.InvalidRequest('subject_token is unusable: its account is closed');
  return { account, endsAt };
}

// 5. Mint.
async function mint(subject: Subject, audience: Audience, { account, endsAt }: LiveSession, { issuer, keys, arrivedAt, clientId }: ExchangeDependencies) {
  const { authTime, amr } = subject;
  const { token, jti, kid, expiresIn } = await mintFederationToken({ issuer, account, audience, authTime, amr, arrivedAt, sessionEndsAt: endsAt }, keys);
  return {
    response: { access_token: token, issued_token_type: TOKEN_TYPE.idToken, token_type: 'N_A', expires_in: expiresIn } as const,
    issued: { jti, kid, audience: audience.name, accountId: account.id, clientId, subjectJti: subject.jti, expiresIn },
  };
}
