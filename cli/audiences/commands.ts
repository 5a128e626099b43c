// vouch audiences ...: how each is spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { addAdminCommand, checkName, checkWholeNumber, createApi, gather, type AdminOptions } from '../admin_command.ts';
import type { AdminApi } from '../admin_api.ts';
import { describe, type ProgramInput } from '../command.ts';
import { requireSomebodyToAsk } from '../confirm.ts';
import { CliError } from '../errors.ts';
import { checkAudienceName, readAmendments, readRecord, type ChangeOptions, type RecordOptions } from './changes.ts';

const CLAUSES = `
Clauses:
  people             every person; never a service account
  domain:NAME        people whose e-mail lies in this domain, if the issuer knows it for the company's
  group:NAME         the members of a group (vouch groups)
  account:EMAIL      one account
  service:SUBJECT    one service account (vouch service-accounts)
  client:ID          whatever comes through this client; with --deny only
Any clause of deny keeps out, whatever allow says; who fits no clause of allow gets nothing.`;

const SECONDS_A_DAY = 86_400;

export function addAudiences(program: Command, input: ProgramInput): void {
  const audiences = describe(program.command('audiences'), 'Say who may have which token, as an admin.', 'vouch audiences list');
  const add = (name: string, about: string, example: string): Command => addAdminCommand(audiences, name, about, example);
  const connect = (options: AdminOptions): Promise<AdminApi> => createApi(input, options, '`vouch audiences list`');

  add('list', 'List every audience, and who may have it.', 'vouch audiences list')
    .action(async (options: AdminOptions) => {
      const { listAudiences } = await import('./audiences.ts');
      await listAudiences(await connect(options), options.json === true);
    });
  addRecordOptions(add('add', 'Register an audience. Nobody may have it until a clause allows it.', 'vouch audiences add https://api.anthropic.com --preset anthropic --allow domain:example.com'))
    .argument('<audience>', 'byte for byte what stands in aud of its tokens')
    .addHelpText('after', CLAUSES)
    .action(async (name: string, options: AdminOptions & RecordOptions) => {
      const fields = readRecord(options, false);
      checkAudienceName(name);
      const { addAudience } = await import('./audiences.ts');
      await addAudience(await connect(options), name, fields, options.json === true);
    });
  addRecordOptions(add('set', 'Change what is named of an audience, and nothing else.', 'vouch audiences set https://api.anthropic.com --add-deny account:eve@example.com'))
    .argument('<audience>', 'which one')
    .option('--add-allow <clause>', 'put this clause into allow (repeat for more)', gather)
    .option('--remove-allow <clause>', 'take this clause out of allow (repeat for more)', gather)
    .option('--add-deny <clause>', 'put this clause into deny (repeat for more)', gather)
    .option('--remove-deny <clause>', 'take this clause out of deny (repeat for more)', gather)
    .addHelpText('after', `${CLAUSES}\nA list that is given replaces the former; '' is an empty one. --max-auth-age 0 takes the limit away.`)
    .action(async (name: string, options: AdminOptions & ChangeOptions) => {
      checkAudienceName(name);
      const [fields, amendments] = [readRecord(options, true), readAmendments(options)];
      if (Object.keys(fields).length + amendments.length === 0) throw new CliError('usage', 'nothing is named that should change', { hints: ['see `vouch audiences set --help`'] });
      const { setAudience } = await import('./audiences.ts');
      await setAudience(await connect(options), name, { fields, amendments, isJson: options.json === true });
    });
  add('remove', 'Take an audience out: nobody gets a token for it any more.', 'vouch audiences remove https://old.example.com')
    .argument('<audience>', 'which one')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: AdminOptions & { yes?: boolean }) => {
      checkAudienceName(name);
      requireSomebodyToAsk(options.yes === true);
      const { removeAudience } = await import('./audiences.ts');
      await removeAudience(await connect(options), name, { isSure: options.yes === true, isJson: options.json === true });
    });
  add('test', 'Say who could have a token, and by which clause; or whether one account would. Gives no token.', 'vouch audiences test https://api.anthropic.com --account ada@example.com')
    .argument('<audience>', 'which one')
    .option('--account <account>', 'only this one, by its e-mail, subject or id')
    .option('--client <id>', 'through this client (default: vouch-cli; a service account is its own)')
    .option('--auth-age <seconds>', 'with a sign-in of this age (default: 0)')
    .action(async (name: string, options: AdminOptions & { account?: string; client?: string; authAge?: string }) => {
      checkAudienceName(name);
      const account = options.account === undefined ? undefined : checkName('--account', options.account);
      const authAgeSeconds = options.authAge === undefined ? undefined : checkWholeNumber('--auth-age', options.authAge, 0, 365 * SECONDS_A_DAY);
      const { tryAudience } = await import('./try.ts');
      await tryAudience(await connect(options), { name, account, client: options.client, authAgeSeconds, isJson: options.json === true });
    });
}

function addRecordOptions(command: Command): Command {
  return command
    .option('--kind <kind>', 'federation: ID tokens for a provider; api: access tokens for an API of yours')
    .option('--preset <name>', 'the rules of a provider: anthropic, openai, openrouter, aws, google-cloud, azure, vault, kubernetes, databricks, snowflake or custom')
    .option('--algorithm <algorithm>', 'how its tokens are signed: RS256 or ES256')
    .option('--lifetime <seconds>', 'how long its tokens live: 60 to 3600')
    .option('--max-auth-age <seconds>', 'how old a sign-in may be: 60 to 86400')
    .option('--mode <mode>', 'enforce: the policy decides; audit: what it would deny is let through and recorded')
    .option('--enable', 'tokens are given')
    .option('--disable', 'no token is given to anybody')
    .option('--scope <scope>', 'what an access token may hold, for kind api (repeat for more)', gather)
    .option('--allow <clause>', 'who may have it (repeat for more)', gather)
    .option('--deny <clause>', 'who may not, whatever else fits (repeat for more)', gather)
    .option('--client <id>', 'only through this client (repeat for more)', gather);
}
