import { errors, type ResourceServer } from 'oidc-provider';
import { SCOPES } from '../oauth2/vocabulary.ts';

/** RFC 8707: the one resource that an access token can be for is this issuer. Compared byte for byte. */
export function checkResource(issuer: string, resource: string): ResourceServer {
  if (resource !== issuer) throw new errors.InvalidTarget(`resource "${resource.slice(0, 256)}" is not registered with this issuer`);
  return { scope: SCOPES.join(' '), audience: issuer, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
}
