import { guardStore } from './failure.ts';
import { UUID } from './accounts_sql.ts';
import type { Group, Prisma, PrismaClient } from './generated/prisma/client.ts';
import type { Slice } from './people_sql.ts';

/** A group that a directory keeps. */
export interface DirectoryGroupRecord {
  /** Never used again, as the name may be. */
  readonly id: string;
  /** As policies name it. */
  readonly name: string;
  readonly displayName: string;
  readonly externalId?: string | undefined;
  readonly domains: readonly string[];
  readonly createdAt: Date;
}

export interface GroupFilter {
  readonly id?: string;
  readonly displayName?: string;
  readonly externalId?: string;
  /** Groups that this account is in. */
  readonly memberId?: string;
}

/** Members to put in and take out. `all`: everybody else goes. */
export interface MemberChange {
  readonly add: readonly string[];
  readonly remove: readonly string[] | 'all';
  /** All of it or nothing. Otherwise whoever leaves has left, also where somebody to put in is not known. */
  readonly isWhole?: boolean;
}

/**
 * Groups that directories keep: each is of some domains, and a directory sees those groups alone that are wholly of its own,
 * and of their members those alone whose e-mail lies in its domains.
 */
export interface DirectoryGroupStore {
  /** The oldest first, and how many there are. */
  listIn(domains: readonly string[], filter: GroupFilter, slice: Slice): Promise<{ readonly total: number; readonly groups: readonly DirectoryGroupRecord[] }>;
  listMembers(id: string, domains: readonly string[]): Promise<readonly { readonly id: string; readonly email: string }[]>;
  /** Throws Conflict when the name is taken, also by a group that admins keep. */
  add(group: DirectoryGroupRecord): Promise<void>;
  /** Whether it was there. */
  change(id: string, changes: { readonly displayName?: string | undefined; readonly externalId?: string | null | undefined }): Promise<boolean>;
  /** Who leaves leaves. Nobody is put in where one of `add` is no person of these domains: gives those that are none. */
  changeMembers(id: string, domains: readonly string[], change: MemberChange): Promise<readonly string[]>;
  /** Whether it was there. */
  remove(id: string): Promise<boolean>;
}

export function createDirectoryGroupStore(prisma: PrismaClient): DirectoryGroupStore {
  return {
    listIn: (domains, { id, displayName, externalId, memberId }, { offset, limit }) =>
      guardStore('list the groups of domains', async () => {
        if ([id, memberId].some((given) => given !== undefined && !UUID.test(given))) return { total: 0, groups: [] };
        const where: Prisma.GroupWhereInput = {
          ...ofDomains(domains), ...(id === undefined ? {} : { id }), ...(displayName === undefined ? {} : { displayName }), ...(externalId === undefined ? {} : { externalId }),
          ...(memberId === undefined ? {} : { members: { some: { accountId: memberId, account: inDomains(domains) } } }),
        };
        // What is also of another's domains is none of this one's.
        const rows = (await prisma.group.findMany({ where, orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] })).filter((group) => group.domains.every((domain) => domains.includes(domain)));
        return { total: rows.length, groups: rows.slice(offset, offset + limit).map(toRecord) };
      }),
    listMembers: (id, domains) =>
      guardStore('list the members of a group', async () => {
        const rows = await prisma.groupMember.findMany({ where: { group: { id }, account: inDomains(domains) }, select: { account: { select: { id: true, email: true } } }, orderBy: { accountId: 'asc' } });
        return rows.map(({ account }) => account);
      }),
    add: ({ externalId, domains, ...group }) =>
      guardStore('add a group', async () => {
        await prisma.group.create({ data: { ...group, domains: [...domains], externalId: externalId ?? null } });
      }),
    change: (id, { displayName, externalId }) =>
      guardStore('change a group', async () => {
        const { count } = await prisma.group.updateMany({ where: { id }, data: { ...(displayName === undefined ? {} : { displayName }), ...(externalId === undefined ? {} : { externalId }) } });
        return count === 1;
      }),
    changeMembers: (id, domains, { add, remove, isWhole = false }) =>
      guardStore('change the members of a group', () =>
        prisma.$transaction(async (tx) => {
          const own = await tx.account.findMany({ where: { id: { in: add.filter((one) => UUID.test(one)) }, ...inDomains(domains) }, select: { id: true } });
          const known = new Set(own.map((account) => account.id));
          const unknown = add.filter((one) => !known.has(one.toLowerCase()));
          if (isWhole && unknown.length > 0) return unknown;
          const { name: groupName } = await tx.group.findUniqueOrThrow({ where: { id } });
          const gone: Prisma.GroupMemberWhereInput = remove === 'all' ? { accountId: { notIn: [...known] } } : { accountId: { in: remove.filter((one) => UUID.test(one)) } };
          await tx.groupMember.deleteMany({ where: { groupName, account: inDomains(domains), ...gone } });
          if (unknown.length > 0) return unknown;
          await tx.groupMember.createMany({ data: [...known].map((accountId) => ({ groupName, accountId })), skipDuplicates: true });
          return [];
        }),
      ),
    remove: (id) =>
      guardStore('remove a group', async () => {
        const { count } = await prisma.group.deleteMany({ where: { id } });
        return count === 1;
      }),
  };
}

function ofDomains(domains: readonly string[]): Prisma.GroupWhereInput {
  return { domains: { hasSome: [...domains] } };
}

/** The name of a domain holds neither of LIKE's signs. */
function inDomains(domains: readonly string[]) {
  return { kind: 'person', OR: domains.map((domain) => ({ email: { endsWith: `@${domain}` } })) };
}

function toRecord({ displayName, externalId, ...group }: Group): DirectoryGroupRecord {
  return { ...group, displayName: displayName ?? group.name, externalId: externalId ?? undefined };
}
