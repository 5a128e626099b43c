import { Conflict } from '../lib/errors.ts';
import { toAccount, toAccountRow, type AccountRecord } from './accounts_sql.ts';
import { guardStore } from './failure.ts';
import type { Identity, Prisma, PrismaClient } from './generated/prisma/client.ts';
import { countWaysIn, lockAccount, type WaysIn } from './passkeys_sql.ts';
import { isLastAdmin, lastAdmin } from './people_sql.ts';

/** Whom an upstream knows by (issuer, subject), and whose account that is. */
export interface IdentityRecord {
  readonly issuer: string;
  readonly subject: string;
  readonly accountId: string;
  /** As the upstream last said it. */
  readonly email: string;
  readonly linkedAt: Date;
  readonly lastUsedAt?: Date | undefined;
}

/** Somebody came with an e-mail that is, or was, another account's. */
export interface DisputeRecord {
  readonly id: string;
  readonly email: string;
  readonly issuer: string;
  readonly subject: string;
  /** The account that has or had the e-mail. */
  readonly accountId: string;
  readonly firstAt: Date;
  readonly lastAt: Date;
  readonly tries: number;
}

export interface IdentityUse {
  readonly identity: Pick<IdentityRecord, 'issuer' | 'subject' | 'email'>;
  /** What changes of the account, if anything does. */
  readonly account: Partial<Pick<AccountRecord, 'email' | 'isEmailVerified' | 'hostedDomain'>>;
  readonly at: Date;
}

export interface IdentityStore {
  find(issuer: string, subject: string): Promise<{ identity: IdentityRecord; account: AccountRecord } | undefined>;
  list(accountId: string): Promise<readonly IdentityRecord[]>;
  /** Creates an account with the identity that it comes by. Throws Conflict when the e-mail or the identity is taken. */
  provision(account: AccountRecord, identity: IdentityRecord): Promise<void>;
  /**
   * Gives an account that waits for its owner to who comes by this identity, and the account that identity's changes:
   * whether it waited, for that e-mail. Throws Conflict when the identity is some account's already.
   */
  claim(identity: IdentityRecord, changes: IdentityUse['account']): Promise<boolean>;
  /** Throws Conflict when the identity is some account's already. */
  link(identity: IdentityRecord): Promise<void>;
  /** Unlinks it unless the account would be left with no way in. */
  unlink(accountId: string, issuer: string, subject: string, ways: WaysIn): Promise<'removed' | 'last_way_in' | 'not_found'>;
  /** Throws Conflict when the account's new e-mail is taken. */
  recordUse(accountId: string, use: IdentityUse): Promise<void>;
  /** The account that has the e-mail, or had it and keeps others from it. */
  findHolder(email: string): Promise<string | undefined>;
  /** Writes it, or counts another try of the same identity for the same e-mail. */
  recordDispute(dispute: Omit<DisputeRecord, 'firstAt' | 'lastAt' | 'tries'>, at: Date): Promise<void>;
  /** Those that nobody has resolved, the oldest first. */
  listDisputes(): Promise<readonly DisputeRecord[]>;
  /**
   * The e-mail is free from now on: the account that has it is suspended and loses it. Undefined when the dispute is
   * resolved already.
   */
  releaseEmail(disputeId: string, by: string, at: Date): Promise<DisputeRecord | undefined>;
  /** The same by the e-mail, disputed or not: whether anybody had it or keeps others from it. */
  freeEmail(email: string, by: string, at: Date): Promise<boolean>;
  /** The identity becomes one of the account's. Undefined when the dispute is resolved already; throws Conflict when the account is gone or the identity is taken. */
  linkDisputed(disputeId: string, by: string, at: Date): Promise<DisputeRecord | undefined>;
}

export function createIdentityStore(prisma: PrismaClient): IdentityStore {
  return {
    find: (issuer, subject) =>
      guardStore('find an identity', async () => {
        const row = await prisma.identity.findUnique({ where: { issuer_subject: { issuer, subject } }, include: { account: true } });
        return row === null ? undefined : { identity: toIdentity(row), account: toAccount(row.account) };
      }),
    list: (accountId) =>
      guardStore('list the identities of an account', async () => {
        const rows = await prisma.identity.findMany({ where: { accountId }, orderBy: [{ linkedAt: 'asc' }, { subject: 'asc' }] });
        return rows.map(toIdentity);
      }),
    provision: (account, identity) =>
      guardStore('provision an account', () =>
        prisma.$transaction(async (tx) => {
          await tx.account.create({ data: toAccountRow(account) });
          await tx.identity.create({ data: toIdentityRow(identity) });
        }),
      ),
    claim: (identity, changes) =>
      guardStore('claim an account', () =>
        prisma.$transaction(async (tx) => {
          const { accountId: id, email } = identity;
          const { count } = await tx.account.updateMany({ where: { id, email, kind: 'person', status: 'active', awaitsOwner: true }, data: { awaitsOwner: false, ...toChanges(changes) } });
          if (count !== 1) return false;
          await tx.identity.create({ data: toIdentityRow(identity) });
          return true;
        }),
      ),
    link: (identity) =>
      guardStore('link an identity', async () => {
        await prisma.identity.create({ data: toIdentityRow(identity) });
      }),
    unlink: (accountId, issuer, subject, ways) =>
      guardStore('unlink an identity', () =>
        prisma.$transaction(async (tx) => {
          await lockAccount(tx, accountId);
          if ((await tx.identity.count({ where: { accountId, issuer, subject } })) === 0) return 'not_found';
          // One that cannot be used any more is no way in, so that nothing is lost with it.
          const isUsable = ways.issuers.includes(issuer);
          if ((await countWaysIn(tx, accountId, ways)) < (isUsable ? 2 : 1)) return 'last_way_in';
          await tx.identity.delete({ where: { issuer_subject: { issuer, subject } } });
          return 'removed';
        }),
      ),
    recordUse: (accountId, { identity: { issuer, subject, email }, account, at }) =>
      guardStore('record the use of an identity', () =>
        prisma.$transaction(async (tx) => {
          await tx.identity.update({ where: { issuer_subject: { issuer, subject } }, data: { email, lastUsedAt: at } });
          await tx.account.update({ where: { id: accountId }, data: toChanges(account) });
        }),
      ),
    findHolder: (email) =>
      guardStore('look for the holder of an e-mail', async () => {
        const account = await prisma.account.findUnique({ where: { email } });
        if (account !== null) return account.id;
        const tombstone = await prisma.emailTombstone.findFirst({ where: { email, releasedAt: null } });
        return tombstone?.accountId;
      }),
    ...createDisputeMethods(prisma),
  };
}

