// What the commands of admins have in common: how they are spelled, and the admin API that each is given.
import type { Command } from 'commander';
import type { AdminApi } from './admin_api.ts';
import { describe, type ProgramInput } from './command.ts';
import { CliError } from './errors.ts';

export interface AdminOptions {
  readonly json?: boolean;
  readonly browser: boolean;
}

/** Adds a command to a family, with the options that all of them take. */
export function addAdminCommand(family: Command, name: string, about: string, example: string): Command {
  return describe(family.command(name), about, example)
    .option('--json', 'as JSON')
    .option('--no-browser', 'only print the address of the sign-in page, if one is needed');
}

/** The admin API of the chosen issuer; `listing` is the command that shows what there is, for hints. */
export async function createApi({ home, clock, environment }: ProgramInput, options: AdminOptions, listing: string): Promise<AdminApi> {
  const [{ createAdminApi }, { chooseIssuer }, { createConnect }] = await Promise.all([import('./admin_api.ts'), import('./sign_in.ts'), import('./use_session.ts')]);
  const issuer = await chooseIssuer(home, undefined, environment.issuer);
  return createAdminApi({ home, clock, issuer, listing, connect: createConnect(clock), opensBrowser: options.browser, browser: environment.browser });
}

/** Gathers an option that may be given several times. */
export function gather(value: string, former: readonly string[] = []): readonly string[] {
  return [...former, value];
}

/** Throws `CliError` (usage) unless the text is one of the choices. */
export function checkChoice<T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const chosen = choices.find((choice) => choice === text);
  if (chosen !== undefined) return chosen;
  throw new CliError('usage', `${flag} must be ${choices.slice(0, -1).join(', ')}${choices.length > 1 ? ' or ' : ''}${choices.at(-1) ?? ''}`);
}

/** Throws `CliError` (usage) unless the text is a whole number in the range. */
export function checkWholeNumber(flag: string, text: string, least: number, most: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new CliError('usage', `${flag} must be a whole number from ${least} to ${most}`);
}

/** Throws `CliError` (usage) unless the text is 1-128 characters without spaces, as names of accounts and groups are. */
export function checkName(what: string, text: string): string {
  if (/^[\x21-\x7e]{1,128}$/.test(text)) return text;
  throw new CliError('usage', `${what} must be 1 to 128 visible ASCII characters without spaces`);
}
