import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import type { AccountRecord, LifeCycleOutcome, PeopleFilter, PeopleStore, PersonRecord } from '../storage/storage.ts';

export type Person = PersonRecord;

/** Ends every session of an account, with its refresh tokens: how many there were. */
export type EndSessions = (accountId: string) => Promise<number>;

/**
 * The life of people's accounts. Whoever loses something loses their sessions first, so that a write that fails leaves them
 * with less and not with more. The last admin who can sign in is neither suspended, removed nor demoted.
 */
export interface People {
  /** By e-mail, at most `limit`. */
  list(filter: PeopleFilter): Promise<readonly Person[]>;
  /** Nobody comes in by it from then on, and no token is exchanged. `by`: `admin:` and an id, or `scim:` and a name. Whether it was active, or a directory's to open again and is an admin's now. Throws NotFound, or Conflict for the last admin. */
  suspend(id: string, by: string): Promise<boolean>;
  /** Whether it was suspended. Sessions from before do not come back. Throws NotFound, or Refused where its e-mail was given to somebody else. */
  resume(id: string): Promise<boolean>;
  /** The same for what a directory suspended itself. Throws Conflict for what an admin suspended. */
  resumeOwn(id: string, suspendedBy: string): Promise<boolean>;
  /** Its passkeys, identities and memberships go with it; its e-mail is buried, and what is on record stays. Throws NotFound, or Conflict for the last admin. */
  remove(id: string): Promise<void>;
  /** What comes before an account is closed in whatever way: its sessions end. Throws Conflict for the last admin's, whose sessions go on. */
  prepareToClose(id: string): Promise<void>;
  /** Whether it changed. Throws NotFound, or Conflict for the last admin, and for an account that nobody has come in by. */
  setRole(id: string, role: AccountRecord['role']): Promise<boolean>;
}

export interface PeopleDependencies {
  readonly store: PeopleStore;
  readonly find: (id: string) => Promise<AccountRecord | undefined>;
  readonly endSessions: EndSessions;
}

export function createPeople({ store, find, endSessions }: PeopleDependencies): People {
  const prepareToClose = async (id: string) => {
    // A first look, so that nobody is signed out for nothing: the write decides.
    if (await store.isLastAdmin(id)) throw lastAdmin();
    await endSessions(id);
  };
  const requirePerson = async (id: string) => {
    const account = await find(id);
    if (account?.kind !== 'person') throw noSuchAccount();
    return account;
  };
  const resume = async (id: string, suspendedBy?: string) => {
    const account = await requirePerson(id);
    if (account.status === 'active') return false;
    // One who signed in between the end of the sessions and the suspension has one that would come back.
    await endSessions(id);
    return settle(await store.resume(id, suspendedBy));
  };
  return {
    list: (filter) => store.list(filter),
    suspend: async (id, by) => {
      await requirePerson(id);
      await prepareToClose(id);
      return settle(await store.suspend(id, by));
    },
    resume: async (id) => {
      const { email } = await requirePerson(id);
      if (email.endsWith('@released.invalid')) throw new Refused('email_released', 'The e-mail of this account was given to somebody else, so that it cannot be used again. Remove it.');
      return resume(id);
    },
    resumeOwn: async (id, suspendedBy) => {
      const isResumed = await resume(id, suspendedBy);
      if (!isResumed && (await requirePerson(id)).status !== 'active') throw new Conflict('an admin suspended this account, and only an admin resumes it: vouch admin resume');
      return isResumed;
    },
    remove: async (id) => {
      await requirePerson(id);
      await prepareToClose(id);
      settle(await store.remove(id));
    },
    prepareToClose,
    setRole: async (id, role) => {
      const account = await requirePerson(id);
      if (account.role === role) return false;
      if (role !== 'admin') return settle(await store.setRole(id, role));
      if (account.awaitsOwner) throw new Conflict('nobody has signed in to this account yet: whoever came by its e-mail would be an admin. Send an invitation with vouch admin invite --role admin');
      return settle(await store.setRole(id, role));
    },
  };
}

function settle(outcome: LifeCycleOutcome): boolean {
  switch (outcome) {
    case 'changed':
      return true;
    case 'unchanged':
      return false;
    case 'not_found':
      throw noSuchAccount();
    case 'last_admin':
      throw lastAdmin();
  }
}

const noSuchAccount = () => new NotFound('there is no such account of a person');

const lastAdmin = () => new Conflict('this is the last admin who can sign in: make another account an admin first');
