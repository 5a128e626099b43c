import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { COMPILED } from './compiled.ts';
import { watchProcess, type Watched } from './process_output.ts';

const COMMAND = fileURLToPath(new URL('../../server/keys_command.ts', import.meta.url));

/** Starts `npm run keys -- ...`, as on a host of the issuer. */
export function startOnHost(args: readonly string[], env: Readonly<Record<string, string>>): Watched {
  const { PATH, HOME } = process.env;
  return watchProcess(spawn(process.execPath, ['--liftoff-only', COMMAND, ...args], { env: { PATH, HOME, NODE_NO_WARNINGS: '1', ...COMPILED, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }));
}
