import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, type Provider } from 'oidc-provider';
import { ACCOUNT_CLIENT_ID } from '../clients/clients.ts';
import { NotFound } from '../lib/errors.ts';
import { SCOPES } from '../oauth2/vocabulary.ts';
import type { Audiences } from '../audiences/audiences.ts';
import type { ArtifactStore } from '../storage/storage.ts';
import { findDevice } from './device_codes.ts';
import { DENIED, describeDevice, type DeviceAsker } from './device_flow.ts';
import { fromProtocolError } from './failure.ts';
import { adminAudience, findResourceScopes } from './resource.ts';

/** What a client asked of a person's browser, as far as the pages need it. */
export interface Interaction {
  readonly uid: string;
  /** What oidc-provider wants settled next. */
  readonly prompt: string;
  readonly client: { readonly id: string; readonly name: string; readonly isNative: boolean; readonly isOwn: boolean };
  readonly scopes: readonly string[];
  /** Whether the token is to be for the admin API: the person is told. */
  readonly asksToAdminister: boolean;
  /** Whether a session somewhere else is not enough: the client asks for a sign-in now (`prompt=login`, `max_age`), a device does, or it is to administer. */
  readonly wantsFreshSignIn: boolean;
  /** Where the answer goes: shown to the person who is asked to agree. Undefined for a device, which fetches it. */
  readonly redirectUri: string | undefined;
  /** The device that asks, where one does (RFC 8628). */
  readonly device: DeviceAsker | undefined;
  /** Who is signed in to this browser already. */
  readonly accountId: string | undefined;
}

export interface SignIn {
  readonly accountId: string;
  readonly amr: readonly string[];
  /** Unix seconds. */
  readonly authTime: number;
}

/** The pages' side of an authorization request. Each method finds it by the browser's own cookie, and throws NotFound when it is over. */
export interface Interactions {
  find(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
  /** Gives the URL at which the browser goes on. */
  finishSignIn(request: IncomingMessage, response: ServerResponse, signIn: SignIn): Promise<string>;
  finishConsent(request: IncomingMessage, response: ServerResponse): Promise<string>;
  /** The person said no: the client gets `access_denied`. */
  abort(request: IncomingMessage, response: ServerResponse): Promise<string>;
  /** The person may not do this: the client gets `access_denied` with `reason`, a sentence without a full stop. */
  refuse(request: IncomingMessage, response: ServerResponse, reason: string): Promise<string>;
}

export interface InteractionDependencies {
  readonly issuer: string;
  readonly audiences: Pick<Audiences, 'find'>;
  readonly durable: Pick<ArtifactStore, 'find'>;
  readonly trustedProxies: number;
}

export function createInteractions(current: () => Provider, { issuer, audiences, durable, trustedProxies }: InteractionDependencies): Interactions {
  const load = async (request: IncomingMessage, response: ServerResponse) => {
    const provider = current();
    const found = await provider.interactionDetails(request, response).catch((error: unknown) => {
      throw error instanceof errors.SessionNotFound ? new NotFound('the sign-in is over', { cause: error }) : fromProtocolError(error);
    });
    const client = await provider.Client.find(String(found.params.client_id));
    if (client === undefined) throw new NotFound('the client is gone');
    return { provider, found, client };
  };

  const createGrant = async (provider: Provider, accountId: string, clientId: string, { scope, resource }: Record<string, unknown>) => {
    const grant = new provider.Grant({ accountId, clientId });
    grant.addOIDCScope(pickScopes(scope, SCOPES).join(' '));
    for (const target of readTargets(resource, issuer)) {
      grant.addResourceScope(target, pickScopes(scope, (await findResourceScopes(issuer, audiences, target)) ?? []).join(' '));
    }
    return grant.save();
  };

  const deny = async (request: IncomingMessage, response: ServerResponse, reason: string) => {
    const { provider } = await load(request, response);
    return provider.interactionResult(request, response, { error: 'access_denied', error_description: reason }, { mergeWithLastSubmission: false });
  };

  return {
    find: async (request, response) => {
      const { found, client } = await load(request, response);
      const device = found.deviceCode === undefined ? undefined : await findDevice(durable, found.deviceCode);
      if (found.deviceCode !== undefined && device === undefined) throw new NotFound('the device code is gone');
      const asksToAdminister = readTargets(found.params.resource, issuer).includes(adminAudience(issuer));
      return {
        uid: found.uid,
        prompt: found.prompt.name,
        client: { id: client.clientId, name: client.clientName ?? client.clientId, isNative: client.applicationType === 'native', isOwn: client.clientId === ACCOUNT_CLIENT_ID },
        scopes: pickScopes(found.params.scope, SCOPES),
        asksToAdminister,
        wantsFreshSignIn: device !== undefined || asksToAdminister || found.params.max_age !== undefined || (typeof found.params.prompt === 'string' && found.params.prompt.split(' ').includes('login')),
        redirectUri: typeof found.params.redirect_uri === 'string' ? found.params.redirect_uri : undefined,
        device: device === undefined ? undefined : describeDevice(request, device, trustedProxies),
        accountId: found.session?.accountId,
      };
    },
    finishSignIn: async (request, response, { accountId, amr, authTime }) => {
      const { provider, found, client } = await load(request, response);
      // How is left out where nobody said it: an empty list would say that there was no way.
      const login = { accountId, ...(amr.length === 0 ? {} : { amr: [...amr] }), ts: authTime };
      // The page that asked for the passkey named the native client: the touch was the consent. Our own page asks for nothing.
      const consent = client.applicationType === 'native' || client.clientId === ACCOUNT_CLIENT_ID ? { consent: { grantId: await createGrant(provider, accountId, client.clientId, found.params) } } : {};
      return provider.interactionResult(request, response, { login, ...consent });
    },
    finishConsent: async (request, response) => {
      const { provider, found, client } = await load(request, response);
      const accountId = found.session?.accountId;
      if (accountId === undefined || found.prompt.name !== 'consent') throw new NotFound('nobody is asked to agree');
      return provider.interactionResult(request, response, { consent: { grantId: await createGrant(provider, accountId, client.clientId, found.params) } });
    },
    abort: (request, response) => deny(request, response, DENIED),
    refuse: deny,
  };
}

function pickScopes(requested: unknown, from: readonly string[]): string[] {
  const asked = typeof requested === 'string' ? requested.split(' ') : [];
  return from.filter((scope) => asked.includes(scope));
}

/** The resources that a request names, or the one that it gets without naming any. */
function readTargets(requested: unknown, issuer: string): string[] {
  const named = [requested].flat().filter((target) => typeof target === 'string');
  return named.length === 0 ? [issuer] : named;
}
