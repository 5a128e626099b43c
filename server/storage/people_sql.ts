import { Conflict } from '../lib/errors.ts';
import { toAccount, toAccountRow, UUID, type AccountRecord } from './accounts_sql.ts';
import { guardStore } from './failure.ts';
import type { Account, Prisma, PrismaClient } from './generated/prisma/client.ts';
import { lockAccount } from './passkeys_sql.ts';

/** An account of a person, and how its owner gets in. */
export interface PersonRecord extends AccountRecord {
  readonly groups: readonly string[];
  readonly passkeys: number;
  readonly identities: number;
  /** The last use of any of them. */
  readonly lastUsedAt: Date | undefined;
}

export interface PeopleFilter {
  readonly status?: AccountRecord['status'] | undefined;
  readonly role?: AccountRecord['role'] | undefined;
  /** Those whose e-mail comes after this one. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** What a directory looks for; every part must fit. */
export interface DirectoryFilter {
  readonly id?: string;
  readonly email?: string;
  readonly externalId?: string;
}

export interface Slice {
  readonly offset: number;
  readonly limit: number;
}

export type PersonChanges = Partial<Pick<AccountRecord, 'email' | 'name'>> & { readonly externalId?: string | null };

/** `last_admin`: it was refused, since no other admin would be left who can sign in. */
export type LifeCycleOutcome = 'changed' | 'unchanged' | 'not_found' | 'last_admin';

export interface PeopleStore {
  /** By e-mail. */
  list(filter: PeopleFilter): Promise<readonly PersonRecord[]>;
  /** Whether nobody else could administer without this account. For a first look: the writes below decide. */
  isLastAdmin(id: string): Promise<boolean>;
  /** What a directory suspended an admin may suspend as well, and it is the admin's then: that is `changed`. */
  suspend(id: string, by: string): Promise<LifeCycleOutcome>;
  /** With `suspendedBy`, only where who suspended it begins so; else it is `unchanged`. */
  resume(id: string, suspendedBy?: string): Promise<LifeCycleOutcome>;
  remove(id: string): Promise<LifeCycleOutcome>;
  /** An account that waits for its owner cannot become an admin's: `unchanged`. */
  setRole(id: string, role: AccountRecord['role']): Promise<LifeCycleOutcome>;
  /** People whose e-mail lies in one of these domains, the oldest first, and how many there are. */
  listIn(domains: readonly string[], filter: DirectoryFilter, slice: Slice): Promise<{ readonly total: number; readonly people: readonly AccountRecord[] }>;
  /** Throws Conflict when the e-mail is taken or buried. */
  add(account: AccountRecord): Promise<void>;
  /** Whether it was there. Another e-mail is one that nobody has verified. Throws Conflict when the e-mail is taken or buried. */
  change(id: string, changes: PersonChanges): Promise<boolean>;
}

export function createPeopleStore(prisma: PrismaClient): PeopleStore {
  return { ...createLifeCycleMethods(prisma), ...createDirectoryMethods(prisma) };
}

type LifeCycleMethods = Pick<PeopleStore, 'list' | 'isLastAdmin' | 'suspend' | 'resume' | 'remove' | 'setRole'>;

const WAYS_IN = {
  memberships: { select: { groupName: true }, orderBy: { groupName: 'asc' } },
  passkeys: { select: { lastUsedAt: true } },
  identities: { select: { lastUsedAt: true } },
} as const;

function createLifeCycleMethods(prisma: PrismaClient): LifeCycleMethods {
  return {
    list: ({ status, role, after, limit }) =>
      guardStore('list people', async () => {
        const rows = await prisma.account.findMany({
          where: { kind: 'person', ...(status === undefined ? {} : { status }), ...(role === undefined ? {} : { role }), ...(after === undefined ? {} : { email: { gt: after } }) },
          orderBy: { email: 'asc' }, take: limit, include: WAYS_IN,
        });
        return rows.map(toPerson);
      }),
    isLastAdmin: (id) => guardStore('look for another admin', () => prisma.$transaction((tx) => isLastAdmin(tx, id))),
    suspend: (id, by) =>
      guardStore('suspend an account', () =>
        changePerson(prisma, id, { takesAdmin: true }, async (tx, { status, suspendedBy }) => {
          // An admin's word stands over a directory's, which would take its own back with the next sync.
          const isTakenOver = isAdmins(by) && !isAdmins(suspendedBy);
          if (status === 'suspended' && !isTakenOver) return 'unchanged';
          await tx.account.update({ where: { id }, data: { status: 'suspended', suspendedBy: by } });
          return 'changed';
        }),
      ),
    resume: (id, suspendedBy) =>
      guardStore('resume an account', () =>
        changePerson(prisma, id, { takesAdmin: false }, async (tx, account) => {
          if (account.status === 'active' || (suspendedBy !== undefined && account.suspendedBy?.startsWith(suspendedBy) !== true)) return 'unchanged';
          await tx.account.update({ where: { id }, data: { status: 'active', suspendedBy: null } });
          return 'changed';
        }),
      ),
    remove: (id) =>
      guardStore('remove an account', () =>
        changePerson(prisma, id, { takesAdmin: true }, async (tx) => {
          // Its passkeys, identities and memberships go with it, and a trigger buries its e-mail.
          await tx.account.delete({ where: { id } });
          return 'changed';
        }),
      ),
    setRole: (id, role) =>
      guardStore('change a role', () =>
        changePerson(prisma, id, { takesAdmin: role !== 'admin' }, async (tx, account) => {
          if (account.role === role || (role === 'admin' && account.awaitsOwner)) return 'unchanged';
          await tx.account.update({ where: { id }, data: { role } });
          return 'changed';
        }),
      ),
  };
}

function isAdmins(by: string | null): boolean {
  return by?.startsWith('admin:') === true;
}

/** Changes one person's account alone, unless that would leave nobody to administer. */
async function changePerson(prisma: PrismaClient, id: string, { takesAdmin }: { takesAdmin: boolean }, change: (tx: Prisma.TransactionClient, account: Account) => Promise<'changed' | 'unchanged'>): Promise<LifeCycleOutcome> {
  if (!UUID.test(id)) return 'not_found';
  return prisma.$transaction(async (tx) => {
    // Before its own row: whoever takes an admin away takes these locks first, and in one order.
    if (takesAdmin && (await isLastAdmin(tx, id))) return 'last_admin';
    await lockAccount(tx, id);
    const account = await tx.account.findUnique({ where: { id } });
    return account?.kind === 'person' ? change(tx, account) : 'not_found';
  });
}

/**
 * Whether nobody else could administer without this account: no other active admin has a way in. Until the transaction ends
 * no admin can be taken away by anybody else, so that two of them cannot take each other away at once.
 */
export async function isLastAdmin(tx: Prisma.TransactionClient, id: string): Promise<boolean> {
  const admins = await tx.$queryRaw<{ id: string; can_sign_in: boolean }[]>`
    SELECT id, EXISTS (SELECT 1 FROM passkeys WHERE account_id = accounts.id) OR EXISTS (SELECT 1 FROM identities WHERE account_id = accounts.id) AS can_sign_in
    FROM accounts WHERE role = 'admin' AND status = 'active' ORDER BY id FOR UPDATE`;
  return admins.some((admin) => admin.id === id.toLowerCase()) && !admins.some((admin) => admin.id !== id.toLowerCase() && admin.can_sign_in);
}

export const lastAdmin = () => new Conflict('this is the last admin who can sign in: make another account an admin first');

type DirectoryMethods = Pick<PeopleStore, 'listIn' | 'add' | 'change'>;

function createDirectoryMethods(prisma: PrismaClient): DirectoryMethods {
  return {
    listIn: (domains, { id, email, externalId }, { offset, limit }) =>
      guardStore('list the people of domains', async () => {
        if (id !== undefined && !UUID.test(id)) return { total: 0, people: [] };
        // The name of a domain holds neither of LIKE's signs.
        const where: Prisma.AccountWhereInput = {
          kind: 'person', OR: domains.map((domain) => ({ email: { endsWith: `@${domain}` } })),
          AND: [...(id === undefined ? [] : [{ id }]), ...(email === undefined ? [] : [{ email }]), ...(externalId === undefined ? [] : [{ externalId }])],
        };
        const [total, rows] = await Promise.all([prisma.account.count({ where }), prisma.account.findMany({ where, orderBy: { id: 'asc' }, skip: offset, take: limit })]);
        return { total, people: rows.map(toAccount) };
      }),
    add: (account) =>
      guardStore('add a person', async () => {
        await prisma.account.create({ data: toAccountRow(account) });
      }),
    change: (id, { email, name, externalId }) =>
      guardStore('change a person', () =>
        prisma.$transaction(async (tx) => {
          await lockAccount(tx, id);
          const account = await tx.account.findUnique({ where: { id } });
          if (account?.kind !== 'person') return false;
          const isMoved = email !== undefined && email !== account.email;
          await tx.account.update({
            where: { id },
            data: {
              ...(isMoved ? { email, emailVerified: false } : {}), ...(name === undefined ? {} : { name }), ...(externalId === undefined ? {} : { externalId }),
            },
          });
          return true;
        }),
      ),
  };
}

type PersonRow = Prisma.AccountGetPayload<{ include: typeof WAYS_IN }>;

function toPerson({ memberships, passkeys, identities, ...row }: PersonRow): PersonRecord {
  const uses = [...passkeys, ...identities].flatMap(({ lastUsedAt }) => lastUsedAt ?? []);
  return {
    ...toAccount(row), groups: memberships.map(({ groupName }) => groupName), passkeys: passkeys.length, identities: identities.length,
    lastUsedAt: uses.length === 0 ? undefined : new Date(Math.max(...uses.map((at) => at.getTime()))),
  };
}
