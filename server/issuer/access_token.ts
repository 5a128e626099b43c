import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { decide, type Audience, type Audiences } from '../audiences/audiences.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { CLI_CLIENT_ID } from '../clients/clients.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { AMR } from '../oauth2/vocabulary.ts';
import { describeSignIn, lintAccessClaims } from './claims.ts';
import { InsufficientUserAuthentication, toProtocolError } from './failure.ts';
import { factsOf } from './facts.ts';
import { adminAudience } from './resource.ts';

export interface AccessTokenDependencies {
  readonly issuer: string;
  readonly accounts: Accounts;
  readonly audiences: Audiences;
  readonly clock: Clock;
}

interface Token {
  readonly kind: string;
  readonly accountId?: string | undefined;
  readonly clientId?: string | undefined;
  readonly grantId?: string | undefined;
  readonly aud?: unknown;
}

/**
 * The last word on an access token that oidc-provider is about to sign: whether its account may have it, by the policy of
 * the API that it is for; and what its exchange needs to know later: the grant, which ends with the session, and how the
 * person signed in (RFC 9068 2.2.1). A service shows a key and no person. Throws a TypeError when the claims would break what
 * tokens of ours are.
 */
export async function completeAccessToken(ctx: KoaContextWithOIDC, token: Token, jwt: { payload?: Record<string, unknown> | undefined }, dependencies: AccessTokenDependencies): Promise<void> {
  if (jwt.payload === undefined || (token.kind !== 'AccessToken' && token.kind !== 'ClientCredentials')) return;
  const source = ctx.oidc.entities.AuthorizationCode ?? ctx.oidc.entities.RefreshToken ?? ctx.oidc.entities.DeviceCode;
  const isService = token.kind === 'ClientCredentials';
  if (isService) jwt.payload.amr = [AMR.possession];
  else {
    jwt.payload.grant_id = token.grantId;
    Object.assign(jwt.payload, describeSignIn(source?.authTime, Number(jwt.payload.iat)));
    if (source?.amr !== undefined) jwt.payload.amr = source.amr;
  }
  // What binds the command line's session is its refresh token (issuer/provider.ts).
  if (token.clientId === CLI_CLIENT_ID && token.aud === dependencies.issuer) delete jwt.payload.cnf;
  const audience = await checkPolicy(ctx, token, source?.authTime, dependencies).catch((error: unknown) => {
    throw toProtocolError(error);
  });
  const faults = lintAccessClaims(jwt.payload, audience, dependencies.issuer);
  if (faults.length > 0) throw new TypeError(`an access token was not signed: ${faults.join('; ')}`);
}

/** The record of the API that the token is for; undefined for the issuer itself and the admin API. */
async function checkPolicy(ctx: KoaContextWithOIDC, { accountId, clientId = '', aud, kind }: Token, authTime: number | undefined, { issuer, accounts, audiences, clock }: AccessTokenDependencies): Promise<Audience | undefined> {
  const facts = factsOf(ctx);
  const name = String(aud);
  facts.audience = name;
  const account = await accounts.find(accountId ?? clientId);
  facts.accountId = accountId ?? clientId;
  if (account !== undefined) facts.subject = account.email;
  if (account === undefined || (kind === 'ClientCredentials') !== (account.kind === 'service')) throw new errors.UnauthorizedClient('its account is closed');
  // Its own tokens are a session's: what they can be exchanged for is decided then.
  if (name === issuer || name === adminAudience(issuer)) return undefined;
  const audience = await audiences.find(name);
  if (audience === undefined) throw new errors.InvalidTarget(`resource "${name}" is not registered with this issuer`);
  const authAgeSeconds = authTime === undefined ? undefined : toUnixSeconds(clock.now()) - authTime;
  const decision = decide(audience, { accountId: account.id, kind: account.kind, hostedDomain: account.hostedDomain, groups: account.groups, clientId, authAgeSeconds });
  facts.clause = decision.clause;
  if (decision.needsAuthAgeSeconds !== undefined) throw new InsufficientUserAuthentication(`resource "${name}" needs a sign-in of at most ${decision.needsAuthAgeSeconds} s ago; sign in again`, decision.needsAuthAgeSeconds);
  if (!decision.isAllowed) throw new errors.InvalidTarget(`resource "${name}" is not for you: ${decision.reason ?? 'it is closed'}`);
  return audience;
}
