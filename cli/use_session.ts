// A usable access token out of the stored session, refreshed when it is about to expire.
import { createNotSignedIn, CliError } from './errors.ts';
import { normaliseUrl } from './formats.ts';
import { withFileLock, type Home } from './home.ts';
import type { Issuer } from './issuer.ts';
import { decodeClaims } from './jwt.ts';
import { findAlarm, isSessionOver } from './issuer_refusal.ts';
import { readSession, removeSession, writeSession, type Session } from './session.ts';
import { holdSignals } from './signals.ts';
import { formatInstant, type Clock } from './time.ts';

// Long enough for the exchange that follows, and for a clock that is a little off.
const LEAST_MARGIN_MS = 60_000;
const MOST_MARGIN_MS = 5 * 60_000;
// What a token says of its life, and the answer that it came in, may differ by the parts of a second.
const ROUNDING_MS = 5000;

export type Connect = (issuer: string) => Promise<Issuer>;

export interface SessionUse {
  readonly home: Home;
  readonly clock: Clock;
  readonly connect: Connect;
  /** VOUCH_ISSUER, if set: a session at another issuer is then not the one that is meant. */
  readonly expectedIssuer: string | undefined;
}

/** Connects to an issuer once, however often it is asked; the protocol library is loaded only then. */
export function createConnect(clock: Clock): Connect {
  const connections = new Map<string, Promise<Issuer>>();
  return async (issuer) => {
    const { connectIssuer } = await import('./issuer.ts');
    const connection = connections.get(issuer) ?? connectIssuer({ issuer, clock });
    connections.set(issuer, connection);
    // An issuer that was away is asked again.
    connection.catch(() => { connections.delete(issuer); });
    return connection;
  };
}

/**
 * Returns a session whose access token has half of its life before it, refreshing it if need be; `rejected` names an
 * access token that the issuer has refused. Processes that run at the same time refresh once: the issuer ends the
 * session when a rotated refresh token is used twice. Throws `CliError`: notSignedIn if there is no session or it
 * has ended (it is then removed), network or refused if the refresh failed, configuration if a file is broken.
 */
export async function requireFreshSession(use: SessionUse, rejected?: string): Promise<Session> {
  const session = await requireSession(use);
  if (isFresh(session, use, rejected)) return session;
  return withFileLock(use.home.sessionPath, async () => {
    // Whoever held the lock before may have refreshed, signed out or signed in as somebody else.
    const current = requireLiving(await readSession(use.home), use);
    return isFresh(current, use, rejected) ? current : refreshSession(use, current);
  });
}

/** Returns the session, fresh or not. Throws `CliError`: notSignedIn if there is none or it has ended (it is then removed). */
export async function requireSession(use: SessionUse): Promise<Session> {
  const session = await readSession(use.home);
  if (session !== undefined && hasEnded(session, use.clock())) await removeEnded(use);
  return requireLiving(session, use);
}

function requireLiving(session: Session | undefined, { clock, expectedIssuer }: SessionUse): Session {
  if (session === undefined) throw createNotSignedIn();
  if (hasEnded(session, clock())) throw createNotSignedIn(`the session ended at ${formatInstant(session.endsAt ?? 0)}`);
  if (expectedIssuer !== undefined && normaliseUrl(expectedIssuer) !== normaliseUrl(session.issuer)) {
    throw new CliError('notSignedIn', `not signed in at ${expectedIssuer} (VOUCH_ISSUER): the session is with ${session.issuer}`, {
      hints: ['run `vouch login`, or unset VOUCH_ISSUER'],
    });
  }
  return session;
}

async function refreshSession({ home, connect }: SessionUse, session: Session): Promise<Session> {
  const issuer = await connect(session.issuer);
  // A disk that cannot take the answer must show now, while the old refresh token is still good.
  await writeSession(home, session);
  return holdSignals(async () => {
    try {
      const tokens = await issuer.refresh(session);
      const renewed = { ...session, ...tokens, endsAt: tokens.endsAt ?? session.endsAt };
      // On disk before use: the old refresh token is already void.
      await writeSession(home, renewed);
      return renewed;
    } catch (error) {
      if (!isSessionOver(error)) throw error;
      await removeSession(home);
      const alarm = findAlarm(error);
      if (alarm === undefined) throw createNotSignedIn('the issuer has ended the session');
      throw createNotSignedIn(alarm, [`see who else is signed in as you: ${session.issuer}/login/account`]);
    }
  });
}

/** Removes a session that has ended, unless a sign-in has put a living one there meanwhile. */
export async function removeEnded({ home, clock }: Pick<SessionUse, 'home' | 'clock'>): Promise<void> {
  await withFileLock(home.sessionPath, async () => {
    const current = await readSession(home);
    if (current !== undefined && hasEnded(current, clock())) await removeSession(home);
  });
}

function isFresh({ accessToken, accessTokenExpiresAt }: Session, { clock }: SessionUse, rejected: string | undefined): boolean {
  const leftMs = accessTokenExpiresAt - clock();
  const lifeMs = findLife(accessToken);
  // More than its whole life: the clock was ahead when it was kept, and so is the expiry.
  if (accessToken === rejected || (lifeMs !== undefined && leftMs > lifeMs + ROUNDING_MS)) return false;
  // Half of its life: what it is exchanged for lives no longer, and should be good for some minutes.
  return leftMs > Math.max(LEAST_MARGIN_MS, Math.min(MOST_MARGIN_MS, (lifeMs ?? 0) / 2));
}

/** How long the token lives in all, where it says so. */
function findLife(accessToken: string): number | undefined {
  const { iat, exp } = decodeClaims(accessToken) ?? {};
  return typeof iat === 'number' && typeof exp === 'number' ? (exp - iat) * 1000 : undefined;
}

/** Says whether the session's absolute end has come, at `now` in milliseconds since 1970. */
export function hasEnded(session: Session, now: number): boolean {
  return session.endsAt !== undefined && session.endsAt <= now;
}
