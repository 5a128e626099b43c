import type { Context } from 'koa';
import { isSameOrigin } from '../http/origin.ts';
import { applyBrowserHeaders } from '../http/security_headers.ts';
import { Refused } from '../lib/errors.ts';
import type { Pages } from '../views/views.ts';
import { describeFailure, type Told } from './failure.ts';

export type Handler = (ctx: Context & { params: Record<string, string> }) => Promise<void>;

/** What every route goes through: the browser's headers, the check of where a request comes from, trouble in words. */
export interface Wrappers {
  /** A page: trouble becomes an error page. */
  readonly page: (handler: Handler) => Handler;
  /** What a page's script posts: trouble becomes JSON. */
  readonly action: (handler: Handler) => Handler;
  /** What a page's form posts, with or without scripts. */
  readonly form: (handler: Handler) => Handler;
}

export interface WrapperOptions {
  readonly issuer: string;
  readonly pages: Pages;
  readonly events: { onTrouble(trouble: { route: string; code: string; error: unknown }): void };
}

export const ACCOUNT_PATH = '/login/account';

export function createWrappers({ issuer, pages, events }: WrapperOptions): Wrappers {
  const showPage = (ctx: Parameters<Handler>[0], { message, code }: Told) =>
    pages.renderErrorPage({
      title: TITLES[code] ?? 'That did not work', message, reference: code,
      back: findWayBack(ctx, code),
    });
  const showJson = (_ctx: Parameters<Handler>[0], { code, message, field }: Told) => ({ error: code, message, ...(field === undefined ? {} : { field }) });
  const run = async (ctx: Parameters<Handler>[0], handler: Handler, show: typeof showPage | typeof showJson, changes: boolean) => {
    applyBrowserHeaders(ctx.res, { formAction: "'self'" });
    try {
      if (changes && !isSameOrigin(ctx.headers, issuer)) throw new Refused('cross_origin', 'This request did not come from a page of this site.');
      await handler(ctx);
    } catch (error) {
      const told = describeFailure(error);
      events.onTrouble({ route: String(ctx._matchedRoute ?? ctx.path), code: told.code, error });
      if (told.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(told.retryAfterSeconds));
      ctx.status = told.status;
      ctx.body = show(ctx, told);
    }
  };
  return {
    page: (handler) => (ctx) => run(ctx, handler, showPage, false),
    action: (handler) => (ctx) => run(ctx, handler, showJson, true),
    form: (handler) => (ctx) => run(ctx, handler, showPage, true),
  };
}

const TITLES: Readonly<Record<string, string>> = { sign_in_over: 'This sign-in is over', too_many_attempts: 'Too many attempts' };

/** Where somebody goes on from a page that only says what went wrong. */
function findWayBack(ctx: Parameters<Handler>[0], code: string): 'account' | { uid: string } | undefined {
  if (ctx.path.startsWith(`${ACCOUNT_PATH}/`)) return 'account';
  const { uid } = ctx.params;
  return uid === undefined || code === 'sign_in_over' ? undefined : { uid };
}

/** To another page of ours, by GET. */
export function goTo(ctx: Context, path: string): void {
  ctx.status = 303;
  ctx.redirect(path);
}
