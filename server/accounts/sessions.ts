import { hashValue } from '../crypto/digest.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import type { SessionEnd, SessionRecord, SessionStore } from '../storage/storage.ts';

/** Where an account is signed in. A session is a grant: what ends it ends refresh and exchange on every instance, with the next request. */
export interface Sessions {
  /** Begins it, or says where and when it was used again. Throws Unavailable: a session that nobody could see or end is none. */
  note(use: SessionUse): Promise<void>;
  /** Those that live. */
  list(accountId: string): Promise<readonly SessionRecord[]>;
  /** Those that were ended for a reason the person should know, and would have lived still. */
  listEnded(accountId: string): Promise<readonly SessionRecord[]>;
  /** Ends one of the account's. False when it has no such session that lives. */
  end(accountId: string, grantId: string, by: SessionEnd): Promise<boolean>;
  /** Ends what lives by a grant that is over. */
  endGrant(grantId: string, by: SessionEnd): Promise<void>;
  /** Ends all of them but those in `except`: how many. */
  endAll(accountId: string, by?: SessionEnd, except?: readonly string[]): Promise<number>;
}

export interface SessionUse {
  readonly grantId: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly endsAt: Date;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}

const LONGEST_USER_AGENT = 300;

export function createSessions({ store, clock }: { store: SessionStore; clock: Clock }): Sessions {
  const end = (grantIds: readonly string[], by: SessionEnd) => store.end(grantIds.map((grantId) => ({ grantId, grantHash: hashValue(grantId) })), by, clock.now());
  const listLiving = async (accountId: string) => (await store.list(accountId, clock.now())).filter(({ endedAt }) => endedAt === undefined);
  return {
    note: ({ userAgent, ...use }) => {
      const now = clock.now();
      // No control characters: this is shown to people.
      return store.note({ ...use, userAgent: userAgent?.replace(/\p{Cc}/gu, ' ').slice(0, LONGEST_USER_AGENT), startedAt: now, usedAt: now });
    },
    list: listLiving,
    // A day longer: whoever comes back in the morning is told.
    listEnded: async (accountId) => (await store.list(accountId, addSeconds(clock.now(), -24 * 3600))).filter(({ endedBy }) => endedBy === 'reuse' || endedBy === 'admin'),
    end: async (accountId, grantId, by) => {
      const session = await store.find(grantId);
      return session?.accountId === accountId && (await end([grantId], by)) === 1;
    },
    endGrant: async (grantId, by) => {
      await end([grantId], by);
    },
    endAll: async (accountId, by = 'admin', except = []) => {
      const grantIds = (await listLiving(accountId)).map(({ grantId }) => grantId).filter((grantId) => !except.includes(grantId));
      return grantIds.length === 0 ? 0 : end(grantIds, by);
    },
  };
}
