import type { Slice } from '../accounts/accounts.ts';
import { Refused } from '../lib/errors.ts';

const DEFAULT_COUNT = 100;
export const MOST_COUNTED = 200;

export interface Page extends Slice {
  /** As it was asked for, from 1. */
  readonly startIndex: number;
}

/** RFC 7644 3.4.2.4: `startIndex` from 1, `count` up to 200 and 100 unless named; less than what is possible is taken for the least. Throws Refused. */
export function readPage({ startIndex, count }: Readonly<Record<string, string>>): Page {
  const first = Math.max(1, readNumber('startIndex', startIndex) ?? 1);
  const limit = Math.min(MOST_COUNTED, Math.max(0, readNumber('count', count) ?? DEFAULT_COUNT));
  return { startIndex: first, offset: first - 1, limit };
}

function readNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new Refused('invalidValue', `${name} must be a whole number`);
}

export function renderList({ startIndex }: Page, total: number, resources: readonly object[]): object {
  return {
    schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'], totalResults: total, startIndex, itemsPerPage: resources.length, Resources: resources,
  };
}
