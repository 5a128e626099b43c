// Reading what the admin API says. Every text is made fit for a terminal here: some of it was typed by somebody.
import { CliError } from './errors.ts';
import { Malformed, takeNullable, takeString, type Fields } from './fields.ts';
import { quoteSafely } from './redact.ts';

/** Runs `work`, which reads an answer. Throws `CliError` (refused) where the answer is not in the form that it takes. */
export function readAnswer<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new CliError('refused', `the issuer's answer cannot be read: ${error.message}`, {
      hints: ['check that this vouch and the issuer are of one version'],
      cause: error,
    });
  }
}

export const takeText = (fields: Fields, name: string): string => quoteSafely(takeString(fields, name));

/** A text that may be absent or null. */
export const takeOptionalText = (fields: Fields, name: string): string | undefined => takeNullable(fields, name, takeText);

/** An item of a list. */
export function readText(value: unknown): string {
  if (typeof value !== 'string') throw new Malformed('an item is not a text');
  return quoteSafely(value);
}
