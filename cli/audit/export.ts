// vouch audit export: the record as JSON lines, as the issuer writes them.
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { AdminApi } from '../admin_api.ts';
import { readAnswer } from '../answers.ts';
import { CliError, readErrorCode } from '../errors.ts';
import { asFields, parseJson } from '../fields.ts';
import { printNote, printReport } from '../output.ts';
import { stageSecretFile } from '../secret_file.ts';

export interface ExportOptions {
  readonly range: Readonly<Record<string, string>>;
  /** Undefined: standard output. */
  readonly path: string | undefined;
  readonly isJson: boolean;
}

/** Writes whole lines only. Throws `CliError` (network) when the answer was cut off; a file is then left as it was. */
export async function exportRows(api: AdminApi, { range, path, isJson }: ExportOptions): Promise<void> {
  const query = new URLSearchParams(range).toString();
  const lines = checkLines(api.lines(`/audit/export${query === '' ? '' : `?${query}`}`));
  if (path === undefined) {
    for await (const line of lines) await printReport(line);
    return;
  }
  const count = await writeFile(path, lines);
  if (isJson) await printReport(JSON.stringify({ rows: count, output_file: path }, null, 2));
  else printNote(`Wrote ${count} ${count === 1 ? 'row' : 'rows'} to ${path}.`);
}

/** A page of a proxy must not pass for the record. */
async function* checkLines(lines: AsyncIterable<string>): AsyncIterable<string> {
  for await (const line of lines) {
    readAnswer(() => asFields(parseJson(line), 'a line'));
    yield line;
  }
}

async function writeFile(path: string, lines: AsyncIterable<string>): Promise<number> {
  // The record names people and addresses: for its owner alone, until they decide otherwise.
  const staged = await stageSecretFile(path, '');
  try {
    const count = await writeLines(createWriteStream(staged.path, { flags: 'r+', flush: true }), lines);
    await staged.replace();
    return count;
  } catch (error) {
    await staged.discard();
    if (error instanceof CliError || readErrorCode(error) === undefined) throw error;
    throw new CliError('configuration', `could not write ${path} (${readErrorCode(error) ?? ''})`, { hints: ['check the permissions of its folder, and the disk'], cause: error });
  }
}

async function writeLines(out: WriteStream, lines: AsyncIterable<string>): Promise<number> {
  const done = finished(out);
  // Seen below, or in the same moment by whoever waits for the disk.
  done.catch(() => undefined);
  let count = 0;
  try {
    for await (const line of lines) {
      if (!out.write(`${line}\n`)) await Promise.race([once(out, 'drain'), done]);
      count += 1;
    }
    out.end();
    await done;
    return count;
  } catch (error) {
    out.destroy();
    throw error;
  }
}
