import { hashValue } from '../crypto/digest.ts';
import { guardStore } from './failure.ts';
import type { Prisma, PrismaClient, Session } from './generated/prisma/client.ts';

/** A sign-in of a client: a person at a terminal, or an application that they let in. */
export interface SessionRecord {
  /** The grant that it lives by. */
  readonly grantId: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly startedAt: Date;
  /** When it was last given a token by sign-in or refresh. */
  readonly usedAt: Date;
  readonly endsAt: Date;
  readonly ip: string | undefined;
  readonly userAgent: string | undefined;
  readonly endedAt?: Date | undefined;
  readonly endedBy?: SessionEnd | undefined;
}

/** Who ended it: `reuse` where its refresh token came twice. */
export type SessionEnd = 'client' | 'person' | 'admin' | 'reuse';

export interface SessionStore {
  /** Begins it, or says where and when it was used again. */
  note(session: SessionRecord): Promise<void>;
  /** Those of an account that end after `since`, were ended or were not, the last used first: 500 at most. */
  list(accountId: string, since: Date, which: 'living' | 'ended'): Promise<readonly SessionRecord[]>;
  find(grantId: string): Promise<SessionRecord | undefined>;
  /** Takes the grants away with all that was given by them, and says so in their rows: how many had not ended. */
  end(grantIds: readonly string[], by: SessionEnd, at: Date): Promise<number>;
  /**
   * The same for all of an account but the grants in `except`, however many there are; and what was granted but not fetched
   * yet goes with them: grants, authorization codes, device codes, sign-ins. How many sessions lived.
   */
  endAll(accountId: string, by: SessionEnd, at: Date, except: readonly string[]): Promise<number>;
}

export function createSessionStore(prisma: PrismaClient): SessionStore {
  return {
    note: ({ grantId, startedAt, accountId, clientId, ...rest }) =>
      guardStore('note a session', async () => {
        const { usedAt, endsAt, ip = null, userAgent = null } = rest;
        const used = { usedAt, endsAt, ip, userAgent };
        await prisma.session.upsert({ where: { grantId }, create: { grantId, accountId, clientId, startedAt, ...used }, update: used });
      }),
    list: (accountId, since, which) =>
      guardStore('list sessions', async () => {
        const rows = await prisma.session.findMany({ where: { accountId, endsAt: { gt: since }, endedAt: which === 'living' ? null : { not: null } }, orderBy: { usedAt: 'desc' }, take: 500 });
        return rows.map(toRecord);
      }),
    find: (grantId) =>
      guardStore('find a session', async () => {
        const row = await prisma.session.findUnique({ where: { grantId } });
        return row === null ? undefined : toRecord(row);
      }),
    end: (grantIds, by, at) =>
      guardStore('end sessions', () =>
        prisma.$transaction(async (tx) => {
          await dropGrants(tx, grantIds);
          const { count } = await tx.session.updateMany({ where: { grantId: { in: [...grantIds] }, endedAt: null }, data: { endedAt: at, endedBy: by } });
          return count;
        }),
      ),
    endAll: (accountId, by, at, except) =>
      guardStore('end all sessions', () =>
        prisma.$transaction(async (tx) => {
          const [kept, hashes] = [[...except], except.map(hashValue)];
          await tx.oidcArtifact.deleteMany({ where: { accountId, OR: [{ grantId: null }, { grantId: { notIn: kept } }], NOT: { model: 'Grant', id: { in: hashes } } } });
          // What was written without its account: by the release before this one, and answers that are given once more for a while.
          const living = { accountId, grantId: { notIn: kept }, endedAt: null, endsAt: { gt: at } };
          await dropGrants(tx, (await tx.session.findMany({ where: living, select: { grantId: true } })).map(({ grantId }) => grantId));
          const { count } = await tx.session.updateMany({ where: living, data: { endedAt: at, endedBy: by } });
          return count;
        }),
      ),
  };
}

/** So many values are named in one statement: Postgres takes 65535. */
const MOST_NAMED = 10_000;

async function dropGrants(tx: Prisma.TransactionClient, grantIds: readonly string[]): Promise<void> {
  for (let done = 0; done < grantIds.length; done += MOST_NAMED) {
    const some = grantIds.slice(done, done + MOST_NAMED);
    await tx.oidcArtifact.deleteMany({ where: { model: 'Grant', id: { in: some.map(hashValue) } } });
    await tx.oidcArtifact.deleteMany({ where: { grantId: { in: some } } });
  }
}

/** Drops what ended before `before`. */
export function purgeSessions(prisma: PrismaClient, before: Date, limit: number): Promise<number> {
  return guardStore('purge sessions', () =>
    prisma.$executeRaw`DELETE FROM sessions WHERE grant_id IN (SELECT grant_id FROM sessions WHERE ends_at <= ${before} ORDER BY ends_at LIMIT ${limit})`,
  );
}

function toRecord({ ip, userAgent, endedAt, endedBy, ...row }: Session): SessionRecord {
  return { ...row, ip: ip ?? undefined, userAgent: userAgent ?? undefined, endedAt: endedAt ?? undefined, endedBy: (endedBy as SessionEnd | null) ?? undefined };
}
