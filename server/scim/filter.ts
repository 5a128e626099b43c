import { parse, type Filter } from 'scim2-parse-filter';
import { Refused } from '../lib/errors.ts';
import { toAttributeName } from './attributes.ts';

const LONGEST_FILTER = 1024;

/**
 * What a filter (RFC 7644 3.4.2.2) asks for, of the attributes that can be looked for: `eq`, and `and` between them, which is
 * what directories ask when they look for one of theirs. `names` gives our name for each attribute. Throws Refused.
 */
export function readFilter<K extends string>(text: string | undefined, names: Readonly<Record<string, K>>): Partial<Record<K, string>> {
  const wanted = new Map<K, string>();
  if (text === undefined) return {};
  for (const { attrPath, compValue } of flatten(parseFilter(text))) {
    const name = names[toAttributeName(attrPath)];
    if (name === undefined) throw new Refused('invalidFilter', `"${attrPath}" cannot be looked for; these can: ${Object.keys(names).join(', ')}`);
    if (typeof compValue !== 'string') throw new Refused('invalidFilter', `${attrPath} must be compared with a text`);
    if ((wanted.get(name) ?? compValue) !== compValue) throw new Refused('invalidFilter', `${attrPath} cannot equal two values`);
    wanted.set(name, compValue);
  }
  return Object.fromEntries(wanted) as Partial<Record<K, string>>;
}

interface Equality {
  readonly attrPath: string;
  readonly compValue: unknown;
}

function flatten(filter: Filter): readonly Equality[] {
  if (filter.op === 'and') return filter.filters.flatMap(flatten);
  if (filter.op === 'eq') return [filter];
  throw new Refused('invalidFilter', `"${filter.op}" is not supported in a filter: use eq, and "and" between them`);
}

/** Throws Refused. */
export function parseFilter(text: string, scimType: 'invalidFilter' | 'invalidPath' = 'invalidFilter'): Filter {
  if (text.length > LONGEST_FILTER) throw new Refused(scimType, `it has at most ${LONGEST_FILTER} characters`);
  try {
    return parse(text);
  } catch (cause) {
    throw new Refused(scimType, 'it cannot be read (RFC 7644 3.4.2.2), as: userName eq "ada@example.com"', { cause });
  }
}
