// vouch admin ...: how each is spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { addAdminCommand, checkChoice, checkName, checkWholeNumber, createApi, gather, type AdminOptions } from '../admin_command.ts';
import type { AdminApi } from '../admin_api.ts';
import { describe, type ProgramInput } from '../command.ts';
import { requireSomebodyToAsk } from '../confirm.ts';
import { CliError } from '../errors.ts';
import { addGroups } from '../groups/commands.ts';

type Sure = AdminOptions & { readonly yes?: boolean };

const MOST_LISTED = 10_000;
const MOST_DAYS = 730;
const SCIM_SCOPES = ['users:read', 'users:write', 'groups:read', 'groups:write'] as const;

export function addAdmin(program: Command, input: ProgramInput): void {
  const admin = describe(program.command('admin'), 'Let people in and out, and a directory do so, as an admin.', 'vouch admin accounts list');
  addAccountCommands(admin, input);
  addGroups(admin, input);
  addDisputes(admin, input);
  addScimTokens(admin, input);
}

function addAccountCommands(admin: Command, input: ProgramInput): void {
  const add = (name: string, about: string, example: string): Command => addAdminCommand(admin, name, about, example);
  const connect = (options: AdminOptions): Promise<AdminApi> => createApi(input, options, '`vouch admin accounts list`');

  add('invite', 'Make a link by which one person comes in. It works once, for this address, and is shown once.', 'vouch admin invite ada@example.com')
    .argument('<email>', 'whom it is for')
    .option('--role <role>', 'admin or member', 'member')
    .option('--expires <time>', 'how long it works: 30m, 24h or 7d', '24h')
    .action(async (email: string, options: AdminOptions & { role: string; expires: string }) => {
      checkEmail(email);
      const role = checkChoice('--role', options.role, ['admin', 'member']);
      const expiresInSeconds = readDuration('--expires', options.expires);
      const { invite } = await import('./accounts.ts');
      await invite(await connect(options), { email, role, expiresInSeconds, isJson: options.json === true });
    });
  const accounts = describe(admin.command('accounts'), "People's accounts.", 'vouch admin accounts list');
  addAdminCommand(accounts, 'list', 'List people, and how they get in.', 'vouch admin accounts list --status suspended')
    .option('--status <status>', 'active or suspended')
    .option('--role <role>', 'admin or member')
    .option('--limit <count>', `how many, ${MOST_LISTED} at most`, '500')
    .action(async (options: AdminOptions & { status?: string; role?: string; limit: string }) => {
      const status = options.status === undefined ? undefined : checkChoice('--status', options.status, ['active', 'suspended']);
      const role = options.role === undefined ? undefined : checkChoice('--role', options.role, ['admin', 'member']);
      const limit = checkWholeNumber('--limit', options.limit, 1, MOST_LISTED);
      const { listAccounts } = await import('./accounts.ts');
      await listAccounts(await connect(options), { status, role, limit, isJson: options.json === true });
    });
  for (const [change, about] of [['suspend', 'End the sessions of an account and let nobody in by it, until it is resumed.'], ['resume', 'Let the owner of an account in again.']] as const) {
    add(change, about, `vouch admin ${change} ada@example.com`)
      .argument('<account>', 'by its e-mail or its id')
      .action(async (account: string, options: AdminOptions) => {
        checkName('the account', account);
        const { setStatus } = await import('./accounts.ts');
        await setStatus(await connect(options), { change, account, isJson: options.json === true });
      });
  }
  add('remove', 'Take an account out for good. What is on record stays, and its e-mail is kept from others until you free it.', 'vouch admin remove ada@example.com')
    .argument('<account>', 'by its e-mail or its id')
    .option('--yes', 'do not ask')
    .action(async (account: string, options: Sure) => {
      checkName('the account', account);
      requireSomebodyToAsk(options.yes === true);
      const { removeAccount } = await import('./accounts.ts');
      await removeAccount(await connect(options), { account, isSure: options.yes === true, isJson: options.json === true });
    });
  add('role', 'Make an account an admin, or a member.', 'vouch admin role ada@example.com admin')
    .argument('<account>', 'by its e-mail or its id')
    .argument('<role>', 'admin or member')
    .action(async (account: string, role: string, options: AdminOptions) => {
      checkName('the account', account);
      const chosen = checkChoice('the role', role, ['admin', 'member']);
      const { setRole } = await import('./accounts.ts');
      await setRole(await connect(options), { account, role: chosen, isJson: options.json === true });
    });
}

