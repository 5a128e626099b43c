import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Accounts } from '../accounts/accounts.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { Unavailable } from '../lib/errors.ts';
import { verifyAccessToken } from './subject_token.ts';

export interface UserinfoDependencies {
  readonly issuer: string;
  readonly keys: KeySnapshot;
  readonly accounts: Accounts;
  readonly clock: Clock;
  readonly findSessionEnd: (grantId: string) => Promise<number | undefined>;
}

/** UserInfo (OIDC Core 5.3) for access tokens that name this issuer as their audience. GET or POST, the token as Bearer (RFC 6750). */
export async function answerUserinfo(request: IncomingMessage, response: ServerResponse, dependencies: UserinfoDependencies): Promise<void> {
  const token = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) {
    refuse(response, 401, 'Bearer', undefined);
    return;
  }
  try {
    const claims = await findClaims(token, dependencies);
    if (typeof claims === 'string') refuse(response, 401, `Bearer error="invalid_token", error_description="${claims}"`, { error: 'invalid_token', error_description: claims });
    else send(response, 200, claims, {});
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    send(response, 503, { error: 'temporarily_unavailable', error_description: 'The issuer cannot reach its storage just now. Try again in a moment.' }, {});
  }
}

async function findClaims(token: string, { issuer, keys, accounts, clock, findSessionEnd }: UserinfoDependencies): Promise<object | string> {
  const now = toUnixSeconds(clock.now());
  const subject = verifyAccessToken(token, issuer, keys, now);
  if (typeof subject === 'string') return `the access token is unusable: ${subject}`;
  if (!subject.scope.split(' ').includes('openid')) return 'the access token is unusable: it lacks the scope openid';
  const [endsAt, account] = await Promise.all([findSessionEnd(subject.grantId), accounts.find(subject.accountId)]);
  if (endsAt === undefined || endsAt <= now || account === undefined) return 'the access token is unusable: its session has ended';
  return {
    sub: account.id,
    email: account.email,
    email_verified: account.isEmailVerified,
    ...(account.hostedDomain === undefined ? {} : { hd: account.hostedDomain }),
    name: account.name,
  };
}

function refuse(response: ServerResponse, status: number, challenge: string, body: object | undefined): void {
  send(response, status, body ?? { error: 'invalid_request', error_description: 'send the access token as: Authorization: Bearer <token>' }, { 'WWW-Authenticate': challenge });
}

function send(response: ServerResponse, status: number, body: object, headers: Record<string, string>): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': bytes.length, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', ...headers });
  response.end(bytes);
}
