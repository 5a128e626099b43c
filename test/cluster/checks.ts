import { setTimeout as sleep } from 'node:timers/promises';
import type { Minted } from './load.ts';
import type { Verifier } from './verifiers.ts';

/** Shows every minted token to every verifier: at once, near its end, and as long after its end as clocks may differ. */
export interface TokenChecks {
  readonly check: (minted: Minted) => void;
  /** Resolves when every check that was begun is done. */
  settle(): Promise<void>;
  report(): { readonly tokens: number; readonly verifications: number; readonly failures: readonly string[]; readonly failed: number };
}

/** When a token is looked at; 0 is at once. */
export type Moment = readonly [name: string, at: (expiresAtMs: number, toleranceMs: number) => number];

export const MOMENTS: readonly Moment[] = [
  ['at once', () => 0],
  ['near its end', (expiresAtMs) => expiresAtMs - 500],
  ['late, by a clock that is behind', (expiresAtMs, toleranceMs) => expiresAtMs + toleranceMs - 1_000],
];

const MOST_FAILURES_TOLD = 30;

export function createTokenChecks(verifiers: readonly Verifier[], toleranceSeconds: number, moments = MOMENTS): TokenChecks {
  const pending = new Set<Promise<void>>();
  const failures: string[] = [];
  let tokens = 0;
  let verifications = 0;
  let failed = 0;

  const look = async (moment: string, at: number, { token, kid, instance, at: mintedAt }: Minted) => {
    await sleep(Math.max(0, at - Date.now()));
    // By the clock of the plan and not by this busy process's: a check that comes late says nothing of the token's times.
    const seenAt = new Date(at === 0 ? mintedAt : at);
    await Promise.all(verifiers.map(async (verifier) => {
      const why = await verifier.verify(token, seenAt);
      verifications += 1;
      if (why === undefined) return;
      failed += 1;
      if (failures.length < MOST_FAILURES_TOLD) failures.push(`${new Date(mintedAt).toISOString()} ${verifier.name}, ${moment}: ${why} (kid ${kid.slice(0, 6)}, minted by instance ${instance}, ${Date.now() - mintedAt} ms old)`);
    }));
  };

  return {
    check: (minted) => {
      tokens += 1;
      for (const [moment, at] of moments) {
        const looking = look(moment, at(minted.expiresAt * 1000, toleranceSeconds * 1000), minted).finally(() => pending.delete(looking));
        pending.add(looking);
      }
    },
    settle: async () => {
      while (pending.size > 0) await Promise.all(pending);
    },
    report: () => ({ tokens, verifications, failures, failed }),
  };
}
