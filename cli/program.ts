// The command line: what there is, how it is spelled, and which file does it. Those files are loaded when needed,
// so that help and usage errors come at once.
import { Command, type CommanderError } from 'commander';
import { addAudiences } from './audiences/commands.ts';
import { addAudit } from './audit/commands.ts';
import { describe, type ProgramInput } from './command.ts';
import { CliError, EXIT } from './errors.ts';
import { addGroups } from './groups/commands.ts';
import { addKeys } from './keys/commands.ts';
import { nameFlag, type Provider } from './providers/provider.ts';
import { PROVIDERS } from './providers/providers.ts';
import { addServiceAccounts } from './service_accounts/commands.ts';
import type { TokenSource } from './token_source.ts';

const AFTERWORD = `
First steps:
  $ vouch setup anthropic --help
  $ vouch login
  $ vouch credential anthropic

Environment:
  VOUCH_ISSUER   the issuer to sign in at (default: the last one, else http://localhost:3000)
  VOUCH_HOME     folder for config.json, session.json and admin.json (default: ~/.vouch)
  BROWSER        command that opens the sign-in page
  NO_COLOR       no colour, even on a terminal

Exit status:
  ${EXIT.ok} done   ${EXIT.other} other failure   ${EXIT.usage} wrong command line   ${EXIT.notSignedIn} not signed in
  ${EXIT.network} network, try again   ${EXIT.refused} refused by issuer or provider   ${EXIT.configuration} configuration
  ${EXIT.freshSignIn} a fresh sign-in is needed
`;

/** Builds the whole command tree. Running it throws `CliError`, also for usage errors, and never ends the process. */
export function createProgram(input: ProgramInput): Command {
  const program = new Command('vouch')
    .description('Short-lived credentials for AI and cloud providers, from one sign-in.')
    .version(input.version)
    .exitOverride()
    // Failures are printed in one place, in one form.
    .configureOutput({ outputError: () => undefined })
    .addHelpText('after', AFTERWORD);
  addLogin(program, input);
  addLogout(program, input);
  addStatus(program, input);
  addSetup(program, input);
  addCredential(program, input);
  addKeys(program, input);
  addAudiences(program, input);
  addServiceAccounts(program, input);
  addGroups(program, input);
  addAudit(program, input);
  forEachCommand(program, (command, path) => command.exitOverride((error) => { throw translateUsage(error, path); }));
  return program;
}

function addLogin(program: Command, { home, clock, environment }: ProgramInput): void {
  describe(program.command('login'), 'Sign in in the browser and keep the session.', 'vouch login --issuer https://vouch.example.com')
    .option('--issuer <URL>', 'the issuer to sign in at')
    .option('--no-browser', 'only print the address of the sign-in page')
    .action(async (options: { issuer?: string; browser: boolean }) => {
      const [{ login }, { createConnect }] = await Promise.all([import('./login.ts'), import('./use_session.ts')]);
      await login({
        home,
        clock,
        connect: createConnect(clock),
        issuerOption: options.issuer,
        issuerVariable: environment.issuer,
        opensBrowser: options.browser,
        browser: environment.browser,
      });
    });
}

function addLogout(program: Command, { home, clock }: ProgramInput): void {
  describe(program.command('logout'), 'End the session, here and at the issuer.', 'vouch logout').action(async () => {
    const [{ logout }, { createConnect }] = await Promise.all([import('./logout.ts'), import('./use_session.ts')]);
    await logout({ home, clock, connect: createConnect(clock) });
  });
}

function addStatus(program: Command, { home, clock }: ProgramInput): void {
  describe(program.command('status'), 'Say who is signed in and until when.', 'vouch status --json')
    .option('--json', 'as JSON')
    .action(async (options: { json?: boolean }) => {
      const { showStatus } = await import('./status.ts');
      await showStatus({ home, clock, isJson: options.json === true });
    });
}

function addSetup(program: Command, { home }: ProgramInput): void {
  const setup = describe(program.command('setup'), 'Record how a provider knows you; needed once.', 'vouch setup anthropic --help');
  for (const provider of PROVIDERS) {
    const command = describe(setup.command(provider.name), `Record the federation parameters of ${provider.label}.`, provider.setupExample);
    for (const parameter of provider.parameters) {
      const about = parameter.isRequired ? `${parameter.about} (required)` : parameter.about;
      command.option(`${nameFlag(parameter)} <${parameter.placeholder}>`, about);
    }
    command.action(async (options: Record<string, string | undefined>) => {
      const { setUpProvider } = await import('./setup.ts');
      await setUpProvider({ home, provider, values: nameValues(provider, command, options) });
    });
  }
}

/** Commander files values under camelCase names; everything else here uses the provider's. */
function nameValues(provider: Provider, command: Command, options: Record<string, string | undefined>): Record<string, string | undefined> {
  return Object.fromEntries(provider.parameters.map((parameter) => {
    const option = command.options.find(({ long }) => long === nameFlag(parameter));
    return [parameter.name, option === undefined ? undefined : options[option.attributeName()]];
  }));
}

