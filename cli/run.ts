// One run of vouch, given everything that it takes from its process.
import type { ProgramInput } from './command.ts';
import { readEnvironment } from './environment.ts';
import { EXIT } from './errors.ts';
import { locateHome } from './home.ts';
import { printError } from './output.ts';
import { findProvider } from './providers/providers.ts';
import type { Clock } from './time.ts';
import { configureWire } from './wire.ts';

export interface Run {
  readonly parameters: readonly string[];
  readonly variables: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly readVersion: () => string;
}

/** Runs a command line and returns the exit status; every failure is on standard error by then. */
export async function runVouch({ parameters, variables, clock, readVersion }: Run): Promise<number> {
  const environment = readEnvironment(variables);
  try {
    const home = locateHome(environment.vouchHome);
    configureWire({ caFile: environment.caFile, proxies: environment.proxies, log: undefined });
    const input: ProgramInput = { environment, home, clock };
    if (await runShortcut(parameters, input)) return EXIT.ok;
    const { runProgram } = await import('./program.ts');
    return await runProgram(parameters, { ...input, version: readVersion() });
  } catch (error) {
    return printError(error, environment);
  }
}

/** `vouch credential <provider>`, which scripts run in every line: answered without loading the parser of command lines. */
async function runShortcut(parameters: readonly string[], input: ProgramInput): Promise<boolean> {
  const [command, name, ...rest] = parameters;
  const provider = command === 'credential' && name !== undefined && rest.length === 0 ? findProvider(name) : undefined;
  if (provider === undefined) return false;
  const [{ printProviderCredential }, { createCredentialUse }] = await Promise.all([import('./credential.ts'), import('./source_option.ts')]);
  await printProviderCredential(await createCredentialUse(input, {}), { provider, profile: undefined, audience: undefined, usesCache: true }, false);
  return true;
}
