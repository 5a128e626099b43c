// vouch passkeys ...: how each is spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { describe, type ProgramInput } from '../command.ts';
import { requireSomebodyToAsk } from '../confirm.ts';
import { CliError } from '../errors.ts';
import { createSource } from '../source_option.ts';

interface Flags {
  readonly json?: boolean;
}

export function addPasskeys(program: Command, input: ProgramInput): void {
  const passkeys = describe(program.command('passkeys'), 'See, name and remove your own passkeys. New ones are added on your account page.', 'vouch passkeys list');
  const add = (name: string, about: string, example: string): Command => describe(passkeys.command(name), about, example).option('--json', 'as JSON');
  const load = async () => {
    const [{ createAccountApi }, commands] = await Promise.all([import('../account_api.ts'), import('./passkeys.ts')]);
    return { api: createAccountApi(await createSource(input, {})), ...commands };
  };

  add('list', 'List your passkeys.', 'vouch passkeys list')
    .action(async (options: Flags) => {
      const { api, listPasskeys } = await load();
      await listPasskeys(api, options.json === true);
    });
  add('rename', 'Give a passkey another name. Takes a sign-in of the last ten minutes.', 'vouch passkeys rename "YubiKey 5 Series" "Blue key"')
    .argument('<passkey>', 'which one: its name, or its id or the beginning of it')
    .argument('<name>', 'its new name, of at most 60 characters')
    .action(async (passkey: string, name: string, options: Flags) => {
      checkPasskey(passkey);
      if (name.trim() === '' || name.trim().length > LONGEST_NAME) throw new CliError('usage', `the name must have 1 to ${LONGEST_NAME} characters`);
      const { api, renamePasskey } = await load();
      await renamePasskey(api, { passkey, name, isJson: options.json === true });
    });
  add('remove', 'Remove a passkey: nobody signs in with it any more. Takes a sign-in of the last ten minutes; your last way in stays.', 'vouch passkeys remove "Old laptop"')
    .argument('<passkey>', 'which one: its name, or its id or the beginning of it')
    .option('--yes', 'do not ask')
    .action(async (passkey: string, options: Flags & { yes?: boolean }) => {
      checkPasskey(passkey);
      requireSomebodyToAsk(options.yes === true);
      const { api, removePasskey } = await load();
      await removePasskey(api, { passkey, isSure: options.yes === true, isJson: options.json === true });
    });
}

const LONGEST_NAME = 60;

function checkPasskey(text: string): void {
  if (text.trim() === '' || text.length > 1400) throw new CliError('usage', 'the passkey must be named: see `vouch passkeys list`');
}
