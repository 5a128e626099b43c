import type { Clock } from '../lib/clock.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import type { GroupRecord, GroupStore } from '../storage/storage.ts';

export type Group = GroupRecord;

/** Named sets of accounts, for the policies of audiences. A name is 1-63 lower-case letters, digits, dots, dashes or underscores. */
export interface Groups {
  list(): Promise<readonly Group[]>;
  /** Throws NotFound. */
  get(name: string): Promise<Group>;
  /** Throws Refused for a name that will not do, Conflict for one that is taken. */
  add(name: string): Promise<void>;
  /** Throws NotFound. */
  remove(name: string): Promise<void>;
  /** Adding a member twice, or taking out one who is not in it, changes nothing: whether it changed. Throws NotFound. */
  addMember(name: string, accountId: string): Promise<boolean>;
  removeMember(name: string, accountId: string): Promise<boolean>;
}

export function createGroups({ store, clock }: { store: GroupStore; clock: Clock }): Groups {
  const get = async (name: string) => {
    const group = await store.find(name);
    if (group === undefined) throw new NotFound(`there is no group "${name.slice(0, 100)}"`);
    return group;
  };
  return {
    list: () => store.list(),
    get,
    add: async (name) => {
      if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) throw new Refused('invalid_group', 'A group’s name has 1-63 lower-case letters, digits, dots, dashes or underscores.');
      await store.add(name, clock.now()).catch((cause: unknown) => {
        throw cause instanceof Conflict ? new Conflict(`there is a group "${name}" already`, { cause }) : cause;
      });
    },
    remove: async (name) => {
      await get(name);
      await store.remove(name);
    },
    addMember: async (name, accountId) => {
      await get(name);
      return store.addMember(name, accountId);
    },
    removeMember: async (name, accountId) => {
      await get(name);
      return store.removeMember(name, accountId);
    },
  };
}
