// Asking before what cannot be undone.
import { createInterface } from 'node:readline/promises';
import { CliError } from './errors.ts';

/** Throws `CliError` (usage) where nobody can be asked and `--yes` was not given: before anything is shown or done. */
export function requireSomebodyToAsk(isSure: boolean): void {
  if (isSure || process.stdin.isTTY) return;
  throw new CliError('usage', 'nobody can be asked: standard input is not a terminal', { hints: ['add --yes if you are sure'] });
}

/** Lets the person type `expected`; throws `CliError` (other) with `refusal` when they type anything else. */
export async function confirmByTyping({ question, expected, refusal }: { question: string; expected: string; refusal: string }): Promise<void> {
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const gone = new Promise<string>((resolve) => { asking.once('close', () => { resolve(''); }); });
  // The interface takes Ctrl-C for itself; it means here what it means everywhere.
  asking.on('SIGINT', () => { process.kill(process.pid, 'SIGINT'); });
  const answer = await Promise.race([asking.question(question), gone]);
  asking.close();
  if (answer.trim() !== expected) throw new CliError('other', refusal);
}
