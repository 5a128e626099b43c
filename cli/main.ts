// The CLI's process: vouch.mjs loads this file once it has found a Node that can.
import { existsSync, readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { readEnvironment } from './environment.ts';
import { EXIT } from './errors.ts';
import { locateHome } from './home.ts';
import { ignoreLostReaders, printError } from './output.ts';
import { createProgram } from './program.ts';
import { installSignalHandlers } from './signals.ts';

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
    const program = createProgram({ version: readVersion(), environment, home, clock: Date.now });
    await program.parseAsync(parameters, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    // Help and version are printed already; help without a command is an answer to a wrong command line.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return printError(error, environment);
  }
}

installSignalHandlers();
ignoreLostReaders();
// Not process.exit: what is on its way to a pipe must arrive.
process.exitCode = await run(process.argv.slice(2), process.env);
