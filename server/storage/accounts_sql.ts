import { Conflict } from '../lib/errors.ts';
import { guardStore } from './failure.ts';
import type { Account, PrismaClient } from './generated/prisma/client.ts';
import { toPasskey, toPasskeyRow, type AttestationBytes, type PasskeyRecord } from './passkeys_sql.ts';

export interface AccountRecord {
  readonly id: string;
  readonly kind: 'person' | 'service';
  /** Lower case; the `sub` of federation tokens. */
  readonly email: string;
  readonly isEmailVerified: boolean;
  readonly name: string;
  readonly role: 'admin' | 'member';
  readonly status: 'active' | 'suspended';
  readonly createdAt: Date;
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
  find(id: string): Promise<AccountRecord | undefined>;
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

export function createAccountStore(prisma: PrismaClient): AccountStore {
  return {
    find: (id) =>
      guardStore('find an account', async () => {
        const row = await prisma.account.findUnique({ where: { id } });
        return row === null ? undefined : toAccount(row);
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
    hostedDomain: row.hostedDomain ?? undefined,
  };
}

export function toAccountRow({ isEmailVerified, hostedDomain, ...account }: AccountRecord) {
  return { ...account, emailVerified: isEmailVerified, hostedDomain: hostedDomain ?? null };
}
