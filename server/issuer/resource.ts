import { errors, type Client, type ResourceServer } from 'oidc-provider';
import type { Audience, Audiences } from '../audiences/audiences.ts';
import { CLI_CLIENT_ID } from '../clients/clients.ts';
import { ADMIN_SCOPES, GRANT_TYPE, SCOPES } from '../oauth2/vocabulary.ts';

/** The admin API is a resource of its own: a token for one is useless at the other. */
export function adminAudience(issuer: string): string {
  return `${issuer}/admin`;
}

/** Whether a machine's: it has no sign-in, and asks by the client credentials grant. */
export function isServiceClient(client: Client): boolean {
  return client.grantTypeAllowed(GRANT_TYPE.clientCredentials);
}

/** What an access token for a resource (RFC 8707) may hold. Compared byte for byte; undefined: nobody can have one. */
export async function findResourceScopes(issuer: string, audiences: Pick<Audiences, 'find'>, resource: string): Promise<readonly string[] | undefined> {
  if (resource === issuer) return SCOPES;
  if (resource === adminAudience(issuer)) return ADMIN_SCOPES;
  return (await findApi(audiences, resource))?.scopes;
}

/** The registered API of that name. Whether this account may have it is asked when a token is made. */
export async function findApi(audiences: Pick<Audiences, 'find'>, resource: string): Promise<Audience | undefined> {
  const audience = await audiences.find(resource);
  return audience?.kind === 'api' && audience.isEnabled ? audience : undefined;
}

/** What oidc-provider needs to know of a resource. Throws invalid_target for one that is not registered, or not for this client. */
export async function checkResource(issuer: string, audiences: Pick<Audiences, 'find'>, resource: string, client: Client): Promise<ResourceServer> {
  // Administration is our own command line's; whether its user is an admin is asked at each use of the token.
  if (resource === adminAudience(issuer) && client.clientId !== CLI_CLIENT_ID) throw new errors.InvalidTarget('this client may not ask for the admin API');
  if (resource === issuer) return describe(issuer, isServiceClient(client) ? [] : SCOPES, 'RS256');
  if (resource === adminAudience(issuer)) return describe(resource, ADMIN_SCOPES, 'RS256');
  const api = await findApi(audiences, resource);
  if (api === undefined) throw new errors.InvalidTarget(`resource "${resource.slice(0, 256)}" is not registered with this issuer as an API`);
  return { ...describe(resource, api.scopes, api.algorithm), accessTokenTTL: api.lifetimeSeconds };
}

function describe(audience: string, scopes: readonly string[], alg: 'RS256' | 'ES256'): ResourceServer {
  return { scope: scopes.join(' '), audience, accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
}
