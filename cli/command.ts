// What every command of the program is built from.
import type { Command } from 'commander';
import type { Environment } from './environment.ts';
import type { Home } from './home.ts';
import type { Clock } from './time.ts';

/** What every command is handed by the process. */
export interface ProgramInput {
  readonly environment: Environment;
  readonly home: Home;
  readonly clock: Clock;
}

/** Gives a command its sentence, and an example below its help. */
export function describe(command: Command, description: string, example: string): Command {
  return command.description(description).addHelpText('after', `\nExample:\n  $ ${example}`);
}
