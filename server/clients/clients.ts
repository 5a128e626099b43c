/*
 * Owns: OAuth clients: the command line and the account page that ship with the product, and the registered relying parties.
 * Never: keeps a client secret that could be read back.
 * Keeps true: a client may do only what its record says; a built-in client cannot be shadowed.
 */
import { createRandomValue, hashValue, isEqualInConstantTime } from '../crypto/digest.ts';
import type { Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { GRANT_TYPE } from '../oauth2/vocabulary.ts';
import type { ClientStore, JsonObject } from '../storage/storage.ts';
import { createServiceClients, type ServiceClients } from './service_clients.ts';

export { checkServiceKeys, type ServiceClients, type ServiceKeys } from './service_clients.ts';

/** RFC 7591 2 names, as oidc-provider reads them. */
export type ClientMetadata = JsonObject & { readonly client_id: string };

export interface NewClient {
  readonly id: string;
  readonly name: string;
  /** Exact, https, or http on loopback for a native application (RFC 8252 7.3: its port is free). */
  readonly redirectUris: readonly string[];
  readonly kind: 'web' | 'native';
  /** `none` for a public client; a secret is made for `client_secret_basic`; `private_key_jwt` brings its public keys. */
  readonly authentication: 'none' | 'client_secret_basic' | { readonly jwks: JsonObject };
  readonly canExchangeTokens?: boolean;
  /** Where a browser may go on to once it is signed out (RP-Initiated Logout 3.1). */
  readonly postLogoutRedirectUris?: readonly string[];
}

export interface Clients {
  find(id: string): Promise<ClientMetadata | undefined>;
  /** Gives the secret, once, where the client has one. Throws Refused, or Conflict when the id is taken. */
  register(client: NewClient): Promise<{ secret: Secret<string> | undefined }>;
  readonly services: ServiceClients;
}

export const CLI_CLIENT_ID = 'vouch-cli';
const CLIENT_ID = /^[A-Za-z0-9._-]{3,100}$/;

export const ACCOUNT_CLIENT_ID = 'vouch-account';
/** Where the browser comes back to from signing in for the account page. */
export const ACCOUNT_RETURN_PATH = '/login/account/return';

/** A public native client (RFC 8252): it cannot keep a secret, so PKCE and a touch of the passkey stand in. */
const CLI_CLIENT: ClientMetadata = {
  client_id: CLI_CLIENT_ID,
  client_name: 'vouch',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: [GRANT_TYPE.authorizationCode, GRANT_TYPE.deviceCode, GRANT_TYPE.refreshToken, GRANT_TYPE.tokenExchange],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
};

/**
 * The account page is a client like any other where it asks for a sign-in. It wants the browser's session and no token:
 * it drops its PKCE verifier, so that the code it is given is of no use to anybody.
 */
const createAccountClient = (issuer: string): ClientMetadata => ({
  client_id: ACCOUNT_CLIENT_ID,
  client_name: 'Vouch',
  application_type: 'web',
  token_endpoint_auth_method: 'none',
  grant_types: [GRANT_TYPE.authorizationCode],
  response_types: ['code'],
  redirect_uris: [issuer + ACCOUNT_RETURN_PATH],
});

export function createClients({ issuer, store, clock }: { issuer: string; store: ClientStore; clock: Clock }): Clients {
  const builtIn = new Map([CLI_CLIENT, createAccountClient(issuer)].map((client) => [client.client_id, client]));
  return {
    services: createServiceClients(store, clock),
    find: async (id) => {
      const own = builtIn.get(id);
      if (own !== undefined) return own;
      // What cannot be an id is nobody's, and some of it (U+0000) no database takes.
      if (!CLIENT_ID.test(id)) return undefined;
      const metadata = await store.find(id);
      return metadata === undefined ? undefined : { ...metadata, client_id: id };
    },
    register: async (client) => {
      if (builtIn.has(client.id)) throw new Refused('client_id_reserved', `${client.id} is built in.`);
      if (!CLIENT_ID.test(client.id)) {
        throw new Refused('invalid_client_id', 'A client id has 3-100 letters, digits, dots, dashes or underscores.');
      }
      const secret = client.authentication === 'client_secret_basic' ? new Secret(createRandomValue()) : undefined;
      await store.add(client.id, toMetadata(client, secret), clock.now());
      return { secret };
    },
  };
}

function toMetadata({ id, name, redirectUris, postLogoutRedirectUris, kind, authentication, canExchangeTokens }: NewClient, secret: Secret<string> | undefined): JsonObject {
  return {
    client_id: id,
    client_name: name,
    application_type: kind,
    redirect_uris: redirectUris,
    ...(postLogoutRedirectUris === undefined ? {} : { post_logout_redirect_uris: postLogoutRedirectUris }),
    response_types: ['code'],
    grant_types: [GRANT_TYPE.authorizationCode, GRANT_TYPE.refreshToken, ...(canExchangeTokens ? [GRANT_TYPE.tokenExchange] : [])],
    ...(typeof authentication === 'object'
      ? { token_endpoint_auth_method: 'private_key_jwt', jwks: authentication.jwks }
      : { token_endpoint_auth_method: authentication }),
    // A random value of 256 bits needs no slow hash: there is nothing to guess.
    ...(secret === undefined ? {} : { client_secret: hashValue(secret.reveal()) }),
  };
}

/** Whether `presented` is the secret whose hash is kept. The hash itself is not accepted in its place. */
export function isClientSecret(keptHash: string, presented: string): boolean {
  return isEqualInConstantTime(keptHash, hashValue(presented));
}
