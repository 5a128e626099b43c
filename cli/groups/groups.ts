// vouch groups: sets of accounts that clauses of audiences name.
import type { AdminApi } from '../admin_api.ts';
import { readAnswer, takeText } from '../answers.ts';
import { asFields, takeBoolean, takeList, type Fields } from '../fields.ts';
import { printReport } from '../output.ts';
import { joinSome, renderTable } from '../table.ts';

interface Group {
  readonly name: string;
  readonly members: readonly string[];
}

const MOST_MEMBERS = 10;

/** Prints the groups, with the names of their members. */
export async function listGroups(api: AdminApi, isJson: boolean): Promise<void> {
  const answer = await api.get('/groups');
  const rows = readGroups(answer).map(({ name, members }) => [name, String(members.length), members.length === 0 ? '-' : joinSome(members, MOST_MEMBERS)]);
  if (isJson) await printReport(JSON.stringify(answer, null, 2));
  else await printReport(rows.length === 0 ? 'There is no group yet. Make one with `vouch groups add`.' : renderTable(['GROUP', 'MEMBERS', 'WHO'], rows));
}

export interface GroupChange {
  readonly change: 'add' | 'remove';
  readonly group: string;
  readonly isJson: boolean;
}

/** Makes a group, or takes one out. */
export async function changeGroup(api: AdminApi, { change, group, isJson }: GroupChange): Promise<void> {
  const answer = await api.post(change === 'add' ? '/groups' : '/groups/remove', { group });
  if (isJson) await printReport(JSON.stringify(answer, null, 2));
  else await printReport(change === 'add' ? `Made the group ${group}. It has no members yet, and no audience names it.` : `Removed the group ${group}.`);
}

export interface MemberChange {
  readonly change: 'add-member' | 'remove-member';
  readonly group: string;
  readonly account: string;
  readonly isJson: boolean;
}

/** Puts an account in or takes it out; says so when nothing changed. */
export async function changeMember(api: AdminApi, { change, group, account, isJson }: MemberChange): Promise<void> {
  const answer = await api.post(`/groups/${change}`, { group, account });
  const isChanged = readAnswer(() => takeBoolean(answer, 'is_changed'));
  const sentences = change === 'add-member'
    ? { changed: `${account} is a member of ${group} now.`, same: `${account} was a member of ${group} already.` }
    : { changed: `${account} is no member of ${group} any more.`, same: `${account} was no member of ${group}.` };
  await printReport(isJson ? JSON.stringify(answer, null, 2) : isChanged ? sentences.changed : sentences.same);
}

function readGroups(fields: Fields): readonly Group[] {
  return readAnswer(() => takeList(fields, 'groups', (item) => {
    const group = asFields(item, 'a group');
    return { name: takeText(group, 'name'), members: takeList(group, 'members', (member) => takeText(asFields(member, 'a member'), 'name')) };
  }));
}
