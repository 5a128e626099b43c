// Whose tokens a command gives: the session's, or with --service-account those of a key file. Each is loaded when needed.
import type { Command } from 'commander';
import type { ProgramInput } from './command.ts';
import type { ProviderUse } from './provider_credential.ts';
import { CliError } from './errors.ts';
import { readSession } from './session.ts';
import { createSessionSource, type TokenSource } from './token_source.ts';
import { createConnect, type SessionUse } from './use_session.ts';

export interface SourceOptions {
  readonly serviceAccount?: string | undefined;
}

export function addServiceAccountOption(command: Command, about = 'for a job without a person: the key file in place of the session'): Command {
  return command.option('--service-account <KEYFILE>', about);
}

/** Whose token it is. What runs for days, or only looks, opens no browser by itself (`isAsking` false). */
export async function createSource(input: ProgramInput, { serviceAccount }: SourceOptions, isAsking = true): Promise<TokenSource> {
  if (serviceAccount === '') throw new CliError('usage', '--service-account must name a key file');
  if (serviceAccount !== undefined) {
    const { createServiceSource } = await import('./service_accounts/source.ts');
    return createServiceSource({ path: serviceAccount, expectedIssuer: input.environment.issuer, clock: input.clock });
  }
  const use = createSessionUse(input);
  return createSessionSource({ ...use, signInAgain: isAsking ? createNextSignIn(input, use) : undefined });
}

/** What obtains a credential of a provider for whom the options name. */
export async function createCredentialUse(input: ProgramInput, options: SourceOptions, isAsking = true): Promise<ProviderUse> {
  return { ...createPlace(input), source: await createSource(input, options, isAsking) };
}

/** The issuer whose tokens the options mean: the key file's, else the session's, else the one that a sign-in would go to. Throws `CliError` (configuration). */
export async function findIssuer({ home, environment }: ProgramInput, { serviceAccount }: SourceOptions, { identify }: TokenSource): Promise<string> {
  if (serviceAccount !== undefined) return (await identify()).issuer;
  // A broken session file is said by what needs the session.
  const session = await readSession(home).catch(() => undefined);
  if (session !== undefined) return session.issuer;
  const { chooseIssuer } = await import('./sign_in.ts');
  return chooseIssuer(home, undefined, environment.issuer);
}

function createSessionUse({ home, clock, environment }: ProgramInput): SessionUse {
  return { home, clock, connect: createConnect(clock), expectedIssuer: environment.issuer };
}

function createPlace({ home, clock, environment }: ProgramInput): Omit<ProviderUse, 'source'> {
  return { home, clock, places: { anthropicBaseUrl: environment.anthropicBaseUrl } };
}

/** What signs in again at the session's issuer, where a person is at the terminal; undefined in a script. Standard output does not count: `vouch env` is evaluated. */
function createNextSignIn({ environment }: ProgramInput, use: SessionUse): ((maxAgeSeconds: number) => Promise<void>) | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  return async (maxAgeSeconds) => {
    const { loginAgain } = await import('./login.ts');
    await loginAgain({ ...use, browser: environment.browser, isRemote: environment.isRemote, maxAgeSeconds });
  };
}
