import { errors, type ResourceServer } from 'oidc-provider';
import { CLI_CLIENT_ID } from '../clients/clients.ts';
import { ADMIN_SCOPES, SCOPES } from '../oauth2/vocabulary.ts';

/** The admin API is a resource of its own: a token for one is useless at the other. */
export function adminAudience(issuer: string): string {
  return `${issuer}/admin`;
}

/** The scopes of each resource (RFC 8707) that an access token can be for. Compared byte for byte. */
export function scopesOf(issuer: string, resource: string): readonly string[] | undefined {
  if (resource === issuer) return SCOPES;
  return resource === adminAudience(issuer) ? ADMIN_SCOPES : undefined;
}

/** What oidc-provider needs to know of a resource. Throws invalid_target for one that is not registered, or not for this client. */
export function checkResource(issuer: string, resource: string, clientId: string): ResourceServer {
  const scopes = scopesOf(issuer, resource);
  if (scopes === undefined) throw new errors.InvalidTarget(`resource "${resource.slice(0, 256)}" is not registered with this issuer`);
  // Administration is our own command line's; whether its user is an admin is asked at each use of the token.
  if (resource === adminAudience(issuer) && clientId !== CLI_CLIENT_ID) throw new errors.InvalidTarget('this client may not ask for the admin API');
  return { scope: scopes.join(' '), audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
}
