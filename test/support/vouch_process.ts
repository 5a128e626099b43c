import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { COMPILED } from './compiled.ts';

export interface VouchResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const VOUCH = fileURLToPath(new URL('../../cli/vouch.mjs', import.meta.url));

/** Runs this checkout's `vouch` as a process of its own. `onStderr` sees what it says while it runs. */
export function runVouch(args: readonly string[], env: Record<string, string>, onStderr?: (all: string) => void): Promise<VouchResult> {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [VOUCH, ...args], { env: { PATH, HOME, ...COMPILED, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    onStderr?.(stderr);
  });
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

/** The address that `vouch login` asks its user to visit, once it has said it whole. */
export function findSignInUrl(stderr: string): string | undefined {
  return /(http\S+\/oauth\/authorize\?\S+)\s/.exec(stderr)?.[1];
}
