import { createBatch } from '../lib/batch.ts';
import { Conflict } from '../lib/errors.ts';
import type { Database, Query } from './database.ts';
import { guardStore } from './failure.ts';
import type { Account, Prisma, PrismaClient } from './generated/prisma/client.ts';
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
  /** What the company's directory calls it. */
  readonly externalId?: string | undefined;
  /** A directory made it, and nobody has ever come in by it. */
  readonly awaitsOwner?: true | undefined;
  /** Who suspended it, where that is known: `admin:` and an account's id, or `scim:` and a token's name. */
  readonly suspendedBy?: string | undefined;
}

export interface InvitationRecord {
  readonly tokenHash: string;
  readonly role: AccountRecord['role'];
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** For this address alone. Undefined: whoever has the link says which. */
  readonly email?: string | undefined;
}

/** With the names of its groups. */
export type GroupedAccountRecord = AccountRecord & { readonly groups: readonly string[] };

export interface HolderRecord {
  readonly account: GroupedAccountRecord | undefined;
  /** Unix seconds; may lie in the past. */
  readonly grantEndsAt: number | undefined;
}

export interface AccountStore {
  find(id: string): Promise<GroupedAccountRecord | undefined>;
  /** The account and its grant at once, each undefined where there is none. */
  findHolder(id: string, grantHash: string | undefined): Promise<HolderRecord>;
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
  /** Keeps the invitation; earlier ones that nobody accepted end with it: of the same address, or, for none, of the same role. */
  replaceInvitations(invitation: InvitationRecord): Promise<void>;
  /** The invitation if it can still be accepted at `now`. */
  findOpenInvitation(tokenHash: string, now: Date): Promise<InvitationRecord | undefined>;
  /** Whom an accepted invitation brought in. */
  findInvitee(tokenHash: string): Promise<AccountRecord | undefined>;
  /** Whether an account that is gone, or has moved on, keeps everybody else from the e-mail. */
  isBuried(email: string): Promise<boolean>;
  /**
   * Ends the invitation and creates the account with its passkey, or, where the invitation names an address and the account
   * of that id and address waits for its owner, gives it the passkey: all of it or nothing. False when the invitation was
   * accepted or ended before. Throws Conflict when the e-mail or the passkey is taken.
   */
  acceptInvitation(tokenHash: string, account: AccountRecord, passkey: PasskeyRecord, at: Date, attestation?: AttestationBytes): Promise<boolean>;
}

/** Any number will do that nothing else in this database locks on. */
const INVITATION_LOCK = 8_247_310_553;

export function createAccountStore({ prisma, query }: Pick<Database, 'prisma' | 'query'>): AccountStore {
  return {
    ...createFinds(query),
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
    isBuried: (email) =>
      guardStore('look for a buried e-mail', async () => (await prisma.emailTombstone.count({ where: { email, releasedAt: null } })) > 0),
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
          const { email, ...rest } = invitation;
          await tx.invitation.deleteMany({ where: { acceptedAt: null, ...(email === undefined ? { role: rest.role, email: null } : { email }) } });
          await tx.invitation.create({ data: { ...rest, email: email ?? null } });
        });
      }),
    findOpenInvitation: (tokenHash, now) =>
      guardStore('find an invitation', async () => {
        const row = await prisma.invitation.findFirst({ where: { tokenHash, acceptedAt: null, expiresAt: { gt: now } } });
        if (row === null) return undefined;
        const { role, createdAt, expiresAt, email } = row;
        return { tokenHash, role: role as AccountRecord['role'], createdAt, expiresAt, email: email ?? undefined };
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
          const { email } = await tx.invitation.findUniqueOrThrow({ where: { tokenHash } });
          // Only a link for that address may lead to an account that a directory has made for it.
          if (email === null || !(await giveToOwner(tx, { ...account, email }))) await createAccount(tx, account);
          await tx.passkey.create({ data: toPasskeyRow(passkey, attestation) });
          return true;
        }),
      ),
  };
}

