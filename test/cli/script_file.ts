// The form of test/cli/scripts/*.txt: what is typed, and all that comes of it.
//
//   == title         a script: an empty VOUCH_HOME, at the world that the file's first line names
//   # words          a remark
//   @ step           makes the surroundings (script_steps.ts)
//   $ vouch ...      is run; quotes as in a shell, NAME=value before it, and names such as [ISSUER]
//   < text           a line of its standard input
//   > text           a line of its standard output        \ no newline   that its last line has no end
//   ! text           a line of its standard error         = 3            its exit status
//   ? path state     a file of VOUCH_HOME afterwards: its mode, or `gone`
//
// What differs from run to run has a name: [ISSUER], [JWT 1]; the same number is the same value. UPDATE_SCRIPTS=1 writes
// what was said in the place of what was expected: read the difference as a user would before it is kept.
import { readFileSync } from 'node:fs';

export interface ScriptFile {
  readonly path: string;
  readonly world: string;
  readonly scripts: readonly Script[];
  readonly lines: readonly string[];
}

export interface Script {
  readonly title: string;
  readonly items: readonly Item[];
}

export type Item =
  | { readonly kind: 'step' | 'check'; readonly text: string; readonly at: number }
  | Command;

export interface Command {
  readonly kind: 'command';
  readonly text: string;
  readonly stdin: string;
  /** The lines `>`, `\`, `!` and `=`, which are lines `from` to `to` of the file. */
  readonly expected: string;
  readonly at: number;
  readonly from: number;
  readonly to: number;
}

/** Throws `TypeError` for a line that is none of the above. */
export function readScriptFile(path: string): ScriptFile {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const world = /^world: (\w+)$/.exec(lines[0] ?? '')?.[1];
  if (world === undefined) throw new TypeError(`${path}:1 must be "world: fake" or "world: real"`);
  const scripts: { title: string; items: Item[] }[] = [];
  for (let at = 1; at < lines.length; at += 1) {
    const [mark, text] = [lines[at]!.slice(0, 2).trim(), lines[at]!.slice(2).trim()];
    if (mark === '' || mark === '#') continue;
    if (mark === '==') {
      scripts.push({ title: text, items: [] });
      continue;
    }
    const items = scripts.at(-1)?.items;
    if (items === undefined || !['@', '?', '$'].includes(mark)) throw new TypeError(`${path}:${at + 1} is no line of a script: ${lines[at]!}`);
    if (mark !== '$') {
      items.push({ kind: mark === '@' ? 'step' : 'check', text, at });
      continue;
    }
    const from = skip(lines, at + 1, '<');
    const to = skip(lines, from, '>\\!=');
    items.push({ kind: 'command', text, at, from, to, stdin: lines.slice(at + 1, from).map((line) => `${line.slice(2)}\n`).join(''), expected: lines.slice(from, to).join('\n') });
    at = to - 1;
  }
  return { path, world, scripts, lines };
}

function skip(lines: readonly string[], from: number, marks: string): number {
  let at = from;
  while (at < lines.length && marks.includes(lines[at]!.slice(0, 1) || '#')) at += 1;
  return at;
}

/** What came of a command, as the file would say it. */
export function renderOutcome({ stdout, stderr, status }: { stdout: string; stderr: string; status: number | null }): string {
  const render = (mark: string, text: string): readonly string[] => {
    if (text === '') return [];
    const lines = text.replace(/\n$/, '').split('\n').map((line) => `${mark} ${line}`.trimEnd());
    return text.endsWith('\n') ? lines : [...lines, '\\ no newline'];
  };
  return [...render('>', stdout), ...render('!', stderr), `= ${status ?? 'killed'}`].join('\n');
}

/** The file's text with other outcomes, by the line of their command. */
export function rewrite({ lines, scripts }: ScriptFile, outcomes: ReadonlyMap<number, string>): string {
  const changed = [...lines];
  const commands = scripts.flatMap(({ items }) => items.filter((item) => item.kind === 'command'));
  for (const { at, from, to } of commands.toReversed()) {
    const outcome = outcomes.get(at);
    if (outcome !== undefined) changed.splice(from, to - from, ...outcome.split('\n'));
  }
  return `${changed.join('\n')}\n`;
}

/** The words of a command line: single and double quotes keep what is between them. */
export function splitWords(text: string): readonly string[] {
  return [...text.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'));
}

/** The variables before a command, and what follows its name. Throws `TypeError` if that is not `vouch`. */
export function readCommand(text: string): { readonly variables: Record<string, string>; readonly parameters: readonly string[] } {
  const words = splitWords(text);
  const at = words.findIndex((word) => !/^[A-Z_]+=/.test(word));
  if (words[at] !== 'vouch') throw new TypeError(`a script runs vouch, not: ${text}`);
  const pairs = words.slice(0, at).map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]);
  return { variables: Object.fromEntries(pairs) as Record<string, string>, parameters: words.slice(at + 1) };
}
