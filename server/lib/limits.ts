/** So many in so many seconds. */
export interface Allowance {
  readonly points: number;
  readonly seconds: number;
}

/** Counts by key, over all instances; while Redis is away, or where there is none, in this process alone. */
export interface Limits {
  /** Counts `times`. Undefined while there is room; otherwise the milliseconds until there is some again. Never throws. */
  take(what: string, key: string, allowance: Allowance, times: number): Promise<number | undefined>;
  /** Takes back what was counted. Never throws. */
  giveBack(what: string, key: string, allowance: Allowance, times: number): Promise<void>;
}

/** How long somebody waits, for a sentence. */
export function describeWait(seconds: number): string {
  return seconds < 120 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}
