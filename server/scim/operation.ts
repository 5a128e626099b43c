import type { Realm, ScimScope } from '../accounts/accounts.ts';
import type { JsonObject } from '../storage/storage.ts';

/** One thing that a directory can ask for: a row of the table that the router is made of. */
export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** Below /scim/v2. */
  readonly path: string;
  /** As the record calls it. */
  readonly name: string;
  readonly scope: ScimScope;
  readonly takesBody?: true;
  /** Reads the request whole, and changes nothing. Throws Refused. */
  readonly prepare: (request: ScimRequest) => Prepared | Promise<Prepared>;
}

export interface ScimRequest {
  readonly realm: Realm;
  /** Of the path; empty where it has none. */
  readonly id: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Prepared {
  /** What goes on record before it is done: what was understood, and nothing else that was sent. Undefined where nothing changes. */
  readonly detail?: JsonObject;
  readonly act: () => Promise<Answer>;
}

export interface Answer {
  readonly status: 200 | 201 | 204;
  readonly resource?: object;
}
