// vouch service-accounts ...: how each is spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { addAdminCommand, checkName, createApi, gather, type AdminOptions } from '../admin_command.ts';
import type { AdminApi } from '../admin_api.ts';
import { describe, type ProgramInput } from '../command.ts';
import { CliError } from '../errors.ts';
import { checkAudience } from '../formats.ts';

interface AddFlags extends AdminOptions {
  readonly name: string;
  readonly audience?: readonly string[];
  readonly keyFile?: string;
  readonly jwksUri?: string;
  readonly force?: boolean;
}

interface RotateFlags extends AdminOptions {
  readonly keyFile?: string;
  readonly now?: boolean;
  readonly force?: boolean;
}

export function addServiceAccounts(program: Command, input: ProgramInput): void {
  const accounts = describe(program.command('service-accounts'), 'Give machines an identity, as an admin.', 'vouch service-accounts list');
  const add = (name: string, about: string, example: string): Command => addAdminCommand(accounts, name, about, example);
  const connect = (options: AdminOptions): Promise<AdminApi> => createApi(input, options, '`vouch service-accounts list`');

  add('list', 'List every service account, its keys and its audiences.', 'vouch service-accounts list')
    .action(async (options: AdminOptions) => {
      const { listServiceAccounts } = await import('./service_accounts.ts');
      await listServiceAccounts(await connect(options), options.json === true);
    });
  add('add', 'Make a service account, and a key file that a job uses in place of a sign-in.', 'vouch service-accounts add nightly@jobs.example.com --name "Nightly report" --audience https://api.anthropic.com')
    .argument('<subject>', 'what stands as sub in its tokens, written like an e-mail address')
    .requiredOption('--name <name>', 'what people call it (required)')
    .option('--audience <audience>', 'let it have this one from the start (repeat for more)', gather)
    .option('--key-file <path>', 'where its key goes (default: ./<subject>.vouch.json)')
    .option('--jwks-uri <URL>', 'it publishes keys of its own there; no key is made here')
    .option('--force', 'overwrite a key file that is there')
    .addHelpText('after', '\nThe key pair (ES256) is made on this machine. The issuer gets the public half; the private half lies in the key file alone (0600).')
    .action(async (subject: string, options: AddFlags) => {
      const { keyFile, jwksUri, audience: audiences = [] } = options;
      checkSubject(subject);
      if (options.name.trim() === '') throw new CliError('usage', '--name must not be empty');
      if (keyFile !== undefined && jwksUri !== undefined) throw new CliError('usage', '--key-file and --jwks-uri exclude each other: with a URL no key is made here');
      const fault = audiences.map(checkAudience).find((one) => one !== undefined);
      if (fault !== undefined) throw new CliError('usage', `--audience ${fault}`);
      const { addServiceAccount } = await import('./keys.ts');
      await addServiceAccount(await connect(options), { subject, name: options.name, audiences, keyFile, jwksUri, isForced: options.force === true, isJson: options.json === true });
    });
  add('rotate-key', 'Put another key in place and into the key file. The former works until the next rotation.', 'vouch service-accounts rotate-key nightly@jobs.example.com --key-file ./next.vouch.json')
    .argument('<subject>', 'which one')
    .option('--key-file <path>', 'the file to put it into (default: ./<subject>.vouch.json)')
    .option('--now', 'end the former key at once: it was seen, or every job has the new one')
    .option('--force', 'overwrite a file that is none of this account')
    .action(async (subject: string, options: RotateFlags) => {
      checkSubject(subject);
      const { rotateKey } = await import('./keys.ts');
      await rotateKey(await connect(options), { subject, keyFile: options.keyFile, isNow: options.now === true, isForced: options.force === true, isJson: options.json === true });
    });
  for (const [change, about] of [['disable', 'Give it no token from now on.'], ['enable', 'Give it tokens again.']] as const) {
    add(change, about, `vouch service-accounts ${change} nightly@jobs.example.com`)
      .argument('<subject>', 'which one')
      .action(async (subject: string, options: AdminOptions) => {
        checkName('the subject', subject);
        const { setServiceStatus } = await import('./service_accounts.ts');
        await setServiceStatus(await connect(options), { change, service: subject, isJson: options.json === true });
      });
  }
}

/** It goes into the key file, so it cannot be an id here. */
function checkSubject(subject: string): void {
  checkName('the subject', subject);
  if (!subject.includes('@')) throw new CliError('usage', 'the subject must be written like an e-mail address, as nightly@jobs.example.com');
}
