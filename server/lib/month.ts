/** Months of UTC, counted from year 0, so that they can be compared and added to. */
export function monthOf(at: Date): number {
  return at.getUTCFullYear() * 12 + at.getUTCMonth();
}

export function startOfMonth(month: number): Date {
  return new Date(Date.UTC(Math.floor(month / 12), month % 12));
}

/** As in `2026_11`. */
export function nameMonth(month: number): string {
  return `${String(Math.floor(month / 12)).padStart(4, '0')}_${String((month % 12) + 1).padStart(2, '0')}`;
}

/** The reverse of `nameMonth`; undefined for any other text. */
export function parseMonth(name: string): number | undefined {
  const [, year, month] = /^(\d{4})_(0[1-9]|1[0-2])$/.exec(name) ?? [];
  return year === undefined || month === undefined ? undefined : Number(year) * 12 + Number(month) - 1;
}
