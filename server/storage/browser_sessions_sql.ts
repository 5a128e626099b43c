import { guardStore } from './failure.ts';
import type { BrowserSession, PrismaClient } from './generated/prisma/client.ts';

/** A sign-in of a browser. */
export interface BrowserSessionRecord {
  /** Stays the same while the session lasts; not what the browser's cookie holds. */
  readonly id: string;
  readonly accountId: string;
  /** When the person last showed who they are. */
  readonly authenticatedAt: Date;
  readonly startedAt: Date;
  readonly usedAt: Date;
  readonly endsAt: Date;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
}

export type BrowserSessionEnd = 'person' | 'admin';

/** Now, and since when one must have been used to live still. */
export interface Moment {
  readonly now: Date;
  readonly usedAfter: Date;
}

export interface BrowserSessionStore {
  /**
   * Begins it, or says where and when it was used again: its end stays, unless the person has shown anew who they are. One
   * that has ended, or is another account's, stays as it is, and an account that is gone gets none: whether it was written.
   */
  note(session: BrowserSessionRecord): Promise<boolean>;
  /** One that lives. */
  find(id: string, at: Moment): Promise<BrowserSessionRecord | undefined>;
  /** Those of an account that live, the last used first. */
  list(accountId: string, at: Moment): Promise<readonly BrowserSessionRecord[]>;
  /** Ends one of the account's: whether it lived. */
  end(accountId: string, id: string, by: BrowserSessionEnd, at: Date): Promise<boolean>;
  /** Ends all of them but those in `except`: how many lived. */
  endAll(accountId: string, by: BrowserSessionEnd, at: Date, except: readonly string[]): Promise<number>;
}

export function createBrowserSessionStore(prisma: PrismaClient): BrowserSessionStore {
  const living = ({ now, usedAfter }: Moment) => ({ endedAt: null, endsAt: { gt: now }, usedAt: { gt: usedAfter } });
  return {
    // One statement, so that nothing that ends it meanwhile is lost.
    note: ({ id, accountId, authenticatedAt, startedAt, usedAt, endsAt, ip = null, userAgent = null }) =>
      guardStore('note a browser session', async () => {
        const count = await prisma.$executeRaw`
          INSERT INTO browser_sessions AS kept (id, account_id, authenticated_at, started_at, used_at, ends_at, ip, user_agent)
          SELECT ${id}, id, ${authenticatedAt}::timestamptz, ${startedAt}::timestamptz, ${usedAt}::timestamptz, ${endsAt}::timestamptz, ${ip}, ${userAgent}
          FROM accounts WHERE id = ${accountId}::uuid
          ON CONFLICT (id) DO UPDATE SET
            authenticated_at = EXCLUDED.authenticated_at, used_at = EXCLUDED.used_at, ip = EXCLUDED.ip, user_agent = EXCLUDED.user_agent,
            started_at = CASE WHEN kept.authenticated_at = EXCLUDED.authenticated_at THEN kept.started_at ELSE EXCLUDED.started_at END,
            ends_at = CASE WHEN kept.authenticated_at = EXCLUDED.authenticated_at THEN kept.ends_at ELSE EXCLUDED.ends_at END
          WHERE kept.ended_at IS NULL AND kept.account_id = EXCLUDED.account_id`;
        return count === 1;
      }),
    find: (id, at) =>
      guardStore('find a browser session', async () => {
        const row = await prisma.browserSession.findFirst({ where: { id, ...living(at) } });
        return row === null ? undefined : toRecord(row);
      }),
    list: (accountId, at) =>
      guardStore('list browser sessions', async () => {
        const rows = await prisma.browserSession.findMany({ where: { accountId, ...living(at) }, orderBy: { usedAt: 'desc' }, take: 500 });
        return rows.map(toRecord);
      }),
    end: (accountId, id, by, at) =>
      guardStore('end a browser session', async () => {
        const { count } = await prisma.browserSession.updateMany({ where: { id, accountId, endedAt: null, endsAt: { gt: at } }, data: { endedAt: at, endedBy: by } });
        return count === 1;
      }),
    endAll: (accountId, by, at, except) =>
      guardStore('end browser sessions', async () => {
        const { count } = await prisma.browserSession.updateMany({ where: { accountId, id: { notIn: [...except] }, endedAt: null, endsAt: { gt: at } }, data: { endedAt: at, endedBy: by } });
        return count;
      }),
  };
}

/** Drops what ended before `before`. */
export function purgeBrowserSessions(prisma: PrismaClient, before: Date, limit: number): Promise<number> {
  return guardStore('purge browser sessions', () =>
    prisma.$executeRaw`DELETE FROM browser_sessions WHERE id IN (SELECT id FROM browser_sessions WHERE ends_at <= ${before} ORDER BY ends_at LIMIT ${limit})`,
  );
}

function toRecord({ id, accountId, authenticatedAt, startedAt, usedAt, endsAt, ip, userAgent }: BrowserSession): BrowserSessionRecord {
  return { id, accountId, authenticatedAt, startedAt, usedAt, endsAt, ip: ip ?? undefined, userAgent: userAgent ?? undefined };
}
