import type { KeyCache } from './issuer_keys.ts';
import { Refusal } from './refusal.ts';
import {
  checkHeader, checkTimes, decodeSubjectJwt, hasAudience, matchesPattern, RSA_AND_EC_ALGORITHMS, verifySignature,
} from './subject_jwt.ts';
import type { Claims } from './subject_jwt.ts';

export interface AnthropicIssuer {
  /** `fdis_...` */
  readonly id: string;
  readonly organizationId: string;
  /** The exact `iss`; its discovery document gives the JWKS. */
  readonly issuerUrl: string;
  /** Upper bound of `exp - iat`, 1 to 176400. Default 3600. */
  readonly maxJwtLifetimeSeconds?: number | undefined;
  /** Whether a `jti` buys one exchange only. Default true. */
  readonly checkJti?: boolean | undefined;
}

export interface AnthropicServiceAccount {
  /** `svac_...` */
  readonly id: string;
  readonly organizationId: string;
  /** `wrkspc_...`; of the workspace `default` it is a member without being listed. */
  readonly workspaceIds?: readonly string[] | undefined;
}

/** All that is set must hold; one of `subjectPrefix` (other than `*`), `claims` and `condition` must be set. */
export interface AnthropicMatch {
  /** Exact, or a prefix when it ends in `*`. */
  readonly subjectPrefix?: string | undefined;
  /** Default: the fixed `https://api.anthropic.com`. */
  readonly audience?: string | undefined;
  /** Top-level claims that must be these strings; a boolean or a number never equals one. */
  readonly claims?: Readonly<Record<string, string>> | undefined;
  /** Stands in for the CEL expression, whose only variable is `claims`. */
  readonly condition?: ((claims: Claims) => boolean) | undefined;
}

export interface AnthropicRule {
  /** `fdrl_...` */
  readonly id: string;
  readonly organizationId: string;
  readonly issuerId: string;
  readonly serviceAccountId: string;
  readonly match: AnthropicMatch;
  /** `wrkspc_...` or `default`; `all` for a rule that applies to every workspace. */
  readonly workspaceIds: readonly string[] | 'all';
  /** 60 to 86400. Default 3600. */
  readonly tokenLifetimeSeconds?: number | undefined;
  /** Default `workspace:developer`. */
  readonly scope?: string | undefined;
  readonly isArchived?: boolean | undefined;
}

export interface AnthropicConfiguration {
  readonly issuers: readonly AnthropicIssuer[];
  readonly serviceAccounts: readonly AnthropicServiceAccount[];
  readonly rules: readonly AnthropicRule[];
}

/** The fields of an exchange request, each well-formed. */
export interface ExchangeRequest {
  readonly assertion: string;
  readonly ruleId: string;
  readonly organizationId: string;
  readonly serviceAccountId: string;
  readonly workspaceId?: string | undefined;
}

/** A rule with what it refers to, and what an evaluation of it needs. */
export interface RuleContext {
  readonly rule: AnthropicRule;
  readonly issuer: AnthropicIssuer;
  readonly serviceAccount: AnthropicServiceAccount;
  readonly keys: KeyCache;
  /** `issuer id + jti` of every exchange that succeeded. */
  readonly usedJtis: Set<string>;
}

/** What the minted token will be worth. */
export interface Grant {
  readonly expiresIn: number;
  readonly scope: string;
  readonly workspaceId: string;
}

export const DEFAULT_AUDIENCE = 'https://api.anthropic.com';
export const MAX_ASSERTION_BYTES = 16 * 1024;
const LEEWAY_SECONDS = 30;
const SCOPES = ['workspace:developer', 'workspace:inference', 'workspace:manage_tunnels', 'org:admin'];

