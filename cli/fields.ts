// Reading the fields of JSON that may have been edited by hand or come from another version.

export type Fields = Readonly<Record<string, unknown>>;

/** Says what is wrong with a piece of JSON in half a sentence, without quoting it. */
export class Malformed extends Error {}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may be a token.
    throw new Malformed('it is not valid JSON');
  }
}

export function asFields(value: unknown, name: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new Malformed(`${name} is not an object`);
}

export function takeString(fields: Fields, name: string): string {
  const value = takeOptionalString(fields, name);
  if (value === undefined) throw new Malformed(`"${name}" is missing`);
  return value;
}

export function takeOptionalString(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') throw new Malformed(`"${name}" is not a text`);
  return value;
}

/** Reads an ISO 8601 instant as milliseconds since 1970. */
export function takeInstant(fields: Fields, name: string): number {
  const at = Date.parse(takeString(fields, name));
  if (Number.isNaN(at)) throw new Malformed(`"${name}" is not a date and time`);
  return at;
}

/** Reads what may be absent or null. */
export function takeNullable<T>(fields: Fields, name: string, take: (fields: Fields, name: string) => T): T | undefined {
  return fields[name] === undefined || fields[name] === null ? undefined : take(fields, name);
}

export function takeNumber(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Malformed(`"${name}" is not a number`);
  return value;
}

export function takeBoolean(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw new Malformed(`"${name}" is neither true nor false`);
  return value;
}

/** Reads a list, each item by `take`. */
export function takeList<T>(fields: Fields, name: string, take: (item: unknown) => T): readonly T[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw new Malformed(`"${name}" is not a list`);
  return value.map((item: unknown) => take(item));
}

/** Reads an answer that should be a JSON object; undefined for anything else. */
export function parseObject(text: string): Fields | undefined {
  try {
    return asFields(parseJson(text), 'the answer');
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}
