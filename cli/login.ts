// vouch login: signs in in the browser, here or elsewhere, and keeps the session.
import { randomUUID } from 'node:crypto';
import { purgeCache } from './cache.ts';
import { saveIssuer } from './config.ts';
import { signInByCode } from './device_sign_in.ts';
import { withFileLock, type Home } from './home.ts';
import { printNote } from './output.ts';
import { readSession, writeSession, type Session } from './session.ts';
import { chooseIssuer, signInWithBrowser, type BrowserChoice } from './sign_in.ts';
import { formatDuration, formatInstant, type Clock } from './time.ts';
import type { Connect } from './use_session.ts';

export interface LoginInput extends BrowserChoice {
  readonly home: Home;
  readonly clock: Clock;
  readonly connect: Connect;
  /** `--issuer`, and VOUCH_ISSUER; the option wins. */
  readonly issuerOption: string | undefined;
  readonly issuerVariable: string | undefined;
  /** Whether this is an ssh session without a screen: its browser is elsewhere. */
  readonly isRemote?: boolean;
  /** How long ago the person may have signed in; nought: now. Undefined: as the issuer has it. */
  readonly maxAgeSeconds?: number | undefined;
}

/** Signs in and stores the session. Throws `CliError`: usage, configuration, network, refused, other (5 minutes passed). */
export async function login({ home, clock, connect, issuerOption, issuerVariable, isRemote = false, maxAgeSeconds, ...browserChoice }: LoginInput): Promise<void> {
  const issuer = await chooseIssuer(home, issuerOption, issuerVariable);
  const connection = await connect(issuer);
  if (isRemote) printNote('note: this is an ssh session without a screen; `vouch login --device` signs in with the browser of another machine');
  const given = await signInWithBrowser({
    ...browserChoice, issuer,
    start: (request) => connection.startSignIn({ ...request, maxAgeSeconds }),
    keep: async (tokens) => {
      await keepSession(home, { id: randomUUID(), issuer, isByDevice: false, ...tokens });
      return { sentence: `${tokens.email} is signed in at ${issuer}.` };
    },
  });
  printNote(describeSession({ issuer, ...given }, clock()));
}

/** Signs in with a code that is confirmed in a browser elsewhere, and stores the session. Throws `CliError`: usage, configuration, network, refused, other (the code expired). */
export async function loginByDevice({ home, clock, connect, issuerOption, issuerVariable }: Pick<LoginInput, 'home' | 'clock' | 'connect' | 'issuerOption' | 'issuerVariable'>): Promise<void> {
  const issuer = await chooseIssuer(home, issuerOption, issuerVariable);
  const connection = await connect(issuer);
  const given = await signInByCode({
    issuer, clock,
    start: connection.startDeviceSignIn,
    keep: (tokens) => keepSession(home, { id: randomUUID(), issuer, isByDevice: true, ...tokens }),
  });
  printNote(describeSession({ issuer, ...given }, clock()));
}

/** Signs in once more at the session's issuer: with a code where there is no browser, else in the browser. Throws what `login` and `loginByDevice` throw. */
export async function loginAgain({ browser, isRemote = false, maxAgeSeconds, ...use }: Pick<LoginInput, 'home' | 'clock' | 'connect' | 'browser' | 'isRemote' | 'maxAgeSeconds'>): Promise<void> {
  const session = await readSession(use.home);
  const input = { ...use, issuerOption: session?.issuer, issuerVariable: undefined };
  // A code is confirmed by a sign-in of that moment, whatever age would do.
  if (isRemote || session?.isByDevice === true) await loginByDevice(input);
  else await login({ ...input, opensBrowser: true, browser, maxAgeSeconds });
}

async function keepSession(home: Home, session: Session): Promise<void> {
  await withFileLock(home.sessionPath, () => writeSession(home, session));
  await purgeCache(home);
  await saveIssuer(home, session.issuer);
}

function describeSession({ email, issuer, endsAt }: Pick<Session, 'email' | 'issuer' | 'endsAt'>, now: number): string {
  const end = endsAt === undefined ? '' : ` until ${formatInstant(endsAt)} (${formatDuration(endsAt - now)})`;
  return `Signed in as ${email} at ${issuer}${end}.`;
}
