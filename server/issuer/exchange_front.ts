import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors } from 'oidc-provider';
import type { Audit } from '../audit/audit.ts';
import type { ClientMetadata, Clients } from '../clients/clients.ts';
import { readAddress } from '../http/address.ts';
import { sendJson } from '../http/reply.ts';
import type { Clock } from '../lib/clock.ts';
import { GRANT_TYPE } from '../oauth2/vocabulary.ts';
import { answerOutOfTouch, findRetryAfter, InsufficientUserAuthentication, toProtocolError } from './failure.ts';
import { peekForm } from './peeked_form.ts';
import { demandProof, type Proofs } from './proof.ts';
import { EXCHANGE_PARAMETERS, exchangeToken, type ExchangeDependencies, type ExchangeParameters, type Facts } from './token_exchange.ts';

/*
 * The straight way for what a provider's token costs most often: a token exchange of a public client, in one piece and with
 * nothing strange about it. Through oidc-provider's pipeline the same request costs twice the processor time (bench/). The
 * five phases are the same function; whatever is out of the ordinary is left to the library, which refuses it in its words.
 */

export interface ExchangeFrontDependencies extends Omit<ExchangeDependencies, 'clientId' | 'ip' | 'userAgent' | 'arrivedAt' | 'audit' | 'proveKey'> {
  readonly proofs: Proofs;
  readonly audit: Pick<Audit, 'record' | 'note'>;
  readonly clients: Pick<Clients, 'find'>;
  readonly clock: Clock;
  readonly trustedProxies: number;
  /** Whether this instance may sign, asked before and after. */
  readonly maySign: () => boolean;
  readonly events: {
    onIssued(facts: Facts): void;
    onRefused(refusal: { route: string; clientId: string | undefined; code: string; detail: string | undefined }): void;
  };
}

const GRANT_TYPE_PAIR = new URLSearchParams({ grant_type: GRANT_TYPE.tokenExchange }).toString();

/** Answers the request, or says by `false` that it is not its to answer: then nothing has been taken from it. */
export async function answerPlainExchange(request: IncomingMessage, response: ServerResponse, dependencies: () => ExchangeFrontDependencies): Promise<boolean> {
  const form = await peekForm(request, GRANT_TYPE_PAIR);
  if (form === undefined) return false;
  const parameters = readParameters(form.text);
  const { clientId } = parameters ?? {};
  if (parameters === undefined || clientId === undefined) return form.giveBack();
  // Taken now: the snapshot of keys that the answer begins with is the one that it ends with.
  const given = dependencies();
  const client = await given.clients.find(clientId).catch(() => undefined);
  if (!isPublicExchanger(client) || !given.maySign()) return form.giveBack();
  await answer(request, response, parameters.exchange, clientId, given);
  return true;
}

const TAKEN: ReadonlySet<string> = new Set(['grant_type', 'client_id', ...EXCHANGE_PARAMETERS]);
const MAY_REPEAT: ReadonlySet<string> = new Set(['audience', 'resource']);

/** Undefined for anything but each parameter once, and none by which a client authenticates. */
function readParameters(text: string): { readonly clientId: string | undefined; readonly exchange: ExchangeParameters } | undefined {
  const values: Record<string, string | string[]> = {};
  // A percent-encoded body is ASCII; one that is not is left to the library to decode.
  for (const [name, value] of new URLSearchParams(text)) {
    if (name.startsWith('client_') && name !== 'client_id') return undefined;
    if (!TAKEN.has(name)) continue;
    const former = values[name];
    if (former !== undefined && !MAY_REPEAT.has(name)) return undefined;
    // RFC 6749 3.2: a parameter without a value counts as omitted.
    if (value === '') continue;
    values[name] = former === undefined ? value : [former, value].flat();
  }
  const { grant_type: grantType, client_id: clientId, ...exchange } = values;
  if (grantType !== GRANT_TYPE.tokenExchange || typeof clientId !== 'string' || !/^[\x20-\x7e]*$/.test(text)) return undefined;
  return { clientId, exchange: exchange };
}

function isPublicExchanger(client: ClientMetadata | undefined): boolean {
  if (client === undefined) return false;
  const { token_endpoint_auth_method: method, grant_types: grantTypes } = client;
  return method === 'none' && Array.isArray(grantTypes) && grantTypes.includes(GRANT_TYPE.tokenExchange);
}

async function answer(request: IncomingMessage, response: ServerResponse, parameters: ExchangeParameters, clientId: string, dependencies: ExchangeFrontDependencies): Promise<void> {
  const { audit, clock, trustedProxies, maySign, events, proofs, issuer } = dependencies;
  const arrivedAt = clock.now();
  const origin = { ip: readAddress(request, trustedProxies), userAgent: request.headers['user-agent'] };
  const facts: Facts = {};
  const proveKey = demandProof(request, issuer, proofs);
  if (proveKey !== undefined) response.setHeader('DPoP-Nonce', proofs.nextNonce());
  try {
    const given = await exchangeToken(parameters, { ...dependencies, ...origin, proveKey, clientId, arrivedAt }, facts);
    if (!maySign()) {
      answerOutOfTouch(response);
      return;
    }
    sendJson(response, 200, given);
    events.onIssued(facts);
  } catch (thrown) {
    const error = toProtocolError(thrown);
    if (!(error instanceof errors.OIDCProviderError)) throw error;
    const { error: code, error_description: description } = error;
    events.onRefused({ route: 'token', clientId, code, detail: error.error_detail });
    const { act, ...rest } = facts;
    audit.note({ kind: 'refusal', event: 'token_exchange', at: arrivedAt, clientId, ...origin, ...rest, act, code, reason: error.error_detail ?? description });
    const retryAfter = findRetryAfter(error, error.statusCode);
    if (retryAfter !== undefined) response.setHeader('Retry-After', String(retryAfter));
    sendJson(response, error.statusCode, {
      error: code, error_description: description,
      ...('scope' in error && typeof error.scope === 'string' ? { scope: error.scope } : {}),
      ...(error instanceof InsufficientUserAuthentication ? { max_age: error.maxAgeSeconds } : {}),
    });
  }
}
