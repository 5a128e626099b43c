import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILED } from './compiled.ts';
import { createEmbeddedFolder } from './embedded_folder.ts';
import { findFreePort } from './free_port.ts';

export interface IssuerProcess {
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  readonly pid: number;
  /** The enrolment link that the start printed, if it did. */
  readonly invitation: string | undefined;
  /** All that it printed so far. */
  output(): { stdout: string; stderr: string };
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL: no goodbye. */
  kill(): Promise<void>;
}

export interface IssuerProcessOptions {
  /** Default: a new one, its database made and empty. */
  readonly dataDir?: string;
  readonly port?: number;
  readonly env?: Record<string, string>;
}

/** Tests ask far more from one address than people do; those of the limits say otherwise. */
export const UNLIMITED = '1000000';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Starts the issuer as `npm start` does, as a process of its own, and waits until it answers. */
export async function startIssuerProcess({ dataDir: given, port, env = {} }: IssuerProcessOptions = {}): Promise<IssuerProcess> {
  const dataDir = given ?? (await createEmbeddedFolder());
  const chosen = port ?? (await findFreePort());
  const child = spawnIssuer({ VOUCH_PORT: String(chosen), VOUCH_RATE_LIMIT_SCALE: UNLIMITED, VOUCH_DATA_DIR: dataDir, ...env });
  const printed = { stdout: '', stderr: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (printed.stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (printed.stderr += text));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = env.VOUCH_ISSUER ?? `http://localhost:${chosen}`;
  await waitUntilReady(`http://127.0.0.1:${chosen}`, child, () => `${printed.stdout}\n${printed.stderr}`);
  return {
    url, port: chosen, dataDir, pid: child.pid!,
    get invitation() {
      return /http\S+\/login\/enrol\/\S+/.exec(printed.stdout)?.[0];
    },
    output: () => ({ ...printed }),
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** The bare process, for tests that kill it before it answers. */
export function spawnIssuer(env: Record<string, string>, args: readonly string[] = []): ChildProcess {
  const { PATH, HOME } = process.env;
  return spawn(process.execPath, ['--liftoff-only', join(ROOT, 'server/main.ts'), ...args], { cwd: ROOT, env: { PATH, HOME, NODE_NO_WARNINGS: '1', ...COMPILED, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

const START_MS = 120_000;

async function waitUntilReady(url: string, child: ChildProcess, describe: () => string): Promise<void> {
  const end = Date.now() + START_MS;
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`the issuer ended with ${child.exitCode}: ${describe()}`);
    const response = await fetch(`${url}/readyz`).catch(() => undefined);
    if (response?.ok) {
      // The banner, with the invitation, follows the first readiness by a moment.
      await new Promise((resolve) => setTimeout(resolve, 300));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill('SIGKILL');
  throw new Error(`the issuer was not ready in ${START_MS / 1000} s: ${describe()}`);
}
