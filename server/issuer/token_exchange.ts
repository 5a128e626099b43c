import { errors } from 'oidc-provider';
import type { Account, Accounts } from '../accounts/accounts.ts';
import { decide, type Audience, type Audiences } from '../audiences/audiences.ts';
import type { Audit } from '../audit/audit.ts';
import { createUuid } from '../lib/identifier.ts';
import { toUnixSeconds } from '../lib/clock.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { isAudience, isResourceIndicator } from '../oauth2/syntax.ts';
import { TOKEN_TYPE } from '../oauth2/vocabulary.ts';
import { describeAccessToken, describeFederationToken } from './claims.ts';
import { InsufficientUserAuthentication, TooMany } from './failure.ts';
import { mintAccessToken, mintFederationToken } from './mint.ts';
import { LONGEST_CHAIN, verifyAccessToken, verifyIdToken, type Actor, type Subject } from './subject_token.ts';

/*
 * Token exchange (RFC 8693) in five phases, each of which takes only what the one before made: read, verify the subject,
 * find the audience, check the session and the policy, mint. Every refusal is one of the RFCs' codes with a sentence that
 * says what to change. One arrival time serves every expiry.
 */

export const EXCHANGE_PARAMETERS = [
  'audience', 'resource', 'scope', 'requested_token_type', 'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type',
] as const;

export type ExchangeParameters = Partial<Record<(typeof EXCHANGE_PARAMETERS)[number], string | string[] | undefined>>;

/** RFC 8693 2.2.1. */
export interface ExchangeResponse {
  readonly access_token: string;
  readonly issued_token_type: string;
  readonly token_type: 'N_A' | 'Bearer' | 'DPoP';
  readonly expires_in: number;
  readonly scope?: string;
}

/** What is known of a request so far: for the record of a token, and of a refusal. */
export interface Facts {
  accountId?: string;
  subject?: string;
  audience?: string;
  subjectJti?: string;
  act?: Actor;
  /** The clause of the policy that decided. */
  clause?: string;
}

export interface ExchangeDependencies {
  readonly issuer: string;
  readonly keys: KeySnapshot;
  readonly accounts: Pick<Accounts, 'findHolder'>;
  readonly audiences: Pick<Audiences, 'find'>;
  readonly audit: Pick<Audit, 'record'>;
  /** The thumbprint of the key that the request proves (RFC 9449); undefined where it carries no proof. */
  readonly proveKey: (() => Promise<string>) | undefined;
  /** Seconds for which an account gets no more tokens, since it had too many; undefined otherwise. */
  readonly findAccountWait: (accountId: string) => number | undefined;
  readonly clientId: string;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  readonly arrivedAt: Date;
}

/** Writes into `facts` what it comes to know, so that a refusal can be recorded with it. */
export async function exchangeToken(parameters: ExchangeParameters, dependencies: ExchangeDependencies, facts: Facts): Promise<ExchangeResponse> {
  const request = readRequest(parameters, dependencies.issuer);
  facts.audience = request.target;
  const parties = await proveParties(verifyParties(request, dependencies, facts), dependencies);
  const audience = await findAudience(request, dependencies);
  const permission = await checkPermission(request, parties, audience, dependencies, facts);
  return mint(permission, dependencies, facts);
}

// ── 1. Read: shapes only. Says the first thing that is wrong with the request itself. ──────────────────────────────

type Presented = Readonly<{ token: string; type: 'access_token' | 'id_token' }>;

interface ExchangeRequest {
  readonly subject: Presented;
  readonly actor: Presented | undefined;
  readonly requested: 'access_token' | 'id_token';
  readonly target: string;
  readonly scope: readonly string[] | undefined;
}

function readRequest(parameters: ExchangeParameters, issuer: string): ExchangeRequest {
  const { requested_token_type: requested = TOKEN_TYPE.idToken, scope } = parameters;
  const subject = readToken('subject', parameters.subject_token, parameters.subject_token_type);
  if (subject === undefined) throw new errors.InvalidRequest('subject_token is required');
  const actor = readToken('actor', parameters.actor_token, parameters.actor_token_type);
  if (requested !== TOKEN_TYPE.idToken && requested !== TOKEN_TYPE.accessToken) {
    throw new errors.InvalidRequest(`requested_token_type must be ${TOKEN_TYPE.idToken} or ${TOKEN_TYPE.accessToken}`);
  }
  return {
    subject, actor,
    requested: requested === TOKEN_TYPE.idToken ? 'id_token' : 'access_token',
    target: readTarget(parameters) ?? issuer,
    scope: typeof scope === 'string' ? scope.split(' ').filter((word) => word !== '') : undefined,
  };
}

