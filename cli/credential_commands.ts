// vouch credential ...: how each is spelled. What it does is loaded when needed.
import type { Command } from 'commander';
import { describe, type ProgramInput } from './command.ts';
import type { Provider } from './providers/provider.ts';
import { PROVIDERS } from './providers/providers.ts';
import { addServiceAccountOption, createCredentialUse, createSource, type SourceOptions } from './source_option.ts';

interface Options extends SourceOptions {
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

export function addCredential(program: Command, input: ProgramInput): void {
  const credential = describe(program.command('credential'), 'Print a short-lived token.', 'vouch credential anthropic');
  for (const provider of PROVIDERS) addProviderCredential(credential, provider, input);
  addKubernetes(credential, input);
  addAccessToken(credential, input);
  addIdToken(credential, input);
}

function addProviderCredential(credential: Command, provider: Provider, input: ProgramInput): void {
  const { name, label } = provider;
  const about = PRODUCTS[name] ?? `Print a short-lived access token of ${name === 'custom' ? 'a custom provider' : label}.`;
  addServiceAccountOption(describe(credential.command(name), about, EXAMPLES[name] ?? `TOKEN="$(vouch credential ${name})"`))
    .option('--audience <audience>', "whom the ID token is for (default: the setup's, else the issuer's default)")
    .option('--profile <name>', 'the setup of this name')
    .option('--json', 'as JSON, with the expiry')
    .option('--no-cache', 'make an exchange even if a token is at hand')
    .action(async (options: Options) => {
      const [{ printProviderCredential }, use] = await Promise.all([import('./credential.ts'), createCredentialUse(input, options)]);
      const wanted = { provider, profile: options.profile, audience: options.audience, usesCache: options.cache };
      await printProviderCredential(use, wanted, options.json === true);
    });
}

function addKubernetes(credential: Command, input: ProgramInput): void {
  addServiceAccountOption(describe(credential.command('kubernetes').alias('k8s'), "Print an ID token for a cluster, in the format of kubectl's exec plugins.", 'vouch credential kubernetes --audience kubernetes'))
    .option('--audience <audience>', "whom it is for: one of the cluster's audiences", 'kubernetes')
    .option('--no-cache', 'mint a token even if one is at hand')
    .addHelpText('after', KUBECONFIG)
    .action(async (options: SourceOptions & { audience: string; cache: boolean }) => {
      const [{ printExecCredential }, use] = await Promise.all([import('./kubernetes.ts'), createCredentialUse(input, options)]);
      await printExecCredential(use, { audience: options.audience, usesCache: options.cache, execInfo: input.environment.kubernetesExecInfo });
    });
}

function addAccessToken(credential: Command, input: ProgramInput): void {
  addServiceAccountOption(describe(credential.command('token'), "Print the session's access token, for APIs of the issuer.", 'vouch credential token'))
    .option('--json', 'as JSON, with the expiry')
    .action(async (options: SourceOptions & { json?: boolean }) => {
      const [{ printAccessToken }, source] = await Promise.all([import('./credential.ts'), createSource(input, options)]);
      await printAccessToken(source, options.json === true);
    });
}

function addIdToken(credential: Command, input: ProgramInput): void {
  addServiceAccountOption(describe(credential.command('id-token'), 'Print a fresh ID token for federation, or keep one in a file.', 'vouch credential id-token --audience https://api.example.com'))
    .option('--audience <audience>', "whom it is for (default: the issuer's default)")
    .option('--json', 'as JSON, with the expiry')
    .option('--output-file <path>', 'write it there (0600, in one step) in place of standard output')
    .option('--refresh', 'keep the file current until Ctrl-C or SIGTERM')
    .addHelpText('after', REFRESH)
    .action(async (options: SourceOptions & { audience?: string; json?: boolean; outputFile?: string; refresh?: boolean }) => {
      const isKept = options.refresh === true;
      const [{ provideIdToken }, source] = await Promise.all([import('./credential.ts'), createSource(input, options, !isKept)]);
      await provideIdToken(source, { audience: options.audience, isJson: options.json === true, path: options.outputFile, isKept, clock: input.clock });
    });
}

const KUBECONFIG = `
In the kubeconfig, of which kubectl, helm and the like take it:
  users:
  - name: vouch
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        interactiveMode: IfAvailable
        command: vouch
        args: [credential, kubernetes, --audience, kubernetes]`;

const REFRESH = `
With --refresh it goes on, for SDKs that read a file each time that they need a token:
  $ vouch credential id-token --audience https://api.anthropic.com --output-file ~/.vouch/anthropic.jwt --refresh &
  $ export ANTHROPIC_IDENTITY_TOKEN_FILE=~/.vouch/anthropic.jwt
The file is replaced in one step, each time with a token that nobody has used, when half of its life is over. While the
issuer is away it says so and tries again; it says when the token in the file has expired. It ends with 0 on Ctrl-C and
SIGTERM; with 3 when the session has ended, and with 5 when the issuer refuses. The file stays, and what it says of it.`;
