import type { Context } from 'koa';
import type { z } from 'zod';
import type { AuditEntry } from '../audit/audit.ts';
import type { Admin, Demand } from './authorize.ts';

/** One thing that the admin API does: a row of its table, from which the router and its OpenAPI document are made. */
export interface Route {
  readonly method: 'get' | 'post';
  /** Below /admin/api/v1, with `:name` for what varies. */
  readonly path: string;
  /** As the record of what admins did calls it. */
  readonly name: string;
  readonly summary: string;
  readonly demand: Demand;
  /** The members of the JSON body; undefined where there is none. */
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  readonly handle: (request: AdminRequest) => Promise<object>;
}

export interface AdminRequest {
  readonly admin: Admin;
  readonly params: Readonly<Record<string, string | undefined>>;
  /** What the row's `query` and `body` let through. */
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>>;
  /** For an answer that is written as it comes. */
  readonly ctx: Context;
}

/** Gives the row with its handler's input typed by its schemas. */
export function route<B extends z.ZodType, Q extends z.ZodType>(
  row: Omit<Route, 'handle' | 'body' | 'query'> & { readonly body?: B; readonly query?: Q; readonly handle: (request: Omit<AdminRequest, 'body' | 'query'> & { readonly body: z.output<B>; readonly query: z.output<Q> }) => Promise<object> },
): Route {
  return row as unknown as Route;
}

/** A row of the record in JSON: instants in RFC 3339, and the members that it has. */
export function presentEntry({ at, expiresAt, tokenKind, accountId, clientId, subjectJti, userAgent, ...rest }: AuditEntry) {
  return {
    at: at.toISOString(), ...rest,
    token_kind: tokenKind, account_id: accountId, client_id: clientId, subject_jti: subjectJti, user_agent: userAgent, expires_at: expiresAt?.toISOString(),
  };
}
