// Who vouch speaks for: the person who signed in, or a service account with its key file. Either gives tokens of the issuer.
import { CliError } from './errors.ts';
import { isSubjectRefused } from './issuer_refusal.ts';
import { printNote } from './output.ts';
import { requireFreshSession, type SessionUse } from './use_session.ts';

export interface TokenSource {
  /** An access token of the issuer (RFC 9068). */
  readonly accessToken: () => Promise<string>;
  /** A fresh federation ID token; without an audience the issuer's default holds. */
  readonly idToken: (audience: string | undefined) => Promise<string>;
}

export interface SessionSourceInput extends SessionUse {
  /** Signs in again, where a person is there to do it; undefined where nobody is. */
  readonly signInAgain: (() => Promise<void>) | undefined;
}

/** The session of `vouch login`. Throws what `requireFreshSession` throws, and `CliError`: network, refused, freshSignIn. */
export function createSessionSource(input: SessionSourceInput): TokenSource {
  return {
    accessToken: async () => (await requireFreshSession(input)).accessToken,
    idToken: (audience) => withFreshSignIn(input, () => exchangeSession(input, audience)),
  };
}

/** Once: an audience that a sign-in from just now does not open, another does not open either. */
async function withFreshSignIn<T>({ signInAgain }: SessionSourceInput, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CliError) || error.kind !== 'freshSignIn' || signInAgain === undefined) throw error;
    printNote(`This needs your passkey: ${error.message}.`);
  }
  await signInAgain();
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
