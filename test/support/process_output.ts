import type { ChildProcess } from 'node:child_process';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Watched {
  readonly child: ChildProcess;
  /** All that it printed, and how it ended, once it has. */
  readonly ended: Promise<Ended>;
  /** All that it printed so far. */
  printed(): Readonly<Pick<Ended, 'stdout' | 'stderr'>>;
  /** Waits until one of the two outputs holds a match; an error when the process ends without one. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Reads what a child prints, from its first byte. */
export function watchProcess(child: ChildProcess): Watched {
  const printed = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  let hasEnded = false;
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    printed.stdout += text;
    for (const listener of listeners) listener();
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    printed.stderr += text;
    for (const listener of listeners) listener();
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code, signal) => {
    hasEnded = true;
    for (const listener of listeners) listener();
    resolve({ code, signal, ...printed });
  }));
  return {
    child, ended,
    printed: () => ({ ...printed }),
    waitFor: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(printed.stdout) ?? pattern.exec(printed.stderr);
          if (match === null && !hasEnded) return;
          listeners.delete(look);
          if (match !== null) resolve(match);
          else reject(new Error(`the process ended and had not printed ${pattern}: ${printed.stdout}\n${printed.stderr}`));
        };
        listeners.add(look);
        look();
      }),
  };
}
