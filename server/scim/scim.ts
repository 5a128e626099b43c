/*
 * Owns: SCIM 2.0 (RFC 7643, 7644): how a company's directory makes, changes and ends accounts and groups here.
 * Never: decides what a directory may see or touch; shows or changes a role, a passkey or a service account.
 * Keeps true: a token reaches its own domains and scopes alone; what a directory changes is on record first, and never with
 * what it sent beside (some send passwords).
 */
import Router from '@koa/router';
import type { Context } from 'koa';
import type { Directory, ScimToken, ScimTokens } from '../accounts/accounts.ts';
import type { Audiences } from '../audiences/audiences.ts';
import type { Audit } from '../audit/audit.ts';
import { readAddress } from '../http/address.ts';
import { readJsonBody } from '../http/body.ts';
import type { Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';
import { authorize } from './authorize.ts';
import { createDocuments } from './documents.ts';
import { describeTrouble, MEDIA_TYPE, renderError } from './failure.ts';
import { createGroupOperations } from './groups.ts';
import type { Operation } from './operation.ts';
import { createUserOperations } from './users.ts';

export const SCIM_PATH = '/scim/v2';

export interface ScimOptions {
  readonly issuer: string;
  readonly directory: Directory;
  readonly tokens: Pick<ScimTokens, 'verify'>;
  readonly audiences: Pick<Audiences, 'list'>;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly trustedProxies: number;
  readonly events: ScimEvents;
}

export interface ScimEvents {
  onDone(what: { token: string; method: string; path: string }): void;
  onRefused(what: { token: string | undefined; path: string; status: number; error: unknown }): void;
}

type Params = Context & { params: Record<string, string | undefined> };

export function createScim(options: ScimOptions): Router {
  const base = options.issuer + SCIM_PATH;
  const router = new Router();
  for (const { path, body } of createDocuments(base)) {
    // RFC 7644 4: what can be asked for is no secret. The colons of a URN name no parameters.
    router.get(`${SCIM_PATH}${path.replaceAll(':', '\\:')}`, (ctx) => {
      send(ctx, 200, body);
    });
  }
  for (const row of [...createUserOperations({ ...options, base }), ...createGroupOperations({ ...options, base })]) {
    router[row.method](`${SCIM_PATH}${row.path}`, (ctx) => answer(ctx, row, options));
  }
  return router;
}

/** Who, what, on record, done: in this order. */
async function answer(ctx: Params, row: Operation, options: ScimOptions): Promise<void> {
  const { tokens, audit, events } = options;
  let token: ScimToken | undefined;
  try {
    const permitted = await authorize(ctx.headers.authorization, row.scope, tokens);
    token = permitted.token;
    if (permitted.refusal !== undefined) {
      ctx.set('WWW-Authenticate', permitted.refusal.challenge);
      refuse(ctx, row, token, options, { ...permitted.refusal, error: undefined });
      return;
    }
    const { name, domains } = permitted.token;
    const body = row.takesBody ? await readJsonBody(ctx.req, [MEDIA_TYPE, 'application/json']) : {};
    const { detail, act } = await row.prepare({ realm: { name, domains }, id: ctx.params.id ?? '', query: readQuery(ctx), body });
    if (detail !== undefined) await audit.record([{ kind: 'admin', event: row.name, ...describeAsker(ctx, token, options), detail: { path: ctx.path, ...detail } }]);
    const { status, resource } = await act();
    const { location } = (resource as { meta?: { location?: string } } | undefined)?.meta ?? {};
    if (status === 201 && location !== undefined) ctx.set('Location', location);
    send(ctx, status, resource);
    if (detail !== undefined) events.onDone({ token: name, method: ctx.method, path: ctx.path });
  } catch (error) {
    const told = describeTrouble(error);
    if (told.status === 503) ctx.set('Retry-After', '1');
    refuse(ctx, row, token, options, { ...told, error });
  }
}

function send(ctx: Context, status: number, body: object | undefined): void {
  ctx.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
  ctx.status = status;
  if (body === undefined) {
    ctx.body = null;
    ctx.status = status; // an empty body makes it 204 otherwise, which it may not be
    return;
  }
  ctx.type = MEDIA_TYPE;
  ctx.body = JSON.stringify(body);
}

interface Told {
  readonly status: number;
  readonly scimType?: string | undefined;
  readonly detail: string;
  readonly error: unknown;
}

function refuse(ctx: Params, row: Operation, token: ScimToken | undefined, options: ScimOptions, { status, scimType, detail, error }: Told): void {
  send(ctx, status, renderError({ status, scimType, detail }));
  options.audit.note({ kind: 'refusal', event: row.name, ...describeAsker(ctx, token, options), code: scimType ?? String(status), reason: detail, detail: { path: ctx.path } });
  options.events.onRefused({ token: token?.name, path: ctx.path, status, error });
}

function describeAsker(ctx: Params, token: ScimToken | undefined, { clock, trustedProxies }: ScimOptions) {
  return {
    at: clock.now(), ip: readAddress(ctx.req, trustedProxies), userAgent: ctx.headers['user-agent'], ...(token === undefined ? {} : { clientId: `scim:${token.name}` }),
  };
}

function readQuery(ctx: Context): Readonly<Record<string, string>> {
  const repeated = Object.entries(ctx.query).find(([, value]) => Array.isArray(value));
  if (repeated !== undefined) throw new Refused('invalidValue', `${repeated[0]} stands more than once`);
  return { ...ctx.query } as Record<string, string>;
}
