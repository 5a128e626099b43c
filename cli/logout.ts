// vouch logout: ends the session at the issuer and forgets it here, with the admin sign-in and the cached tokens.
import { removeAdminToken } from './admin_token.ts';
import { purgeCache } from './cache.ts';
import { CliError } from './errors.ts';
import { withFileLock, type Home } from './home.ts';
import { printNote } from './output.ts';
import { readSession, removeSession, type Session } from './session.ts';
import { hasEnded, type Connect } from './use_session.ts';
import { formatInstant, type Clock } from './time.ts';

/**
 * Revokes the session at the issuer, then removes it here; without a session it does nothing. The session is removed
 * here even if the issuer could not be told, and then it throws the `CliError` that says so (network or refused).
 */
export async function logout({ home, clock, connect }: { home: Home; clock: Clock; connect: Connect }): Promise<void> {
  await removeAdminToken(home);
  const outcome = await withFileLock(home.sessionPath, async () => {
    try {
      return await endSession(home, clock, connect);
    } finally {
      await removeSession(home);
      await purgeCache(home);
    }
  });
  printNote(outcome);
}

async function endSession(home: Home, clock: Clock, connect: Connect): Promise<string> {
  const session = await readSession(home).catch((error: unknown) => {
    // A broken file is what signing out is a cure for; it cannot be revoked, only removed.
    if (error instanceof CliError) return 'broken' as const;
    throw error;
  });
  if (session === undefined) return 'Not signed in.';
  if (session === 'broken') return 'Removed a session file that could not be read.';
  if (!hasEnded(session, clock())) await revoke(session, connect);
  return `Signed out ${session.email} at ${session.issuer}.`;
}

async function revoke(session: Session, connect: Connect): Promise<void> {
  try {
    await (await connect(session.issuer)).revoke(session.refreshToken);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const until = session.endsAt === undefined ? '' : ` until ${formatInstant(session.endsAt)}`;
    throw new CliError(error.kind, `signed out on this machine, but the issuer could not be told: ${error.message}`, {
      hints: [`the session stays valid there${until}; an admin of the issuer can revoke it`],
      cause: error,
    });
  }
}
