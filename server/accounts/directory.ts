import type { Clock } from '../lib/clock.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import { createUuid } from '../lib/identifier.ts';
import { domainOf, isSubjectEmail } from '../oauth2/syntax.ts';
import type { AccountRecord, DirectoryFilter, DirectoryGroupRecord, DirectoryGroupStore, GroupFilter, MemberChange, PeopleStore, PersonChanges, Slice } from '../storage/storage.ts';
import type { People } from './people.ts';

export type DirectoryPerson = AccountRecord;
export type DirectoryGroup = DirectoryGroupRecord;
export type { DirectoryFilter, GroupFilter, MemberChange, Slice };

/** An e-mail or a group's name is another's. */
export class Taken extends Conflict {}

/** Whose directory it is: what it may see and touch, and how it is called on record. */
export interface Realm {
  readonly name: string;
  readonly domains: readonly string[];
}

export interface PersonFields {
  readonly email: string;
  readonly name: string;
  readonly externalId: string | undefined;
  readonly isActive: boolean;
}

/** Only what is named changes; `externalId` null takes it away. */
export type PersonFieldChanges = PersonChanges & { readonly isActive?: boolean };

export interface GroupFields {
  readonly displayName: string;
  readonly externalId: string | undefined;
  readonly members: readonly string[];
}

export interface GroupFieldChanges {
  readonly displayName?: string | undefined;
  readonly externalId?: string | null | undefined;
  readonly members?: MemberChange | undefined;
}

/**
 * People and groups as a company's directory keeps them. A realm sees people by the domain of their e-mail and the groups
 * that directories of its domains made, and nothing else is there for it: no service, no role, no group of the admins'.
 */
export interface Directory {
  listPeople(realm: Realm, filter: DirectoryFilter, slice: Slice): Promise<{ readonly total: number; readonly people: readonly DirectoryPerson[] }>;
  /** Throws NotFound. */
  getPerson(realm: Realm, id: string): Promise<DirectoryPerson>;
  /** A new account, which waits for its owner. Throws Refused for an e-mail or name that will not do, Taken when the e-mail is or was another's. */
  addPerson(realm: Realm, person: PersonFields): Promise<DirectoryPerson>;
  /** What ends access comes first, whatever else is refused. Throws NotFound, Refused, Taken, and Conflict for the last admin or an account that an admin suspended. */
  changePerson(realm: Realm, id: string, changes: PersonFieldChanges): Promise<DirectoryPerson>;
  /** Throws NotFound, or Conflict for the last admin. */
  removePerson(realm: Realm, id: string): Promise<void>;
  listGroups(realm: Realm, filter: GroupFilter, slice: Slice): Promise<{ readonly total: number; readonly groups: readonly DirectoryGroup[] }>;
  /** Throws NotFound. */
  getGroup(realm: Realm, id: string): Promise<DirectoryGroup>;
  listMembers(realm: Realm, id: string): Promise<readonly { readonly id: string; readonly email: string }[]>;
  /** Throws Refused for a name or members that will not do, Taken when a group is called so. */
  addGroup(realm: Realm, group: GroupFields): Promise<DirectoryGroup>;
  /** Who leaves it leaves, whatever else is refused. Policies go on naming it as before, whatever it is called now. Throws NotFound, or Refused for a name or members that will not do. */
  changeGroup(realm: Realm, id: string, changes: GroupFieldChanges): Promise<DirectoryGroup>;
  /** Throws NotFound. */
  removeGroup(realm: Realm, id: string): Promise<void>;
}

export interface DirectoryDependencies {
  readonly store: PeopleStore;
  readonly groups: DirectoryGroupStore;
  readonly people: People;
  readonly clock: Clock;
}

const ONE: Slice = { offset: 0, limit: 1 };
const LONGEST_NAME = 100;

export function createDirectory(dependencies: DirectoryDependencies): Directory {
  return { ...createPersonMethods(dependencies), ...createGroupMethods(dependencies) };
}

type PersonMethods = Pick<Directory, 'listPeople' | 'getPerson' | 'addPerson' | 'changePerson' | 'removePerson'>;

function createPersonMethods({ store, people, clock }: DirectoryDependencies): PersonMethods {
  const getPerson = async ({ domains }: Realm, id: string) => {
    const [person] = (await store.listIn(domains, { id }, ONE)).people;
    if (person === undefined) throw new NotFound('there is no such user');
    return person;
  };
  return {
    listPeople: ({ domains }, filter, slice) => store.listIn(domains, filter, slice),
    getPerson,
    addPerson: async (realm, { email, name, externalId, isActive }) => {
      const at = clock.now();
      const person: AccountRecord = {
        id: createUuid(at), kind: 'person', email: checkEmail(email, realm), isEmailVerified: false, name: checkName(name), role: 'member', createdAt: at, externalId, awaitsOwner: true,
        ...(isActive ? { status: 'active' } : { status: 'suspended', suspendedBy: actorOf(realm) }),
      };
      await orTaken(store.add(person), email);
      return person;
    },
    changePerson: async (realm, id, { isActive, email, name, externalId }) => {
      const person = await getPerson(realm, id);
      // Before all that may be refused: whoever is to have no access has none, whatever else the directory says.
      if (isActive === false) await people.suspend(id, actorOf(realm));
      const changes: PersonChanges = {
        ...(email === undefined ? {} : { email: checkEmail(email, realm) }), ...(name === undefined ? {} : { name: checkName(name) }), ...(externalId === undefined ? {} : { externalId }),
      };
      if (Object.keys(changes).length > 0 && !(await orTaken(store.change(id, changes), email ?? person.email))) throw new NotFound('there is no such user');
      if (isActive === true && person.status !== 'active') await people.resumeOwn(id, 'scim:');
      return getPerson(realm, id);
    },
    removePerson: async (realm, id) => {
      await getPerson(realm, id);
      await people.remove(id);
    },
  };
}

