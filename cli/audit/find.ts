// vouch audit find: who held which token.
import type { AdminApi } from '../admin_api.ts';
import { readAnswer } from '../answers.ts';
import { asFields, takeList, type Fields } from '../fields.ts';
import { printNote, printReport } from '../output.ts';
import { quoteSafely } from '../redact.ts';
import { renderTable } from '../table.ts';

/** Prints the rows as a table; one row with all that is known of it. */
export async function findRows(api: AdminApi, { query, isJson }: { query: Readonly<Record<string, string>>; isJson: boolean }): Promise<void> {
  const answer = await api.get(`/audit?${new URLSearchParams(query).toString()}`);
  const rows = readAnswer(() => takeList(answer, 'rows', (item) => asFields(item, 'a row')));
  const [first] = rows;
  if (isJson) await printReport(JSON.stringify(answer, null, 2));
  else if (first === undefined) await printReport('No row of the record is like that.');
  else await printReport(rows.length === 1 ? describeRow(first) : renderTable(HEAD, rows.map(describeShortly)));
  if (rows.length >= Number(query['limit'])) printNote(`note: these are the newest ${rows.length}; there may be more (--limit, --until)`);
}

const HEAD = ['AT (UTC)', 'KIND', 'WHAT', 'WHOSE', 'AUDIENCE', 'CLIENT', 'OUTCOME', 'JTI'];

/** In UTC, as the record has it, and in the form that --since takes. */
function describeShortly(row: Fields): readonly string[] {
  const outcome = say(row, 'code') ?? say(row, 'clause') ?? describeAct(row);
  return [say(row, 'at'), say(row, 'kind'), say(row, 'event'), say(row, 'subject') ?? say(row, 'account_id'), say(row, 'audience'), say(row, 'client_id'), outcome, say(row, 'jti')].map((text) => text ?? '-');
}

/** What an admin asked for, cut short: a row by itself shows all of it. */
function describeAct({ detail }: Fields): string | undefined {
  const { body } = (detail ?? {}) as { body?: object };
  if (body === undefined || Object.keys(body).length === 0) return undefined;
  const text = quoteSafely(JSON.stringify(body));
  return text.length > LONGEST_ACT ? `${text.slice(0, LONGEST_ACT)}…` : text;
}

const LONGEST_ACT = 60;

/** In this order, and whatever a later version adds after them. */
const ORDER = [
  'at', 'kind', 'event', 'subject', 'account_id', 'client_id', 'audience', 'token_kind', 'jti', 'kid', 'alg', 'expires_at', 'clause', 'code', 'reason', 'act', 'subject_jti', 'ip', 'user_agent', 'detail', 'chain', 'seq', 'hash',
];

function describeRow(row: Fields): string {
  const names = [...ORDER, ...Object.keys(row).filter((name) => !ORDER.includes(name))];
  const lines = names.flatMap((name) => {
    const text = say(row, name);
    return text === undefined ? [] : [[name, text] as const];
  });
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join('\n');
}

/** Undefined where the row does not say. Some of it was typed by strangers: a user agent, a refused audience. */
function say(row: Fields, name: string): string | undefined {
  const value = row[name];
  if (value === undefined || value === null || value === '') return undefined;
  return quoteSafely(typeof value === 'string' ? value : JSON.stringify(value));
}
