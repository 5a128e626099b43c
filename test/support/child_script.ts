import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { COMPILED } from './compiled.ts';
import { watchProcess, type Watched } from './process_output.ts';

export interface ChildScript extends Watched {
  /** Sends a line to its standard input. */
  tell(line: string): void;
  tellNoMore(): void;
}

/** Runs a script of this folder as a process of its own, as Node runs TypeScript. */
export function startScript(name: string, args: readonly string[]): ChildScript {
  const { PATH, HOME } = process.env;
  const script = fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, ['--liftoff-only', script, ...args], { env: { PATH, HOME, NODE_NO_WARNINGS: '1', ...COMPILED }, stdio: ['pipe', 'pipe', 'pipe'] });
  return {
    ...watchProcess(child),
    tell: (line) => child.stdin.write(`${line}\n`),
    tellNoMore: () => child.stdin.end(),
  };
}
