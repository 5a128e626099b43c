/*
 * Owns: the admin API: who may call it, and what it says. Keys so far.
 * Never: decides what a noun's room decides; answers a request without knowing whose it is.
 * Keeps true: a change names its admin in its history; what cannot be undone needs a fresh sign-in.
 */
import Router from '@koa/router';
import type { Context } from 'koa';
import { readJsonBody } from '../http/body.ts';
import type { Issuer } from '../issuer/issuer.ts';
import type { KeyAdministration } from '../keys/keys.ts';
import type { Clock } from '../lib/clock.ts';
import { NotFound, Refused, Trouble } from '../lib/errors.ts';
import { isSigningAlgorithm, type SigningAlgorithm } from '../oauth2/vocabulary.ts';
import { authorize, type Admin, type Demand } from './authorize.ts';
import { presentKey, presentMoves, presentOverview, presentVerifier } from './present.ts';

export const ADMIN_PATH = '/admin/api/v1';

export interface AdminOptions {
  readonly verifyAdmin: Issuer['verifyAdmin'];
  readonly keys: KeyAdministration;
  readonly clock: Clock;
  readonly events: AdminEvents;
}

export interface AdminEvents {
  onDone(what: { admin: string; method: string; path: string }): void;
  onRefused(what: { path: string; code: string; error: unknown }): void;
}

type Params = Context & { params: Record<string, string | undefined> };
type Handler = (ctx: Params, admin: Admin) => Promise<object>;

const READ: Demand = { scope: 'keys:read' };
/** A rotation or a revocation is not done by whoever finds an unlocked laptop. */
const WRITE: Demand = { scope: 'keys:write', maxAgeSeconds: 300 };

export function createAdmin(options: AdminOptions): Router {
  const router = new Router({ prefix: ADMIN_PATH });
  const { keys } = options;
  const route = (method: 'get' | 'post', path: string, demand: Demand, handler: Handler) => {
    router[method](path, (ctx) => answer(ctx, demand, handler, options));
  };
  route('get', '/keys', READ, async () => presentOverview(await keys.overview()));
  route('get', '/keys/verifiers', READ, async () => ({ verifiers: (await keys.verifiers()).map(presentVerifier) }));
  route('get', '/keys/events', READ, async () => ({
    events: (await keys.history(500)).map(({ at, version, ...event }) => ({ at: at.toISOString(), version: version.toString(), ...event })),
  }));
  route('get', '/keys/:kid', READ, async ({ params }) => {
    const { rings } = await keys.overview();
    const key = rings.flatMap((ring) => ring.keys).find(({ kid }) => kid === params.kid);
    if (key === undefined) throw new NotFound(`there is no signing key ${params.kid ?? ''}`);
    return presentKey(key);
  });
  route('post', '/keys/rotate', WRITE, async (ctx, admin) => ({ moves: presentMoves(await keys.rotate(await readRing(ctx), admin.accountId)) }));
  route('post', '/keys/cancel', WRITE, async (ctx, admin) => {
    await keys.cancel(await readRing(ctx), admin.accountId);
    return { cancelled: true };
  });
  route('post', '/keys/rewrap', WRITE, async (_ctx, admin) => ({ rewrapped: await keys.rewrap(admin.accountId, () => undefined) }));
  route('post', '/keys/:kid/revoke', WRITE, async (ctx, admin) => {
    const { reason } = await readJsonBody(ctx.req);
    if (typeof reason !== 'string' || reason.trim() === '' || reason.length > 500) throw new Refused('invalid_request', 'reason is required: a sentence of at most 500 characters, for the history');
    const { revoked, moves } = await keys.revoke(ctx.params.kid ?? '', admin.accountId, reason.trim());
    return { revoked: presentKey(revoked), moves: presentMoves(moves) };
  });
  return router;
}

async function readRing(ctx: Params): Promise<SigningAlgorithm> {
  const { ring } = await readJsonBody(ctx.req);
  if (!isSigningAlgorithm(ring)) throw new Refused('invalid_request', 'ring is required: RS256 or ES256');
  return ring;
}

async function answer(ctx: Params, demand: Demand, handler: Handler, { verifyAdmin, clock, events }: AdminOptions): Promise<void> {
  ctx.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
  try {
    const admin = await authorize(ctx.headers.authorization, demand, verifyAdmin, clock);
    if ('status' in admin) {
      ctx.set('WWW-Authenticate', admin.challenge);
      refuse(ctx, admin.status, admin.error, admin.description);
      events.onRefused({ path: ctx.path, code: admin.error, error: undefined });
      return;
    }
    ctx.body = await handler(ctx, admin);
    if (ctx.method !== 'GET') events.onDone({ admin: admin.accountId, method: ctx.method, path: ctx.path });
  } catch (error) {
    const { status, code, description } = describe(error);
    refuse(ctx, status, code, description);
    events.onRefused({ path: ctx.path, code, error });
  }
}

function refuse(ctx: Context, status: number, error: string, description: string): void {
  ctx.status = status;
  ctx.body = { error, error_description: description };
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