const RULE_ID = /^fdrl_[A-Za-z0-9]+$/;
const SERVICE_ACCOUNT_ID = /^svac_[A-Za-z0-9]+$/;
const WORKSPACE_ID = /^(?:wrkspc_[A-Za-z0-9]+|default)$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Refuses, with a `TypeError`, a configuration that the Console would not have let in. */
export function checkConfiguration({ issuers, serviceAccounts, rules }: AnthropicConfiguration): void {
  const check = (isRight: boolean, problem: string): void => {
    if (!isRight) throw new TypeError(problem);
  };
  const isWithin = (value: number, low: number, high: number): boolean =>
    Number.isInteger(value) && value >= low && value <= high;
  for (const { id, organizationId, maxJwtLifetimeSeconds = 3600 } of issuers) {
    check(/^fdis_[A-Za-z0-9]+$/.test(id) && UUID.test(organizationId), `issuer ${id}: malformed id`);
    check(isWithin(maxJwtLifetimeSeconds, 1, 176_400), `issuer ${id}: max_jwt_lifetime_seconds is 1 to 176400`);
  }
  for (const { id, organizationId } of serviceAccounts) {
    check(SERVICE_ACCOUNT_ID.test(id) && UUID.test(organizationId), `service account ${id}: malformed id`);
  }
  for (const rule of rules) {
    const { id, organizationId, match, scope = 'workspace:developer', tokenLifetimeSeconds = 3600 } = rule;
    const isOwn = (owned: { id: string; organizationId: string }): boolean => owned.organizationId === organizationId;
    check(RULE_ID.test(id), `rule ${id}: malformed id`);
    check(issuers.some((issuer) => issuer.id === rule.issuerId && isOwn(issuer)), `rule ${id}: unknown issuer`);
    check(serviceAccounts.some((account) => account.id === rule.serviceAccountId && isOwn(account)),
      `rule ${id}: unknown service account`);
    const isConstrained = (match.subjectPrefix ?? '*') !== '*' || Object.keys(match.claims ?? {}).length > 0;
    check(isConstrained || match.condition !== undefined, `rule ${id}: matches anybody`);
    check(rule.workspaceIds === 'all' || (rule.workspaceIds.length > 0
      && rule.workspaceIds.every((workspace) => WORKSPACE_ID.test(workspace))), `rule ${id}: workspaces`);
    check(isWithin(tokenLifetimeSeconds, 60, 86_400), `rule ${id}: token_lifetime_seconds is 60 to 86400`);
    check(SCOPES.includes(scope), `rule ${id}: unknown scope ${scope}`);
  }
}

/** Reads the body of an exchange, or says in a sentence what is wrong with its shape. */
export function readExchangeRequest(body: Record<string, unknown>): ExchangeRequest | string {
  const { grant_type: grantType, assertion, workspace_id: workspaceId } = body;
  const isFormatted = (name: string, format: RegExp): boolean => {
    const value = body[name];
    return typeof value === 'string' && format.test(value);
  };
  if (grantType !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') {
    return 'grant_type: must be urn:ietf:params:oauth:grant-type:jwt-bearer';
  }
  if (typeof assertion !== 'string' || assertion === '') return 'assertion: a non-empty string is required';
  if (Buffer.byteLength(assertion) > MAX_ASSERTION_BYTES) return 'assertion: must be at most 16384 bytes';
  if (!isFormatted('federation_rule_id', RULE_ID)) return 'federation_rule_id: must be a tagged id fdrl_...';
  if (!isFormatted('organization_id', UUID)) return 'organization_id: must be a UUID';
  if (!isFormatted('service_account_id', SERVICE_ACCOUNT_ID)) return 'service_account_id: must be a tagged id svac_...';
  if (workspaceId !== undefined && !isFormatted('workspace_id', WORKSPACE_ID)) {
    return "workspace_id: must be a tagged id wrkspc_... or the literal 'default'";
  }
  return {
    assertion,
    ruleId: body['federation_rule_id'] as string,
    organizationId: (body['organization_id'] as string).toLowerCase(),
    serviceAccountId: body['service_account_id'] as string,
    workspaceId: workspaceId as string | undefined,
  };
}

/** Checks the assertion and the rule's `match` against it; the last step uses up the `jti`. Throws a `Refusal`. */
export async function evaluateRule(request: ExchangeRequest, context: RuleContext, now: number): Promise<Grant> {
  const { rule, issuer } = context;
  if (rule.isArchived === true) throw new Refusal('x_rule_archived', `${rule.id} is archived`);
  const claims = await verifyAssertion(request.assertion, context);

  const { sub, iat, exp } = checkTimes(claims, now, LEEWAY_SECONDS);
  const maxSeconds = issuer.maxJwtLifetimeSeconds ?? 3600;
  if (exp - iat > maxSeconds) throw new Refusal('x_lifetime_exceeded', `exp - iat is ${exp - iat}, at most ${maxSeconds}`);

  matchClaims(rule.match, claims, sub);
  const workspaceId = resolveWorkspace(request, context);

  // Last, so that an attempt which fails for another reason leaves the assertion usable; and with no await
  // between the check and the entry, so that of two simultaneous exchanges one wins.
  if (issuer.checkJti !== false) consumeJti(claims, context);

  const lifetimeSeconds = Math.min(rule.tokenLifetimeSeconds ?? 3600, 2 * (exp - now));
  return { expiresIn: Math.max(60, lifetimeSeconds), scope: rule.scope ?? 'workspace:developer', workspaceId };
}

