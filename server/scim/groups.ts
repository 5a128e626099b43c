import type { Directory, DirectoryGroup, GroupFieldChanges, MemberChange, Realm } from '../accounts/accounts.ts';
import type { Audiences } from '../audiences/audiences.ts';
import { Conflict, Refused } from '../lib/errors.ts';
import { createProjection, GROUP_SCHEMA, isObject, readAttributes, readText, toAttributeName } from './attributes.ts';
import { readFilter } from './filter.ts';
import { readPage, renderList } from './list.ts';
import { prepareChange, toDetail, type Answer, type Operation } from './operation.ts';
import { readPatch, readUnderstood, type Change } from './patch.ts';

export interface GroupOptions {
  readonly directory: Directory;
  readonly audiences: Pick<Audiences, 'list'>;
  /** Of every location. */
  readonly base: string;
}

interface GroupChange {
  readonly read: () => GroupFieldChanges;
  readonly readEnding: () => GroupFieldChanges | undefined;
  readonly answer: (group: DirectoryGroup) => Promise<Answer> | Answer;
}

const FILTERS = { displayname: 'displayName', externalid: 'externalId', id: 'id', members: 'memberId', 'members.value': 'memberId' } as const;

/** /Groups (RFC 7644 3): those that directories of the token's domains made. Policies name them as `vouch groups list` does. */
export function createGroupOperations({ directory, audiences, base }: GroupOptions): Operation[] {
  const render = async (group: DirectoryGroup, realm: Realm, projection = createProjection({})) =>
    projection.apply(renderGroup(group, projection.wants('members') ? await directory.listMembers(realm, group.id) : [], base));
  const prepareGroupChange = async (realm: Realm, id: string, { read, readEnding, answer }: GroupChange) => {
    const keepsOut = await keepsPeopleOut((await directory.getGroup(realm, id)).name, audiences);
    return prepareChange<GroupFieldChanges>({
      // To leave a group that a policy keeps out is to be let in: there a change is done as a whole or not at all.
      read, readEnding: keepsOut ? () => undefined : readEnding,
      act: async (changes) => answer(await directory.changeGroup(realm, id, keepsOut && changes.members !== undefined ? { ...changes, members: { ...changes.members, isWhole: true } } : changes)),
    });
  };
  return [
    {
      method: 'get', path: '/Groups', name: 'scim.group.list', scope: 'groups:read',
      prepare: ({ realm, query }) => {
        const [filter, page, projection] = [readFilter(query.filter, FILTERS), readPage(query), createProjection(query)];
        return {
          act: async () => {
            const { total, groups } = await directory.listGroups(realm, filter, page);
            return { status: 200, resource: renderList(page, total, await Promise.all(groups.map((group) => render(group, realm, projection)))) };
          },
        };
      },
    },
    {
      method: 'get', path: '/Groups/:id', name: 'scim.group.get', scope: 'groups:read',
      prepare: ({ realm, id, query }) => {
        const projection = createProjection(query);
        return { act: async () => ({ status: 200, resource: await render(await directory.getGroup(realm, id), realm, projection) }) };
      },
    },
    {
      method: 'post', path: '/Groups', name: 'scim.group.add', scope: 'groups:write', takesBody: true,
      prepare: ({ realm, body }) => {
        const { displayName, externalId, members } = readGroup(body);
        const group = { displayName, externalId: externalId ?? undefined, members };
        return { detail: toDetail(group), act: async () => ({ status: 201, resource: await render(await directory.addGroup(realm, group), realm) }) };
      },
    },
    {
      method: 'put', path: '/Groups/:id', name: 'scim.group.replace', scope: 'groups:write', takesBody: true,
      prepare: ({ realm, id, body }) => prepareGroupChange(realm, id, {
        read: () => readReplacement(body), readEnding: () => findLeavers(Object.entries(body).map(([name, value]) => ({ op: 'replace', attribute: toAttributeName(name), value }))),
        answer: async (group) => ({ status: 200, resource: await render(group, realm) }),
      }),
    },
    {
      method: 'patch', path: '/Groups/:id', name: 'scim.group.change', scope: 'groups:write', takesBody: true,
      prepare: ({ realm, id, body }) => prepareGroupChange(realm, id, {
        read: () => readGroupChanges(readPatch(body)), readEnding: () => findLeavers(readUnderstood(body)),
        // Without the resource: one with thousands of members would be sent back with each that comes or goes.
        answer: () => ({ status: 204 }),
      }),
    },
    {
      method: 'delete', path: '/Groups/:id', name: 'scim.group.remove', scope: 'groups:write',
      prepare: async ({ realm, id }) => {
        const { name } = await directory.getGroup(realm, id);
        return {
          detail: { group: name },
          act: async () => {
            await endWhereNamed(name, audiences, () => directory.changeGroup(realm, id, { members: { add: [], remove: 'all' } }));
            await directory.removeGroup(realm, id);
            return { status: 204 };
          },
        };
      },
    },
  ];
}

