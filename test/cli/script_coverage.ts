// What the scripts must say something about: every command, and every sentence with which the command line fails.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { readEnvironment } from '../../cli/environment.ts';
import { locateHome } from '../../cli/home.ts';
import { createProgram } from '../../cli/program.ts';
import { readCommand } from './script_file.ts';

const CLI = fileURLToPath(new URL('../../cli', import.meta.url));

export interface CommandPlace {
  /** "keys list"; empty for the program itself. */
  readonly path: string;
  readonly isFamily: boolean;
}

const program = createProgram({ version: '0', home: locateHome('/nonexistent'), clock: () => 0, environment: readEnvironment({}) }, () => undefined);

export function listCommands(): readonly CommandPlace[] {
  const list = (command: Command, path: string): readonly CommandPlace[] =>
    [{ path, isFamily: command.commands.length > 0 }, ...command.commands.flatMap((child) => list(child, `${path} ${child.name()}`.trim()))];
  return list(program, '');
}

/** The command that a line of a script runs. */
export function findPath(text: string): string {
  let [at, path] = [program, ''];
  for (const word of readCommand(text).parameters) {
    const child = at.commands.find((command) => command.name() === word);
    if (child === undefined) break;
    [at, path] = [child, `${path} ${word}`.trim()];
  }
  return path;
}

export interface Sentence {
  /** As it stands in the source: the file, and the text. */
  readonly source: string;
  readonly pattern: RegExp;
}

/** The message of every failure that is made in cli/, as a pattern: what is filled in may be anything. */
export function listSentences(): readonly Sentence[] {
  const files = readdirSync(CLI, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).map((name) => join(CLI, name));
  return files.flatMap((path) => [...readFileSync(path, 'utf8').matchAll(/new (?:CliError|Found|IssuerRefusal)\([^,]+,\s*(?:`((?:[^`$]|\$\{[^`}]*\}|\$(?!\{))*)|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g)].flatMap(([, template, single, double]) => {
    const text = template ?? single ?? double ?? '';
    const parts = text.split(/\$\{[^}]*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    // Nothing but what is filled in.
    return parts.join('').length < 8 ? [] : [{ source: `${relative(CLI, path)}: ${text}`, pattern: new RegExp(parts.join('.*')) }];
  }));
}