type DisputeMethods = Pick<IdentityStore, 'recordDispute' | 'listDisputes' | 'releaseEmail' | 'freeEmail' | 'linkDisputed'>;

function createDisputeMethods(prisma: PrismaClient): DisputeMethods {
  return {
    recordDispute: ({ id, email, issuer, subject, accountId }, at) =>
      guardStore('record a dispute', async () => {
        await prisma.emailDispute.upsert({
          where: { issuer_subject_email: { issuer, subject, email } },
          create: { id, email, issuer, subject, accountId, firstAt: at, lastAt: at, tries: 1 },
          update: { accountId, lastAt: at, tries: { increment: 1 }, resolvedAt: null, resolvedBy: null, resolution: null },
        });
      }),
    listDisputes: () =>
      guardStore('list disputes', async () => {
        const rows = await prisma.emailDispute.findMany({ where: { resolvedAt: null }, orderBy: [{ firstAt: 'asc' }, { id: 'asc' }] });
        return rows.map(({ resolvedAt: _, resolvedBy: __, resolution: ___, ...dispute }) => dispute);
      }),
    releaseEmail: (disputeId, by, at) =>
      guardStore('release an e-mail', () =>
        prisma.$transaction(async (tx) => {
          const dispute = await resolve(tx, disputeId, { resolution: 'released', by, at });
          if (dispute === undefined) return undefined;
          await free(tx, dispute.email, by, at);
          return dispute;
        }),
      ),
    freeEmail: (email, by, at) =>
      guardStore('free an e-mail', () =>
        prisma.$transaction(async (tx) => {
          await tx.emailDispute.updateMany({ where: { email, resolvedAt: null }, data: { resolvedAt: at, resolvedBy: by, resolution: 'released' } });
          return free(tx, email, by, at);
        }),
      ),
    linkDisputed: (disputeId, by, at) =>
      guardStore('link a disputed identity', () =>
        prisma.$transaction(async (tx) => {
          const dispute = await resolve(tx, disputeId, { resolution: 'linked', by, at });
          if (dispute === undefined) return undefined;
          const { issuer, subject, accountId, email } = dispute;
          const { count } = await tx.account.updateMany({ where: { id: accountId }, data: { awaitsOwner: false } });
          if (count === 0) throw new Conflict('the account is gone');
          await tx.identity.create({ data: { issuer, subject, accountId, email, linkedAt: at } });
          return dispute;
        }),
      ),
  };
}

/** Whether somebody had the e-mail, or kept others from it. Throws Conflict when it is the last admin's. */
async function free(tx: Prisma.TransactionClient, email: string, by: string, at: Date): Promise<boolean> {
  const holder = await tx.account.findUnique({ where: { email } });
  // The trigger buries what the account loses here; it is dug up again below.
  if (holder !== null && (await isLastAdmin(tx, holder.id))) throw lastAdmin();
  if (holder !== null) await tx.account.update({ where: { id: holder.id }, data: { status: 'suspended', suspendedBy: `admin:${by}`, email: `${holder.id}@released.invalid`, emailVerified: false } });
  const { count } = await tx.emailTombstone.updateMany({ where: { email, releasedAt: null }, data: { releasedAt: at, releasedBy: by } });
  return count > 0;
}

/** Compare-and-set: the dispute, if it was open until now. */
async function resolve(tx: Prisma.TransactionClient, id: string, { resolution, by, at }: { resolution: string; by: string; at: Date }): Promise<DisputeRecord | undefined> {
  const { count } = await tx.emailDispute.updateMany({ where: { id, resolvedAt: null }, data: { resolvedAt: at, resolvedBy: by, resolution } });
  if (count !== 1) return undefined;
  const { resolvedAt: _, resolvedBy: __, resolution: ___, ...dispute } = await tx.emailDispute.findUniqueOrThrow({ where: { id } });
  return dispute;
}

function toChanges({ email, isEmailVerified, ...rest }: IdentityUse['account']): Prisma.AccountUpdateInput {
  return {
    ...(email === undefined ? {} : { email }),
    ...(isEmailVerified === undefined ? {} : { emailVerified: isEmailVerified }),
    ...('hostedDomain' in rest ? { hostedDomain: rest.hostedDomain ?? null } : {}),
  };
}

function toIdentity({ issuer, subject, accountId, email, linkedAt, lastUsedAt }: Identity): IdentityRecord {
  return { issuer, subject, accountId, email, linkedAt, lastUsedAt: lastUsedAt ?? undefined };
}

function toIdentityRow({ lastUsedAt, ...identity }: IdentityRecord) {
  return { ...identity, lastUsedAt: lastUsedAt ?? null };
}
