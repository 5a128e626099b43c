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
import { renderDiscovery } from './discovery.ts';
import { createInteractions, type Interactions } from './interactions.ts';
import { createProvider, findSessionEnd, type ProviderOptions } from './provider.ts';
import { findMethods, ROUTES } from './routes.ts';
import { answerUserinfo } from './userinfo.ts';

export { ROUTES } from './routes.ts';
export type { Interaction, Interactions } from './interactions.ts';
export type { ProviderEvents } from './provider.ts';
export type { Issued } from './token_exchange.ts';

export interface Issuer {
  readonly discovery: Document;
  readonly interactions: Interactions;
  /** Answers a request of the protocol, whatever it is; false when the path is none of the protocol's. */
  handle(request: IncomingMessage, response: ServerResponse, path: string): boolean;
}

export interface IssuerOptions extends ProviderOptions {
  readonly keys: Keys;
  readonly rings: readonly SigningAlgorithm[];
}

export function createIssuer(options: IssuerOptions): Issuer {
  const { issuer, keys, events } = options;
  let provider = createProvider(options, keys.current());
  let answer = provider.callback();
  keys.onChange((snapshot) => {
    provider = createProvider(options, snapshot);
    answer = provider.callback();
  });

  const userinfo = (request: IncomingMessage, response: ServerResponse) => {
    const { accounts, clock } = options;
    const dependencies = { issuer, accounts, clock, keys: keys.current(), findSessionEnd: (grantId: string) => findSessionEnd(provider, grantId) };
    answerUserinfo(request, response, dependencies).catch((error: unknown) => {
      events.onFailure({ route: 'userinfo', error: error as Error });
      sendJson(response, 500, { error: 'server_error', error_description: 'The issuer made a mistake. It was recorded.' });
    });
  };

  return {
    discovery: renderDiscovery(issuer, options.rings),
    interactions: createInteractions(() => provider, issuer),
    handle: (request, response, path) => {
      const methods = path === ROUTES.userinfo ? ['GET', 'POST'] : findMethods(path);
      if (methods === undefined) return false;
      if (!methods.includes(request.method ?? '')) {
        response.setHeader('Allow', methods.join(', '));
        sendJson(response, 405, { error: 'invalid_request', error_description: `send ${methods.join(' or ')} to ${path}` });
      } else if (path === ROUTES.userinfo) {
        userinfo(request, response);
      } else {
        // No form-action here: in Chromium it would also bind the redirect that carries the answer to the client.
        applyBrowserHeaders(response, { formAction: undefined });
        void answer(request, response);
      }
      return true;
    },
  };
}
