// vouch env: the lines that set a credential's variables in a shell.
import { printNote, printReport } from './output.ts';
import type { ProviderUse } from './provider_credential.ts';
import { quoteForPosix, SHELLS, type ShellName } from './shells.ts';
import { explainVariables, mergeVariables, obtainTypes, readTypes } from './types.ts';

export interface EnvRequest {
  readonly types: readonly string[];
  readonly audience: string | undefined;
  readonly shell: ShellName;
  /** The variables of this process, for what would shadow the credential. */
  readonly present: Readonly<Record<string, string | undefined>>;
}

/** Prints the lines; what they unset or replace is said on standard error. */
export async function printVariables(use: ProviderUse, { types, audience, shell, present }: EnvRequest): Promise<void> {
  const all = await obtainTypes(use, readTypes(types), audience);
  const assignments = mergeVariables(all);
  const text = SHELLS[shell].render(assignments);
  explainVariables(all, assignments, present);
  if (process.stdout.isTTY) {
    const options = use.source.commandOptions.map((word) => (/^[\w./:@%+,=~-]+$/.test(word) ? word : quoteForPosix(word)));
    printNote(`note: this only prints the lines; to run them: ${SHELLS[shell].compose([types.join(' --type '), ...options].join(' '))}`);
  }
  await printReport(text);
}
