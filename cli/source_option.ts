// Whose tokens a command gives: the session's, or with --service-account those of a key file. Each is loaded when needed.
import type { Command } from 'commander';
import type { ProgramInput } from './command.ts';
import type { ProviderUse } from './provider_credential.ts';
import { createSessionSource, type TokenSource } from './token_source.ts';
import { createConnect, type SessionUse } from './use_session.ts';

export interface SourceOptions {
  readonly serviceAccount?: string;
}

export function addServiceAccountOption(command: Command): Command {
  return command.option('--service-account <KEYFILE>', 'for a job without a person: the key file in place of the session');
}

/** Whose token it is. A loop that runs for days opens no browser by itself. */
export async function createSource(input: ProgramInput, { serviceAccount }: SourceOptions, isForLong = false): Promise<TokenSource> {
  if (serviceAccount !== undefined) {
    const { createServiceSource } = await import('./service_accounts/source.ts');
    return createServiceSource({ path: serviceAccount, expectedIssuer: input.environment.issuer, clock: input.clock });
  }
  const use = createSessionUse(input);
  return createSessionSource({ ...use, signInAgain: isForLong ? undefined : createNextSignIn(input, use) });
}

/** What obtains a credential of a provider for whom the options name. */
export async function createCredentialUse(input: ProgramInput, options: SourceOptions): Promise<ProviderUse> {
  return { ...createPlace(input), source: await createSource(input, options) };
}

/** What the commands that need the session, and perhaps a provider, are handed. They open no browser by themselves. */
export function createProviderUse(input: ProgramInput): ProviderUse & SessionUse {
  const use = createSessionUse(input);
  return { ...use, ...createPlace(input), source: createSessionSource({ ...use, signInAgain: undefined }) };
}

function createSessionUse({ home, clock, environment }: ProgramInput): SessionUse {
  return { home, clock, connect: createConnect(clock), expectedIssuer: environment.issuer };
}

function createPlace({ home, clock, environment }: ProgramInput): Omit<ProviderUse, 'source'> {
  return { home, clock, places: { anthropicBaseUrl: environment.anthropicBaseUrl } };
}

/** What signs in again at the session's issuer, where a person is at the terminal; undefined in a script. */
function createNextSignIn({ environment }: ProgramInput, use: SessionUse): (() => Promise<void>) | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  return async () => {
    const { loginAgain } = await import('./login.ts');
    await loginAgain({ ...use, browser: environment.browser });
  };
}
