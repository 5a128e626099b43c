import { guardStore } from './failure.ts';
import type { PrismaClient, Session } from './generated/prisma/client.ts';

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

/** A grant's id, and the hash under which the grant itself is kept. */
export interface GrantName {
  readonly grantId: string;
  readonly grantHash: string;
}

export interface SessionStore {
  /** Begins it, or says where and when it was used again. */
  note(session: SessionRecord): Promise<void>;
  /** Those of an account that end after `since`, ended ones too, the last used first. */
  list(accountId: string, since: Date): Promise<readonly SessionRecord[]>;
  find(grantId: string): Promise<SessionRecord | undefined>;
  /** Takes the grants away with all that was given by them, and says so in their rows: how many had not ended. */
  end(grants: readonly GrantName[], by: SessionEnd, at: Date): Promise<number>;
}

export function createSessionStore(prisma: PrismaClient): SessionStore {
  return {
    note: ({ grantId, startedAt, accountId, clientId, ...rest }) =>
      guardStore('note a session', async () => {
        const { usedAt, endsAt, ip = null, userAgent = null } = rest;
        const used = { usedAt, endsAt, ip, userAgent };
        await prisma.session.upsert({ where: { grantId }, create: { grantId, accountId, clientId, startedAt, ...used }, update: used });
      }),
    list: (accountId, since) =>
      guardStore('list sessions', async () => {
        const rows = await prisma.session.findMany({ where: { accountId, endsAt: { gt: since } }, orderBy: { usedAt: 'desc' }, take: 500 });
        return rows.map(toRecord);
      }),
    find: (grantId) =>
      guardStore('find a session', async () => {
        const row = await prisma.session.findUnique({ where: { grantId } });
        return row === null ? undefined : toRecord(row);
      }),
    end: (grants, by, at) =>
      guardStore('end sessions', () =>
        prisma.$transaction(async (tx) => {
          const grantIds = grants.map(({ grantId }) => grantId);
          await tx.oidcArtifact.deleteMany({ where: { model: 'Grant', id: { in: grants.map(({ grantHash }) => grantHash) } } });
          await tx.oidcArtifact.deleteMany({ where: { grantId: { in: grantIds } } });
          const { count } = await tx.session.updateMany({ where: { grantId: { in: grantIds }, endedAt: null }, data: { endedAt: at, endedBy: by } });
          return count;
        }),
      ),
  };
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
