import { Refused } from '../lib/errors.ts';

/** RFC 7643 2.1: names of attributes are compared without regard to case. */
export type Attributes = Readonly<Record<string, unknown>>;

export const USER_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:User';
export const GROUP_SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:Group';

/** The members of an object by their names in lower case, without the core schema in front. Throws Refused for one that stands twice. */
export function readAttributes(value: object): Attributes {
  const pairs = Object.entries(value).map(([name, attribute]) => [toAttributeName(name), attribute] as const);
  const attributes = new Map(pairs);
  if (attributes.size < pairs.length) throw new Refused('invalidSyntax', 'an attribute stands twice');
  return Object.fromEntries(attributes);
}

export function toAttributeName(name: string): string {
  const lower = name.toLowerCase();
  const schema = [USER_SCHEMA, GROUP_SCHEMA].map((urn) => `${urn.toLowerCase()}:`).find((prefix) => lower.startsWith(prefix));
  return schema === undefined ? lower : lower.slice(schema.length);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text, `null` where it is taken away, undefined where it is not named. Throws Refused. */
export function readText(attributes: Attributes, name: string, longest = 256): string | null | undefined {
  const value = attributes[name];
  if (value === undefined || value === null) return value;
  if (typeof value === 'string' && value.length <= longest && !/\p{Cc}/u.test(value)) return value === '' ? null : value;
  throw new Refused('invalidValue', `${name} must be a text of at most ${longest} characters, without control characters`);
}

/** A truth value; Entra sends it as "True" and "False". Throws Refused. */
export function readTruth(attributes: Attributes, name: string): boolean | undefined {
  const value = attributes[name];
  if (value === undefined || typeof value === 'boolean') return value;
  if (typeof value === 'string' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true';
  throw new Refused('invalidValue', `${name} must be true or false`);
}

/** RFC 7644 3.9: with `attributes` only these, with `excludedAttributes` all but those; `id` and `schemas` always. Whole attributes, not parts of them. */
export function createProjection({ attributes, excludedAttributes }: Readonly<Record<string, string>>): { readonly wants: (name: string) => boolean; readonly apply: (resource: object) => object } {
  const read = (list: string | undefined) => list?.split(',').map((name) => toAttributeName(name.trim()).split('.')[0]);
  const [wanted, unwanted] = [read(attributes), read(excludedAttributes)];
  const wants = (name: string) => {
    const lower = name.toLowerCase();
    if (lower === 'id' || lower === 'schemas') return true;
    return wanted === undefined ? unwanted?.includes(lower) !== true : wanted.includes(lower);
  };
  return { wants, apply: (resource) => Object.fromEntries(Object.entries(resource).filter(([name]) => wants(name))) };
}
