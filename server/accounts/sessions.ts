import { addSeconds, type Clock } from '../lib/clock.ts';
import type { BrowserSessionEnd, BrowserSessionRecord, BrowserSessionStore, SessionEnd, SessionRecord, SessionStore } from '../storage/storage.ts';

/**
 * Where an account is signed in. A client's session is a grant: what ends it ends refresh and exchange on every instance,
 * with the next request. A browser's counts while its row does, whatever its cookie leads to.
 */
export interface Sessions {
  /** Begins it, or says where and when it was used again. Throws Unavailable: a session that nobody could see or end is none. */
  note(use: SessionUse): Promise<void>;
  /** Those of clients that live. */
  list(accountId: string): Promise<readonly SessionRecord[]>;
  /** Those of clients that were ended for a reason the person should know, and would have lived still. */
  listEnded(accountId: string): Promise<readonly SessionRecord[]>;
  /** Ends one of the account's. False when it has no such session that lives. */
  end(accountId: string, grantId: string, by: SessionEnd): Promise<boolean>;
  /** Ends what lives by a grant that is over. */
  endGrant(grantId: string, by: SessionEnd): Promise<void>;
  readonly browsers: BrowserSignIns;
  /**
   * Ends all of them, clients' and browsers', but those in `except` (grants, browsers' ids): how many. What was approved and
   * not fetched yet ends too, by whichever browser: nothing begins by it afterwards.
   */
  endAll(accountId: string, by?: BrowserSessionEnd, except?: readonly string[]): Promise<number>;
}

export type BrowserSignIn = BrowserSessionRecord;

export interface BrowserSignIns {
  /** Begins it, or says where and when it was used again; a sign-in lasts as long as it did at its beginning. False: it has ended, and counts no more. */
  note(use: BrowserUse): Promise<boolean>;
  /** One that lives. */
  find(id: string): Promise<BrowserSignIn | undefined>;
  list(accountId: string): Promise<readonly BrowserSignIn[]>;
  /** Ends one of the account's. False when it has no such browser that is signed in. */
  end(accountId: string, id: string, by: BrowserSessionEnd): Promise<boolean>;
}

interface Origin {
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}

export interface SessionUse extends Origin {
  readonly grantId: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly endsAt: Date;
}

export interface BrowserUse extends Origin {
  readonly id: string;
  readonly accountId: string;
  /** When the person showed who they are. */
  readonly authenticatedAt: Date;
  /** When it would end if it began now. */
  readonly endsAt: Date;
}

const LONGEST_USER_AGENT = 300;

export interface SessionDependencies {
  readonly store: SessionStore;
  readonly browsers: BrowserSessionStore;
  /** After how long without use a browser is signed out. */
  readonly idleSeconds: number;
  readonly clock: Clock;
}

export function createSessions({ store, browsers, idleSeconds, clock }: SessionDependencies): Sessions {
  return {
    note: (use) => {
      const now = clock.now();
      return store.note({ ...use, userAgent: tidy(use.userAgent), startedAt: now, usedAt: now });
    },
    list: (accountId) => store.list(accountId, clock.now(), 'living'),
    // A day longer: whoever comes back in the morning is told.
    listEnded: async (accountId) => (await store.list(accountId, addSeconds(clock.now(), -24 * 3600), 'ended')).filter(({ endedBy }) => endedBy === 'reuse' || endedBy === 'admin'),
    end: async (accountId, grantId, by) => {
      const session = await store.find(grantId);
      return session?.accountId === accountId && (await store.end([grantId], by, clock.now())) === 1;
    },
    endGrant: async (grantId, by) => {
      await store.end([grantId], by, clock.now());
    },
    browsers: {
      ...createBrowserReaders(browsers, idleSeconds, clock),
      note: (use) => {
        const now = clock.now();
        return browsers.note({ ...use, userAgent: tidy(use.userAgent), startedAt: now, usedAt: now });
      },
      end: (accountId, id, by) => browsers.end(accountId, id, by, clock.now()),
    },
    endAll: async (accountId, by = 'admin', except = []) => {
      // Browsers first: one that is signed in begins sessions of clients.
      const ended = await browsers.endAll(accountId, by, clock.now(), except);
      return ended + (await store.endAll(accountId, by, clock.now(), except));
    },
  };
}

function createBrowserReaders(browsers: BrowserSessionStore, idleSeconds: number, clock: Clock): Pick<BrowserSignIns, 'find' | 'list'> {
  const moment = () => ({ now: clock.now(), usedAfter: addSeconds(clock.now(), -idleSeconds) });
  /** It ends earlier where it is not used. */
  const withEnd = (record: BrowserSignIn): BrowserSignIn => ({ ...record, endsAt: new Date(Math.min(record.endsAt.getTime(), addSeconds(record.usedAt, idleSeconds).getTime())) });
  return {
    find: async (id) => {
      const record = await browsers.find(id, moment());
      return record === undefined ? undefined : withEnd(record);
    },
    list: async (accountId) => (await browsers.list(accountId, moment())).map(withEnd),
  };
}

/** No control characters: this is shown to people. */
function tidy(userAgent: string | undefined): string | undefined {
  return userAgent?.replace(/\p{Cc}/gu, ' ').slice(0, LONGEST_USER_AGENT);
}
