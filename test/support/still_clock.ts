import type { Clock } from '../../server/lib/clock.ts';

/** Stands still until a test moves it, so that a test can stand on the exact millisecond. */
export interface StillClock extends Clock {
  /** `milliseconds` from where it stands. */
  in(milliseconds: number): Date;
  advance(milliseconds: number): void;
}

/** Begins at the real present, since Redis has a clock of its own. */
export function createStillClock(): StillClock {
  let at = Date.now();
  return {
    now: () => new Date(at),
    in: (milliseconds) => new Date(at + milliseconds),
    advance: (milliseconds) => {
      at += milliseconds;
    },
  };
}
