// vouch passkeys list, rename and remove.
import type { AccountApi } from '../account_api.ts';
import { readAnswer, takeOptionalText, takeText } from '../answers.ts';
import { confirmByTyping } from '../confirm.ts';
import { CliError } from '../errors.ts';
import { asFields, takeBoolean, takeInstant, takeList, takeNullable, takeString } from '../fields.ts';
import { printNote, printReport } from '../output.ts';
import { joinSome, renderTable } from '../table.ts';
import { formatInstant } from '../time.ts';

interface Passkey {
  readonly id: string;
  readonly name: string;
  readonly model: string | undefined;
  readonly isBackedUp: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly lastUsedAt: number | undefined;
}

/** As much of an id as tells passkeys apart, and can be typed. */
const SHORT_ID_LENGTH = 8;

/** Prints the passkeys of who is signed in. */
export async function listPasskeys(api: AccountApi, isJson: boolean): Promise<void> {
  const answer = await api.get('/passkeys');
  const passkeys = readAnswer(() => takeList(answer, 'passkeys', takePasskey));
  const rows = passkeys.map(({ id, name, model, isBackedUp, createdAt, lastUsedAt }) => [name, model ?? '-', isBackedUp ? 'yes' : 'no', formatInstant(createdAt), lastUsedAt === undefined ? 'never' : formatInstant(lastUsedAt), id.slice(0, SHORT_ID_LENGTH)]);
  const nothing = 'You have no passkey: you sign in by your company alone. Add one on your account page.';
  await printReport(isJson ? JSON.stringify(answer, null, 2) : rows.length === 0 ? nothing : renderTable(['NAME', 'MODEL', 'BACKED UP', 'SINCE', 'LAST USED', 'ID'], rows));
}

/** Gives a passkey another name. */
export async function renamePasskey(api: AccountApi, { passkey, name, isJson }: { passkey: string; name: string; isJson: boolean }): Promise<void> {
  const found = await find(api, passkey);
  const answer = await api.post('/passkeys/rename', { passkey: found.id, name });
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `${found.name} is called ${name.trim()} now.`);
}

/** Removes a passkey, once its name was typed. */
export async function removePasskey(api: AccountApi, { passkey, isSure, isJson }: { passkey: string; isSure: boolean; isJson: boolean }): Promise<void> {
  const found = await find(api, passkey);
  if (!isSure) {
    printNote(`Nobody signs in with ${found.name} (since ${formatInstant(found.createdAt)}) any more. It cannot be undone.\n`);
    await confirmByTyping({ question: 'Type its name to remove it: ', expected: found.name, refusal: 'that is not its name: nothing was removed' });
  }
  const answer = await api.post('/passkeys/remove', { passkey: found.id });
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `Removed ${found.name}. Take it out of your device or password manager, too.`);
}

/** The one that is meant: by its id, its name, or the beginning of its id. */
async function find(api: AccountApi, named: string): Promise<Passkey> {
  const answer = await api.get('/passkeys');
  const passkeys = readAnswer(() => takeList(answer, 'passkeys', takePasskey));
  const tests: readonly ((passkey: Passkey) => boolean)[] = [({ id }) => id === named, ({ name }) => name === named, ({ id }) => named.length >= 4 && id.startsWith(named)];
  for (const test of tests) {
    const [first, second] = passkeys.filter(test);
    if (second !== undefined) throw new CliError('refused', `"${named}" fits several of your passkeys`, { hints: ['name it by its id: `vouch passkeys list --json`'] });
    if (first !== undefined) return first;
  }
  throw new CliError('refused', `you have no passkey "${named}"`, { hints: [passkeys.length === 0 ? 'you have none' : `you have: ${joinSome(passkeys.map(({ name }) => name), 10)}`] });
}

function takePasskey(value: unknown): Passkey {
  const fields = asFields(value, 'a passkey');
  return {
    id: takeString(fields, 'id'), name: takeText(fields, 'name'), model: takeOptionalText(fields, 'model'), isBackedUp: takeBoolean(fields, 'is_backed_up'),
    createdAt: takeInstant(fields, 'created_at'), lastUsedAt: takeNullable(fields, 'last_used_at', takeInstant),
  };
}
