/*
 * Owns: the protocol: discovery, authorization, tokens, exchange, userinfo. The only user of oidc-provider.
 * Never: shows a page of its own; decides who may have an audience; keeps a key.
 * Keeps true: every URL and `iss` it emits begins with the configured issuer; a change of keys fails no request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Document } from '../http/document.ts';
import { sendJson } from '../http/reply.ts';
import { applyBrowserHeaders } from '../http/security_headers.ts';
import type { Keys } from '../keys/keys.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import { verifyBearer, type Bearer } from './bearer.ts';
import { renderDiscovery } from './discovery.ts';
import { createBrowserSessions, type BrowserSessions } from './browser_sessions.ts';
import { answerPlainExchange } from './exchange_front.ts';
import { createInteractions, type Interactions } from './interactions.ts';
import { createProvider, type ProviderOptions } from './provider.ts';
import { createProofs, deriveNonceSecret } from './proof.ts';
import { createReplays } from './replays.ts';
import { adminAudience } from './resource.ts';
import { findMethods, ROUTES } from './routes.ts';
import { answerSessionCredentials } from './session_credentials.ts';
import type { Facts } from './token_exchange.ts';
import { answerUserinfo } from './userinfo.ts';

export { ROUTES } from './routes.ts';
export type { Bearer } from './bearer.ts';
export type { DeviceAsker, DevicePages } from './device_flow.ts';
export type { BrowserSession, BrowserSessions } from './browser_sessions.ts';
export type { Interaction, Interactions } from './interactions.ts';
export type { ProviderEvents } from './provider.ts';
export type { Facts } from './token_exchange.ts';

export interface Issuer {
  readonly discovery: Document;
  readonly interactions: Interactions;
  readonly browserSessions: BrowserSessions;
  /** Who shows an access token for the admin API. Undefined without one; a reason when it will not do. Whether they are an admin is not said. */
  readonly verifyAdmin: (authorization: string | undefined) => Promise<Bearer | string | undefined>;
  /** The same for an access token for this issuer, as a session has it; by which client, its subject says. */
  readonly verifyPerson: (authorization: string | undefined) => Promise<Bearer | string | undefined>;
  /** Answers a request of the protocol, whatever it is; false when the path is none of the protocol's. */
  readonly handle: (request: IncomingMessage, response: ServerResponse, path: string) => boolean;
}

export interface IssuerOptions extends Omit<ProviderOptions, 'proofs' | 'underWay'> {
  readonly keys: Keys;
  readonly rings: readonly SigningAlgorithm[];
}

export function createIssuer(given: IssuerOptions): Issuer {
  const { issuer, keys, events, clock, cookieKeys } = given;
  const proofs = createProofs({ nonceSecret: deriveNonceSecret(cookieKeys), replays: createReplays(given), clock });
  const options: ProviderOptions & IssuerOptions = { ...given, proofs, underWay: new Map() };
  let provider = createProvider(options, keys.current());
  let answer = provider.callback();
  keys.onChange((snapshot) => {
    provider = createProvider(options, snapshot);
    answer = provider.callback();
  });

  const bearerDependencies = () => ({ issuer, keys: keys.current(), accounts: options.accounts, clock: options.clock });
  const sayFailure = (route: string, response: ServerResponse) => (error: unknown) => {
    events.onFailure({ route, error: error as Error });
    sendJson(response, 500, { error: 'server_error', error_description: 'The issuer made a mistake. It was recorded.' });
  };
  // What does not need oidc-provider.
  const own: Readonly<Record<string, { readonly methods: readonly string[]; readonly answer: (request: IncomingMessage, response: ServerResponse) => void }>> = {
    [ROUTES.userinfo]: {
      methods: ['GET', 'POST'],
      answer: (request, response) => void answerUserinfo(request, response, { ...bearerDependencies(), proofs }).catch(sayFailure('userinfo', response)),
    },
    [ROUTES.sessionCredentials]: {
      methods: ['GET'],
      answer: (request, response) => {
        answerSessionCredentials(request, response, { ...exchangeDependencies(), onIssued: (facts: Facts) => { events.onIssued(facts); } }).catch(sayFailure('session_credentials', response));
      },
    },
  };

  const exchangeDependencies = () => {
    const { clients, audiences, audit, trustedProxies, findAccountWait } = options;
    const snapshot = keys.current();
    return { ...bearerDependencies(), keys: snapshot, clients, audiences, audit, trustedProxies, events, proofs, findAccountWait, maySign: () => keys.maySign(snapshot) };
  };
  const answerToken = async (request: IncomingMessage, response: ServerResponse) => {
    const isAnswered = await answerPlainExchange(request, response, exchangeDependencies).catch((error: unknown) => {
      sayFailure('token', response)(error);
      return true;
    });
    if (!isAnswered) await answer(request, response);
  };

  return {
    discovery: renderDiscovery(issuer, options.rings),
    interactions: createInteractions(() => provider, options),
    browserSessions: createBrowserSessions(() => provider, options),
    verifyAdmin: (authorization) => verifyBearer(authorization, adminAudience(issuer), bearerDependencies()),
    verifyPerson: (authorization) => verifyBearer(authorization, issuer, bearerDependencies()),
    handle: (request, response, path) => {
      const methods = own[path]?.methods ?? findMethods(path);
      if (methods === undefined) return false;
      if (!methods.includes(request.method ?? '')) {
        response.setHeader('Allow', methods.join(', '));
        sendJson(response, 405, { error: 'invalid_request', error_description: `send ${methods.join(' or ')} to ${path}` });
      } else if (own[path] !== undefined) {
        own[path].answer(request, response);
      } else {
        // No form-action: in Chromium it would also bind the redirect that carries the answer to the client. A device has none.
        applyBrowserHeaders(response, { formAction: path === ROUTES.device ? "'self'" : undefined });
        if (path === ROUTES.token) void answerToken(request, response);
        else void answer(request, response);
      }
      return true;
    },
  };
}
