// vouch keys ...: how each is spelled. What they do is loaded when needed.
import type { Command } from 'commander';
import { addAdminCommand, checkChoice, checkWholeNumber, createApi, type AdminOptions as Common } from '../admin_command.ts';
import type { AdminApi } from '../admin_api.ts';
import { describe, type ProgramInput } from '../command.ts';

const ALGORITHMS = ['RS256', 'ES256'] as const;
const DEFAULT_LIMIT = '20';
const LONGEST_WAIT_SECONDS = 600;
const MOST_EVENTS = 500;

export function addKeys(program: Command, input: ProgramInput): void {
  const keys = describe(program.command('keys'), "See and change the issuer's signing keys, as an admin.", 'vouch keys list');
  const add = (name: string, about: string, example: string): Command => addAdminCommand(keys, name, about, example);
  const connect = (options: Common): Promise<AdminApi> => createApi(input, options, '`vouch keys list`');

  add('list', 'List the rings, what happens to each key next, and the instances.', 'vouch keys list')
    .action(async (options: Common) => {
      const { listKeys } = await import('./list.ts');
      await listKeys(await connect(options), options.json === true);
    });
  add('rotate', 'Let the standby take over as soon as every verifier can have it.', 'vouch keys rotate --alg ES256 --plan')
    .option('--alg <algorithm>', 'the ring: RS256 or ES256', 'RS256')
    .option('--plan', 'say what would happen, and change nothing')
    .action(async (options: Common & { alg: string; plan?: boolean }) => {
      const ring = checkAlgorithm(options.alg);
      const { rotateKeys } = await import('./rotate.ts');
      await rotateKeys(await connect(options), { ring, isPlan: options.plan === true, isJson: options.json === true });
    });
  add('cancel', 'Call a rotation off that has not happened yet.', 'vouch keys cancel --alg RS256')
    .option('--alg <algorithm>', 'the ring: RS256 or ES256', 'RS256')
    .action(async (options: Common & { alg: string }) => {
      const ring = checkAlgorithm(options.alg);
      const { cancelRotation } = await import('./rotate.ts');
      await cancelRotation(await connect(options), { ring, isJson: options.json === true });
    });
  add('revoke', 'Drop a key at once everywhere, and prove that it is gone. For emergencies.', 'vouch keys revoke --reason "seen on a laptop" -- <kid>')
    .argument('<kid>', 'which key; one that begins with - goes last, after --')
    .requiredOption('--reason <text>', 'why, for the history (required)')
    .option('--yes', 'do not ask')
    .option('--wait <seconds>', `how long each proof may take, ${LONGEST_WAIT_SECONDS} at most`, '30')
    .action(async (kid: string, options: Common & { reason: string; yes?: boolean; wait: string }) => {
      const waitSeconds = checkWholeNumber('--wait', options.wait, 1, LONGEST_WAIT_SECONDS);
      const { revokeKey } = await import('./revoke.ts');
      await revokeKey(await connect(options), { kid, reason: options.reason, isSure: options.yes === true, waitSeconds, isJson: options.json === true });
    });
  add('history', 'Show who changed what, when and why.', 'vouch keys history --limit 50')
    .option('--limit <count>', `how many changes, ${MOST_EVENTS} at most`, DEFAULT_LIMIT)
    .action(async (options: Common & { limit: string }) => {
      const limit = checkWholeNumber('--limit', options.limit, 1, MOST_EVENTS);
      const { showHistory } = await import('./reports.ts');
      await showHistory(await connect(options), { limit, isJson: options.json === true });
    });
  add('verifiers', 'Show who fetches the keys, how often, and which keys they cannot have yet.', 'vouch keys verifiers --json')
    .action(async (options: Common) => {
      const { showVerifiers } = await import('./reports.ts');
      await showVerifiers(await connect(options), options.json === true);
    });
  add('rewrap', 'Seal every private half again, after VOUCH_KEK got a new first key.', 'vouch keys rewrap')
    .action(async (options: Common) => {
      const { rewrapKeys } = await import('./reports.ts');
      await rewrapKeys(await connect(options), options.json === true);
    });
}

const checkAlgorithm = (text: string): string => checkChoice('--alg', text, ALGORITHMS);
