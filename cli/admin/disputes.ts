// vouch admin disputes: whose an e-mail is, where somebody was refused for it.
import type { AdminApi } from '../admin_api.ts';
import { readAnswer, takeText } from '../answers.ts';
import { confirmByTyping } from '../confirm.ts';
import { CliError } from '../errors.ts';
import { asFields, takeInstant, takeList, takeNumber } from '../fields.ts';
import { printNote, printReport } from '../output.ts';
import { renderTable } from '../table.ts';
import { formatInstant } from '../time.ts';

interface Dispute {
  readonly id: string;
  readonly email: string;
  readonly upstream: string;
  readonly subject: string;
  /** What is known of the account that has or had the e-mail. */
  readonly holder: string;
  readonly tries: number;
  /** Milliseconds since 1970. */
  readonly lastAt: number;
}

interface One {
  readonly dispute: string;
  readonly isJson: boolean;
}

/** Prints the disputes that nobody has resolved. */
export async function listDisputes(api: AdminApi, isJson: boolean): Promise<void> {
  const answer = await api.get('/disputes');
  const disputes = readAnswer(() => takeList(answer, 'disputes', takeDispute));
  const rows = disputes.map(({ id, email, upstream, subject, holder, tries, lastAt }) => [id, email, `${subject} of ${upstream}`, holder, `${tries}, last ${formatInstant(lastAt)}`]);
  const nothing = 'Nobody was refused for an e-mail of another account.';
  await printReport(isJson ? JSON.stringify(answer, null, 2) : rows.length === 0 ? nothing : renderTable(['DISPUTE', 'E-MAIL', 'WHO CAME', 'WHOSE IT IS', 'TRIES'], rows));
}

/** The same person: the sign-in becomes one of the account's. */
export async function linkDispute(api: AdminApi, { dispute, isJson }: One): Promise<void> {
  const answer = await api.post('/disputes/link', { dispute });
  const { email, subject, upstream } = readAnswer(() => takeDispute(answer['linked']));
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `${subject} of ${upstream} signs in to the account of ${email} from now on.`);
}

/** A new person: the account that has the e-mail is closed, once that was confirmed. */
export async function releaseDispute(api: AdminApi, { dispute, isSure, isJson }: One & { isSure: boolean }): Promise<void> {
  if (!isSure) {
    const found = await find(api, dispute);
    printNote(`${found.subject} of ${found.upstream} becomes a new account with ${found.email}. Of the account that has it: ${found.holder}.\nIf that account is still there it is closed and loses the address, for good.\n`);
    await confirmByTyping({ question: 'Type the e-mail to release it: ', expected: found.email, refusal: 'that is not the e-mail: nothing was changed' });
  }
  const answer = await api.post('/disputes/release', { dispute });
  const { email } = readAnswer(() => takeDispute(answer['released']));
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `${email} is free: whoever was refused gets an account of their own with the next sign-in.`);
}

/** The e-mail is nobody's: an account that has it is closed, once that was confirmed. */
export async function freeEmail(api: AdminApi, { email, isSure, isJson }: { email: string; isSure: boolean; isJson: boolean }): Promise<void> {
  if (!isSure) {
    printNote(`If an account has ${email}, it is closed and loses the address, for good. Anybody who comes with it then is taken for somebody new.\n`);
    await confirmByTyping({ question: 'Type the e-mail to free it: ', expected: email, refusal: 'that is not the e-mail: nothing was changed' });
  }
  const answer = await api.post('/disputes/free', { email });
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `${email} is free.`);
}

async function find(api: AdminApi, id: string): Promise<Dispute> {
  const answer = await api.get('/disputes');
  const found = readAnswer(() => takeList(answer, 'disputes', takeDispute)).find((dispute) => dispute.id === id.toLowerCase());
  if (found !== undefined) return found;
  throw new CliError('refused', `there is no dispute ${id}, or it is resolved`, { hints: ['see `vouch admin disputes list`'] });
}

function takeDispute(value: unknown): Dispute {
  const fields = asFields(value, 'a dispute');
  return {
    id: takeText(fields, 'id'), email: takeText(fields, 'email'), upstream: takeText(fields, 'upstream'), subject: takeText(fields, 'subject'),
    holder: describeHolder(fields['account']), tries: takeNumber(fields, 'tries'), lastAt: takeInstant(fields, 'last_at'),
  };
}

function describeHolder(value: unknown): string {
  if (value === null || value === undefined) return 'an account that was removed';
  const fields = asFields(value, '"account"');
  return `${takeText(fields, 'name')} (${takeText(fields, 'email')}, ${takeText(fields, 'status')})`;
}