type GroupMethods = Omit<Directory, keyof PersonMethods>;

function createGroupMethods({ groups: store, clock }: DirectoryDependencies): GroupMethods {
  const getGroup = async ({ domains }: Realm, id: string) => {
    const [group] = (await store.listIn(domains, { id }, ONE)).groups;
    if (group === undefined) throw new NotFound('there is no such group');
    return group;
  };
  const changeMembers = async ({ domains }: Realm, id: string, change: MemberChange) => {
    const [stranger] = await store.changeMembers(id, domains, change);
    if (stranger !== undefined) throw new Refused('invalid_member', `there is no user "${stranger.slice(0, 64)}" to be a member`);
  };
  return {
    listGroups: ({ domains }, filter, slice) => store.listIn(domains, filter, slice),
    getGroup,
    listMembers: ({ domains }, id) => store.listMembers(id, domains),
    addGroup: async (realm, { displayName, externalId, members }) => {
      const at = clock.now();
      const group: DirectoryGroup = { id: createUuid(at), name: toName(displayName), displayName: checkDisplayName(displayName), externalId, domains: realm.domains, createdAt: at };
      await store.add(group).catch((cause: unknown) => {
        throw cause instanceof Conflict ? new Taken(`there is a group "${group.name}" already, which policies would take for this one`, { cause }) : cause;
      });
      try {
        await changeMembers(realm, group.id, { add: members, remove: [] });
      } catch (error) {
        await store.remove(group.id);
        throw error;
      }
      return group;
    },
    changeGroup: async (realm, id, { displayName, externalId, members }) => {
      await getGroup(realm, id);
      if (members?.isWhole === true && displayName !== undefined) checkDisplayName(displayName);
      // Who is in it decides over access, so that it comes first, whatever the rest is.
      if (members !== undefined) await changeMembers(realm, id, members);
      const named = displayName === undefined ? undefined : checkDisplayName(displayName);
      if ((named !== undefined || externalId !== undefined) && !(await store.change(id, { displayName: named, externalId }))) throw new NotFound('there is no such group');
      return getGroup(realm, id);
    },
    removeGroup: async (realm, id) => {
      await getGroup(realm, id);
      if (!(await store.remove(id))) throw new NotFound('there is no such group');
    },
  };
}

function actorOf({ name }: Realm): string {
  return `scim:${name}`;
}

/** Throws Refused. */
function checkEmail(given: string, { domains }: Realm): string {
  const email = given.trim().toLowerCase();
  if (!isSubjectEmail(email)) throw new Refused('invalid_email', 'userName must be an e-mail address of plain letters, digits and the usual signs, of at most 127 characters: it is what the person is known by');
  if (!domains.includes(domainOf(email))) throw new Refused('invalid_email', `userName must lie in a domain that this token is for: ${domains.join(', ')}`);
  return email;
}

function checkName(given: string): string {
  const name = given.normalize('NFC').replace(/\p{Cc}/gu, '').trim().slice(0, LONGEST_NAME);
  if (name === '') throw new Refused('invalid_name', 'the name must not be empty');
  return name;
}

function checkDisplayName(given: string): string {
  const name = given.trim().normalize('NFC');
  if (name !== '' && name.length <= LONGEST_NAME && !/\p{Cc}/u.test(name)) return name;
  throw new Refused('invalid_name', `displayName must have 1 to ${LONGEST_NAME} characters, and no control character`);
}

/** As policies name it: "Data Science (EU)" becomes data-science-eu. Throws Refused where nothing is left. */
function toName(displayName: string): string {
  const name = displayName.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().replace(/[^a-z0-9._-]+/g, '-').replace(/^[^a-z0-9]+|-+$/g, '').slice(0, 63);
  if (name === '') throw new Refused('invalid_name', 'displayName must hold a letter from a to z or a digit: policies name the group by them');
  return name;
}

async function orTaken<T>(work: Promise<T>, email: string): Promise<T> {
  return work.catch((cause: unknown) => {
    throw cause instanceof Conflict ? new Taken(`"${email}" is, or was, another account’s e-mail; an admin frees one that is not used any more: vouch admin disputes free`, { cause }) : cause;
  });
}
