// A sign-in without a browser on this machine: the person enters a code in one elsewhere (RFC 8628).
import { hostname, machine } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from './errors.ts';
import type { DeviceDescription, DeviceSignIn } from './issuer.ts';
import { IssuerRefusal } from './issuer_refusal.ts';
import { printNote } from './output.ts';
import { holdSignals } from './signals.ts';
import { withSpinner } from './spinner.ts';
import { formatDuration, formatInstant, type Clock } from './time.ts';

export interface CodeSignIn {
  readonly issuer: string;
  readonly clock: Clock;
  readonly start: (device: DeviceDescription) => Promise<DeviceSignIn>;
  /** Puts what was given on the disk. Signals wait for its end. */
  readonly keep: (given: Given) => Promise<void>;
}

type Given = Awaited<ReturnType<DeviceSignIn['poll']>>;

/** RFC 8628 3.5: by how much `slow_down` lengthens every later wait. */
const SLOW_DOWN_MS = 5_000;
/** The longest wait while the issuer is away; each failed attempt doubles it until then. */
const LONGEST_WAIT_MS = 30_000;

/** Shows the code and waits for the person. Throws `CliError`: network (before there is a code), refused, other (the code expired). */
export async function signInByCode({ issuer, clock, start, keep }: CodeSignIn): Promise<Given> {
  const signIn = await start(describeThisMachine());
  invite(issuer, signIn, clock());
  const given = await withSpinner('waiting for the browser', () => waitForPerson(signIn, issuer, clock));
  await holdSignals(() => keep(given));
  return given;
}

function invite(issuer: string, { url, code, expiresAt }: DeviceSignIn, now: number): void {
  printNote(`To sign in at ${issuer}, open this page in a browser on any machine:`);
  printNote(`\n  ${url}\n`);
  printNote('and enter this code:');
  printNote(`\n  ${code}\n`);
  printNote(`It is good until ${formatInstant(expiresAt)} (${formatDuration(expiresAt - now)}). Give it to nobody: whoever confirms it decides who is signed in here.`);
}

async function waitForPerson({ poll, expiresAt, intervalMs }: DeviceSignIn, issuer: string, clock: Clock): Promise<Given> {
  let waitMs = intervalMs;
  let outages: readonly CliError[] = [];
  while (clock() < expiresAt) {
    await sleep(Math.max(waitMs, Math.min(waitMs * 2 ** outages.length, LONGEST_WAIT_MS)));
    try {
      return await poll();
    } catch (error) {
      outages = isOutage(error) ? [...outages, error] : [];
      if (outages.length === 0) waitMs += judge(error, issuer);
    }
  }
  throw outages.at(-1) ?? createExpired();
}

/** What passes: the code stays good while the issuer, or the way to it, is away. */
function isOutage(error: unknown): error is CliError {
  return error instanceof CliError && (error.kind === 'network' || error.kind === 'rateLimited');
}

/** By how much the waits grow where the answer is only that the person has not decided. Throws every other answer. */
function judge(error: unknown, issuer: string): number {
  if (!(error instanceof IssuerRefusal)) throw error;
  switch (error.code) {
    case 'authorization_pending': return 0;
    case 'slow_down': return SLOW_DOWN_MS;
    case 'expired_token': throw createExpired();
    case 'access_denied': throw new IssuerRefusal(error.code, error.message.replace(`the issuer ${issuer} refused: access_denied`, 'the sign-in was refused in the browser'), { hints: ['run `vouch login --device` to try again, if that was not meant'], cause: error });
    // Its answer was lost for longer than the issuer repeats it, or the issuer has forgotten it: what was begun cannot be taken up again.
    case 'invalid_grant': throw new IssuerRefusal(error.code, error.message, { hints: ['run `vouch login --device` to start again'], cause: error });
    default: throw error;
  }
}

function createExpired(): CliError {
  return new CliError('other', 'nobody confirmed the code before it expired', { hints: ['run `vouch login --device` for a new one'] });
}

const SYSTEMS: Readonly<Partial<Record<NodeJS.Platform, string>>> = { darwin: 'macOS', linux: 'Linux', win32: 'Windows', freebsd: 'FreeBSD' };

/** Fit for the issuer, which takes 1-64 visible ASCII characters of each. */
function describeThisMachine(): DeviceDescription {
  const clean = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 64) || '?';
  return { name: clean(hostname()), os: clean(`${SYSTEMS[process.platform] ?? process.platform} (${machine()})`) };
}
