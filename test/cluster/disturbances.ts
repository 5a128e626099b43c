/** What was broken on purpose, and when: an answer that fails is excused by it, or it is a fault of the product. */
export interface Disturbances {
  /** `instance` undefined: it concerns all of them. Gives the call that says it is over. */
  begin(kind: Kind, instance?: number): () => void;
  /** Whether a request that lasted from `from` on, answered by `instance` if that is known, may have failed by it. */
  excuses(from: number, instance: number | undefined): boolean;
  /** What was done last to an instance, in words, for the one who reads of its fault. */
  readonly describe: (instance: number) => string;
  counts(): Readonly<Record<Kind, number>>;
}

export type Kind = 'kill' | 'pause' | 'cut' | 'redis' | 'postgres';

/** What nobody may notice: a balancer sends nothing over a cut cable, and the token endpoint does without Redis. */
const EXCUSES: Readonly<Record<Kind, boolean>> = { kill: true, pause: true, cut: false, redis: false, postgres: true };

/** For this long after everything is there again, an instance may still say that it is not. */
const RECOVERY_MS = 5_000;

interface Disturbance {
  readonly kind: Kind;
  readonly instance: number | undefined;
  readonly startedAt: number;
  endedAt: number;
}

export function createDisturbances(): Disturbances {
  const all: Disturbance[] = [];
  return {
    begin: (kind, instance) => {
      const disturbance: Disturbance = { kind, instance, startedAt: Date.now(), endedAt: Infinity };
      all.push(disturbance);
      return () => {
        disturbance.endedAt = Date.now();
      };
    },
    excuses: (from, instance) =>
      all.some((one) => EXCUSES[one.kind] && from <= one.endedAt + RECOVERY_MS && Date.now() >= one.startedAt && (one.instance === undefined || instance === undefined || instance === one.instance)),
    describe: (instance) => {
      const last = all.findLast((one) => one.instance === undefined || one.instance === instance);
      if (last === undefined) return 'never disturbed';
      const [began, ended] = [Date.now() - last.startedAt, Date.now() - last.endedAt];
      return ended < 0 ? `in a ${last.kind} that began ${began} ms ago` : `${ended} ms after a ${last.kind}`;
    },
    counts: () => {
      const counts: Record<Kind, number> = { kill: 0, pause: 0, cut: 0, redis: 0, postgres: 0 };
      for (const { kind } of all) counts[kind] += 1;
      return counts;
    },
  };
}