/** A token and its type, which go together (RFC 8693 2.1). */
function readToken(whose: 'subject' | 'actor', token: unknown, type: unknown): Presented | undefined {
  if (token === undefined && type === undefined) return undefined;
  if (typeof token !== 'string' || token === '') throw new errors.InvalidRequest(`${whose}_token is required`);
  if (type === TOKEN_TYPE.accessToken) return { token, type: 'access_token' };
  if (type === TOKEN_TYPE.idToken) return { token, type: 'id_token' };
  throw new errors.InvalidRequest(`${whose}_token_type must be ${TOKEN_TYPE.accessToken} or ${TOKEN_TYPE.idToken}`);
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

// ── 2. Verify the tokens: ours, unexpired, and the subject's given to the client that shows it (RFC 8693 2.2.2). ────

interface Parties {
  readonly subject: Subject;
  readonly actor: Subject | undefined;
}

function verifyParties({ subject: presented, actor: presentedActor }: ExchangeRequest, { issuer, keys, clientId, arrivedAt }: ExchangeDependencies, facts: Facts): Parties {
  const now = toUnixSeconds(arrivedAt);
  const verify = ({ token, type }: Presented) =>
    type === 'access_token' ? verifyAccessToken(token, { issuer, audience: issuer }, keys, now) : verifyIdToken(token, { issuer, clientId }, keys, now);
  const subject = verify(presented);
  if (typeof subject === 'string') throw unusable('subject', subject);
  facts.accountId = subject.accountId;
  facts.subjectJti = subject.jti;
  if (subject.clientId !== clientId) throw unusable('subject', 'it was given to another client');
  const actor = presentedActor === undefined ? undefined : verify(presentedActor);
  if (typeof actor === 'string') throw unusable('actor', actor);
  if (actor?.act !== undefined) throw unusable('actor', 'somebody acts for its account already; show the actor’s own token');
  if (actor !== undefined && actor.accountId === subject.accountId) throw new errors.InvalidRequest('actor_token and subject_token are of one account; leave actor_token out');
  if (actor !== undefined && chainLength(subject.act) >= LONGEST_CHAIN) throw unusable('subject', `${LONGEST_CHAIN} have acted for each other already`);
  return { subject, actor };
}

interface ProvenParties extends Parties {
  /** The key that the request proves, to which an access token out of it is bound: one out of a bound token stays bound. */
  readonly jkt: string | undefined;
}

/** A token that is bound to a key is worth nothing without it (RFC 9449 5). */
async function proveParties(parties: Parties, { proveKey }: ExchangeDependencies): Promise<ProvenParties> {
  const jkt = await proveKey?.();
  for (const whose of ['subject', 'actor'] as const) {
    const bound = parties[whose]?.jkt;
    if (bound === undefined || bound === jkt) continue;
    throw new errors.InvalidDpopProof(`${whose}_token is bound to a key (DPoP); ${jkt === undefined ? 'send a proof of it' : 'the proof is of another one'}`);
  }
  return { ...parties, jkt };
}

function chainLength(act: Actor | undefined): number {
  return act === undefined ? 0 : 1 + chainLength(act.act);
}

function unusable(whose: 'subject' | 'actor', why: string): Error {
  return new errors.InvalidRequest(`${whose}_token is unusable: ${why}`);
}

// ── 3. Find the audience: closed by default, compared byte for byte. ────────────────────────────────────────────────

async function findAudience({ target, requested }: ExchangeRequest, { audiences, issuer }: ExchangeDependencies): Promise<Audience> {
  const audience = await audiences.find(target);
  if (audience === undefined) throw new errors.InvalidTarget(`audience "${target}" is not registered with this issuer`);
  // A token for ourselves is of either kind: an ID token for a provider that expects the issuer's name, or a narrower access token.
  if (target === issuer) return audience;
  if (requested === 'id_token' && audience.kind === 'api') throw new errors.InvalidTarget(`audience "${target}" is an API; ask for requested_token_type ${TOKEN_TYPE.accessToken}`);
  if (requested === 'access_token' && audience.kind === 'federation') throw new errors.InvalidTarget(`audience "${target}" takes ID tokens; ask for requested_token_type ${TOKEN_TYPE.idToken}`);
  return audience;
}

// ── 4. Check the session and the policy: a token that verifies says nothing of a sign-out since. Never cached. ─────

/** All that a token may say, decided. Only this phase makes one, and only `mint` takes it. */
interface Permission {
  readonly requested: ExchangeRequest['requested'];
  readonly account: Account;
  readonly audience: Audience;
  readonly subject: Subject;
  readonly act: Actor | undefined;
  readonly jkt: string | undefined;
  readonly scope: string;
  /** Unix seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

async function checkPermission(request: ExchangeRequest, { subject, actor, jkt }: ProvenParties, audience: Audience, dependencies: ExchangeDependencies, facts: Facts): Promise<Permission> {
  const { clientId, arrivedAt } = dependencies;
  const now = toUnixSeconds(arrivedAt);
  const [session, actorSession] = await Promise.all([findSession(subject, dependencies), actor === undefined ? undefined : findSession(actor, dependencies)]);
  if (typeof session === 'string') throw unusable('subject', session);
  if (typeof actorSession === 'string') throw unusable('actor', actorSession);
  const { account, endsAt } = session;
  facts.subject = account.email;
  const waitSeconds = dependencies.findAccountWait(account.id);
  if (waitSeconds !== undefined) throw new TooMany(`the account was given too many tokens; try again in ${waitSeconds} s`, waitSeconds);
  const act = actorSession === undefined ? subject.act : { sub: actorSession.account.email, vouch_uid: actorSession.account.id, ...(subject.act === undefined ? {} : { act: subject.act }) };
  if (act !== undefined) facts.act = act;

  const { id: accountId, kind, hostedDomain, groups } = account;
  const decision = decide(audience, { accountId, kind, hostedDomain, groups, clientId, authAgeSeconds: subject.authTime === undefined ? undefined : now - subject.authTime });
  facts.clause = decision.clause;
  if (decision.needsAuthAgeSeconds !== undefined) throw new InsufficientUserAuthentication(`audience "${audience.name}" needs a sign-in of at most ${decision.needsAuthAgeSeconds} s ago; sign in again`, decision.needsAuthAgeSeconds);
  if (!decision.isAllowed) throw new errors.InvalidTarget(`audience "${audience.name}" is not for you: ${decision.reason ?? 'it is closed'}`);
  return {
    requested: request.requested, account, audience, subject, act, jkt,
    scope: narrowScope(request, subject, audience, dependencies),
    issuedAt: now,
    expiresAt: Math.min(now + audience.lifetimeSeconds, endsAt, subject.expiresAt),
  };
}

/** The account behind a token and until when it may act, in Unix seconds; the reason, in a sentence, when it may not. */
async function findSession({ grantId, accountId, expiresAt }: Subject, { accounts, arrivedAt }: ExchangeDependencies): Promise<{ readonly account: Account; readonly endsAt: number } | string> {
  const { account, sessionEndsAt } = await accounts.findHolder(accountId, grantId);
  const endsAt = grantId === undefined ? expiresAt : sessionEndsAt;
  if (endsAt === undefined || endsAt <= toUnixSeconds(arrivedAt)) return 'its session has ended';
  if (account === undefined) return 'its account is closed';
  // Only a service's token stands without a session.
  return grantId === undefined && account.kind !== 'service' ? 'it is of no session' : { account, endsAt };
}

/** Of what the subject token holds and the audience knows, what is asked for: never more than either (RFC 8693 2.1). */
function narrowScope({ scope: requested, requested: kind }: ExchangeRequest, { scope: held }: Subject, audience: Audience, { issuer }: ExchangeDependencies): string {
  const holds = held.split(' ').filter((word) => word !== '');
  const beyond = (requested ?? []).find((word) => !holds.includes(word));
  if (beyond !== undefined) throw new errors.InvalidScope('the subject token does not hold what is asked for; a scope can only become narrower', beyond);
  if (kind === 'id_token') return '';
  const known = audience.name === issuer ? holds : holds.filter((word) => audience.scopes.includes(word));
  return (requested === undefined ? known : known.filter((word) => requested.includes(word))).join(' ');
}

// ── 5. Mint: sign what was decided, and keep its record, before either leaves. ──────────────────────────────────────

async function mint({ requested, account, audience, subject, act, jkt, scope, issuedAt, expiresAt }: Permission, dependencies: ExchangeDependencies, facts: Facts): Promise<ExchangeResponse> {
  const { issuer, clientId, ip, userAgent, arrivedAt } = dependencies;
  const { authTime, amr } = subject;
  const description = { issuer, account, audience, clientId, authTime, amr, act, issuedAt, expiresAt, jti: createUuid(arrivedAt) };
  const circumstances = { event: 'token_exchange', at: arrivedAt, clientId, ip, userAgent, ...facts, act: act === undefined ? undefined : { ...act } };
  const expiresIn = expiresAt - issuedAt;
  if (requested === 'id_token') {
    const { token } = await mintFederationToken(describeFederationToken(description), audience, circumstances, dependencies);
    return { access_token: token, issued_token_type: TOKEN_TYPE.idToken, token_type: 'N_A', expires_in: expiresIn };
  }
  const grantId = audience.name === issuer ? subject.grantId : undefined;
  const { token } = await mintAccessToken(describeAccessToken(description, { scope, grantId, jkt }), audience, circumstances, dependencies);
  return { access_token: token, issued_token_type: TOKEN_TYPE.accessToken, token_type: jkt === undefined ? 'Bearer' : 'DPoP', expires_in: expiresIn, ...(scope === '' ? {} : { scope }) };
}
