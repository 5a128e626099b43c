// The CLI's process: vouch.mjs loads this file once it has found a Node that can.
import { existsSync, readFileSync } from 'node:fs';
import type { ProgramInput } from './command.ts';
import { readEnvironment } from './environment.ts';
import { EXIT } from './errors.ts';
import { locateHome } from './home.ts';
import { ignoreLostReaders, printError } from './output.ts';
import { findProvider } from './providers/providers.ts';
import { installSignalHandlers } from './signals.ts';
import { configureWire } from './wire.ts';

/** The version in package.json: one folder up in a checkout, two in a built tree. */
function readVersion(): string {
  const candidates = ['../package.json', '../../package.json'].map((path) => new URL(path, import.meta.url));
  const manifest = candidates.find((url) => existsSync(url));
  if (manifest === undefined) return 'unknown';
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

async function run(parameters: readonly string[], variables: NodeJS.ProcessEnv): Promise<number> {
  const environment = readEnvironment(variables);
  try {
    const home = locateHome(environment.vouchHome);
    configureWire({ caFile: environment.caFile, proxies: environment.proxies, log: undefined });
    const input: ProgramInput = { environment, home, clock: Date.now };
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
  const [{ printProviderCredential }, { createProviderUse }] = await Promise.all([import('./credential.ts'), import('./use_session.ts')]);
  await printProviderCredential(createProviderUse(input), { provider, profile: undefined, audience: undefined, usesCache: true }, false);
  return true;
}

installSignalHandlers();
ignoreLostReaders();
// Not process.exit: what is on its way to a pipe must arrive.
process.exitCode = await run(process.argv.slice(2), process.env);