function addDisputes(admin: Command, input: ProgramInput): void {
  const disputes = describe(admin.command('disputes'), "E-mails that somebody was refused for, since they are, or were, another account's.", 'vouch admin disputes list');
  const add = (name: string, about: string, example: string): Command => addAdminCommand(disputes, name, about, example);
  const connect = (options: AdminOptions): Promise<AdminApi> => createApi(input, options, '`vouch admin disputes list`');

  add('list', 'List who was refused, for which e-mail, and whose it is or was.', 'vouch admin disputes list')
    .action(async (options: AdminOptions) => {
      const { listDisputes } = await import('./disputes.ts');
      await listDisputes(await connect(options), options.json === true);
    });
  add('link', 'It is the same person: their sign-in leads to their account from now on.', 'vouch admin disputes link 01a20d4b-b6fe-7790-8f0b-fca3b0dad444')
    .argument('<dispute>', 'its id')
    .action(async (dispute: string, options: AdminOptions) => {
      checkId(dispute);
      const { linkDispute } = await import('./disputes.ts');
      await linkDispute(await connect(options), { dispute, isJson: options.json === true });
    });
  add('release', 'It is a new person: the account that has the e-mail is closed, and they get one of their own.', 'vouch admin disputes release 01a20d4b-b6fe-7790-8f0b-fca3b0dad444')
    .argument('<dispute>', 'its id')
    .option('--yes', 'do not ask')
    .action(async (dispute: string, options: Sure) => {
      checkId(dispute);
      requireSomebodyToAsk(options.yes === true);
      const { releaseDispute } = await import('./disputes.ts');
      await releaseDispute(await connect(options), { dispute, isSure: options.yes === true, isJson: options.json === true });
    });
  add('free', "Nobody's e-mail any more: an account that has it is closed, and another may take it.", 'vouch admin disputes free ada@example.com')
    .argument('<email>', 'which e-mail')
    .option('--yes', 'do not ask')
    .action(async (email: string, options: Sure) => {
      checkEmail(email);
      requireSomebodyToAsk(options.yes === true);
      const { freeEmail } = await import('./disputes.ts');
      await freeEmail(await connect(options), { email, isSure: options.yes === true, isJson: options.json === true });
    });
}

function addScimTokens(admin: Command, input: ProgramInput): void {
  const tokens = describe(admin.command('scim-tokens'), 'What a directory (Okta, Entra) shows to make and end accounts here (SCIM 2.0).', 'vouch admin scim-tokens list');
  const add = (name: string, about: string, example: string): Command => addAdminCommand(tokens, name, about, example);
  const connect = (options: AdminOptions): Promise<AdminApi> => createApi(input, options, '`vouch admin scim-tokens list`');

  add('list', 'List every token: what it may do, until when, and when it was last used.', 'vouch admin scim-tokens list')
    .action(async (options: AdminOptions) => {
      const { listTokens } = await import('./scim_tokens.ts');
      await listTokens(await connect(options), options.json === true);
    });
  add('add', 'Make a token. It is shown once, on standard output and nowhere else.', 'vouch admin scim-tokens add okta --domain example.com')
    .argument('<name>', 'what the record calls it')
    .option('--domain <domain>', 'accounts with an e-mail in it (repeat for more; default: the only one there is)', gather)
    .option('--scope <scope>', `${SCIM_SCOPES.join(', ')} (repeat for more; default: all)`, gather)
    .option('--expires <days>', `how many days it works, ${MOST_DAYS} at most`, '365')
    .action(async (name: string, options: AdminOptions & { domain?: readonly string[]; scope?: readonly string[]; expires: string }) => {
      checkName('the name', name);
      const scopes = options.scope?.map((scope) => checkChoice('--scope', scope, SCIM_SCOPES));
      const expiresInDays = checkWholeNumber('--expires', options.expires, 1, MOST_DAYS);
      const { addToken } = await import('./scim_tokens.ts');
      await addToken(await connect(options), { name, domains: options.domain, scopes, expiresInDays, isJson: options.json === true });
    });
  add('revoke', 'End a token: it opens nothing from now on.', 'vouch admin scim-tokens revoke okta')
    .argument('<name>', 'which one')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: Sure) => {
      checkName('the name', name);
      requireSomebodyToAsk(options.yes === true);
      const { revokeToken } = await import('./scim_tokens.ts');
      await revokeToken(await connect(options), { name, isSure: options.yes === true, isJson: options.json === true });
    });
}

function checkEmail(text: string): void {
  checkName('the e-mail', text);
  if (!text.includes('@')) throw new CliError('usage', 'the e-mail must be an address, as ada@example.com');
}

function checkId(text: string): void {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new CliError('usage', 'the dispute is named by its id, as `vouch admin disputes list` shows it');
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };
const [SHORTEST_SECONDS, LONGEST_SECONDS] = [300, 14 * 86_400];

/** "30m", "24h", "7d" in seconds. Throws `CliError` (usage). */
function readDuration(flag: string, text: string): number {
  const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNIT_SECONDS[unit] ?? Number.NaN);
  if (seconds >= SHORTEST_SECONDS && seconds <= LONGEST_SECONDS) return seconds;
  throw new CliError('usage', `${flag} must be from 5m to 14d, as 30m, 24h or 7d`);
}
