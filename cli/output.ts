// How vouch talks. The rules:
// - The product (a token, a report) goes to standard output; everything else goes to standard error.
// - A product has a trailing newline only on a terminal, so that `$(vouch credential …)` and files hold the bare token.
// - A failure is one `error:` line, then `hint:` lines that say what to check or type; its exit status is in errors.ts.
// - Colour only on a terminal, and never with NO_COLOR or TERM=dumb.
// - No error, hint or note ever holds a token.
import { CliError, readErrorCode } from './errors.ts';
import { redactTokens } from './redact.ts';

const RED_BOLD = '1;31';
const CYAN = '36';

export interface Manners {
  /** False forbids colour even on a terminal. */
  readonly allowsColour: boolean;
  /** Adds stack traces to failures, for bug reports. */
  readonly isDebugging: boolean;
}

/** Writes a token to standard output; throws `CliError` (other) if the reader has gone. */
export async function printProduct(token: string): Promise<void> {
  await writeOut(process.stdout.isTTY ? `${token}\n` : token);
}

/** Writes lines meant for people or for a JSON parser to standard output. */
export async function printReport(text: string): Promise<void> {
  await writeOut(`${text}\n`);
}

/** Writes a line for the person at the terminal to standard error, as it is: the caller puts nothing secret into it. */
export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Writes a failure to standard error and returns the exit status that belongs to it. */
export function printError(thrown: unknown, manners: Manners): number {
  const error = toCliError(thrown);
  const paint = createPainter(manners);
  process.stderr.write(`${paint('error:', RED_BOLD)} ${redactTokens(error.message)}\n`);
  for (const hint of error.hints) process.stderr.write(`${paint('hint:', CYAN)} ${redactTokens(hint)}\n`);
  if (manners.isDebugging) process.stderr.write(`${redactTokens(describeStack(thrown))}\n`);
  return error.exitCode;
}

function toCliError(thrown: unknown): CliError {
  if (thrown instanceof CliError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CliError('other', `unexpected: ${message}`, { hints: ['set VOUCH_DEBUG=1 to see where it happened'] });
}

function describeStack(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  const cause = thrown.cause === undefined ? '' : `\ncaused by ${describeStack(thrown.cause)}`;
  return `${thrown.stack ?? thrown.message}${cause}`;
}

function createPainter({ allowsColour }: Manners): (text: string, style: string) => string {
  const isColoured = allowsColour && process.stderr.isTTY;
  return (text, style) => (isColoured ? `\u001B[${style}m${text}\u001B[0m` : text);
}

/** Keeps a reader that has gone (`vouch --help | head`) from ending the process with a stack trace. */
export function ignoreLostReaders(): void {
  // Whoever must know whether a write arrived asks in the write's own callback.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

async function writeOut(text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error) reject(error);
      else resolve();
    });
  }).catch((error: unknown) => {
    const code = readErrorCode(error) ?? String(error);
    const reason = code === 'EPIPE' ? 'its reader has gone' : code;
    throw new CliError('other', `could not write to standard output: ${reason}`, { cause: error });
  });
}