async function createAccount(tx: Prisma.TransactionClient, account: AccountRecord): Promise<void> {
  const taken = await tx.account.findUnique({ where: { email: account.email } });
  if (taken !== null) throw new Conflict('the e-mail has an account');
  await tx.account.create({ data: toAccountRow(account) });
}

/** Compare-and-set: of two who come for it at once, one gets it. An invitation never takes a role away. */
async function giveToOwner(tx: Prisma.TransactionClient, { id, email, name, role }: AccountRecord): Promise<boolean> {
  const { count } = await tx.account.updateMany({ where: { id, email, awaitsOwner: true, status: 'active' }, data: { awaitsOwner: false, name, ...(role === 'admin' ? { role } : {}) } });
  return count === 1;
}

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Asked with every token: past Prisma, in one question for the account and its grant, and for all who wait. */
function createFinds(query: Query): Pick<AccountStore, 'find' | 'findHolder'> {
  interface Row {
    asked_id: string; asked_grant: string; grant_exp: number | null;
    id: string | null; kind: string; email: string; email_verified: boolean; name: string; role: string; status: string; created_at: Date; owner_id: string | null; hosted_domain: string | null;
    external_id: string | null; awaits_owner: boolean; suspended_by: string | null; groups: string[];
  }
  // Neither a UUID nor a hash holds a space.
  const keyOf = (id: string, grantHash = '') => `${id} ${grantHash}`;
  const find = createBatch<string, HolderRecord>(
    async (keys) => {
      const asked = keys.map((key) => key.split(' '));
      const { rows } = await query(
        `SELECT asked.id AS asked_id, asked.grant_hash AS asked_grant, (grants.payload->>'exp')::float8 AS grant_exp,
          a.id, a.kind, a.email, a.email_verified, a.name, a.role, a.status, a.created_at, a.owner_id, a.hosted_domain, a.external_id, a.awaits_owner, a.suspended_by,
          ARRAY(SELECT group_name FROM group_members WHERE account_id = a.id ORDER BY group_name) AS groups
        FROM unnest($1::uuid[], $2::text[]) AS asked(id, grant_hash)
        LEFT JOIN accounts a ON a.id = asked.id
        LEFT JOIN oidc_artifacts grants ON grants.model = 'Grant' AND grants.id = asked.grant_hash`,
        [asked.map(([id]) => id), asked.map(([, grantHash]) => grantHash)],
      );
      return new Map((rows as Row[]).map((row) => [keyOf(row.asked_id, row.asked_grant), {
        grantEndsAt: row.grant_exp ?? undefined,
        account: row.id === null ? undefined : {
          ...toAccount({
            ...row, id: row.id, emailVerified: row.email_verified, createdAt: row.created_at, ownerId: row.owner_id, hostedDomain: row.hosted_domain,
            externalId: row.external_id, awaitsOwner: row.awaits_owner, suspendedBy: row.suspended_by,
          }),
          groups: row.groups,
        },
      }]));
    },
    { largest: 500 },
  );
  const findHolder: AccountStore['findHolder'] = async (id, grantHash) =>
    (UUID.test(id) ? await guardStore('find an account', () => find(keyOf(id.toLowerCase(), grantHash))) : undefined) ?? { account: undefined, grantEndsAt: undefined };
  return { findHolder, find: async (id) => (await findHolder(id, undefined)).account };
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
    externalId: row.externalId ?? undefined,
    awaitsOwner: row.awaitsOwner || undefined,
    suspendedBy: row.suspendedBy ?? undefined,
  };
}

export function toAccountRow({ isEmailVerified, hostedDomain, ownerId, externalId, awaitsOwner, suspendedBy, ...account }: AccountRecord) {
  return {
    ...account, emailVerified: isEmailVerified, hostedDomain: hostedDomain ?? null, ownerId: ownerId ?? null,
    externalId: externalId ?? null, awaitsOwner: awaitsOwner ?? false, suspendedBy: suspendedBy ?? null,
  };
}
