// The command line: what there is, how it is spelled, and which file does it. Those files are loaded when needed,
// so that help and usage errors come at once.
import { Command, CommanderError, Option } from 'commander';
import { addAdmin } from './admin/commands.ts';
import { addAudiences } from './audiences/commands.ts';
import { addAudit } from './audit/commands.ts';
import { describe, type ProgramInput } from './command.ts';
import { addCredential } from './credential_commands.ts';
import { addDoctor, addExplain } from './doctor/commands.ts';
import { addEnv, addExec } from './env_commands.ts';
import { CliError, EXIT } from './errors.ts';
import { addGroups } from './groups/commands.ts';
import { addKeys } from './keys/commands.ts';
import { printNote, printReport } from './output.ts';
import { addPasskeys } from './passkeys/commands.ts';
import { PROVIDERS } from './providers/providers.ts';
import { addServiceAccounts } from './service_accounts/commands.ts';
import { addSetup } from './setup_commands.ts';
import { SHELLS } from './shells.ts';
import { configureWire } from './wire.ts';

export type NamedProgramInput = ProgramInput & { readonly version: string };

const AFTERWORD = `
First steps:
  $ vouch setup anthropic --help
  $ vouch login
  $ vouch credential anthropic

Environment:
  VOUCH_ISSUER   the issuer to sign in at (default: the last one, else http://localhost:3000)
  VOUCH_HOME     folder for everything that vouch keeps (default: ~/.vouch)
  VOUCH_CA_FILE  PEM certificates to trust besides the system's (as --ca-file; NODE_EXTRA_CA_CERTS works too)
  HTTPS_PROXY    the proxy for requests to other machines; NO_PROXY lists the hosts that need none
  BROWSER        command that opens the sign-in page
  NO_COLOR       no colour, even on a terminal
  VOUCH_DEBUG    where a failure happened, for bug reports

Exit status:
  ${EXIT.ok} done   ${EXIT.other} other failure   ${EXIT.usage} wrong command line   ${EXIT.notSignedIn} not signed in
  ${EXIT.network} network, try again   ${EXIT.refused} refused by issuer or provider   ${EXIT.configuration} configuration
  ${EXIT.freshSignIn} a fresh sign-in is needed   ${EXIT.rateLimited} too many requests, try again later
  vouch exec ends with the status of its command.
`;

/** Runs a command line and returns its exit status. Throws `CliError`, also for usage errors, and never ends the process. */
export async function runProgram(parameters: readonly string[], input: NamedProgramInput): Promise<number> {
  let status: number = EXIT.ok;
  try {
    await createProgram(input, (given) => { status = given; }).parseAsync(parameters, { from: 'user' });
    return status;
  } catch (error) {
    // Help and version are printed already; help without a command is an answer to a wrong command line.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

/** Builds the whole command tree; a command that ends with a status of its own says so to `endWith`. Running it throws `CliError`, also for usage errors, and never ends the process. */
export function createProgram(input: NamedProgramInput, endWith: (status: number) => void): Command {
  const program = new Command('vouch')
    .description('Short-lived credentials for AI and cloud providers, from one sign-in.')
    .version(input.version)
    .exitOverride()
    // Failures are printed in one place, in one form.
    .configureOutput({ outputError: () => undefined })
    // What follows the command that `vouch exec` runs is that command's.
    .enablePositionalOptions()
    .addHelpText('after', AFTERWORD)
    .hook('preAction', (_, command) => { configureNetwork(command, input); });
  addLogin(program, input);
  addLogout(program, input);
  addStatus(program, input);
  addSetup(program, input);
  addCredential(program, input);
  addEnv(program, input);
  addExec(program, input, endWith);
  addDoctor(program, input);
  addExplain(program, input);
  addPasskeys(program, input);
  addKeys(program, input);
  addAudiences(program, input);
  addServiceAccounts(program, input);
  addGroups(program, input);
  addAdmin(program, input);
  addAudit(program, input);
  addCompletions(program);
  forEachCommand(program, (command) => { addCommonOptions(command, command === program); });
  forEachCommand(program, (command, path) => command.exitOverride((error) => { throw translateUsage(error, path); }));
  return program;
}

function addLogin(program: Command, { home, clock, environment }: ProgramInput): void {
  describe(program.command('login'), 'Sign in in the browser and keep the session.', 'vouch login --issuer https://vouch.example.com')
    .option('--issuer <URL>', 'the issuer to sign in at')
    .option('--no-browser', 'only print the address of the sign-in page')
    .option('--device', 'show a code to enter in a browser on another machine: for ssh sessions and containers')
    .option('--fresh', 'sign in anew, also at the issuer of your company: for what the last sign-in is too old for')
    .action(async (options: { issuer?: string; browser: boolean; device?: boolean; fresh?: boolean }) => {
      const [{ login, loginByDevice }, { createConnect }] = await Promise.all([import('./login.ts'), import('./use_session.ts')]);
      const input = { home, clock, connect: createConnect(clock), issuerOption: options.issuer, issuerVariable: environment.issuer };
      if (options.device === true) await loginByDevice(input);
      else await login({ ...input, opensBrowser: options.browser, browser: environment.browser, isRemote: environment.isRemote, ...(options.fresh === true ? { maxAgeSeconds: 0 } : {}) });
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

/** Taken by every command, before or after its name; the help of the program alone lists them. */
function addCommonOptions(command: Command, isListed: boolean): void {
  command
    .addOption(new Option('--verbose', 'say on standard error which requests are made, and nothing secret').hideHelp(!isListed))
    .addOption(new Option('--ca-file <path>', "PEM certificates to trust besides the system's").hideHelp(!isListed));
}

function configureNetwork(command: Command, { environment: { caFile, proxies } }: ProgramInput): void {
  const options = command.optsWithGlobals<{ verbose?: boolean; caFile?: string }>();
  configureWire({ caFile: options.caFile ?? caFile, proxies, log: options.verbose === true ? printNote : undefined });
}

function addCompletions(program: Command): void {
  describe(program.command('completions'), 'Print a completion script for a shell.', 'source <(vouch completions bash)')
    .argument('<shell>', 'bash, zsh, fish or powershell')
    .action(async (shell: string) => {
      const { COMPLETED_SHELLS, isCompletedShell, renderCompletions } = await import('./completions.ts');
      if (!isCompletedShell(shell)) throw new CliError('usage', `the shell must be one of ${COMPLETED_SHELLS.join(', ')}`);
      await printReport(renderCompletions(program, shell, { '--type': PROVIDERS.map(({ name }) => name), '--shell': Object.keys(SHELLS) }));
    });
}

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
