// Ctrl-C ends vouch with status 130. It waits only while a rotated refresh token is on its way to the disk: the
// issuer has already forgotten the old one, so ending there would cost the person the session.
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
// What else a command that vouch runs may be sent; those which the terminal sends come first.
const PASSED = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;
const FROM_TERMINAL: readonly string[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH'];
// One Ctrl-C may arrive twice (from the terminal and from the bin's parent process); a second one means it.
const INSISTENCE_MS = 500;

let heldCount = 0;
let pending: { readonly exitCode: number; readonly at: number } | undefined;
let sayGoodbye: (() => void) | undefined;

/**
 * From now on signals go to the command that runs, and vouch ends when it does. On a terminal Ctrl-C reaches the command
 * by itself: passing it on would be a second one, which many programs take for impatience. Returns what ends this.
 */
export function passSignalsTo(pass: (signal: NodeJS.Signals) => void): () => void {
  const isOnTerminal = process.stdin.isTTY;
  const listeners = PASSED.filter((signal) => process.platform !== 'win32' || signal !== 'SIGUSR1').map((signal) => {
    const listener = (): void => { if (!isOnTerminal || !FROM_TERMINAL.includes(signal)) pass(signal); };
    const former = process.listeners(signal);
    // First on, then off: with nobody listening in between, Node drops a signal that has just come, and nobody ever hears of it.
    process.on(signal, listener);
    for (const old of former) process.off(signal, old);
    return [signal, listener] as const;
  });
  return () => { for (const [signal, listener] of listeners) process.off(signal, listener); };
}

/** Makes signals end the process with 128 + their number, which also lets file locks be released. */
export function installSignalHandlers(): void {
  for (const signal of SIGNALS) process.on(signal, () => { receive(128 + constants.signals[signal]); });
}

/** Runs `work` to its end before a first signal takes effect; a second one, half a second later, ends at once. */
export async function holdSignals<T>(work: () => Promise<T>): Promise<T> {
  heldCount += 1;
  try {
    return await work();
  } finally {
    heldCount -= 1;
    if (heldCount === 0 && pending !== undefined) end(pending.exitCode);
  }
}

/** From now on Ctrl-C and SIGTERM are how the work is meant to end: with status 0, once `say` has said so. */
export function expectSignals(say: () => void): void {
  sayGoodbye = say;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.on(signal, () => { receive(0); });
  }
}

function end(exitCode: number): never {
  if (exitCode === 0) sayGoodbye?.();
  process.exit(exitCode);
}

function receive(exitCode: number): void {
  const now = performance.now();
  const isInsisting = pending !== undefined && now - pending.at >= INSISTENCE_MS;
  if (heldCount === 0 || isInsisting) end(exitCode);
  pending ??= { exitCode, at: now };
}
