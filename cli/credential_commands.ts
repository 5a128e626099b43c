// vouch credential <provider>: how it is spelled. What it does is loaded when needed.
import type { Command } from 'commander';
import { describe, type ProgramInput } from './command.ts';
import type { Provider } from './providers/provider.ts';
import { PROVIDERS } from './providers/providers.ts';
import { createProviderUse } from './use_session.ts';

interface Options {
  readonly audience?: string;
  readonly profile?: string;
  readonly json?: boolean;
  readonly cache: boolean;
}

const PRODUCTS: Readonly<Record<string, string>> = {
  aws: 'Print short-lived credentials of AWS, in the credential_process format.',
};
const EXAMPLES: Readonly<Record<string, string>> = {
  aws: "aws configure set credential_process 'vouch credential aws'",
  custom: 'TOKEN="$(vouch credential custom --profile databricks)"',
};

export function addProviderCredentials(credential: Command, input: ProgramInput): void {
  for (const provider of PROVIDERS) addProviderCredential(credential, provider, input);
}

function addProviderCredential(credential: Command, provider: Provider, input: ProgramInput): void {
  const { name, label } = provider;
  const about = PRODUCTS[name] ?? `Print a short-lived access token of ${name === 'custom' ? 'a custom provider' : label}.`;
  describe(credential.command(name), about, EXAMPLES[name] ?? `TOKEN="$(vouch credential ${name})"`)
    .option('--audience <audience>', "whom the ID token is for (default: the setup's, else the issuer's default)")
    .option('--profile <name>', 'the setup of this name')
    .option('--json', 'as JSON, with the expiry')
    .option('--no-cache', 'make an exchange even if a token is at hand')
    .action(async (options: Options) => {
      const { printProviderCredential } = await import('./credential.ts');
      const wanted = { provider, profile: options.profile, audience: options.audience, usesCache: options.cache };
      await printProviderCredential(createProviderUse(input), wanted, options.json === true);
    });
}
