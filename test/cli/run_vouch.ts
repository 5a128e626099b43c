// The CLI as its users run it: a child process with its own ~/.vouch.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runVouch } from '../../cli/run.ts';
import { COMPILED } from '../support/compiled.ts';

export const BIN = fileURLToPath(new URL('../../cli/vouch.mjs', import.meta.url));
export const SETUP_ANTHROPIC = [
  'setup', 'anthropic',
  '--federation-rule-id', 'fdrl_01Rule',
  '--organization-id', '11111111-2222-4333-8444-555555555555',
  '--service-account-id', 'svac_01Account',
  '--workspace-id', 'wrkspc_01Space',
];
export const SETUP_OPENAI = ['setup', 'openai', '--identity-provider-id', 'wip_01', '--service-account-id', 'sa_01'];

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Sandbox {
  readonly home: string;
  readonly configPath: string;
  readonly sessionPath: string;
  /** Runs `vouch` to its end with nothing on standard input. */
  readonly run: (parameters: readonly string[], variables?: Record<string, string>) => Promise<Outcome>;
  /** Like `run`, in this process: quick, for what no process of its own is needed. Never two at once. */
  readonly runHere: (parameters: readonly string[], variables?: Record<string, string>) => Promise<Outcome>;
  readonly start: (parameters: readonly string[], variables?: Record<string, string>) => Running;
  /** Writes a script that gets the address as `url` and may `leave` what it saw, and returns the BROWSER value that runs it. */
  readonly writeBrowser: (name: string, body: string) => Promise<string>;
  /** What the script left. It may still run when the command has ended, so this waits for it. */
  readonly readPage: () => Promise<Record<string, unknown>>;
  readonly readJson: (path: string) => Promise<Record<string, unknown>>;
  /** Changes session.json as the passing of time would. */
  readonly editSession: (changes: Record<string, unknown>) => Promise<void>;
  readonly remove: () => Promise<void>;
}

export interface Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
  /** Resolves with the first match of the pattern on standard error. */
  readonly waitForStderr: (pattern: RegExp) => Promise<RegExpMatchArray>;
}

/** Follows redirects like a browser and leaves what it saw for `readPage`. */
export const FOLLOWING_BROWSER = `
  const response = await fetch(url);
  await leave({ status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() });
`;

export async function createSandbox(): Promise<Sandbox> {
  const folder = await mkdtemp(join(tmpdir(), 'vouch-cli-'));
  const home = join(folder, 'home');
  const [sessionPath, pageLog] = [join(home, 'session.json'), join(folder, 'page.json')];
  const readJson = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  const start: Sandbox['start'] = (parameters, variables = {}) => startVouch(process.execPath, [BIN, ...parameters], { VOUCH_HOME: home, ...variables });
  return {
    home,
    configPath: join(home, 'config.json'),
    sessionPath,
    start,
    run: (parameters, variables) => start(parameters, variables).outcome,
    runHere: (parameters, variables = {}) => runInThisProcess(parameters, { VOUCH_HOME: home, ...variables }),
    readJson,
    editSession: async (changes) => writeFile(sessionPath, JSON.stringify({ ...(await readJson(sessionPath)), ...changes })),
    writeBrowser: async (name, body) => {
      const path = join(folder, `${name}.mjs`);
      const prelude = `
        import { rename, writeFile } from 'node:fs/promises';
        const url = process.argv[2];
        const leave = async (seen) => {
          await writeFile(${JSON.stringify(`${pageLog}.new`)}, JSON.stringify(seen));
          await rename(${JSON.stringify(`${pageLog}.new`)}, ${JSON.stringify(pageLog)});
        };
      `;
      await writeFile(path, `#!${process.execPath}\n${prelude}${body}`);
      await chmod(path, 0o755);
      return path;
    },
    readPage: async () => {
      for (let tries = 0; !existsSync(pageLog) && tries < 100; tries += 1) await sleep(100);
      return readJson(pageLog);
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface Surroundings {
  readonly stdin?: string;
  readonly clock?: () => number;
  /** Hears standard error so far, each time that something comes. */
  readonly onStderr?: (all: string) => void;
}

export async function runInThisProcess(parameters: readonly string[], variables: Record<string, string>, { stdin = '', clock = Date.now, onStderr }: Surroundings = {}): Promise<Outcome> {
  const [stdout, stderr] = [capture(process.stdout), capture(process.stderr, onStderr)];
  const ownStdin = Object.getOwnPropertyDescriptor(process, 'stdin');
  Object.defineProperty(process, 'stdin', { value: Readable.from(stdin === '' ? [] : [stdin], { objectMode: false }), configurable: true });
  try {
    const status = await runVouch({ parameters, variables: { PATH: process.env['PATH'], ...variables }, clock, readVersion: () => '0.1.0' });
    return { status, signal: null, stdout: stdout.read(), stderr: stderr.read() };
  } finally {
    if (ownStdin === undefined) Reflect.deleteProperty(process, 'stdin');
    else Object.defineProperty(process, 'stdin', ownStdin);
    stdout.release();
    stderr.release();
  }
}

/** Keeps what is printed meanwhile out of the tests' own output. */
export async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const streams = [capture(process.stdout), capture(process.stderr)];
  try {
    return await work();
  } finally {
    for (const stream of streams) stream.release();
  }
}

function capture(stream: NodeJS.WriteStream, onText?: (all: string) => void): { readonly read: () => string; readonly release: () => void } {
  const [own, isTTY] = [Object.getOwnPropertyDescriptor(stream, 'write'), stream.isTTY];
  let text = '';
  const write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    onText?.(text);
    const done = rest.find((one) => typeof one === 'function') as (() => void) | undefined;
    done?.();
    return true;
  };
  Object.assign(stream, { write, isTTY: false });
  return {
    read: () => text,
    release: () => {
      stream.isTTY = isTTY;
      if (own === undefined) Reflect.deleteProperty(stream, 'write');
      else Object.defineProperty(stream, 'write', own);
    },
  };
}

/** Starts the command with a bare environment, so that nothing of this machine leaks into the outcome. */
export function startVouch(command: string, parameters: readonly string[], variables: Record<string, string>): Running {
  // The compiled code is kept across sandboxes: starting afresh each time would be most of these tests' time.
  const own = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...COMPILED };
  const child = spawn(command, parameters, { env: { ...own, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString(); });
  child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => { resolve({ status, signal, stdout, stderr }); });
  });
  const waitForStderr = (pattern: RegExp): Promise<RegExpMatchArray> => new Promise((resolve, reject) => {
    const look = (): void => {
      const match = stderr.match(pattern);
      if (match !== null) resolve(match);
    };
    look();
    child.stderr.on('data', look);
    child.on('close', () => { reject(new Error(`never said ${String(pattern)}: ${stderr}`)); });
  });
  return { child, outcome, waitForStderr };
}
