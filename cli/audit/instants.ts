// --since and --until: an instant, or how long ago.
import { CliError } from '../errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 };
const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/i;

/** "15m", "2h" and "7d" before `now`, or an instant in RFC 3339; gives RFC 3339. Throws `CliError` (usage). */
export function readWhen(flag: string, text: string, now: number): string {
  const [, count, unit = ''] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  const at = count !== undefined ? now - Number(count) * (UNIT_MS[unit] ?? 0) : RFC_3339.test(text) ? Date.parse(text) : Number.NaN;
  // Before 1970 there was no token.
  if (at >= 0) return new Date(at).toISOString();
  throw new CliError('usage', `${flag} must be how long ago, as 15m, 2h or 7d, or an instant, as 2026-11-24T10:00:00Z`);
}

/** Both ends of a range as the admin API takes them. Throws `CliError` (usage), also for one that ends before it begins. */
export function readRange({ since, until }: { readonly since?: string; readonly until?: string }, now: number): Readonly<Record<string, string>> {
  const range = {
    ...(since === undefined ? {} : { since: readWhen('--since', since, now) }),
    ...(until === undefined ? {} : { until: readWhen('--until', until, now) }),
  };
  if (range.since !== undefined && range.until !== undefined && Date.parse(range.until) <= Date.parse(range.since)) throw new CliError('usage', '--until must be later than --since');
  return range;
}
