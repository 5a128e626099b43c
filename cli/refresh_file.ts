// A file that always holds an ID token that is good: for SDKs that read ANTHROPIC_IDENTITY_TOKEN_FILE and the like.
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from './errors.ts';
import { IssuerRefusal } from './issuer_refusal.ts';
import { decodeClaims } from './jwt.ts';
import { printNote } from './output.ts';
import { replaceSecretFile } from './secret_file.ts';
import { expectSignals, holdSignals } from './signals.ts';
import { formatDuration, type Clock } from './time.ts';

export interface RefreshInput {
  readonly path: string;
  /** A fresh token each time: a provider takes each one once. */
  readonly mint: () => Promise<string>;
  readonly clock: Clock;
}

/** What the file holds; instants in milliseconds since 1970, by the clock of this machine. */
interface Held {
  readonly renewAt: number;
  readonly expiresAt: number;
}

/** A machine that slept is noticed this soon after it wakes. */
const TICK_MS = 1000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

/** Writes a fresh token once. Throws what `mint` throws, and `CliError` (configuration) where the file cannot be written. */
export async function writeTokenFile({ path, mint, clock }: RefreshInput): Promise<Held> {
  const askedAt = clock();
  const token = await mint();
  const held = readLife(token, askedAt);
  await holdSignals(() => replaceSecretFile(path, token));
  return held;
}

/**
 * Renews the file at half of its token's life, until Ctrl-C or SIGTERM. An issuer that is away is asked again and again;
 * a file whose token has expired meanwhile is never left without a word. Throws what trying again would not mend: a
 * session that has ended, a refusal by the issuer, a file that cannot be written.
 */
export async function keepTokenFile(input: RefreshInput): Promise<never> {
  const { path, clock } = input;
  // The first failure is the caller's own: a wrong command line must not look like an issuer that is away.
  let held = await writeTokenFile(input);
  printNote(`${path} holds a token for ${formatDuration(held.expiresAt - clock())}; it is renewed in ${formatDuration(held.renewAt - clock())}. Ctrl-C ends this.`);
  expectSignals(() => { printNote(`No longer renewed: ${describeHeld(path, held, clock())}.`); });
  const stopWatching = sayWhenExpired(input, () => held);
  try {
    for (;;) {
      await waitUntil(held.renewAt, clock);
      held = await renew(input, held);
    }
  } finally {
    stopWatching();
  }
}

/** Also while an issuer that hangs is waited for. */
function sayWhenExpired({ path, clock }: RefreshInput, current: () => Held): () => void {
  let said: Held | undefined;
  const timer = setInterval(() => {
    const held = current();
    if (clock() < held.expiresAt || said === held) return;
    said = held;
    printNote(`note: the token in ${path} has expired; still trying to renew it.`);
  }, TICK_MS);
  return () => { clearInterval(timer); };
}

/** Tries until it succeeds, or cannot. */
async function renew(input: RefreshInput, held: Held): Promise<Held> {
  const { path, clock } = input;
  let [isAway, pauseMs] = [false, FIRST_PAUSE_MS];
  for (;;) {
    try {
      const renewed = await writeTokenFile(input);
      if (isAway) printNote(`${path} is renewed again, with a token for ${formatDuration(renewed.expiresAt - clock())}.`);
      return renewed;
    } catch (error) {
      if (!mayPass(error)) throw withState(error, path, held, clock());
      if (!isAway) printNote(`note: could not renew: ${error.message}; ${describeHeld(path, held, clock())}. Trying again.`);
      isAway = true;
    }
    await waitUntil(clock() + pauseMs, clock);
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

/** By the wall clock, in small steps: a timer stands still while the machine sleeps. */
async function waitUntil(at: number, clock: Clock): Promise<void> {
  for (let left = at - clock(); left > 0; left = at - clock()) await sleep(Math.min(left, TICK_MS));
}

/** Trouble of the network, another process that holds the session for long, and answers that are not the issuer's: of a proxy while it is being replaced. */
function mayPass(error: unknown): error is CliError {
  if (!(error instanceof CliError) || error instanceof IssuerRefusal) return false;
  const passing: readonly string[] = ['network', 'rateLimited', 'refused', 'other'];
  return passing.includes(error.kind);
}

function withState(error: unknown, path: string, held: Held, now: number): unknown {
  if (!(error instanceof CliError)) return error;
  return new CliError(error.kind, `${error.message}; ${describeHeld(path, held, now)}`, { hints: error.hints, cause: error });
}

function describeHeld(path: string, { expiresAt }: Held, now: number): string {
  return expiresAt > now ? `the token in ${path} is good for another ${formatDuration(expiresAt - now)}` : `the token in ${path} has expired`;
}

/** Counted from when it was asked for, so that neither a slow answer nor this machine's clock makes it look fresher. */
function readLife(token: string, askedAt: number): Held {
  const { iat, exp } = decodeClaims(token) ?? {};
  const lifeMs = typeof iat === 'number' && typeof exp === 'number' ? (exp - iat) * 1000 : 0;
  if (lifeMs <= 0) throw new CliError('refused', "the issuer's answer holds an ID token that does not say how long it lives", { hints: ['tell the people who run the issuer'] });
  return { renewAt: askedAt + lifeMs / 2, expiresAt: askedAt + lifeMs };
}
