import type { Issuer } from '../issuer/issuer.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import type { AdminScope } from '../oauth2/vocabulary.ts';

/** Who may do what was asked. Only `authorize` makes one. */
export interface Admin {
  readonly accountId: string;
  readonly email: string;
}

/** What a request that may not go on is told (RFC 6750 3, RFC 9470 3). */
export interface Refusal {
  readonly status: 401 | 403;
  readonly challenge: string;
  readonly error: string;
  readonly description: string;
}

export interface Demand {
  readonly scope: AdminScope;
  /** The sign-in may be at most this old, where that matters. */
  readonly maxAgeSeconds?: number;
}

/** A token for the admin API, of a live session, of an admin, with the scope, and fresh enough: in this order, each with its own answer. */
export async function authorize(authorization: string | undefined, { scope, maxAgeSeconds }: Demand, verifyAdmin: Issuer['verifyAdmin'], clock: Clock): Promise<Admin | Refusal> {
  const bearer = await verifyAdmin(authorization);
  if (bearer === undefined) return refuse(401, 'invalid_request', 'send an access token for the admin API as: Authorization: Bearer <token>', '');
  if (typeof bearer === 'string') return refuse(401, 'invalid_token', bearer);
  const { subject, account } = bearer;
  if (account.role !== 'admin') return refuse(403, 'access_denied', 'this account is not an admin');
  if (!subject.scope.split(' ').includes(scope)) return refuse(403, 'insufficient_scope', `the token lacks the scope ${scope}`, `, scope="${scope}"`);
  const age = toUnixSeconds(clock.now()) - (subject.authTime ?? 0);
  if (maxAgeSeconds !== undefined && age > maxAgeSeconds) {
    return refuse(401, 'insufficient_user_authentication', `this needs a sign-in of at most ${maxAgeSeconds} s ago; sign in again`, `, max_age="${maxAgeSeconds}"`);
  }
  return { accountId: account.id, email: account.email };
}

function refuse(status: Refusal['status'], error: string, description: string, more = ''): Refusal {
  const challenge = error === 'invalid_request' ? 'Bearer' : `Bearer error="${error}", error_description="${description}"${more}`;
  return { status, error, description, challenge };
}
