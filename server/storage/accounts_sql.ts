import { createBatch } from '../lib/batch.ts';
import { Conflict } from '../lib/errors.ts';
import type { Database, Query } from './database.ts';
import { guardStore } from './failure.ts';
import type { Account, PrismaClient } from './generated/prisma/client.ts';
import { toPasskey, toPasskeyRow, type AttestationBytes, type PasskeyRecord } from './passkeys_sql.ts';

export interface AccountRecord {
  readonly id: string;
  readonly kind: 'person' | 'service';
  /** Lower case; the `sub` of federation tokens. A service's has the form of an e-mail address and need not be one. */
  readonly email: string;
  readonly isEmailVerified: boolean;
  readonly name: string;
  readonly role: 'admin' | 'member';
  readonly status: 'active' | 'suspended';
  readonly createdAt: Date;
  /** Who answers for a service. */
  readonly ownerId?: string | undefined;
  /** The company's domain as an upstream stated it. Undefined: the e-mail's domain decides. */
  readonly hostedDomain?: string | undefined;
}

export interface InvitationRecord {
  readonly tokenHash: string;
  readonly role: AccountRecord['role'];
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

export interface AccountStore {
  /** With the names of its groups. */
  find(id: string): Promise<(AccountRecord & { readonly groups: readonly string[] }) | undefined>;
  list(kind: AccountRecord['kind'], limit: number): Promise<readonly AccountRecord[]>;
  /** A service, which no invitation brings in. Throws Conflict when its `email` is taken. */
  addService(account: AccountRecord): Promise<void>;
  /** Whether it was otherwise before. */
  setStatus(id: string, status: AccountRecord['status']): Promise<boolean>;
  findByEmail(email: string): Promise<AccountRecord | undefined>;
  hasAdmin(): Promise<boolean>;
  findPasskey(id: string): Promise<PasskeyRecord | undefined>;
  /** Compare-and-set on the counter, so that two sign-ins with one counter value cannot both win: whether it won. */
  recordPasskeyUse(id: string, use: { from: number; to: number; isBackedUp: boolean; at: Date }): Promise<boolean>;
  /** Keeps the invitation; earlier ones of the same role that nobody accepted end with it. */
  replaceInvitations(invitation: InvitationRecord): Promise<void>;
  /** The invitation if it can still be accepted at `now`. */
  findOpenInvitation(tokenHash: string, now: Date): Promise<InvitationRecord | undefined>;
  /** Whom an accepted invitation brought in. */
  findInvitee(tokenHash: string): Promise<AccountRecord | undefined>;
  /**
   * Ends the invitation and creates the account with its passkey: all of it or nothing. False when the invitation was
   * accepted or ended before. Throws Conflict when the e-mail or the passkey is taken.
   */
  acceptInvitation(tokenHash: string, account: AccountRecord, passkey: PasskeyRecord, at: Date, attestation?: AttestationBytes): Promise<boolean>;
}

/** Any number will do that nothing else in this database locks on. */
const INVITATION_LOCK = 8_247_310_553;

export function createAccountStore({ prisma, query }: Pick<Database, 'prisma' | 'query'>): AccountStore {
  return {
    find: createFind(query),
    list: (kind, limit) =>
      guardStore('list accounts', async () => {
        const rows = await prisma.account.findMany({ where: { kind }, orderBy: { email: 'asc' }, take: limit });
        return rows.map(toAccount);
      }),
    addService: (account) =>
      guardStore('add a service account', async () => {
        await prisma.account.create({ data: toAccountRow(account) });
      }),
    setStatus: (id, status) =>
      guardStore('change an account', async () => {
        const { count } = await prisma.account.updateMany({ where: { id, status: { not: status } }, data: { status } });
        return count === 1;
      }),
    findByEmail: (email) =>
      guardStore('find an account', async () => {
        const row = await prisma.account.findUnique({ where: { email } });
        return row === null ? undefined : toAccount(row);
      }),
    hasAdmin: () =>
      guardStore('look for an admin', async () => (await prisma.account.count({ where: { role: 'admin', status: 'active' } })) > 0),
    findPasskey: (id) =>
      guardStore('find a passkey', async () => {
        const row = await prisma.passkey.findUnique({ where: { id } });
        return row === null ? undefined : toPasskey(row);
      }),
    recordPasskeyUse: (id, { from, to, isBackedUp, at }) =>
      guardStore('record the use of a passkey', async () => {
        const { count } = await prisma.passkey.updateMany({
          where: { id, counter: from },
          data: { counter: to, isBackedUp, lastUsedAt: at },
        });
        return count === 1;
      }),
    ...createInvitationMethods(prisma),
  };
}

function createInvitationMethods(prisma: PrismaClient): Pick<AccountStore, 'replaceInvitations' | 'findOpenInvitation' | 'findInvitee' | 'acceptInvitation'> {
  return {
    replaceInvitations: (invitation) =>
      guardStore('write an invitation', async () => {
        await prisma.$transaction(async (tx) => {
          // One at a time: of two at once neither would see the other's, and both would stay open.
          await tx.$executeRaw`SELECT pg_advisory_xact_lock(${INVITATION_LOCK})`;
          await tx.invitation.deleteMany({ where: { role: invitation.role, acceptedAt: null } });
          await tx.invitation.create({ data: invitation });
        });
      }),
    findOpenInvitation: (tokenHash, now) =>
      guardStore('find an invitation', async () => {
        const row = await prisma.invitation.findFirst({ where: { tokenHash, acceptedAt: null, expiresAt: { gt: now } } });
        return row === null ? undefined : { ...row, role: row.role as AccountRecord['role'] };
      }),
    findInvitee: (tokenHash) =>
      guardStore('find an invitee', async () => {
        const invitation = await prisma.invitation.findUnique({ where: { tokenHash } });
        const id = invitation?.acceptedBy ?? undefined;
        const row = id === undefined ? null : await prisma.account.findUnique({ where: { id } });
        return row === null ? undefined : toAccount(row);
      }),
    acceptInvitation: (tokenHash, account, passkey, at, attestation) =>
      guardStore('accept an invitation', () =>
        prisma.$transaction(async (tx) => {
          const { count } = await tx.invitation.updateMany({
            where: { tokenHash, acceptedAt: null, expiresAt: { gt: at } },
            data: { acceptedAt: at, acceptedBy: account.id },
          });
          if (count !== 1) return false;
          const taken = await tx.account.findUnique({ where: { email: account.email } });
          if (taken !== null) throw new Conflict('the e-mail has an account');
          await tx.account.create({ data: toAccountRow(account) });
          await tx.passkey.create({ data: toPasskeyRow(passkey, attestation) });
          return true;
        }),
      ),
  };
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Asked with every exchange, so by hand: one question for an account and its groups, and for all who wait. */
/** Asked with every token: past Prisma, and one question for all who wait. */
function createFind(query: Query): AccountStore['find'] {
  interface Row {
    id: string; kind: string; email: string; email_verified: boolean; name: string; role: string; status: string; created_at: Date; owner_id: string | null; hosted_domain: string | null; groups: string[];
  }
  const find = createBatch<string, Awaited<ReturnType<AccountStore['find']>>>(
    async (ids) => {
      const { rows } = await query(
        `SELECT id, kind, email, email_verified, name, role, status, created_at, owner_id, hosted_domain,
          ARRAY(SELECT group_name FROM group_members WHERE account_id = accounts.id ORDER BY group_name) AS groups
        FROM accounts WHERE id = ANY($1::uuid[])`,
        [ids],
      );
      return new Map((rows as Row[]).map(({ groups, email_verified: emailVerified, created_at: createdAt, owner_id: ownerId, hosted_domain: hostedDomain, ...row }) => [row.id, { ...toAccount({ ...row, emailVerified, createdAt, ownerId, hostedDomain }), groups }]));
    },
    { largest: 500 },
  );
  return async (id) => (UUID.test(id) ? guardStore('find an account', () => find(id.toLowerCase())) : undefined);
}

export function toAccount(row: Account): AccountRecord {
  return {
    id: row.id,
    kind: row.kind as AccountRecord['kind'],
    email: row.email,
    isEmailVerified: row.emailVerified,
    name: row.name,
    role: row.role as AccountRecord['role'],
    status: row.status as AccountRecord['status'],
    createdAt: row.createdAt,
    ownerId: row.ownerId ?? undefined,
    hostedDomain: row.hostedDomain ?? undefined,
  };
}

export function toAccountRow({ isEmailVerified, hostedDomain, ownerId, ...account }: AccountRecord) {
  return { ...account, emailVerified: isEmailVerified, hostedDomain: hostedDomain ?? null, ownerId: ownerId ?? null };
}
