// vouch setup <provider>: how it is spelled. What it does is loaded when needed.
import type { Command } from 'commander';
import { describe, type ProgramInput } from './command.ts';
import { CliError } from './errors.ts';
import { nameFlag, type Provider } from './providers/provider.ts';
import { PROVIDERS } from './providers/providers.ts';
import { addServiceAccountOption, createCredentialUse } from './source_option.ts';

type Options = Readonly<Record<string, string | boolean | undefined>>;

export function addSetup(program: Command, input: ProgramInput): void {
  const setup = describe(program.command('setup'), 'Record how a provider knows you; needed once.', 'vouch setup anthropic --help');
  for (const provider of PROVIDERS) addProviderSetup(setup, provider, input);
}

function addProviderSetup(setup: Command, provider: Provider, input: ProgramInput): void {
  const label = provider.name === 'custom' ? 'any other provider with a token endpoint' : provider.label;
  const command = describe(setup.command(provider.name), `Record the federation parameters of ${label}.`, provider.setupExample);
  for (const parameter of provider.parameters) {
    const about = parameter.isRequired ? `${parameter.about} (required)` : parameter.about;
    command.option(`${nameFlag(parameter)} <${parameter.placeholder}>`, about);
  }
  command
    .option('--profile <name>', 'record it under this name, beside other setups of the provider')
    .option('--force', 'replace what was recorded')
    .option('--check', 'record nothing: check the values (or what is recorded, if none are given) and try one exchange');
  addServiceAccountOption(command, 'with --check: try it for a job, by its key file in place of the session')
    .action(async (options: Options) => {
      const source = { serviceAccount: options['serviceAccount'] as string | undefined };
      if (source.serviceAccount !== undefined && options['check'] !== true) throw new CliError('usage', '--service-account goes with --check only', { hints: ['setting up asks nobody, and is the same for people and jobs'] });
      const { checkSetup, setUpProvider } = await import('./setup.ts');
      const request = { provider, values: nameValues(provider, command, options), profile: options['profile'] as string | undefined };
      if (options['check'] === true) await checkSetup(await createCredentialUse(input, source), request);
      else await setUpProvider(input.home, { ...request, isForced: options['force'] === true });
    });
}

/** Commander files values under camelCase names; everything else here uses the provider's. */
function nameValues(provider: Provider, command: Command, options: Options): Record<string, string | undefined> {
  return Object.fromEntries(provider.parameters.map((parameter) => {
    const option = command.options.find(({ long }) => long === nameFlag(parameter));
    return [parameter.name, option === undefined ? undefined : (options[option.attributeName()] as string | undefined)];
  }));
}
