// vouch groups ...: how each is spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { addAdminCommand, checkName, createApi, type AdminOptions } from '../admin_command.ts';
import type { AdminApi } from '../admin_api.ts';
import { describe, type ProgramInput } from '../command.ts';

export function addGroups(program: Command, input: ProgramInput): void {
  const groups = describe(program.command('groups'), 'Name sets of accounts, for the policies of audiences, as an admin.', 'vouch groups list');
  const add = (name: string, about: string, example: string): Command => addAdminCommand(groups, name, about, example);
  const connect = (options: AdminOptions): Promise<AdminApi> => createApi(input, options, '`vouch groups list`');
  const load = () => import('./groups.ts');

  add('list', 'List every group and its members.', 'vouch groups list')
    .action(async (options: AdminOptions) => {
      const { listGroups } = await load();
      await listGroups(await connect(options), options.json === true);
    });
  add('add', 'Make a group.', 'vouch groups add data-science')
    .argument('<group>', '1-63 lower-case letters, digits, dots, dashes or underscores')
    .action(async (group: string, options: AdminOptions) => {
      checkName('the group', group);
      const { changeGroup } = await load();
      await changeGroup(await connect(options), { change: 'add', group, isJson: options.json === true });
    });
  add('remove', 'Take a group out that no audience names.', 'vouch groups remove data-science')
    .argument('<group>', 'which one')
    .action(async (group: string, options: AdminOptions) => {
      checkName('the group', group);
      const { changeGroup } = await load();
      await changeGroup(await connect(options), { change: 'remove', group, isJson: options.json === true });
    });
  for (const [change, about] of [['add-member', 'Put an account into a group.'], ['remove-member', 'Take an account out of a group. It gets nothing by it from then on.']] as const) {
    add(change, about, `vouch groups ${change} data-science ada@example.com`)
      .argument('<group>', 'which one')
      .argument('<account>', 'by its e-mail, a service account by its subject, either by its id')
      .action(async (group: string, account: string, options: AdminOptions) => {
        checkName('the group', group);
        checkName('the account', account);
        const { changeMember } = await load();
        await changeMember(await connect(options), { change, group, account, isJson: options.json === true });
      });
  }
}
