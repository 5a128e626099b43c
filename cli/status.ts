// vouch status: who is signed in, as far as this machine knows; asks nobody.
import { readConfig, type Config } from './config.ts';
import { createNotSignedIn } from './errors.ts';
import type { Home } from './home.ts';
import { printReport } from './output.ts';
import { readSession, type Session } from './session.ts';
import { formatDuration, formatInstant, type Clock } from './time.ts';
import { hasEnded, removeEnded } from './use_session.ts';

/** Prints the report; without a living session it throws `CliError` (notSignedIn), with `--json` after the report. */
export async function showStatus({ home, clock, isJson }: { home: Home; clock: Clock; isJson: boolean }): Promise<void> {
  const [config, stored] = [await readConfig(home), await readSession(home)];
  const isOver = stored !== undefined && hasEnded(stored, clock());
  if (isOver) await removeEnded({ home, clock });
  const session = isOver ? undefined : stored;
  if (isJson) await printReport(JSON.stringify(describeAsJson(config, session), null, 2));
  if (session === undefined) throw createNotSignedIn(isOver ? 'the session has ended' : undefined);
  if (!isJson) await printReport(describe(config, session, clock()));
}

function describeAsJson(config: Config, session: Session | undefined): unknown {
  const providers = listProviders(config);
  if (session === undefined) return { signed_in: false, issuer: config.issuer ?? null, providers };
  return {
    signed_in: true,
    issuer: session.issuer,
    email: session.email,
    session_ends_at: session.endsAt === undefined ? null : new Date(session.endsAt).toISOString(),
    access_token_expires_at: new Date(session.accessTokenExpiresAt).toISOString(),
    providers,
  };
}

function describe(config: Config, session: Session, now: number): string {
  const providers = listProviders(config);
  return [
    `Signed in as   ${session.email}`,
    `Issuer         ${session.issuer}`,
    `Session ends   ${session.endsAt === undefined ? 'when the issuer says so' : describeFuture(session.endsAt, now)}`,
    `Providers      ${providers.length === 0 ? 'none set up (vouch setup --help)' : providers.join(', ')}`,
  ].join('\n');
}

/** Names as `--type` takes them: `anthropic`, and `anthropic:work` for a profile. */
function listProviders({ providers, profiles }: Config): readonly string[] {
  const named = Object.entries(profiles).flatMap(([name, all]) => Object.keys(all).map((profile) => `${name}:${profile}`));
  return [...Object.keys(providers), ...named];
}

function describeFuture(at: number, now: number): string {
  return `${formatInstant(at)} (in ${formatDuration(at - now)})`;
}