function addCredential(program: Command, input: ProgramInput): void {
  const credential = describe(program.command('credential'), 'Print a short-lived token.', 'vouch credential anthropic');
  for (const provider of PROVIDERS) addProviderCredential(credential, provider, input);
  const token = describe(credential.command('token'), "Print the session's access token, for APIs of the issuer.", 'vouch credential token');
  addServiceAccount(token).action(async (options: SourceOptions) => {
    const [{ printAccessToken }, source] = await Promise.all([import('./credential.ts'), createSource(input, options)]);
    await printAccessToken(source);
  });
  const idToken = describe(credential.command('id-token'), 'Print a fresh ID token for federation, or keep one in a file.', 'vouch credential id-token --audience https://api.example.com');
  addServiceAccount(idToken)
    .option('--audience <audience>', "whom it is for (default: the issuer's default)")
    .option('--output-file <path>', 'write it there (0600, in one step) in place of standard output')
    .option('--refresh', 'keep the file current until Ctrl-C or SIGTERM')
    .addHelpText('after', REFRESH)
    .action(async (options: SourceOptions & { audience?: string; outputFile?: string; refresh?: boolean }) => {
      const isKept = options.refresh === true;
      const [{ provideIdToken }, source] = await Promise.all([import('./credential.ts'), createSource(input, options, isKept)]);
      await provideIdToken(source, { audience: options.audience, path: options.outputFile, isKept, clock: input.clock });
    });
}

const REFRESH = `
With --refresh it goes on, for SDKs that read a file each time that they need a token:
  $ vouch credential id-token --audience https://api.anthropic.com --output-file ~/.vouch/anthropic.jwt --refresh &
  $ export ANTHROPIC_IDENTITY_TOKEN_FILE=~/.vouch/anthropic.jwt
The file is replaced in one step, each time with a token that nobody has used, when half of its life is over. While the
issuer is away it says so and tries again; it says when the token in the file has expired. It ends with 0 on Ctrl-C and
SIGTERM; with 3 when the session has ended, and with 5 when the issuer refuses. The file stays, and what it says of it.`;

function addProviderCredential(credential: Command, provider: Provider, input: ProgramInput): void {
  const example = `TOKEN="$(vouch credential ${provider.name})"`;
  addServiceAccount(describe(credential.command(provider.name), `Print a fresh access token of ${provider.label}.`, example))
    .option('--audience <audience>', "whom the ID token is for (default: the setup's, else the issuer's default)")
    .action(async (options: SourceOptions & { audience?: string }) => {
      const [{ printProviderToken }, source] = await Promise.all([import('./credential.ts'), createSource(input, options)]);
      await printProviderToken(source, provider, { home: input.home, audience: options.audience, anthropicBaseUrl: input.environment.anthropicBaseUrl });
    });
}

interface SourceOptions {
  readonly serviceAccount?: string;
}

function addServiceAccount(command: Command): Command {
  return command.option('--service-account <KEYFILE>', 'for a job without a person: the key file in place of the session');
}

/** Whose token it is. A loop that runs for days needs tokens with most of their life before them, and opens no browser by itself. */
async function createSource({ home, clock, environment }: ProgramInput, { serviceAccount }: SourceOptions, isForLong = false): Promise<TokenSource> {
  if (serviceAccount !== undefined) {
    const { createServiceSource } = await import('./service_accounts/source.ts');
    return createServiceSource({ path: serviceAccount, expectedIssuer: environment.issuer });
  }
  const [{ createSessionSource }, { createConnect }, { createNextSignIn }] = await Promise.all([import('./token_source.ts'), import('./use_session.ts'), import('./login.ts')]);
  const connect = createConnect(clock);
  return createSessionSource({
    home, clock, connect, expectedIssuer: environment.issuer,
    ...(isForLong ? { signInAgain: undefined, freshnessMarginMs: LONG_MARGIN_MS } : { signInAgain: createNextSignIn({ home, clock, connect, browser: environment.browser }) }),
  });
}

/** Half of the life of an access token of the issuer. */
const LONG_MARGIN_MS = 5 * 60_000;

function forEachCommand(command: Command, visit: (command: Command, path: string) => void, parent = ''): void {
  const path = `${parent} ${command.name()}`.trim();
  visit(command, path);
  for (const child of command.commands) forEachCommand(child, visit, path);
}

/** Commander's "error: … (Did you mean …?)" in our form; help and version pass as they are. */
function translateUsage(error: CommanderError, path: string): Error {
  if (error.exitCode === 0 || error.code === 'commander.help') return error;
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const meant = suggestion === undefined ? [] : [suggestion.replace(/^\(D(.*)\)$/, 'd$1')];
  // What was typed in the wrong place may be a secret.
  const withoutValue = message.replace(/(unknown option '[^=]*)=.*'$/, "$1'").replace(/(but got \d+): .*$/, '$1');
  return new CliError('usage', withoutValue, { hints: [...meant, `see \`${path} --help\``], cause: error });
}
