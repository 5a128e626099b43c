import type { Context } from 'koa';
import type { Account, Accounts } from '../accounts/accounts.ts';
import type { BrowserSession, BrowserSessions } from '../issuer/issuer.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';

/** Whose browser it is. */
export interface Owner {
  readonly account: Account;
  readonly session: BrowserSession;
  /** Whether they signed in just now: what changes how one gets in takes that. */
  readonly isFresh: boolean;
}

export interface Owners {
  find(ctx: Context): Promise<Owner | undefined>;
  /** Throws Refused unless somebody is signed in, and signed in just now. */
  requireFresh(ctx: Context): Promise<Owner>;
}

/** How long after a sign-in its browser, or its command line, may change how one gets in. */
export const FRESH_SECONDS = 600;

export function createOwners({ accounts, browserSessions, clock }: { accounts: Accounts; browserSessions: BrowserSessions; clock: Clock }): Owners {
  const find = async ({ req, res }: Context): Promise<Owner | undefined> => {
    const session = await browserSessions.find(req, res);
    const account = session === undefined ? undefined : await accounts.find(session.accountId);
    if (session === undefined || account === undefined) return undefined;
    return { account, session, isFresh: session.authTime > toUnixSeconds(clock.now()) - FRESH_SECONDS };
  };
  return {
    find,
    requireFresh: async (ctx) => {
      const owner = await find(ctx);
      if (owner === undefined) throw new Refused('signed_out', 'You are signed out. Open your account page and sign in again.');
      if (!owner.isFresh) throw new Refused('sign_in_again', 'You signed in a while ago. Go back to your account page and confirm that it is you.');
      return owner;
    },
  };
}
