import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendJson } from '../http/reply.ts';
import { Unavailable } from '../lib/errors.ts';
import { verifyBearer, type Bearer, type BearerDependencies } from './bearer.ts';

/** UserInfo (OIDC Core 5.3) for access tokens that name this issuer as their audience. GET or POST, the token as Bearer (RFC 6750). */
export async function answerUserinfo(request: IncomingMessage, response: ServerResponse, dependencies: BearerDependencies): Promise<void> {
  try {
    const bearer = await verifyBearer(request.headers.authorization, dependencies.issuer, dependencies);
    if (bearer === undefined) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      sendJson(response, 401, { error: 'invalid_request', error_description: 'send the access token as: Authorization: Bearer <token>' });
    } else if (typeof bearer === 'string') refuse(response, bearer);
    else if (!bearer.subject.scope.split(' ').includes('openid')) refuse(response, 'the access token is unusable: it lacks the scope openid');
    else sendJson(response, 200, describe(bearer));
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    sendJson(response, 503, { error: 'temporarily_unavailable', error_description: 'The issuer cannot reach its storage just now. Try again in a moment.' });
  }
}

function refuse(response: ServerResponse, description: string): void {
  response.setHeader('WWW-Authenticate', `Bearer error="invalid_token", error_description="${description}"`);
  sendJson(response, 401, { error: 'invalid_token', error_description: description });
}

function describe({ account }: Bearer) {
  return {
    sub: account.id,
    email: account.email,
    email_verified: account.isEmailVerified,
    ...(account.hostedDomain === undefined ? {} : { hd: account.hostedDomain }),
    name: account.name,
  };
}
