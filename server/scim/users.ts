import type { Directory, DirectoryPerson, PersonFieldChanges } from '../accounts/accounts.ts';
import { Refused } from '../lib/errors.ts';
import { createProjection, isObject, readAttributes, readText, readTruth, toAttributeName, USER_SCHEMA, type Attributes } from './attributes.ts';
import { readFilter } from './filter.ts';
import { readPage, renderList } from './list.ts';
import { prepareChange, toDetail, type Answer, type Operation, type ScimRequest } from './operation.ts';
import { readPatch, readUnderstood, type Change } from './patch.ts';

export interface UserOptions {
  readonly directory: Directory;
  /** Of every location. */
  readonly base: string;
}

const FILTERS = { username: 'email', 'emails.value': 'email', emails: 'email', externalid: 'externalId', id: 'id' } as const;

/** /Users (RFC 7644 3). `userName` is the account's e-mail, by which its person is known to providers. */
export function createUserOperations({ directory, base }: UserOptions): Operation[] {
  const render = (person: DirectoryPerson) => renderUser(person, base);
  const change = ({ realm, id }: ScimRequest) => async (changes: PersonFieldChanges): Promise<Answer> => ({ status: 200, resource: render(await directory.changePerson(realm, id, changes)) });
  return [
    {
      method: 'get', path: '/Users', name: 'scim.user.list', scope: 'users:read',
      prepare: ({ realm, query }) => {
        const { email, ...filter } = readFilter(query.filter, FILTERS);
        const [page, projection] = [readPage(query), createProjection(query)];
        return {
          act: async () => {
            const { total, people } = await directory.listPeople(realm, { ...filter, ...(email === undefined ? {} : { email: email.toLowerCase() }) }, page);
            return { status: 200, resource: renderList(page, total, people.map((person) => projection.apply(render(person)))) };
          },
        };
      },
    },
    {
      method: 'get', path: '/Users/:id', name: 'scim.user.get', scope: 'users:read',
      prepare: ({ realm, id, query }) => {
        const projection = createProjection(query);
        return { act: async () => ({ status: 200, resource: projection.apply(render(await directory.getPerson(realm, id))) }) };
      },
    },
    {
      method: 'post', path: '/Users', name: 'scim.user.add', scope: 'users:write', takesBody: true,
      prepare: ({ realm, body }) => {
        const { email, name, externalId, isActive } = readUser(body);
        const person = { email, name: name ?? beforeAt(email), externalId: externalId ?? undefined, isActive: isActive ?? true };
        return { detail: toDetail(person), act: async () => ({ status: 201, resource: render(await directory.addPerson(realm, person)) }) };
      },
    },
    {
      method: 'put', path: '/Users/:id', name: 'scim.user.replace', scope: 'users:write', takesBody: true,
      prepare: (request) => prepareChange<PersonFieldChanges>({ read: () => readReplacement(request.body), readEnding: () => findDeactivation(toChanges(request.body)), act: change(request) }),
    },
    {
      method: 'patch', path: '/Users/:id', name: 'scim.user.change', scope: 'users:write', takesBody: true,
      prepare: (request) => prepareChange<PersonFieldChanges>({ read: () => readUserChanges(readPatch(request.body)), readEnding: () => findDeactivation(readUnderstood(request.body)), act: change(request) }),
    },
    {
      method: 'delete', path: '/Users/:id', name: 'scim.user.remove', scope: 'users:write',
      prepare: ({ realm, id }) => ({
        detail: {},
        act: async () => {
          await directory.removePerson(realm, id);
          return { status: 204 };
        },
      }),
    },
  ];
}

interface UserFields {
  readonly email: string;
  readonly name: string | undefined;
  readonly externalId: string | null | undefined;
  readonly isActive: boolean | undefined;
}

/** Throws Refused. */
function readUser(body: object): UserFields {
  const attributes = readAttributes(body);
  const email = readText(attributes, 'username');
  if (typeof email !== 'string') throw new Refused('invalidValue', 'userName is required: the person’s e-mail address');
  const parts = isObject(attributes.name) ? readAttributes(attributes.name) : {};
  const name = readName({ ...attributes, ...Object.fromEntries(Object.entries(parts).map(([part, text]) => [`name.${part}`, text])) });
  return { email, name, externalId: readText(attributes, 'externalid'), isActive: readTruth(attributes, 'active') };
}

/** What is left out of the whole is taken away, but for `active`: an account is not opened again by saying nothing. Throws Refused. */
function readReplacement(body: object): PersonFieldChanges {
  const { email, name, externalId = null, isActive } = readUser(body);
  return { email, name: name ?? beforeAt(email), externalId, ...(isActive === undefined ? {} : { isActive }) };
}

function toChanges(body: object): readonly Change[] {
  return Object.entries(body).map(([name, value]) => ({ op: 'replace', attribute: toAttributeName(name), value: value as unknown }));
}

/** That access ends, if the last that is said of it says so. */
function findDeactivation(changes: readonly Change[]): PersonFieldChanges | undefined {
  const last = changes.findLast(({ op, attribute }) => attribute === 'active' && op !== 'remove');
  return last !== undefined && /^false$/i.test(String(last.value)) ? { isActive: false } : undefined;
}

/** What the changes come to, one after the other. Attributes that are not kept here are left aside. Throws Refused. */
function readUserChanges(changes: readonly Change[]): PersonFieldChanges {
  const values: Record<string, unknown> = {};
  for (const { op, attribute, value } of changes) {
    if (op === 'remove' && (attribute === 'username' || attribute === 'active')) throw new Refused('mutability', `${attribute} cannot be removed`);
    values[attribute] = op === 'remove' ? null : value;
  }
  const email = readText(values, 'username');
  if (email === null) throw new Refused('invalidValue', 'userName cannot be empty');
  const [name, externalId, isActive] = [readName(values), readText(values, 'externalid'), readTruth(values, 'active')];
  return {
    ...(email === undefined ? {} : { email }), ...(name === undefined ? {} : { name }), ...(externalId === undefined ? {} : { externalId }), ...(isActive === undefined ? {} : { isActive }),
  };
}

/** There is one name here: what it is shown as, or the whole of its parts. */
function readName(attributes: Attributes): string | undefined {
  const [display, formatted, given, family] = ['displayname', 'name.formatted', 'name.givenname', 'name.familyname'].map((name) => readText(attributes, name));
  const whole = typeof given === 'string' && typeof family === 'string' ? `${given} ${family}` : undefined;
  return display ?? formatted ?? whole;
}

function beforeAt(email: string): string {
  return email.replace(/@.*$/, '');
}

function renderUser({ id, email, name, externalId, status, createdAt }: DirectoryPerson, base: string): object {
  return {
    schemas: [USER_SCHEMA], id, ...(externalId === undefined ? {} : { externalId }), userName: email, name: { formatted: name }, displayName: name,
    emails: [{ value: email, type: 'work', primary: true }], active: status === 'active',
    meta: { resourceType: 'User', created: createdAt.toISOString(), location: `${base}/Users/${id}` },
  };
}