async function keepsPeopleOut(name: string, audiences: Pick<Audiences, 'list'>): Promise<boolean> {
  return (await audiences.list()).some(({ deny }) => deny.includes(`group:${name}`));
}

/**
 * Another group of the name would be let in by a policy that names it, so that it stays; but whom it lets in it lets in no
 * more. Where a policy keeps people out by it they stay in it, since they would be let in. Throws Conflict.
 */
async function endWhereNamed(name: string, audiences: Pick<Audiences, 'list'>, takeAllOut: () => Promise<unknown>): Promise<void> {
  const clause = `group:${name}`;
  const users = (await audiences.list()).filter(({ allow, deny }) => [...allow, ...deny].includes(clause));
  if (users.length === 0) return;
  const keepsOut = users.some(({ deny }) => deny.includes(clause));
  if (!keepsOut) await takeAllOut();
  throw new Conflict(`the policy of ${users.length === 1 ? 'an audience names' : `${users.length} audiences name`} the group "${name}"; ${keepsOut ? 'take its members out, or' : 'its members were taken out, and it stays until you'} ask an admin to take it out of the policy`);
}

/** Throws Refused. */
function readGroup(body: object): { readonly displayName: string; readonly externalId: string | null | undefined; readonly members: readonly string[] } {
  const attributes = readAttributes(body);
  const displayName = readText(attributes, 'displayname');
  if (typeof displayName !== 'string') throw new Refused('invalidValue', 'displayName is required');
  return { displayName, externalId: readText(attributes, 'externalid'), members: readMembers(attributes.members ?? []) };
}

/** Throws Refused. */
function readReplacement(body: object): GroupFieldChanges {
  const { displayName, externalId = null, members } = readGroup(body);
  return { displayName, externalId, members: { add: members, remove: 'all' } };
}

/** Who is in it afterwards, if that can be read and anybody leaves. */
function findLeavers(changes: readonly Change[]): GroupFieldChanges | undefined {
  try {
    const members = changes.filter(({ attribute }) => attribute === 'members').reduce(changeMembers, { add: [], remove: [] });
    return members.remove.length > 0 ? { members } : undefined;
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

/** What the changes come to, one after the other. Attributes that are not kept here are left aside. Throws Refused. */
function readGroupChanges(changes: readonly Change[]): GroupFieldChanges {
  const values: Record<string, unknown> = {};
  let members: MemberChange | undefined;
  for (const change of changes) {
    const { op, attribute, value } = change;
    if (attribute === 'members') members = changeMembers(members ?? { add: [], remove: [] }, change);
    else if (op === 'remove' && attribute === 'displayname') throw new Refused('mutability', 'displayName cannot be removed');
    else values[attribute] = op === 'remove' ? null : value;
  }
  const displayName = readText(values, 'displayname');
  if (displayName === null) throw new Refused('invalidValue', 'displayName cannot be empty');
  const externalId = readText(values, 'externalid');
  return { ...(displayName === undefined ? {} : { displayName }), ...(externalId === undefined ? {} : { externalId }), ...(members === undefined ? {} : { members }) };
}

function changeMembers({ add, remove }: MemberChange, { op, selected, value }: Change): MemberChange {
  if (op === 'replace') return { add: readMembers(value), remove: 'all' };
  const named = selected === undefined ? readMembers(value ?? []) : [selected];
  const isNamed = (id: string) => named.includes(id);
  if (op === 'add') return { add: [...new Set([...add, ...named])], remove: remove === 'all' ? remove : remove.filter((id) => !isNamed(id)) };
  // Without a value: all of them.
  if (selected === undefined && value === undefined) return { add: [], remove: 'all' };
  return { add: add.filter((id) => !isNamed(id)), remove: remove === 'all' ? remove : [...new Set([...remove, ...named])] };
}

/** `[{ "value": "<id>" }]`, or one of them. Throws Refused. */
function readMembers(value: unknown): readonly string[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  return items.map((item) => {
    const id = isObject(item) ? readAttributes(item).value : undefined;
    if (typeof id !== 'string' || id === '' || id.length > 64) throw new Refused('invalidValue', 'members must be a list of { "value": "<id of a user>" }');
    return id.toLowerCase();
  });
}

function renderGroup({ id, displayName, externalId, createdAt }: DirectoryGroup, members: readonly { id: string; email: string }[], base: string): object {
  return {
    schemas: [GROUP_SCHEMA], id, ...(externalId === undefined ? {} : { externalId }), displayName,
    members: members.map((member) => ({ value: member.id, display: member.email, type: 'User', $ref: `${base}/Users/${member.id}` })),
    meta: { resourceType: 'Group', created: createdAt.toISOString(), location: `${base}/Groups/${id}` },
  };
}
