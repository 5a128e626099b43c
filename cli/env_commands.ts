// vouch env and vouch exec: how they are spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { describe, type ProgramInput } from './command.ts';
import { CliError } from './errors.ts';
import { guessShell, isShellName, SHELLS, type ShellName } from './shells.ts';
import { addServiceAccountOption, createCredentialUse, type SourceOptions } from './source_option.ts';

interface Options extends SourceOptions {
  readonly type?: readonly string[];
  readonly audience?: string;
}

const collect = (value: string, all: readonly string[] | undefined): readonly string[] => [...(all ?? []), value];
const TYPE = ['--type <provider>', 'whose credential: anthropic, openai, aws, openrouter or custom, or <provider>:<profile>; may be repeated (required)'] as const;
const AUDIENCE = ['--audience <audience>', "whom the ID token is for (default: the setup's, else the issuer's default)"] as const;

export function addEnv(program: Command, input: ProgramInput): void {
  const { environment } = input;
  const command = describe(program.command('env'), 'Print the lines that set a credential in a shell, and unset what would win over it.', 'eval "$(vouch env --type anthropic)"')
    .option(...TYPE, collect)
    .option(...AUDIENCE);
  addServiceAccountOption(command)
    .option('--shell <shell>', `${Object.keys(SHELLS).join(', ')} (default: the one in SHELL)`)
    .action(async (options: Options & { shell?: string }) => {
      const shell = readShell(options.shell) ?? guessShell(environment.shell, process.platform);
      const { printVariables } = await import('./env.ts');
      await printVariables(await createCredentialUse(input, options), { types: requireTypes(options, 'eval "$(vouch env --type anthropic)"'), audience: options.audience, shell, present: environment.variables });
    });
}

export function addExec(program: Command, input: ProgramInput, endWith: (status: number) => void): void {
  const command = describe(program.command('exec'), 'Run a command with credentials in its environment; ends with its exit status.', 'vouch exec --type anthropic -- python app.py')
    .option(...TYPE, collect)
    .option(...AUDIENCE);
  addServiceAccountOption(command)
    .option('--refresh', 'keep the credentials fresh for as long as the command runs, in files that the SDKs re-read')
    .argument('[command...]', 'the command and its arguments; vouch reads no option after it')
    .passThroughOptions()
    .action(async (words: string[], options: Options & { refresh?: boolean }) => {
      const { requireCommand, runWithCredentials } = await import('./exec/exec.ts');
      endWith(await runWithCredentials(await createCredentialUse(input, options), {
        types: requireTypes(options, 'vouch exec --type anthropic -- python app.py'), audience: options.audience, command: requireCommand(words), isKeptFresh: options.refresh === true, present: input.environment.variables,
      }));
    });
}

/** Not left to the parser, which would say this before it says that an option is misspelled. */
function requireTypes({ type }: Options, example: string): readonly string[] {
  if (type !== undefined) return type;
  throw new CliError('usage', '--type is missing', { hints: [`name a provider, as in \`${example}\``] });
}

function readShell(name: string | undefined): ShellName | undefined {
  if (name === undefined || isShellName(name)) return name;
  throw new CliError('usage', `--shell must be one of ${Object.keys(SHELLS).join(', ')}`);
}
