/*
 * Owns: OAuth clients: the command line that ships with the product, and the relying parties that are registered.
 * Never: keeps a client secret that could be read back.
 * Keeps true: a client may do only what its record says; the built-in client cannot be shadowed.
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
}

export interface Clients {
  find(id: string): Promise<ClientMetadata | undefined>;
  /** Gives the secret, once, where the client has one. Throws Refused, or Conflict when the id is taken. */
  register(client: NewClient): Promise<{ secret: Secret<string> | undefined }>;
  readonly services: ServiceClients;
}

export const CLI_CLIENT_ID = 'vouch-cli';

/** A public native client (RFC 8252): it cannot keep a secret, so PKCE and a touch of the passkey stand in. */
const CLI_CLIENT: ClientMetadata = {
  client_id: CLI_CLIENT_ID,
  client_name: 'vouch',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: [GRANT_TYPE.authorizationCode, GRANT_TYPE.refreshToken, GRANT_TYPE.tokenExchange],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
};

export function createClients({ store, clock }: { store: ClientStore; clock: Clock }): Clients {
  return {
    services: createServiceClients(store, clock),
    find: async (id) => {
      if (id === CLI_CLIENT_ID) return CLI_CLIENT;
      const metadata = await store.find(id);
      return metadata === undefined ? undefined : { ...metadata, client_id: id };
    },
    register: async (client) => {
      if (client.id === CLI_CLIENT_ID) throw new Refused('client_id_reserved', `${CLI_CLIENT_ID} is the built-in command line.`);
      if (!/^[A-Za-z0-9._-]{3,100}$/.test(client.id)) {
        throw new Refused('invalid_client_id', 'A client id has 3-100 letters, digits, dots, dashes or underscores.');
      }
      const secret = client.authentication === 'client_secret_basic' ? new Secret(createRandomValue()) : undefined;
      await store.add(client.id, toMetadata(client, secret), clock.now());
      return { secret };
    },
  };
}

function toMetadata({ id, name, redirectUris, kind, authentication, canExchangeTokens }: NewClient, secret: Secret<string> | undefined): JsonObject {
  return {
    client_id: id,
    client_name: name,
    application_type: kind,
    redirect_uris: redirectUris,
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
