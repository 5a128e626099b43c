// vouch audiences list, add, set and remove.
import type { AdminApi } from '../admin_api.ts';
import { confirmByTyping } from '../confirm.ts';
import { CliError } from '../errors.ts';
import type { Fields } from '../fields.ts';
import { printNote, printReport } from '../output.ts';
import { joinSome, renderTable } from '../table.ts';
import { readAudience, readAudiences, readKept, type Audience, type Clause } from './answers.ts';
import type { Amendment, RecordFields } from './changes.ts';

/** Prints every audience and who may have it. */
export async function listAudiences(api: AdminApi, isJson: boolean): Promise<void> {
  const answer = await api.get('/audiences');
  const audiences = readAudiences(answer);
  if (isJson) return printJson(answer);
  const rows = audiences.map((audience) => [audience.name, audience.kind, audience.preset, audience.algorithm, `${audience.lifetimeSeconds} s`, describeState(audience), describeWho(audience)]);
  return printReport(renderTable(['AUDIENCE', 'KIND', 'PRESET', 'ALG', 'LIVES FOR', 'POLICY', 'FOR WHOM'], rows));
}

/** Registers an audience. What the issuer advises goes to standard error. */
export async function addAudience(api: AdminApi, name: string, fields: RecordFields, isJson: boolean): Promise<void> {
  await reportKept(await api.post('/audiences', { name, ...fields }), 'Registered', isJson);
}

/** Changes what was named, and nothing that somebody else has changed meanwhile. */
export async function setAudience(api: AdminApi, name: string, { fields, amendments, isJson }: { fields: RecordFields; amendments: readonly Amendment[]; isJson: boolean }): Promise<void> {
  const amended = amendments.length === 0 ? {} : await amend(api, name, amendments);
  await reportKept(await api.post('/audiences/set', { name, ...fields, ...amended }), 'Changed', isJson);
}

/** Takes an audience out, once its name was typed. */
export async function removeAudience(api: AdminApi, name: string, { isSure, isJson }: { isSure: boolean; isJson: boolean }): Promise<void> {
  const audience = readAudience(await api.get(`/audiences/get?${new URLSearchParams({ name }).toString()}`));
  if (!isSure) {
    printNote(`Nobody gets a token for ${audience.name} any more, and its policy is gone (${describeWho(audience)}).\nTokens that were given live until they expire, for ${audience.lifetimeSeconds} s at most.\n`);
    await confirmByTyping({ question: 'Type the name to remove it: ', expected: name, refusal: 'that is not the name: nothing was removed' });
  }
  const answer = await api.post('/audiences/remove', { name });
  if (isJson) await printJson(answer);
  else await printReport(`Removed ${audience.name}.`);
}

/** The lists as they will be, and the revision that they were read of: another admin's change in between is a conflict. */
async function amend(api: AdminApi, name: string, amendments: readonly Amendment[]): Promise<RecordFields> {
  const audience = readAudience(await api.get(`/audiences/get?${new URLSearchParams({ name }).toString()}`));
  const lists = amendments.map(({ list, added, removed }) => {
    const left = removed.reduce((clauses, clause) => takeOut(clauses, clause, `${list} of ${audience.name}`), audience[list]);
    return [list, [...new Set([...left.map(({ kept }) => kept), ...added])]] as const;
  });
  return { ...Object.fromEntries(lists), revision: audience.revision };
}

function takeOut(clauses: readonly Clause[], named: string, where: string): readonly Clause[] {
  const left = clauses.filter(({ kept, label }) => kept !== named && label !== named);
  if (left.length < clauses.length) return left;
  throw new CliError('refused', `"${named}" does not stand in ${where}`, { hints: [clauses.length === 0 ? 'it is empty' : `there is: ${joinSome(clauses.map(({ label }) => label), 10)}`] });
}

async function reportKept(answer: Fields, done: string, isJson: boolean): Promise<void> {
  const { audience, advice } = readKept(answer);
  if (isJson) await printJson(answer);
  else await printReport(`${done} ${describe(audience)}`);
  for (const sentence of advice) printNote(`note: ${sentence}`);
}

function describe(audience: Audience): string {
  const { name, kind, preset, algorithm, lifetimeSeconds, scopes } = audience;
  return [
    `${name}.`,
    `  ${kind === 'api' ? 'access tokens' : 'ID tokens'}, preset ${preset}, ${algorithm}, for ${lifetimeSeconds} s`,
    ...(scopes.length === 0 ? [] : [`  scopes: ${scopes.join(' ')}`]),
    `  policy: ${describeState(audience)}`,
    `  for: ${describeWho(audience)}`,
  ].join('\n');
}

function describeState({ isEnabled, mode, isConfigured, maxAuthAgeSeconds }: Audience): string {
  const state = isEnabled ? (mode === 'audit' ? 'tried only (audit)' : 'enforced') : 'disabled';
  return [state, ...(maxAuthAgeSeconds === undefined ? [] : [`sign-in at most ${maxAuthAgeSeconds} s old`]), ...(isConfigured ? ['by configuration'] : [])].join(', ');
}

/** "people, group:ops; not account:eve@example.com; only by vouch-cli". */
function describeWho({ allow, deny, clients }: Audience): string {
  const name = (clauses: readonly Clause[]): string => joinSome(clauses.map(({ label }) => label), 5);
  return [
    allow.length === 0 ? 'nobody' : name(allow),
    ...(deny.length === 0 ? [] : [`not ${name(deny)}`]),
    ...(clients.length === 0 ? [] : [`only by ${joinSome(clients, 5)}`]),
  ].join('; ');
}

async function printJson(value: object): Promise<void> {
  await printReport(JSON.stringify(value, null, 2));
}
