import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Audit } from '../audit/audit.ts';
import { hashValue } from '../crypto/digest.ts';
import { nameCaller, readAddress } from '../http/address.ts';
import type { Limiter } from '../http/limiter.ts';
import { isSameOrigin } from '../http/origin.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import type { ArtifactStore } from '../storage/storage.ts';
import type { DevicePages } from './device_flow.ts';
import { originOf } from './issuance.ts';
import { ROUTES } from './routes.ts';

/** Seconds between two polls of a device (RFC 8628 3.2), and by how much less the network may make it. */
const INTERVAL_SECONDS = 5;
const SLACK_SECONDS = 1;

export interface DeviceLimitOptions {
  readonly issuer: string;
  readonly audit: Pick<Audit, 'note'>;
  readonly clock: Clock;
  readonly trustedProxies: number;
  readonly volatile: Pick<ArtifactStore, 'add'>;
  readonly limiter: Pick<Limiter, 'take'>;
  readonly devicePages: Pick<DevicePages, 'renderDeviceCodePage'>;
  readonly renderErrorPage: (error: { code: string; description: string | undefined }) => string;
}

type Next = () => Promise<unknown>;

/**
 * Says how often to poll, and `slow_down` (RFC 8628 3.5) to a device that asks more often: the library does neither. When
 * Redis is away nobody is slowed down.
 */
export function paceDevices({ volatile, clock }: DeviceLimitOptions) {
  return async (ctx: KoaContextWithOIDC, next: Next) => {
    await next();
    const body = ctx.body as Record<string, unknown> | undefined;
    const oidc = ctx.oidc as KoaContextWithOIDC['oidc'] | undefined; // there is none where no route was found
    if (oidc?.route === 'device_authorization' && ctx.status === 200 && body !== undefined) body.interval = INTERVAL_SECONDS;
    if (oidc?.route !== 'token' || body?.error !== 'authorization_pending') return;
    const until = addSeconds(clock.now(), INTERVAL_SECONDS - SLACK_SECONDS);
    const isInTime = await volatile.add('DevicePoll', hashValue(String(oidc.params?.device_code)), { payload: {} }, until).catch(() => true);
    if (!isInTime) Object.assign(body, { error: 'slow_down', error_description: `wait ${INTERVAL_SECONDS} s longer between two requests` });
  };
}

const WINDOW_SECONDS = 600;
const GUESSES_OF_A_BROWSER = { rule: 'user codes of a browser', allowance: { points: 10, seconds: WINDOW_SECONDS } };
const GUESSES_OF_A_NETWORK = { rule: 'user codes of a network', allowance: { points: 50, seconds: WINDOW_SECONDS } };
const REQUESTS_OF_A_NETWORK = { rule: 'device requests of a network', allowance: { points: 100, seconds: WINDOW_SECONDS } };

/**
 * Nobody guesses user codes: a browser may be wrong ten times in ten minutes, an address (IPv6: a /64) fifty times. There
 * is nothing to count by the code, since a wrong one is nobody's. A code that exists is given back.
 */
export function limitGuesses(options: DeviceLimitOptions, sessionCookie: string) {
  const { issuer, limiter, trustedProxies, audit, clock, devicePages } = options;
  return async (ctx: KoaContextWithOIDC, next: Next) => {
    if (ctx.path !== ROUTES.device || ctx.method !== 'POST') {
      await next();
      return;
    }
    if (!isSameOrigin(ctx.headers, issuer)) {
      refuse(ctx, options, 403, 'cross_origin', 'This request did not come from a page of this site.');
      return;
    }
    const cookie = ctx.cookies.get(sessionCookie, { signed: false });
    const taken = await limiter.take([
      { ...GUESSES_OF_A_NETWORK, who: nameCaller(readAddress(ctx.req, trustedProxies)) },
      ...(cookie === undefined ? [] : [{ ...GUESSES_OF_A_BROWSER, who: hashValue(cookie) }]),
    ]);
    if ('waitSeconds' in taken) {
      audit.note({ kind: 'refusal', event: 'device_login', at: clock.now(), ...originOf(ctx, trustedProxies), code: 'too_many_codes', reason: 'too many user codes that nobody has' });
      ctx.set('Retry-After', String(taken.waitSeconds));
      ctx.status = 429;
      ctx.type = 'html';
      ctx.body = devicePages.renderDeviceCodePage({ action: ROUTES.device, xsrf: undefined, problem: 'tooMany' });
      return;
    }
    await next();
    const oidc = ctx.oidc as KoaContextWithOIDC['oidc'] | undefined;
    if (oidc?.entities.DeviceCode !== undefined) await taken.giveBack();
  };
}

/** Each request for a code writes a row, and anybody may send one: an address may do so a hundred times in ten minutes. */
export function limitDeviceRequests({ limiter, trustedProxies }: DeviceLimitOptions) {
  return async (ctx: KoaContextWithOIDC, next: Next) => {
    const taken = ctx.path === ROUTES.deviceAuthorization ? await limiter.take([{ ...REQUESTS_OF_A_NETWORK, who: nameCaller(readAddress(ctx.req, trustedProxies)) }]) : undefined;
    if (taken === undefined || !('waitSeconds' in taken)) {
      await next();
      return;
    }
    ctx.status = 429;
    ctx.set({ 'Retry-After': String(taken.waitSeconds), 'Cache-Control': 'no-store' });
    ctx.body = { error: 'temporarily_unavailable', error_description: 'Too many device logins were begun from this address. Try again in ten minutes.' };
  };
}

function refuse(ctx: KoaContextWithOIDC, { renderErrorPage }: DeviceLimitOptions, status: number, code: string, description: string): void {
  ctx.status = status;
  ctx.type = 'html';
  ctx.body = renderErrorPage({ code, description });
}
