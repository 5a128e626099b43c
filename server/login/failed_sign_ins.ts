import type { UpstreamPerson } from '../accounts/accounts.ts';
import { hashValue } from '../crypto/digest.ts';
import type { Limiter } from '../http/limiter.ts';
import { Refused } from '../lib/errors.ts';
import { describeWait } from '../lib/limits.ts';

/** Too much was wrong. */
export class TooManyAttempts extends Refused {
  readonly retryAfterSeconds: number;
  constructor(retryAfterSeconds: number, tell: (wait: string) => string) {
    super('too_many_attempts', tell(describeWait(retryAfterSeconds)));
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * Sign-ins that failed, by whom they were for; the network is counted in front (http/limiter.ts). Who somebody is must never
 * be what keeps them out: others can say it too.
 */
export interface FailedSignIns {
  /**
   * Runs the proof of a passkey that is known, and counts by its account what is refused. After too much of that a refusal
   * says no more than TooManyAttempts. A proof that holds is taken all the same: it cannot be guessed, and anybody who has
   * seen the passkey's public id can make the others.
   */
  prove<T>(accountId: string, proof: () => Promise<T>): Promise<T>;
  /** Runs the sign-in of somebody whom an upstream vouches for, so that nobody else is held up. Throws TooManyAttempts, and asks no further, after too many that were refused. */
  admit<T>(person: Pick<UpstreamPerson, 'issuer' | 'subject'>, signIn: () => Promise<T>): Promise<T>;
}

const ACCOUNT_RULE = 'failed sign-ins of an account';
const IDENTITY_RULE = 'refused sign-ins of an upstream’s identity';
/** More than anybody's slips. */
const ALLOWANCE = { points: 20, seconds: 300 };

export function createFailedSignIns(limiter: Pick<Limiter, 'count' | 'findWait'>): FailedSignIns {
  const counting = async <T>(rule: string, who: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      // Trouble of ours is nobody's failure.
      if (error instanceof Refused) limiter.count({ rule, who, allowance: ALLOWANCE });
      throw error;
    }
  };
  return {
    prove: (accountId, proof) =>
      counting(ACCOUNT_RULE, accountId, proof).catch((error: unknown) => {
        const wait = limiter.findWait(ACCOUNT_RULE, accountId);
        throw wait === undefined || !(error instanceof Refused) ? error : new TooManyAttempts(wait, (time) => `Too many answers of this passkey were wrong. Use another, or try again in ${time}.`);
      }),
    admit: async ({ issuer, subject }, signIn) => {
      const who = hashValue(`${issuer} ${subject}`);
      const wait = limiter.findWait(IDENTITY_RULE, who);
      if (wait !== undefined) throw new TooManyAttempts(wait, (time) => `This sign-in was refused too often. Ask an admin of your company, or try again in ${time}.`);
      return counting(IDENTITY_RULE, who, signIn);
    },
  };
}
