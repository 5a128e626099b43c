import { z } from 'zod';
import { Refused } from '../lib/errors.ts';
import { isObject, readAttributes, toAttributeName } from './attributes.ts';
import { parseFilter } from './filter.ts';

/** One change of one attribute, whichever of its forms the directory chose. */
export interface Change {
  readonly op: 'add' | 'remove' | 'replace';
  /** In lower case: "active", "name.formatted", "members". */
  readonly attribute: string;
  /** Of `members[value eq "2819c223"]`: which one. */
  readonly selected?: string;
  readonly value: unknown;
}

const MOST_OPERATIONS = 100;

const patchBody = z.looseObject({
  operations: z.array(z.looseObject({ op: z.string(), path: z.string().optional(), value: z.unknown().optional() })).min(1).max(MOST_OPERATIONS),
});

/**
 * The changes that a PATCH asks for (RFC 7644 3.5.2), in order: also as directories really send them, with "Replace" for
 * "replace" and with the attributes within the value in place of a path. Throws Refused.
 */
export function readPatch(body: object): readonly Change[] {
  return readOperations(body).flatMap(readOperation);
}

/** Those of the changes that can be read, for what must be done whatever stands beside it. None where nothing can. */
export function readUnderstood(body: object): readonly Change[] {
  const orNone = <T>(read: () => readonly T[]): readonly T[] => {
    try {
      return read();
    } catch (error) {
      if (error instanceof Refused) return [];
      throw error;
    }
  };
  return orNone(() => readOperations(body)).flatMap((operation) => orNone(() => readOperation(operation)));
}

type PatchOperation = z.infer<typeof patchBody>['operations'][number];

function readOperations(body: object): readonly PatchOperation[] {
  const parsed = patchBody.safeParse(readAttributes(body));
  if (!parsed.success) throw new Refused('invalidSyntax', `Operations must be a list of 1 to ${MOST_OPERATIONS} operations, each with op, and a path or a value`);
  return parsed.data.operations;
}

function readOperation({ op, path, value }: PatchOperation): readonly Change[] {
  const kind = op.toLowerCase();
  if (kind !== 'add' && kind !== 'remove' && kind !== 'replace') throw new Refused('invalidSyntax', `op must be add, remove or replace, and not "${op.slice(0, 32)}"`);
  if (path !== undefined) return [{ op: kind, ...readPath(path), value }];
  if (kind === 'remove') throw new Refused('noTarget', 'what is to be removed must be named by a path');
  if (!isObject(value)) throw new Refused('invalidValue', 'without a path the value must be an object of attributes');
  return Object.entries(readAttributes(value)).flatMap(([attribute, part]) => spread(kind, attribute, part));
}

/** `name` may hold its parts, or have them apart. */
function spread(op: Change['op'], attribute: string, value: unknown): readonly Change[] {
  if (attribute !== 'name' || !isObject(value)) return [{ op, attribute, value }];
  return Object.entries(readAttributes(value)).map(([part, text]) => ({ op, attribute: `name.${part}`, value: text }));
}

/** "active", "name.formatted", `members[value eq "..."]`; what stands in brackets elsewhere belongs to attributes that are not kept here. */
function readPath(path: string): Pick<Change, 'attribute' | 'selected'> {
  const bracket = path.indexOf('[');
  if (bracket === -1) {
    if (!/^[A-Za-z$][\w.:$-]*$/.test(path)) throw new Refused('invalidPath', 'the path cannot be read');
    return { attribute: toAttributeName(path) };
  }
  const attribute = toAttributeName(path.slice(0, bracket));
  const end = path.lastIndexOf(']');
  if (end < bracket) throw new Refused('invalidPath', 'the path cannot be read');
  const filter = parseFilter(path.slice(bracket + 1, end), 'invalidPath');
  if (attribute !== 'members') return { attribute: `${attribute}[]` };
  if (filter.op !== 'eq' || toAttributeName(filter.attrPath) !== 'value' || typeof filter.compValue !== 'string' || end !== path.length - 1) throw new Refused('invalidPath', 'members are picked as: members[value eq "<id>"]');
  return { attribute, selected: filter.compValue };
}
