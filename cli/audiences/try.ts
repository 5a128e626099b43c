// vouch audiences test: who could have a token, and whether one account would, without giving any.
import type { AdminApi } from '../admin_api.ts';
import { printNote, printReport } from '../output.ts';
import { renderTable } from '../table.ts';
import { readCandidates, readVerdict } from './answers.ts';

export interface TryOptions {
  readonly name: string;
  /** Undefined: everybody. */
  readonly account: string | undefined;
  readonly client: string | undefined;
  /** How old the sign-in is taken to be. */
  readonly authAgeSeconds: number | undefined;
  readonly isJson: boolean;
}

/** Prints the verdict, or the table of all who could; a no is an answer and no failure. */
export async function tryAudience(api: AdminApi, { name, account, client, authAgeSeconds, isJson }: TryOptions): Promise<void> {
  const answer = await api.post('/audiences/test', {
    name,
    ...(account === undefined ? {} : { account }), ...(client === undefined ? {} : { client }), ...(authAgeSeconds === undefined ? {} : { auth_age_seconds: authAgeSeconds }),
  });
  if (account !== undefined) {
    const verdict = readVerdict(answer);
    await printReport(isJson ? JSON.stringify(answer, null, 2) : describeVerdict(name, verdict));
    return;
  }
  const { who, asked, isComplete } = readCandidates(answer);
  const table = renderTable(['ACCOUNT', 'KIND', 'BY CLAUSE'], who.map(({ name: named, kind, clause }) => [named, kind, clause]));
  await printReport(isJson ? JSON.stringify(answer, null, 2) : who.length === 0 ? `Nobody could have a token for ${name} (of ${asked} accounts).` : `${who.length} of ${asked} accounts could have a token for ${name}:\n\n${table}`);
  if (!isComplete) printNote('note: there are more accounts than were asked; ask for one with --account');
}

function describeVerdict(name: string, { account, isAllowed, clause, reason }: ReturnType<typeof readVerdict>): string {
  const because = reason === undefined ? '' : ` (${reason})`;
  return `${account} ${isAllowed ? 'may have' : 'gets no'} ${isAllowed ? 'a token' : 'token'} for ${name}: ${clause}${because}`;
}
