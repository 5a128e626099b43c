// vouch audit ...: how each is spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { addAdminCommand, checkChoice, checkName, checkWholeNumber, createApi, type AdminOptions } from '../admin_command.ts';
import type { AdminApi } from '../admin_api.ts';
import { describe, type ProgramInput } from '../command.ts';
import { CliError } from '../errors.ts';
import { readRange } from './instants.ts';

interface RangeFlags extends AdminOptions {
  readonly since?: string;
  readonly until?: string;
}

interface FindFlags extends RangeFlags {
  readonly jti?: string;
  readonly kid?: string;
  readonly account?: string;
  readonly audience?: string;
  readonly client?: string;
  readonly kind?: string;
  readonly limit: string;
}

const MOST_ROWS = 1000;

export function addAudit(program: Command, input: ProgramInput): void {
  const audit = describe(program.command('audit'), 'Say who held which token, as an admin.', 'vouch audit find --since 2h');
  const add = (name: string, about: string, example: string): Command => addAdminCommand(audit, name, about, example);
  const connect = (options: AdminOptions): Promise<AdminApi> => createApi(input, options, '`vouch audit find --help`');

  addRange(add('find', 'Find rows of the record, newest first. One row is shown with all that is known of it.', 'vouch audit find --account ada@example.com --since 7d'))
    .option('--jti <jti>', 'the token with this jti')
    .option('--kid <kid>', 'tokens that this key signed')
    .option('--account <account>', 'of this account, by its e-mail, subject or id')
    .option('--audience <audience>', 'for this audience')
    .option('--client <id>', 'through this client')
    .option('--kind <kind>', 'token, refusal, admin or sign_in')
    .option('--limit <count>', `how many rows, ${MOST_ROWS} at most`, '100')
    .action(async (options: FindFlags) => {
      const query = readFindQuery(options, input.clock());
      const { findRows } = await import('./find.ts');
      await findRows(await connect(options), { query, isJson: options.json === true });
    });
  addRange(add('export', 'Write the record as JSON lines, oldest first. An answer that is cut off is a failure.', 'vouch audit export --since 7d --output-file week.jsonl'))
    .option('--output-file <path>', 'into this file, which is replaced once all is there (default: standard output)')
    .action(async (options: RangeFlags & { outputFile?: string }) => {
      const range = readRange(options, input.clock());
      const { exportRows } = await import('./export.ts');
      await exportRows(await connect(options), { range, path: options.outputFile, isJson: options.json === true });
    });
  add('verify', 'Check that no row was changed, removed, inserted or moved. Ends with 5 and names every fault if one was.', 'vouch audit verify')
    .action(async (options: AdminOptions) => {
      const { verifyRecord } = await import('./verify.ts');
      await verifyRecord(await connect(options), options.json === true);
    });
}

function addRange(command: Command): Command {
  return command
    .option('--since <when>', 'from then on: 15m, 2h or 7d ago, or an instant as 2026-11-24T10:00:00Z')
    .option('--until <when>', 'before then, in the same forms');
}

/** Checks what the issuer would have to refuse. */
function readFindQuery(options: FindFlags, now: number): Readonly<Record<string, string>> {
  const { jti, kid, account, audience, client, kind, limit } = options;
  if (kind !== undefined) checkChoice('--kind', kind, ['token', 'refusal', 'admin', 'sign_in']);
  if (account !== undefined) checkName('--account', account);
  const named = Object.entries({ jti, kid, account, audience, client, kind }).filter((pair): pair is [string, string] => pair[1] !== undefined);
  const empty = named.find(([, value]) => value === '');
  if (empty !== undefined) throw new CliError('usage', `--${empty[0]} must not be empty`);
  return { ...Object.fromEntries(named), limit: String(checkWholeNumber('--limit', limit, 1, MOST_ROWS)), ...readRange(options, now) };
}
