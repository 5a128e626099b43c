import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Audit, AuditEntry } from '../audit/audit.ts';
import { hashValue } from '../crypto/digest.ts';
import { parseJws } from '../crypto/jws.ts';
import { readAddress } from '../http/address.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import { Unavailable } from '../lib/errors.ts';
import { GRANT_TYPE } from '../oauth2/vocabulary.ts';
import { toDetail } from './device_codes.ts';
import { factsOf } from './facts.ts';
import { ROUTES } from './routes.ts';
import type { Facts } from './token_exchange.ts';

export interface IssuanceDependencies {
  readonly audit: Pick<Audit, 'record' | 'note'>;
  readonly clock: Clock;
  readonly trustedProxies: number;
  readonly events: {
    /** Tokens that oidc-provider made are on record; those of an exchange say so themselves. */
    onGranted(granted: Facts): void;
  };
}

/** Whose request it is, as far as the connection says. */
export function originOf({ req }: Pick<KoaContextWithOIDC, 'req'>, trustedProxies: number): { readonly ip: string | undefined; readonly userAgent: string | undefined } {
  return { ip: readAddress(req, trustedProxies), userAgent: req.headers['user-agent'] };
}

/** A grant type's short name, as the record and the log say it. */
export function nameGrant(grantType: unknown): string {
  if (grantType === GRANT_TYPE.tokenExchange) return 'token_exchange';
  const known: readonly unknown[] = Object.values(GRANT_TYPE);
  return known.includes(grantType) ? String(grantType).replace(/^.*:/, '') : 'token';
}

/**
 * Keeps a record of every token that oidc-provider made, before the answer leaves; the exchange keeps its own. Without the
 * record there is no token: the answer becomes 503 (RFC 6749 5.2 has no code for it; RFC 6749 4.1.2.1 does).
 */
export function recordTokens(dependencies: IssuanceDependencies) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<unknown>) => {
    const arrivedAt = dependencies.clock.now();
    await next();
    if (ctx.path !== ROUTES.token || ctx.status !== 200) return;
    const event = nameGrant(ctx.oidc.params?.grant_type);
    if (event === 'token_exchange') return;
    try {
      await dependencies.audit.record(describeTokens(ctx, event, arrivedAt, dependencies));
      dependencies.events.onGranted(factsOf(ctx));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      ctx.status = 503;
      ctx.body = { error: 'temporarily_unavailable', error_description: 'The issuer could not keep a record of the token, so it gives none. Try again in a moment.' };
    }
  };
}

function describeTokens(ctx: KoaContextWithOIDC, event: string, at: Date, { trustedProxies }: IssuanceDependencies): AuditEntry[] {
  const body = ctx.body as { access_token?: string; id_token?: string; refresh_token?: string };
  const { audience, ...facts } = factsOf(ctx);
  const { DeviceCode: code } = ctx.oidc.entities;
  const detail = code === undefined ? undefined : toDetail(code.deviceInfo);
  const common = { kind: 'token', event, at, clientId: ctx.oidc.client?.clientId, ...originOf(ctx, trustedProxies), ...facts, act: undefined, detail } as const;
  const entries: AuditEntry[] = [];
  const addJwt = (tokenKind: 'access_token' | 'id_token', token: string) => {
    const jws = parseJws(token);
    if (jws === undefined) throw new TypeError(`an ${tokenKind} is not a JWT`);
    const { jti, exp, aud } = jws.claims;
    entries.push({ ...common, tokenKind, jti: String(jti), kid: jws.header.kid, alg: jws.header.alg, audience: String(aud), expiresAt: new Date(Number(exp) * 1000) });
  };
  if (body.access_token !== undefined) addJwt('access_token', body.access_token);
  if (body.id_token !== undefined) addJwt('id_token', body.id_token);
  // A refresh token is no JWT: what names it is the hash by which it is kept.
  const { RefreshToken, RotatedRefreshToken: _ } = ctx.oidc.entities;
  if (body.refresh_token !== undefined) {
    entries.push({ ...common, tokenKind: 'refresh_token', jti: hashValue(body.refresh_token), audience, expiresAt: RefreshToken === undefined ? undefined : addSeconds(at, RefreshToken.remainingTTL) });
  }
  return entries;
}

/** Notes a refusal at the token endpoint, with what was known of the request by then. Nobody waits for it. */
export function noteRefusal(ctx: KoaContextWithOIDC, code: string, reason: string | undefined, { audit, clock, trustedProxies }: Omit<IssuanceDependencies, 'events'>): void {
  const { act, ...facts } = factsOf(ctx);
  audit.note({
    kind: 'refusal', event: ctx.oidc.route === 'token' ? nameGrant(ctx.oidc.params?.grant_type) : ctx.oidc.route, at: clock.now(),
    clientId: ctx.oidc.client?.clientId, ...originOf(ctx, trustedProxies), ...facts, act: act === undefined ? undefined : { ...act }, code, reason,
  });
}
