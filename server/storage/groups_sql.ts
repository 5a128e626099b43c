import { guardStore } from './failure.ts';
import type { PrismaClient } from './generated/prisma/client.ts';

export interface GroupRecord {
  readonly name: string;
  readonly createdAt: Date;
  readonly memberIds: readonly string[];
}

/** Named sets of accounts. */
export interface GroupStore {
  list(): Promise<readonly GroupRecord[]>;
  find(name: string): Promise<GroupRecord | undefined>;
  /** Throws Conflict when the name is taken. */
  add(name: string, at: Date): Promise<void>;
  /** Whether it was there. */
  remove(name: string): Promise<boolean>;
  /** Whether the account was not in it before. */
  addMember(name: string, accountId: string): Promise<boolean>;
  /** Whether the account was in it. */
  removeMember(name: string, accountId: string): Promise<boolean>;
}

const MEMBERS = { members: { select: { accountId: true }, orderBy: { accountId: 'asc' } } } as const;

export function createGroupStore(prisma: PrismaClient): GroupStore {
  const toRecord = ({ name, createdAt, members }: { name: string; createdAt: Date; members: { accountId: string }[] }): GroupRecord => ({
    name, createdAt, memberIds: members.map(({ accountId }) => accountId),
  });
  return {
    list: () =>
      guardStore('list the groups', async () => {
        const rows = await prisma.group.findMany({ include: MEMBERS, orderBy: { name: 'asc' } });
        return rows.map(toRecord);
      }),
    find: (name) =>
      guardStore('find a group', async () => {
        const row = await prisma.group.findUnique({ where: { name }, include: MEMBERS });
        return row === null ? undefined : toRecord(row);
      }),
    add: (name, at) =>
      guardStore('add a group', async () => {
        await prisma.group.create({ data: { name, createdAt: at } });
      }),
    remove: (name) =>
      guardStore('remove a group', async () => {
        const { count } = await prisma.group.deleteMany({ where: { name } });
        return count === 1;
      }),
    addMember: (groupName, accountId) =>
      guardStore('add to a group', async () => {
        const { count } = await prisma.groupMember.createMany({ data: [{ groupName, accountId }], skipDuplicates: true });
        return count === 1;
      }),
    removeMember: (groupName, accountId) =>
      guardStore('take out of a group', async () => {
        const { count } = await prisma.groupMember.deleteMany({ where: { groupName, accountId } });
        return count === 1;
      }),
  };
}
