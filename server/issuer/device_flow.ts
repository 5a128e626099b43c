import type { IncomingMessage } from 'node:http';
import { errors, type Client, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import { z } from 'zod';
import { compareAddresses, readAddress, type Distance } from '../http/address.ts';
import type { ArtifactStore } from '../storage/storage.ts';
import type { DeviceProblem, Pages } from '../views/views.ts';
import { CodeTaken, findDevice, toDetail, USER_CODE, type DeviceFacts, type KeptDevice } from './device_codes.ts';
import { originOf, type IssuanceDependencies } from './issuance.ts';
import { ROUTES } from './routes.ts';

/*
 * Device login (RFC 8628): what the pages between the typed code and its end show. The danger is a stranger who talks a
 * person into entering the stranger's code, so that each page says who asks, from where, and how far that is from here.
 */

export type DevicePages = Pick<Pages, 'renderDeviceCodePage' | 'renderDeviceConfirmPage' | 'renderDeviceDonePage' | 'renderDeviceDeniedPage' | 'renderDeviceRefusedPage'>;

export interface DeviceFlowOptions {
  readonly trustedProxies: number;
  readonly devicePages: DevicePages;
  readonly renderErrorPage: (error: { code: string; description: string | undefined }) => string;
}

/** A device as a page shows it beside the browser that is asked. */
export interface DeviceAsker {
  readonly name: string | undefined;
  readonly os: string | undefined;
  readonly address: string | undefined;
  readonly distance: Distance;
  readonly code: string;
  readonly askedAt: Date;
}

export function describeDevice(request: IncomingMessage, { code, askedAt, facts: { name, os, ip } }: KeptDevice, trustedProxies: number): DeviceAsker {
  return { name, os, address: ip, distance: compareAddresses(ip, readAddress(request, trustedProxies)), code, askedAt };
}

/** What a person's no is told to the device as. */
export const DENIED = 'the person at the browser said no';

const claimed = z.string().regex(/^[\x20-\x7e]{1,64}$/).optional();

/** What a device may say of itself with its request, so that its person recognises it. It proves nothing. */
export const DEVICE_PARAMETERS = Object.fromEntries(['device_name', 'device_os'].map((name) => [name, (_ctx: KoaContextWithOIDC, value: string | undefined) => {
  if (!claimed.safeParse(value).success) throw new errors.InvalidRequest(`${name} must be 1-64 visible ASCII characters`);
}]));

export function createDeviceFlow({ trustedProxies, devicePages, renderErrorPage }: DeviceFlowOptions): NonNullable<NonNullable<Configuration['features']>['deviceFlow']> {
  return {
    enabled: true,
    ...USER_CODE,
    deviceInfo: ({ req, oidc }) => {
      const { device_name: name, device_os: os } = oidc.params ?? {};
      return { name, os, ip: readAddress(req, trustedProxies) };
    },
    userCodeInputSource: (ctx, _form, out, error) => {
      ctx.type = 'html';
      if (error !== undefined) forgetNewSession(ctx);
      if (error?.name === 'AbortedError') {
        ctx.body = showRefusal(ctx, error, devicePages);
        return;
      }
      const problem = error === undefined ? undefined : findProblem(ctx, error);
      if (out !== undefined && problem === undefined) {
        ctx.body = renderErrorPage({ code: out.error, description: out.error_description });
        return;
      }
      if (problem !== undefined) ctx.status = 400;
      ctx.body = devicePages.renderDeviceCodePage({ action: ROUTES.device, xsrf: findXsrf(ctx, error), code: problem === 'unknown' ? String(ctx.oidc.params?.user_code).slice(0, 64) : undefined, problem });
    },
    userCodeConfirmSource: (ctx, _form, client: Client, deviceInfo, code) => {
      ctx.type = 'html';
      const device = { code, askedAt: new Date((ctx.oidc.entities.DeviceCode?.iat ?? 0) * 1000), facts: deviceInfo as DeviceFacts };
      ctx.body = devicePages.renderDeviceConfirmPage({ action: ROUTES.device, xsrf: findXsrf(ctx, undefined) ?? '', clientName: client.clientName ?? client.clientId, device: describeDevice(ctx.req, device, trustedProxies) });
    },
    successSource: (ctx) => {
      ctx.type = 'html';
      ctx.body = devicePages.renderDeviceDonePage({ name: ((ctx.oidc.entities.DeviceCode?.deviceInfo ?? {}) as DeviceFacts).name });
    },
  };
}

/** The library's own errors are told apart by name only: it does not export them. */
const PROBLEMS: Readonly<Record<string, DeviceProblem>> = { NoCodeError: 'missing', NotFoundError: 'unknown', ExpiredError: 'expired', AlreadyUsedError: 'used' };

/** What the person can do something about; undefined for trouble of another kind. */
function findProblem({ oidc }: KoaContextWithOIDC, error: Error): DeviceProblem | undefined {
  if (error instanceof CodeTaken) return 'used';
  if (error instanceof errors.SessionNotFound) return 'over';
  // The form was of another session, or this browser takes no cookies.
  if (error instanceof errors.InvalidRequest && oidc.route === 'code_verification') return 'stale';
  return PROBLEMS[error.name];
}

/** The secret that the page's form must bring; undefined where no session keeps it. */
function findXsrf({ oidc: { session } }: KoaContextWithOIDC, error: Error | undefined): string | undefined {
  const secret: unknown = session?.state?.secret;
  if (error !== undefined && isUnsaved(session)) return undefined;
  return typeof secret === 'string' ? secret : undefined;
}

/** After an error the library means to save the session, and throws where it has never been saved: a browser that brings none. */
function forgetNewSession({ oidc: { session } }: KoaContextWithOIDC): void {
  if (session !== undefined && isUnsaved(session)) Object.assign(session, { touched: false });
}

/** The types say that every session has an end; one that was made for this request has none yet. */
function isUnsaved(session: { readonly exp?: number | undefined } | undefined): boolean {
  return session?.exp === undefined;
}

const DENIALS = new WeakSet<object>();

/** The person said no, or may not do this: the device hears it with its next poll. */
function showRefusal(ctx: KoaContextWithOIDC, { cause }: Error, pages: DevicePages): string {
  const reason = cause instanceof errors.OIDCProviderError ? cause.error_description : undefined;
  if (reason !== undefined && reason !== DENIED) return pages.renderDeviceRefusedPage({ reason });
  DENIALS.add(ctx);
  return pages.renderDeviceDeniedPage();
}

/** Notes that a person said no to a device. That somebody may not do it at all is noted where it is decided (login/). */
export function noteDenials({ audit, clock, trustedProxies, durable }: IssuanceDependencies & { durable: Pick<ArtifactStore, 'find'> }) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<unknown>) => {
    await next();
    if (!DENIALS.has(ctx)) return;
    const { DeviceCode: code, Interaction: interaction } = ctx.oidc.entities;
    const handle = code?.jti ?? interaction?.deviceCode;
    const facts = handle === undefined ? undefined : (await findDevice(durable, handle).catch(() => undefined))?.facts;
    audit.note({
      kind: 'refusal', event: 'device_login', at: clock.now(), clientId: code?.clientId ?? String(interaction?.params.client_id), accountId: ctx.oidc.session?.accountId,
      ...originOf(ctx, trustedProxies), code: 'access_denied', reason: DENIED, detail: toDetail(facts),
    });
  };
}
