import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors } from 'oidc-provider';
import { sendJson } from '../http/reply.ts';
import { Unavailable } from '../lib/errors.ts';
import { verifyBearer, type Bearer, type BearerDependencies } from './bearer.ts';
import type { Proofs } from './proof.ts';
import { ROUTES } from './routes.ts';

export interface UserinfoDependencies extends Omit<BearerDependencies, 'proveKey'> {
  readonly proofs: Proofs;
}

/** UserInfo (OIDC Core 5.3) for access tokens that name this issuer as their audience. GET or POST, the token as Bearer (RFC 6750) or DPoP (RFC 9449). */
export async function answerUserinfo(request: IncomingMessage, response: ServerResponse, dependencies: UserinfoDependencies): Promise<void> {
  const { issuer, proofs } = dependencies;
  const { dpop: proof, authorization } = request.headers;
  const prove = (given: string, accessToken: string) => proofs.verify({ proof: given, method: request.method ?? '', url: issuer + ROUTES.userinfo, accessToken }, { needsNonce: false });
  try {
    const bearer = await verifyBearer(authorization, issuer, { ...dependencies, proveKey: typeof proof === 'string' ? (accessToken) => prove(proof, accessToken) : undefined });
    if (bearer === undefined) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      sendJson(response, 401, { error: 'invalid_request', error_description: 'send the access token as: Authorization: Bearer <token>' });
    } else if (typeof bearer === 'string') refuse(response, bearer);
    else if (!bearer.subject.scope.split(' ').includes('openid')) refuse(response, 'the access token is unusable: it lacks the scope openid');
    else sendJson(response, 200, describe(bearer));
  } catch (error) {
    if (error instanceof errors.InvalidDpopProof || error instanceof errors.UseDpopNonce) {
      response.setHeader('DPoP-Nonce', proofs.nextNonce());
      refuse(response, error.error_description ?? '', error.error, 'DPoP');
      return;
    }
    if (!(error instanceof Unavailable)) throw error;
    sendJson(response, 503, { error: 'temporarily_unavailable', error_description: 'The issuer cannot reach its storage just now. Try again in a moment.' });
  }
}

function refuse(response: ServerResponse, description: string, code = 'invalid_token', scheme: 'Bearer' | 'DPoP' = 'Bearer'): void {
  response.setHeader('WWW-Authenticate', `${scheme} error="${code}", error_description="${description}"`);
  sendJson(response, 401, { error: code, error_description: description });
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
