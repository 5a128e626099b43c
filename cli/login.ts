// vouch login: authorization code with PKCE in the browser, answered on a loopback address (RFC 8252, RFC 7636).
import { randomBytes } from 'node:crypto';
import { openBrowser } from './browser.ts';
import { listenForCallback, type Callback, type CallbackListener } from './callback.ts';
import { readConfig, saveIssuer } from './config.ts';
import { CliError } from './errors.ts';
import { checkEndpoint, normaliseUrl } from './formats.ts';
import { withFileLock, type Home } from './home.ts';
import type { SignIn } from './issuer.ts';
import { printNote } from './output.ts';
import { quoteSafely } from './redact.ts';
import type { Page } from './page.ts';
import { writeSession, type Session } from './session.ts';
import { holdSignals } from './signals.ts';
import { formatDuration, formatInstant, type Clock } from './time.ts';
import type { Connect } from './use_session.ts';

const DEFAULT_ISSUER = 'http://localhost:3000';
const SIGN_IN_TIMEOUT_MS = 5 * 60_000;

export interface LoginInput {
  readonly home: Home;
  readonly clock: Clock;
  readonly connect: Connect;
  /** `--issuer`, and VOUCH_ISSUER; the option wins. */
  readonly issuerOption: string | undefined;
  readonly issuerVariable: string | undefined;
  readonly opensBrowser: boolean;
  readonly browser: string | undefined;
}

/** Signs in and stores the session. Throws `CliError`: usage, configuration, network, refused, other (5 minutes passed). */
export async function login(input: LoginInput): Promise<void> {
  const issuer = await chooseIssuer(input);
  const connection = await input.connect(issuer);
  const state = randomBytes(32).toString('base64url');
  const listener = await listenForCallback(state);
  try {
    const signIn = await connection.startSignIn({ redirectUri: listener.redirectUri, state });
    await invite(signIn.url, issuer, input);
    const session = await finish(input, issuer, signIn, listener);
    printNote(describeSession(session, input.clock()));
  } finally {
    listener.close();
  }
}

async function chooseIssuer({ home, issuerOption, issuerVariable }: LoginInput): Promise<string> {
  // Read in any case: a broken file must show before the browser opens, not after.
  const config = await readConfig(home);
  const issuer = issuerOption ?? issuerVariable ?? config.issuer ?? DEFAULT_ISSUER;
  const fault = checkEndpoint(issuer);
  if (fault === undefined) return normaliseUrl(issuer);
  if (issuerOption !== undefined) throw new CliError('usage', `--issuer ${fault}`);
  throw new CliError('configuration', `VOUCH_ISSUER ${fault}`, { hints: ['correct it, or name the issuer with --issuer'] });
}

/** The address is printed in any case: the browser may be on another screen, or not start. */
async function invite(url: string, issuer: string, { opensBrowser, browser }: LoginInput): Promise<void> {
  const { protocol } = new URL(url);
  if (protocol !== 'https:' && protocol !== 'http:') {
    throw new CliError('refused', `the issuer ${issuer} sends the browser to an address that is not a web page`);
  }
  const isOpening = opensBrowser && (await openBrowser(url, browser));
  if (opensBrowser && !isOpening) printNote('The browser could not be started.');
  printNote(isOpening ? `Sign in at ${issuer} in the browser. If it did not open, visit:` : `To sign in at ${issuer}, visit:`);
  printNote(`\n  ${url}\n`);
}

async function finish(input: LoginInput, issuer: string, signIn: SignIn, listener: CallbackListener): Promise<Session> {
  const callback = await listener.receive(SIGN_IN_TIMEOUT_MS);
  try {
    const session = await holdSignals(async () => {
      const redeemed = { issuer, ...(await signIn.finish(callback.url)) };
      await keepSession(input.home, redeemed);
      return redeemed;
    });
    // Only now: the page must not promise what is not on the disk.
    await callback.answer(createSuccessPage(session));
    return session;
  } catch (error) {
    await showFailure(callback, error);
    throw error;
  }
}

async function keepSession(home: Home, session: Session): Promise<void> {
  await withFileLock(home, home.sessionPath, () => writeSession(home, session));
  await saveIssuer(home, session.issuer);
}

function createSuccessPage({ email, issuer }: Session): Page {
  return { status: 200, title: 'Signed in', paragraphs: [`${email} is signed in at ${issuer}.`, 'You can close this window.'], isFailure: false };
}

async function showFailure(callback: Callback, error: unknown): Promise<void> {
  const reason = error instanceof CliError ? error.message : 'vouch met an unexpected failure';
  const sentence = quoteSafely(reason);
  const paragraphs = [`${sentence.slice(0, 1).toUpperCase()}${sentence.slice(1)}.`, 'The terminal says more. You can close this window.'];
  await callback.answer({ status: 400, title: 'You are not signed in', paragraphs, isFailure: true });
}

function describeSession({ email, issuer, endsAt }: Session, now: number): string {
  const end = endsAt === undefined ? '' : ` until ${formatInstant(endsAt)} (${formatDuration(endsAt - now)})`;
  return `Signed in as ${email} at ${issuer}${end}.`;
}
