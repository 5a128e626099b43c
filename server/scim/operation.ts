import type { Realm, ScimScope } from '../accounts/accounts.ts';
import { Refused } from '../lib/errors.ts';
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

/**
 * A change, read whole. Where it will not do as a whole, the part of it that ends access is done all the same, and then the
 * rest refused: nobody keeps access since something that stood beside was wrong. `readEnding` gives that part, if there is one.
 */
export function prepareChange<Changes extends object>({ read, readEnding, act }: { read: () => Changes; readEnding: () => Changes | undefined; act: (changes: Changes) => Promise<Answer> }): Prepared {
  try {
    const changes = read();
    return { detail: toDetail(changes), act: () => act(changes) };
  } catch (error) {
    const ending = error instanceof Refused ? readEnding() : undefined;
    if (ending === undefined) throw error;
    return {
      detail: toDetail(ending),
      act: async () => {
        await act(ending);
        throw error;
      },
    };
  }
}

export function toDetail(changes: object): JsonObject {
  return { body: { ...changes } };
}

export interface Answer {
  readonly status: 200 | 201 | 204;
  readonly resource?: object;
}
