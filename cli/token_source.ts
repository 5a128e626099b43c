// Who vouch speaks for: the person who signed in, or a service account with its key file. Either gives tokens of the issuer.
import { CliError } from './errors.ts';
import { FreshSignInNeeded, isSubjectRefused } from './issuer_refusal.ts';
import { printNote } from './output.ts';
import { readSession } from './session.ts';
import { requireFreshSession, requireSession, type SessionUse } from './use_session.ts';

export interface TokenSource {
  /** The options by which another vouch speaks for the same, for commands that run later and elsewhere. */
  readonly commandOptions: readonly string[];
  /** Whom it speaks for, as far as this machine knows: nobody is asked. */
  readonly identify: () => Promise<Identity>;
  /** An access token of the issuer (RFC 9068). */
  readonly accessToken: () => Promise<AccessToken>;
  /** A fresh federation ID token; without an audience the issuer's default holds. */
  readonly idToken: (audience: string | undefined) => Promise<string>;
  /** Runs the work, and once more after a sign-in where the issuer asks for a fresh one and a person is there to give it. */
  readonly withFreshSignIn: <T>(work: () => Promise<T>) => Promise<T>;
  /** The same for what goes on by itself, later: it asks no person for anything. */
  readonly unattended: () => TokenSource;
}

/** Whose tokens they are: what is kept for one is not for another. Each sign-in has an id of its own. */
export type Identity =
  | { readonly kind: 'session'; readonly issuer: string; readonly email: string; readonly id: string }
  | { readonly kind: 'service'; readonly issuer: string; readonly clientId: string; readonly subject: string };

export interface AccessToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

export interface SessionSourceInput extends SessionUse {
  /** Signs in again, at most `maxAgeSeconds` ago, where a person is there to do it; undefined where nobody is. */
  readonly signInAgain: ((maxAgeSeconds: number) => Promise<void>) | undefined;
}

/** The session of `vouch login`. Throws what `requireFreshSession` throws, and `CliError`: network, rateLimited, refused, freshSignIn. */
export function createSessionSource(input: SessionSourceInput): TokenSource {
  return {
    commandOptions: [],
    identify: async () => {
      const { id, issuer, email } = await requireSession(input);
      return { kind: 'session', issuer, email, id };
    },
    accessToken: async () => {
      const { accessToken, accessTokenExpiresAt } = await requireFreshSession(input);
      return { token: accessToken, expiresAt: accessTokenExpiresAt };
    },
    idToken: (audience) => exchangeSession(input, audience),
    withFreshSignIn: (work) => withFreshSignIn(input, work),
    unattended: () => createSessionSource({ ...input, signInAgain: undefined }),
  };
}

/** Once: an audience that a sign-in from just now does not open, another does not open either. */
async function withFreshSignIn<T>({ home, signInAgain }: SessionSourceInput, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FreshSignInNeeded)) throw error;
    if (signInAgain === undefined) throw (await readSession(home))?.isByDevice === true ? new CliError(error.kind, error.message, { hints: [error.deviceHint], cause: error }) : error;
    printNote(`This needs your passkey: ${error.message}.`);
    await signInAgain(error.maxAgeSeconds);
  }
  return work();
}

/** A session ended at the issuer shows first when the access token is refused: a refresh then tells for certain. */
async function exchangeSession(use: SessionUse, audience: string | undefined): Promise<string> {
  const session = await requireFreshSession(use);
  const issuer = await use.connect(session.issuer);
  try {
    return await issuer.exchange(session.accessToken, audience);
  } catch (error) {
    if (!isSubjectRefused(error)) throw error;
  }
  const renewed = await requireFreshSession(use, session.accessToken);
  return (await use.connect(renewed.issuer)).exchange(renewed.accessToken, audience);
}
