// A sign-in in the browser: authorization code with PKCE, answered on a loopback address (RFC 8252, RFC 7636).
import { randomBytes } from 'node:crypto';
import { openBrowser } from './browser.ts';
import { listenForCallback, type Callback, type CallbackListener } from './callback.ts';
import { readConfig } from './config.ts';
import { CliError } from './errors.ts';
import { checkEndpoint, normaliseUrl } from './formats.ts';
import type { Home } from './home.ts';
import type { SignIn, SignInRequest } from './issuer.ts';
import { printNote } from './output.ts';
import type { Page } from './page.ts';
import { quoteSafely } from './redact.ts';
import { holdSignals } from './signals.ts';

const DEFAULT_ISSUER = 'http://localhost:3000';
const SIGN_IN_TIMEOUT_MS = 5 * 60_000;

export interface BrowserChoice {
  readonly opensBrowser: boolean;
  /** BROWSER, if set. */
  readonly browser: string | undefined;
}

export interface BrowserSignIn<T> extends BrowserChoice {
  readonly issuer: string;
  readonly start: (request: SignInRequest) => Promise<SignIn<T>>;
  /** Puts what was given on the disk; the browser then shows `sentence`. Signals wait for its end. */
  readonly keep: (given: T) => Promise<{ readonly sentence: string }>;
}

/** Leads the person through the browser and keeps what the issuer gave. Throws `CliError`: network, refused, other (5 minutes passed). */
export async function signInWithBrowser<T>(input: BrowserSignIn<T>): Promise<T> {
  const state = randomBytes(32).toString('base64url');
  const listener = await listenForCallback(state);
  try {
    const signIn = await input.start({ redirectUri: listener.redirectUri, state });
    await invite(signIn.url, input);
    return await finish(input, signIn, listener);
  } finally {
    listener.close();
  }
}

/** The issuer that is meant: `--issuer`, else VOUCH_ISSUER, else the last one, else this machine's. Throws `CliError`: usage, configuration. */
export async function chooseIssuer(home: Home, issuerOption: string | undefined, issuerVariable: string | undefined): Promise<string> {
  // Read in any case: a broken file must show before the browser opens, not after.
  const config = await readConfig(home);
  const issuer = issuerOption ?? issuerVariable ?? config.issuer ?? DEFAULT_ISSUER;
  const fault = checkEndpoint(issuer);
  if (fault === undefined) return normaliseUrl(issuer);
  if (issuerOption !== undefined) throw new CliError('usage', `--issuer ${fault}`);
  throw new CliError('configuration', `VOUCH_ISSUER ${fault}`, { hints: ['correct it, or name the issuer with --issuer'] });
}

/** The address is printed in any case: the browser may be on another screen, or not start. */
async function invite(url: string, { issuer, opensBrowser, browser }: BrowserChoice & { readonly issuer: string }): Promise<void> {
  const { protocol } = new URL(url);
  if (protocol !== 'https:' && protocol !== 'http:') {
    throw new CliError('refused', `the issuer ${issuer} sends the browser to an address that is not a web page`);
  }
  const isOpening = opensBrowser && (await openBrowser(url, browser));
  if (opensBrowser && !isOpening) printNote('The browser could not be started.');
  printNote(isOpening ? `Sign in at ${issuer} in the browser. If it did not open, visit:` : `To sign in at ${issuer}, visit:`);
  printNote(`\n  ${url}\n`);
}

async function finish<T>({ keep }: BrowserSignIn<T>, signIn: SignIn<T>, listener: CallbackListener): Promise<T> {
  const callback = await listener.receive(SIGN_IN_TIMEOUT_MS);
  try {
    const { given, sentence } = await holdSignals(async () => {
      const redeemed = await signIn.finish(callback.url);
      return { given: redeemed, ...(await keep(redeemed)) };
    });
    // Only now: the page must not promise what is not on the disk.
    await callback.answer(createSuccessPage(sentence));
    return given;
  } catch (error) {
    await showFailure(callback, error);
    throw error;
  }
}

function createSuccessPage(sentence: string): Page {
  return { status: 200, title: 'Signed in', paragraphs: [sentence, 'You can close this window.'], isFailure: false };
}

async function showFailure(callback: Callback, error: unknown): Promise<void> {
  const reason = error instanceof CliError ? error.message : 'vouch met an unexpected failure';
  const sentence = quoteSafely(reason);
  const paragraphs = [`${sentence.slice(0, 1).toUpperCase()}${sentence.slice(1)}.`, 'The terminal says more. You can close this window.'];
  await callback.answer({ status: 400, title: 'You are not signed in', paragraphs, isFailure: true });
}
