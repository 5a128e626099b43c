import type { Account, Accounts } from '../accounts/accounts.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { verifyAccessToken, type Subject } from './subject_token.ts';

export interface Bearer {
  readonly subject: Subject;
  readonly account: Account;
}

export interface BearerDependencies {
  readonly issuer: string;
  readonly keys: KeySnapshot;
  readonly accounts: Pick<Accounts, 'findHolder'>;
  readonly clock: Clock;
  /** Checks the proof that came along with the token (RFC 9449 7.1): the thumbprint of its key. Undefined where none came, or none is taken. */
  readonly proveKey?: ((accessToken: string) => Promise<string>) | undefined;
}

/**
 * Who shows an access token for `audience` (RFC 6750 2.1), and that their session still lives: a signature says nothing of
 * a sign-out since. Undefined when no token is shown; a reason, in a sentence, when it will not do.
 */
export async function verifyBearer(authorization: string | undefined, audience: string, dependencies: BearerDependencies): Promise<Bearer | string | undefined> {
  const token = readToken(authorization) ?? readBoundToken(authorization);
  if (token === undefined) return undefined;
  const { issuer, keys, accounts, clock, proveKey } = dependencies;
  const now = toUnixSeconds(clock.now());
  const subject = verifyAccessToken(token, { issuer, audience }, keys, now);
  if (typeof subject === 'string') return `the access token is unusable: ${subject}`;
  if (subject.grantId === undefined) return 'the access token is unusable: it is of a service account, which has no session';
  if (subject.jkt !== undefined && (readBoundToken(authorization) === undefined || subject.jkt !== (await proveKey?.(token)))) {
    return 'the access token is unusable: it is bound to a key (DPoP), and the request proves none or another one';
  }
  const { account, sessionEndsAt } = await accounts.findHolder(subject.accountId, subject.grantId);
  if (sessionEndsAt === undefined || sessionEndsAt <= now || account === undefined) return 'the access token is unusable: its session has ended';
  return { subject, account };
}

/** The token of an Authorization header of the scheme DPoP (RFC 9449 7.1). */
function readBoundToken(authorization: string | undefined): string | undefined {
  return /^DPoP +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization ?? '')?.[1];
}

/** The token of an Authorization header (RFC 6750 2.1); undefined where there is none. */
export function readToken(authorization: string | undefined): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization ?? '')?.[1];
}
