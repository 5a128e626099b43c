// vouch admin scim-tokens: what directories show.
import type { AdminApi } from '../admin_api.ts';
import { readAnswer, readText, takeText } from '../answers.ts';
import { confirmByTyping } from '../confirm.ts';
import { asFields, takeInstant, takeList, takeNullable, takeString } from '../fields.ts';
import { printNote, printProduct, printReport } from '../output.ts';
import { renderTable } from '../table.ts';
import { formatInstant } from '../time.ts';

interface ScimToken {
  readonly name: string;
  readonly domains: readonly string[];
  readonly scopes: readonly string[];
  readonly createdBy: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  readonly lastUsedAt: number | undefined;
}

export interface NewToken {
  readonly name: string;
  readonly domains: readonly string[] | undefined;
  readonly scopes: readonly string[] | undefined;
  readonly expiresInDays: number;
  readonly isJson: boolean;
}

/** Prints every token, without what it is known by. */
export async function listTokens(api: AdminApi, isJson: boolean): Promise<void> {
  const answer = await api.get('/scim-tokens');
  const tokens = readAnswer(() => takeList(answer, 'scim_tokens', takeToken));
  const rows = tokens.map(({ name, domains, scopes, createdBy, expiresAt, lastUsedAt }) => [name, domains.join(', '), scopes.join(' '), formatInstant(expiresAt), lastUsedAt === undefined ? 'never' : formatInstant(lastUsedAt), createdBy]);
  const nothing = 'There is no SCIM token. Make one with `vouch admin scim-tokens add`.';
  await printReport(isJson ? JSON.stringify(answer, null, 2) : rows.length === 0 ? nothing : renderTable(['NAME', 'DOMAINS', 'MAY', 'UNTIL', 'LAST USED', 'MADE BY'], rows));
}

/** Prints the token as the product, once. */
export async function addToken(api: AdminApi, { name, domains, scopes, expiresInDays, isJson }: NewToken): Promise<void> {
  const answer = await api.post('/scim-tokens', { name, ...(domains === undefined ? {} : { domains }), ...(scopes === undefined ? {} : { scopes }), expires_in_days: expiresInDays });
  // As it is: it is shown to the issuer again.
  const [token, url, made] = readAnswer(() => [takeString(answer, 'token'), takeText(answer, 'url'), takeToken(answer['scim_token'])] as const);
  if (isJson) return printReport(JSON.stringify(answer, null, 2));
  printNote(`Give your directory the base URL ${url}\nand this token, which is not shown again. It is for ${made.domains.join(', ')}, until ${formatInstant(made.expiresAt)}.`);
  return printProduct(token);
}

/** Ends a token, once its name was typed. */
export async function revokeToken(api: AdminApi, { name, isSure, isJson }: { name: string; isSure: boolean; isJson: boolean }): Promise<void> {
  if (!isSure) {
    printNote('The directory that has this token makes and ends no account here any more, from now on.\n');
    await confirmByTyping({ question: 'Type the name to revoke it: ', expected: name, refusal: 'that is not the name: nothing was revoked' });
  }
  const answer = await api.post('/scim-tokens/revoke', { name });
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `Revoked the SCIM token ${name}.`);
}

function takeToken(value: unknown): ScimToken {
  const fields = asFields(value, 'a SCIM token');
  return {
    name: takeText(fields, 'name'), domains: takeList(fields, 'domains', readText), scopes: takeList(fields, 'scopes', readText), createdBy: takeText(fields, 'created_by'),
    expiresAt: takeInstant(fields, 'expires_at'), lastUsedAt: takeNullable(fields, 'last_used_at', takeInstant),
  };
}
