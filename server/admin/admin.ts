/*
 * Owns: the admin API: who may call it, what it takes and says, and the record of what admins did.
 * Never: decides what a noun's room decides; answers a request without knowing whose it is.
 * Keeps true: nothing is changed before it is on record who asked for it; what cannot be undone needs a fresh sign-in.
 */
import Router from '@koa/router';
import type { Context } from 'koa';
import type { z } from 'zod';
import type { Accounts, Identities, People, ScimTokens } from '../accounts/accounts.ts';
import type { Audiences } from '../audiences/audiences.ts';
import type { Audit } from '../audit/audit.ts';
import type { Clients } from '../clients/clients.ts';
import { readAddress } from '../http/address.ts';
import { readJsonBody } from '../http/body.ts';
import type { Issuer } from '../issuer/issuer.ts';
import type { KeyAdministration } from '../keys/keys.ts';
import type { Clock } from '../lib/clock.ts';
import { Refused, Trouble } from '../lib/errors.ts';
import type { JsonObject } from '../storage/storage.ts';
import { createAccountRoutes } from './account_routes.ts';
import { createAudienceRoutes } from './audience_routes.ts';
import { createAuditRoutes } from './audit_routes.ts';
import { authorize, type Admin } from './authorize.ts';
import { createKeyRoutes } from './keys_routes.ts';
import { describeApi } from './openapi.ts';
import { createPeopleRoutes } from './people_routes.ts';
import type { Route } from './route.ts';
import { createScimTokenRoutes } from './scim_token_routes.ts';

export const ADMIN_PATH = '/admin/api';

const PREFIX = `${ADMIN_PATH}/v1`;

export interface AdminOptions {
  readonly issuer: string;
  readonly verifyAdmin: Issuer['verifyAdmin'];
  readonly keys: KeyAdministration;
  readonly accounts: Accounts;
  readonly people: People;
  readonly identities: Identities;
  readonly scimTokens: ScimTokens;
  /** Where directories go with their tokens. */
  readonly scimUrl: string;
  readonly clients: Clients;
  readonly audiences: Audiences;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly trustedProxies: number;
  readonly events: AdminEvents;
}

export interface AdminEvents {
  onDone(what: { admin: string; method: string; path: string }): void;
  onRefused(what: { path: string; code: string; error: unknown }): void;
}

type Params = Context & { params: Record<string, string | undefined> };

export function createAdmin(options: AdminOptions): Router {
  const router = new Router();
  const routes = [
    ...createKeyRoutes(options), ...createAudienceRoutes(options), ...createAccountRoutes(options), ...createPeopleRoutes(options), ...createScimTokenRoutes(options), ...createAuditRoutes(options),
  ];
  for (const row of routes) router[row.method](`${PREFIX}${row.path}`, (ctx) => answer(ctx, row, options));
  const description = describeApi(options.issuer, PREFIX, routes);
  router.get(`${ADMIN_PATH}/openapi.json`, (ctx) => {
    ctx.body = description;
  });
  return router;
}

async function answer(ctx: Params, row: Route, options: AdminOptions): Promise<void> {
  const { verifyAdmin, clock, events } = options;
  ctx.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
  let admin: Admin | undefined;
  try {
    const permitted = await authorize(ctx.headers.authorization, row.demand, verifyAdmin, clock);
    if ('status' in permitted) {
      ctx.set('WWW-Authenticate', permitted.challenge);
      refuse(ctx, row, options, permitted.status, permitted.error, permitted.description, undefined);
      events.onRefused({ path: ctx.path, code: permitted.error, error: undefined });
      return;
    }
    admin = permitted;
    const query = row.query === undefined ? {} : check(row.query, readQuery(ctx));
    const given = row.body === undefined ? {} : await readJsonBody(ctx.req);
    const body = row.body === undefined ? {} : check(row.body, given);
    // Who asks for what is on record before it is done: a change that nobody can be asked about must not happen.
    if (row.demand.maxAgeSeconds !== undefined) await options.audit.record([describeAct(ctx, row, admin, given, options)]);
    ctx.body = await row.handle({ admin, params: ctx.params, query, body, ctx });
    if (ctx.method !== 'GET') events.onDone({ admin: admin.accountId, method: ctx.method, path: ctx.path });
  } catch (error) {
    const { status, code, description } = describe(error);
    if (status === 503) ctx.set('Retry-After', '1');
    refuse(ctx, row, options, status, code, description, admin);
    events.onRefused({ path: ctx.path, code, error });
  }
}

/** The entry of what an admin asks for. Nothing secret is in a body: keys are public halves. */
function describeAct(ctx: Params, row: Route, admin: Admin, body: Record<string, unknown>, { clock, trustedProxies }: AdminOptions) {
  return {
    kind: 'admin', event: row.name, at: clock.now(), accountId: admin.accountId, subject: admin.email,
    ip: readAddress(ctx.req, trustedProxies), userAgent: ctx.headers['user-agent'], detail: { path: ctx.path, body: body as JsonObject },
  } as const;
}

function readQuery(ctx: Context): Record<string, string> {
  const repeated = Object.entries(ctx.query).find(([, value]) => Array.isArray(value));
  if (repeated !== undefined) throw new Refused('invalid_request', `${repeated[0]} stands more than once`);
  return { ...ctx.query } as Record<string, string>;
}

/** What the row's schema lets through. Throws Refused with everything that is wrong at once. */
function check(schema: z.ZodType, value: unknown): Record<string, unknown> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data as Record<string, unknown>;
  const faults = parsed.error.issues.map(({ message, path }) => (path.length === 0 || message.startsWith(String(path[0])) ? message : `${path.join('.')}: ${message}`));
  throw new Refused('invalid_request', faults.join('; '));
}

function refuse(ctx: Params, row: Route, { audit, clock, trustedProxies }: AdminOptions, status: number, code: string, description: string, admin: Admin | undefined): void {
  ctx.status = status;
  ctx.body = { error: code, error_description: description };
  audit.note({
    kind: 'refusal', event: row.name, at: clock.now(), accountId: admin?.accountId, subject: admin?.email, code, reason: description,
    ip: readAddress(ctx.req, trustedProxies), userAgent: ctx.headers['user-agent'], detail: { path: ctx.path },
  });
}

function describe(error: unknown): { status: number; code: string; description: string } {
  if (!(error instanceof Trouble)) return { status: 500, code: 'server_error', description: 'The issuer made a mistake. It was recorded.' };
  switch (error.kind) {
    case 'refused':
      return { status: 400, code: 'code' in error ? String(error.code) : 'invalid_request', description: error.message };
    case 'not_found':
      return { status: 404, code: 'not_found', description: error.message };
    case 'conflict':
      return { status: 409, code: 'conflict', description: error.message };
    case 'unavailable':
      return { status: 503, code: 'temporarily_unavailable', description: 'The issuer cannot reach its storage just now. Try again in a moment.' };
  }
}