async function verifyAssertion(assertion: string, { issuer, keys }: RuleContext): Promise<Claims> {
  const jwt = checkHeader(decodeSubjectJwt(assertion), RSA_AND_EC_ALGORITHMS);
  const { iss } = jwt.unverifiedClaims;
  if (iss !== issuer.issuerUrl) throw new Refusal('x_iss_mismatch', `iss '${String(iss)}', issuer_url '${issuer.issuerUrl}'`);
  // No second fetch for an unknown kid: the documentation lets a key fail that is used the moment it is published.
  const key = await keys.find(jwt.kid);
  if (key === undefined) throw new Refusal('jwt_kid_not_in_jwks', `no key with the kid '${jwt.kid}'`);
  return verifySignature(jwt, key);
}

function matchClaims(match: AnthropicMatch, claims: Claims, sub: string): void {
  const audience = match.audience ?? DEFAULT_AUDIENCE;
  if (!hasAudience(claims, audience)) {
    throw new Refusal('jwt_audience_mismatch', `aud ${JSON.stringify(claims['aud'])}, expected '${audience}'`);
  }
  if (match.subjectPrefix !== undefined && !matchesPattern(sub, match.subjectPrefix)) {
    throw new Refusal('match_subject_prefix', `sub '${sub}', subject_prefix '${match.subjectPrefix}'`);
  }
  for (const [name, expected] of Object.entries(match.claims ?? {})) {
    const value = claims[name];
    // No conversion: a boolean or a number never matches, and nothing that an object inherits is a string.
    if (value !== expected) throw new Refusal('x_match_claims', `${name} is ${JSON.stringify(value)}, expected "${expected}"`);
  }
  if (match.condition !== undefined && !match.condition(claims)) throw new Refusal('x_match_condition', 'condition is false');
}

/**
 * Resolves the one workspace that the token will be for.
 *
 * Without a workspace_id only a rule with a single workspace goes through. The SDK's types suggest that the
 * organization's default workspace would be taken if the rule covers it; a client must not count on that.
 */
function resolveWorkspace(request: ExchangeRequest, { rule, serviceAccount }: RuleContext): string {
  if (request.serviceAccountId !== rule.serviceAccountId) {
    throw new Refusal('x_service_account_mismatch', `${request.serviceAccountId} is not the target of ${rule.id}`);
  }
  const { workspaceIds } = rule;
  const sole = workspaceIds !== 'all' && workspaceIds.length === 1 ? workspaceIds[0] : undefined;
  const workspaceId = request.workspaceId ?? sole;
  if (workspaceId === undefined) throw new Refusal('workspace_id_required', `${rule.id} spans more than one workspace`);
  if (workspaceIds !== 'all' && !workspaceIds.includes(workspaceId)) {
    throw new Refusal('x_workspace_not_in_rule', `${rule.id} is not enabled for ${workspaceId}`);
  }
  if (workspaceId !== 'default' && serviceAccount.workspaceIds?.includes(workspaceId) !== true) {
    throw new Refusal('sa_not_in_workspace', `${serviceAccount.id} is not a member of ${workspaceId}`);
  }
  return workspaceId;
}

function consumeJti(claims: Claims, { issuer, usedJtis }: RuleContext): void {
  const { jti } = claims;
  if (jti === undefined) return;
  if (typeof jti !== 'string' || jti === '') throw new Refusal('x_jti_invalid', `jti is ${JSON.stringify(jti)}`);
  const entry = `${issuer.id} ${jti}`;
  if (usedJtis.has(entry)) throw new Refusal('jti_reused', `jti '${jti}' has been exchanged before`);
  usedJtis.add(entry);
}
