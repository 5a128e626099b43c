// vouch service-accounts list, disable and enable, and what the admin API says of them.
import type { AdminApi } from '../admin_api.ts';
import { readAnswer, readText, takeOptionalText, takeText } from '../answers.ts';
import { asFields, takeBoolean, takeInstant, takeList, takeString, type Fields } from '../fields.ts';
import { printReport } from '../output.ts';
import { joinSome, renderTable } from '../table.ts';
import { formatInstant } from '../time.ts';

export interface ServiceAccount {
  /** Also the id of its client. */
  readonly id: string;
  readonly subject: string;
  readonly name: string;
  readonly status: string;
  readonly owner: string | undefined;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly kids: readonly string[];
  readonly jwksUri: string | undefined;
  readonly audiences: readonly string[];
}

/** Prints every service account: what it is called, whether it works, its keys and its audiences. */
export async function listServiceAccounts(api: AdminApi, isJson: boolean): Promise<void> {
  const answer = await api.get('/service-accounts');
  const accounts = readAnswer(() => takeList(answer, 'service_accounts', takeServiceAccount));
  if (isJson) return printReport(JSON.stringify(answer, null, 2));
  if (accounts.length === 0) return printReport('There is no service account yet. Make one with `vouch service-accounts add`.');
  const rows = accounts.map(({ subject, name, status, kids, jwksUri, audiences, owner, createdAt }) => [
    subject, name, status === 'active' ? 'works' : 'disabled', jwksUri ?? (kids.length === 0 ? 'none' : joinSome(kids.map((kid) => kid.slice(0, 8)))),
    audiences.length === 0 ? '-' : joinSome(audiences), owner ?? '-', formatInstant(createdAt),
  ]);
  return printReport(renderTable(['SUBJECT', 'NAME', 'STATE', 'KEYS', 'AUDIENCES OF ITS OWN', 'ANSWERED FOR BY', 'SINCE'], rows));
}

/** Disables or enables; the tokens that it holds are not exchanged any more while it is disabled. */
export async function setServiceStatus(api: AdminApi, { change, service, isJson }: { change: 'disable' | 'enable'; service: string; isJson: boolean }): Promise<void> {
  const answer = await api.post(`/service-accounts/${change}`, { service });
  const isChanged = readAnswer(() => takeBoolean(answer, 'is_changed'));
  const { subject } = readServiceAccount(answer['service']);
  const state = change === 'disable' ? 'gets no token' : 'gets tokens again';
  const sentence = isChanged ? `${subject} ${state}${change === 'disable' ? ' from now on. What was given lives until it expires.' : '.'}` : `${subject} was ${change}d already.`;
  await printReport(isJson ? JSON.stringify(answer, null, 2) : sentence);
}

export const readServiceAccount = (value: unknown): ServiceAccount => readAnswer(() => takeServiceAccount(value));

/** What the issuer says after another key was put in place. */
export const readRotation = (fields: Fields): { readonly id: string; readonly kids: readonly string[] } =>
  readAnswer(() => ({ id: takeString(fields, 'service_id'), kids: takeList(fields, 'kids', readText) }));

function takeServiceAccount(value: unknown): ServiceAccount {
  const fields = asFields(value, 'a service account');
  return {
    id: takeText(fields, 'id'), subject: takeText(fields, 'subject'), name: takeText(fields, 'name'), status: takeText(fields, 'status'),
    owner: takeOptionalText(fields, 'owner'), createdAt: takeInstant(fields, 'created_at'),
    kids: takeList(fields, 'kids', readText), jwksUri: takeOptionalText(fields, 'jwks_uri'), audiences: takeList(fields, 'audiences', readText),
  };
}
