// How each shell is told to set and to unset variables, so that any value survives its parser.
import { CliError } from './errors.ts';

/** What a shell or a file is to hold. */
export interface Assignments {
  readonly set: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

export interface Shell {
  /** A whole line that sets the variables of `vouch env --type <type>` in it. */
  readonly compose: (type: string) => string;
  readonly render: (assignments: Assignments) => string;
}

export const SHELLS = {
  bash: { compose: composeEval, render: (all) => renderLines(all, (name, value) => `export ${name}=${quoteForPosix(value)}`, (name) => `unset ${name}`) },
  zsh: { compose: composeEval, render: (all) => renderLines(all, (name, value) => `export ${name}=${quoteForPosix(value)}`, (name) => `unset ${name}`) },
  fish: {
    compose: (type) => `vouch env --type ${type} --shell fish | source`,
    render: (all) => renderLines(all, (name, value) => `set -gx ${name} ${quoteForFish(value)}`, (name) => `set -e ${name}`),
  },
  powershell: {
    compose: (type) => `vouch env --type ${type} --shell powershell | Out-String | Invoke-Expression`,
    render: (all) => renderLines(all, (name, value) => `$env:${name} = ${quoteForPowershell(value)}`, (name) => `Remove-Item -ErrorAction SilentlyContinue Env:${name}`),
  },
  dotenv: {
    compose: (type) => `vouch env --type ${type} --shell dotenv > .env`,
    // A file cannot take back what the process has: an empty value at least hides it.
    render: (all) => renderLines(all, (name, value) => `${name}=${quoteForDotenv(name, value)}`, (name) => `${name}=`),
  },
  json: {
    compose: (type) => `vouch env --type ${type} --shell json`,
    render: ({ set, unset }) => JSON.stringify({ ...set, ...Object.fromEntries(unset.map((name) => [name, null])) }, null, 2),
  },
} as const satisfies Readonly<Record<string, Shell>>;

export type ShellName = keyof typeof SHELLS;

export function isShellName(name: string): name is ShellName {
  return Object.hasOwn(SHELLS, name);
}

/** The shell that runs `vouch`, as far as SHELL tells; `bash` stands for every shell of its kind. */
export function guessShell(shellVariable: string | undefined, platform: NodeJS.Platform): ShellName {
  const name = shellVariable?.split(/[\\/]/).at(-1)?.replace(/\.exe$/i, '') ?? '';
  if (name === 'zsh' || name === 'fish') return name;
  if (name === 'pwsh' || (name === '' && platform === 'win32')) return 'powershell';
  return 'bash';
}

/** Single quotes keep everything but themselves (POSIX XCU 2.2.2). */
export function quoteForPosix(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

/** In fish's single quotes a backslash still escapes itself and the quote. */
export function quoteForFish(value: string): string {
  return `'${value.replace(/[\\']/g, '\\$&')}'`;
}

/** PowerShell takes the typographic quotes for the plain one: all are doubled. */
export function quoteForPowershell(value: string): string {
  return `'${value.replace(/['\u2018\u2019\u201A\u201B]/g, '$&$&')}'`;
}

/** Bare where every reader of such files agrees; else in quotes, where a quote that is not in the value is left. */
function quoteForDotenv(name: string, value: string): string {
  if (/^[\w./:@%+,=~-]+$/.test(value)) return value;
  const quote = ["'", '"', '`'].find((candidate) => !value.includes(candidate));
  // In double quotes a reader would turn \n into a line break.
  if (quote !== undefined && !value.includes('\r') && (quote !== '"' || !value.includes('\\'))) return `${quote}${value}${quote}`;
  throw new CliError('other', `the value of ${name} cannot be written into such a file`, { hints: ['use --shell json'] });
}

function composeEval(type: string): string {
  return `eval "$(vouch env --type ${type})"`;
}

function renderLines({ set, unset }: Assignments, assign: (name: string, value: string) => string, clear: (name: string) => string): string {
  return [...unset.map(clear), ...Object.entries(set).map(([name, value]) => assign(name, value))].join('\n');
}
