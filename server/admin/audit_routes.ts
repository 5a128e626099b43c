import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Accounts } from '../accounts/accounts.ts';
import type { Audit, AuditRow } from '../audit/audit.ts';
import { NotFound } from '../lib/errors.ts';
import type { Demand } from './authorize.ts';
import { presentEntry, route, type Route } from './route.ts';

const READ: Demand = { scope: 'audit:read' };

const instant = z.iso.datetime({ offset: true, error: 'since and until are instants in RFC 3339, as 2026-11-24T10:00:00Z' }).transform((text) => new Date(text));
const range = { since: instant.optional(), until: instant.optional() };
const findQuery = z.strictObject({
  jti: z.string().max(200).optional(),
  kid: z.string().max(200).optional(),
  /** An e-mail, a subject or an id. */
  account: z.string().max(128).optional(),
  audience: z.string().max(256).optional(),
  client: z.string().max(100).optional(),
  kind: z.enum(['token', 'refusal', 'admin', 'sign_in'], { error: 'kind is token, refusal, admin or sign_in' }).optional(),
  limit: z.string().regex(/^\d{1,4}$/, { error: 'limit is a whole number up to 1000' }).transform(Number).refine((limit) => limit >= 1 && limit <= 1000, { error: 'limit is a whole number up to 1000' }).default(100),
  ...range,
});

export function createAuditRoutes({ audit, accounts }: { audit: Audit; accounts: Accounts }): Route[] {
  return [
    route({
      method: 'get', path: '/audit', name: 'audit.find', summary: 'Who held which token, newest first', demand: READ, query: findQuery,
      handle: async ({ query: { account, client, ...query } }) => {
        const accountId = account === undefined ? undefined : await findAccountId(account, accounts);
        const rows = await audit.find({ ...query, ...(accountId === undefined ? {} : { accountId }), ...(client === undefined ? {} : { clientId: client }) });
        return { rows: rows.map(present) };
      },
    }),
    route({
      method: 'get', path: '/audit/export', name: 'audit.export', summary: 'The record as JSON lines, oldest first', demand: READ, query: z.strictObject(range),
      handle: async ({ query, ctx }) => stream(ctx, toLines(audit.export(query), (row) => present(row))),
    }),
    route({
      method: 'get', path: '/audit/verify', name: 'audit.verify', summary: 'Whether a row was changed, removed, inserted or moved: JSON lines, the last of which is the verdict', demand: READ,
      handle: async ({ ctx }) => stream(ctx, verify(audit)),
    }),
  ];
}

/** A record outlives its account: an id that is none any more is still looked for. */
async function findAccountId(named: string, accounts: Accounts): Promise<string> {
  const account = await accounts.lookUp(named);
  if (account !== undefined) return account.id;
  if (named.includes('@')) throw new NotFound(`there is no account "${named}"; look for its id`);
  return named;
}

function present({ chain, seq, hash, ...entry }: AuditRow) {
  return { ...presentEntry(entry), chain, seq: seq.toString(), hash };
}

/** Answers with lines as they come: what has been sent stands, and a failure ends the answer before its last line. */
async function stream(ctx: { type: string; body: unknown }, lines: AsyncIterable<string>): Promise<object> {
  const out = new PassThrough();
  pipeline(Readable.from(lines), out).catch(() => undefined); // the reader has gone, or sees that the end is missing
  ctx.type = 'application/jsonl';
  return out;
}

async function* toLines<T>(items: AsyncIterable<T>, describe: (item: T) => object): AsyncGenerator<string> {
  for await (const item of items) yield `${JSON.stringify(describe(item))}\n`;
}

const PROGRESS_EVERY_MS = 1_000;

async function* verify(audit: Audit): AsyncGenerator<string> {
  const progress = { rows: 0 };
  const verdict = audit.verify(({ rows }) => {
    progress.rows = rows;
  });
  for (;;) {
    const tick = sleep(PROGRESS_EVERY_MS, undefined, { ref: false });
    const done = await Promise.race([verdict, tick]);
    if (done !== undefined) {
      yield `${JSON.stringify({ verdict: done })}\n`;
      return;
    }
    yield `${JSON.stringify(progress)}\n`;
  }
}
