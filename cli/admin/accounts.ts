// vouch admin invite, accounts list, suspend, resume, remove and role.
import type { AdminApi } from '../admin_api.ts';
import { readAnswer, readText, takeOptionalText, takeText } from '../answers.ts';
import { confirmByTyping } from '../confirm.ts';
import { asFields, takeBoolean, takeInstant, takeList, takeNullable, takeNumber, takeString, type Fields } from '../fields.ts';
import { printNote, printProduct, printReport } from '../output.ts';
import { joinSome, renderTable } from '../table.ts';
import { formatInstant } from '../time.ts';

interface Account {
  readonly email: string;
  readonly name: string;
  readonly role: string;
  readonly status: string;
  readonly suspendedBy: string | undefined;
  readonly awaitsOwner: boolean;
  readonly groups: readonly string[];
}

interface ListedAccount extends Account {
  readonly passkeys: number;
  readonly upstreams: number;
  /** Milliseconds since 1970. */
  readonly lastSignInAt: number | undefined;
}

export interface ListOptions {
  readonly status: string | undefined;
  readonly role: string | undefined;
  readonly limit: number;
  readonly isJson: boolean;
}

const MOST_AT_ONCE = 500;

/** Prints people by e-mail, page after page up to the limit; says so where there are more. */
export async function listAccounts(api: AdminApi, { status, role, limit, isJson }: ListOptions): Promise<void> {
  const items: unknown[] = [];
  let next: string | undefined;
  do {
    const query = { ...(status === undefined ? {} : { status }), ...(role === undefined ? {} : { role }), ...(next === undefined ? {} : { after: next }), limit: String(Math.min(MOST_AT_ONCE, limit - items.length)) };
    const answer = await api.get(`/accounts?${new URLSearchParams(query).toString()}`);
    items.push(...readAnswer(() => takeList(answer, 'accounts', (item) => item)));
    next = readAnswer(() => takeNullable(answer, 'next', takeString));
  } while (next !== undefined && items.length < limit);
  const accounts = readAnswer(() => items.map(takeListed));
  const rows = accounts.map((account) => [
    account.email, account.name, account.role, describeStatus(account), describeWays(account), account.groups.length === 0 ? '-' : joinSome(account.groups), account.lastSignInAt === undefined ? 'never' : formatInstant(account.lastSignInAt),
  ]);
  if (isJson) await printReport(JSON.stringify({ accounts: items, is_complete: next === undefined }, null, 2));
  else await printReport(rows.length === 0 ? 'There is no such account.' : renderTable(['E-MAIL', 'NAME', 'ROLE', 'STATE', 'COMES IN BY', 'GROUPS', 'LAST SIGN-IN'], rows));
  if (next !== undefined) printNote(`note: these are the first ${items.length}; there are more (--limit)`);
}

/** Prints the link as the product; who has it comes in. */
export async function invite(api: AdminApi, { email, role, expiresInSeconds, isJson }: { email: string; role: string; expiresInSeconds: number; isJson: boolean }): Promise<void> {
  const answer = await api.post('/invitations', { email, role, expires_in_seconds: expiresInSeconds });
  // As it is: it is followed, and a text that is made fit for a terminal may lead elsewhere.
  const [link, expiresAt] = readAnswer(() => [takeString(answer, 'link'), takeInstant(answer, 'expires_at')] as const);
  if (isJson) return printReport(JSON.stringify(answer, null, 2));
  printNote(`Send this link to ${email}, and to nobody else: whoever opens it first is ${role === 'admin' ? 'an admin' : 'a member'} by that address.\nIt works once, until ${formatInstant(expiresAt)}, and is not shown again.`);
  return printProduct(new URL(link).href);
}

/** Suspends or resumes; says so when nothing changed. */
export async function setStatus(api: AdminApi, { change, account, isJson }: { change: 'suspend' | 'resume'; account: string; isJson: boolean }): Promise<void> {
  const answer = await api.post(`/accounts/${change}`, { account });
  const { isChanged, email } = readChange(answer);
  const sentences = change === 'suspend'
    ? { changed: `${email} is suspended: its sessions have ended, and nobody comes in by it. Tokens that providers hold already live until they expire.`, same: `${email} was suspended already.` }
    : { changed: `${email} may sign in again.`, same: `${email} was not suspended.` };
  await printReport(isJson ? JSON.stringify(answer, null, 2) : isChanged ? sentences.changed : sentences.same);
}

/** Removes an account, once its name was typed as it was given. */
export async function removeAccount(api: AdminApi, { account, isSure, isJson }: { account: string; isSure: boolean; isJson: boolean }): Promise<void> {
  if (!isSure) {
    printNote(`The account ${account} goes for good, with its passkeys and linked sign-ins. To keep it, use \`vouch admin suspend\`.\nWhat it did stays on record, and its e-mail is kept from others until you free it (\`vouch admin disputes free\`).\n`);
    await confirmByTyping({ question: 'Type the account as you named it to remove it: ', expected: account, refusal: 'that is not the account: nothing was removed' });
  }
  const answer = await api.post('/accounts/remove', { account });
  const { email } = readAnswer(() => takeAccount(answer['removed']));
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `Removed ${email}. What it did stays on record.`);
}

/** Makes an account an admin or a member; says so when it was. */
export async function setRole(api: AdminApi, { account, role, isJson }: { account: string; role: string; isJson: boolean }): Promise<void> {
  const answer = await api.post('/accounts/role', { account, role });
  const { isChanged, email } = readChange(answer);
  const noun = role === 'admin' ? 'an admin' : 'a member';
  await printReport(isJson ? JSON.stringify(answer, null, 2) : isChanged ? `${email} is ${noun} from now on.` : `${email} was ${noun} already.`);
}

function readChange(answer: Fields): { isChanged: boolean; email: string } {
  return readAnswer(() => ({ isChanged: takeBoolean(answer, 'is_changed'), email: takeAccount(answer['account']).email }));
}

function takeListed(value: unknown): ListedAccount {
  const fields = asFields(value, 'an account');
  return { ...takeAccount(value), passkeys: takeNumber(fields, 'passkeys'), upstreams: takeNumber(fields, 'upstreams'), lastSignInAt: takeNullable(fields, 'last_sign_in_at', takeInstant) };
}

function takeAccount(value: unknown): Account {
  const fields = asFields(value, 'an account');
  return {
    email: takeText(fields, 'email'), name: takeText(fields, 'name'), role: takeText(fields, 'role'), status: takeText(fields, 'status'),
    suspendedBy: takeOptionalText(fields, 'suspended_by'), awaitsOwner: takeBoolean(fields, 'awaits_owner'), groups: takeList(fields, 'groups', readText),
  };
}

/** "active", "suspended by scim:okta", "waits for its owner". */
function describeStatus({ status, suspendedBy, awaitsOwner }: Account): string {
  if (status !== 'active') return suspendedBy?.startsWith('scim:') === true ? `${status} by ${suspendedBy}` : status;
  return awaitsOwner ? 'waits for its owner' : status;
}

function describeWays({ passkeys, upstreams }: ListedAccount): string {
  const ways = [...(passkeys === 0 ? [] : [`${passkeys} ${passkeys === 1 ? 'passkey' : 'passkeys'}`]), ...(upstreams === 0 ? [] : [`${upstreams} ${upstreams === 1 ? 'upstream' : 'upstreams'}`])];
  return ways.length === 0 ? 'nothing yet' : ways.join(', ');
}
