// vouch exec: runs a command with credentials in its environment, and ends as it ends.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CliError, readErrorCode } from '../errors.ts';
import { printNote } from '../output.ts';
import type { ProviderUse } from '../provider_credential.ts';
import type { Assignments } from '../shells.ts';
import { passSignalsTo } from '../signals.ts';
import { formatInstant } from '../time.ts';
import { explainVariables, mergeVariables, obtainTypes, readTypes, type ObtainedType } from '../types.ts';

// What shells end with when a command cannot be run (POSIX XCU 2.8.2).
const CANNOT_RUN = 126;
const NOT_FOUND = 127;
// setTimeout takes no longer time.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface ExecRequest {
  readonly types: readonly string[];
  readonly audience: string | undefined;
  readonly command: readonly [string, ...string[]];
  /** Keeps the credentials fresh for as long as the command runs. */
  readonly isKeptFresh: boolean;
  /** The variables of this process, which the command inherits. */
  readonly present: Readonly<Record<string, string | undefined>>;
}

/** Runs the command and returns the exit status to end with: the command's own, 128 + n if signal n ended it. */
export async function runWithCredentials(use: ProviderUse, request: ExecRequest): Promise<number> {
  const all = await obtainTypes(use, readTypes(request.types), request.audience);
  if (!request.isKeptFresh) return runCommand(request, all, () => { warnOfExpiry(use, all); });
  const { keepFresh } = await import('./keeper.ts');
  const keeper = await keepFresh(use, all);
  try {
    return await runCommand(request, keeper.types, () => undefined);
  } finally {
    await keeper.stop();
  }
}

async function runCommand({ command: [name, ...parameters], present }: ExecRequest, all: readonly Pick<ObtainedType, 'name' | 'variables'>[], onStart: () => void): Promise<number> {
  const assignments = mergeVariables(all);
  explainVariables(all, assignments, present);
  return new Promise((resolve, reject) => {
    const child = spawn(name, parameters, { stdio: 'inherit', env: applyTo(present, assignments) });
    const stopPassing = passSignalsTo((signal) => { child.kill(signal); });
    child.once('spawn', onStart);
    child.once('error', (error) => {
      stopPassing();
      const failure = describeStartFailure(error, name);
      if (failure === undefined) reject(error);
      else resolve(failure);
    });
    child.once('exit', (code, signal) => {
      stopPassing();
      resolve(readStatus(code, signal));
    });
  });
}

function applyTo(present: ExecRequest['present'], { set, unset }: Assignments): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries({ ...present, ...set }).filter(([name]) => !unset.includes(name)));
}

function readStatus(code: number | null, signal: NodeJS.Signals | null): number {
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
}

function describeStartFailure(error: Error, name: string): number | undefined {
  const code = readErrorCode(error);
  if (code === 'ENOENT') return refuse(`the command ${name} was not found`, NOT_FOUND);
  if (code === 'EACCES' || code === 'ENOEXEC') return refuse(`the command ${name} cannot be run (${code})`, CANNOT_RUN);
  if (code === 'E2BIG') return refuse(`the command ${name} has too many arguments`, CANNOT_RUN);
  return undefined;
}

function refuse(sentence: string, status: number): number {
  printNote(`error: ${sentence}`);
  return status;
}

/** A command that outlives its token fails with "invalid bearer token", which says nothing of why. */
function warnOfExpiry({ clock }: ProviderUse, all: readonly ObtainedType[]): void {
  for (const { credential: { expiresAt }, provider } of all) {
    if (expiresAt === undefined) continue;
    const sentence = `note: the credential of ${provider.label} expired at ${formatInstant(expiresAt)}; \`vouch exec --refresh\` keeps one fresh`;
    setTimeout(() => { printNote(sentence); }, Math.min(LONGEST_TIMER_MS, Math.max(0, expiresAt - clock()))).unref();
  }
}

/** Throws `CliError` (usage) if no command was given. */
export function requireCommand(words: readonly string[]): readonly [string, ...string[]] {
  const [name, ...parameters] = words;
  if (name !== undefined && name !== '') return [name, ...parameters];
  throw new CliError('usage', 'no command was given', { hints: ['put it after --: `vouch exec --type anthropic -- python app.py`'] });
}

