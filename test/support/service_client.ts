import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type { TestIssuer } from './issuer_in_process.ts';
import { postToken, type Answer } from './oauth.ts';

/** A service account with its key, as an unattended job holds it. */
export interface ServiceClient {
  readonly id: string;
  readonly subject: string;
  readonly kid: string;
  readonly privateKey: KeyObject;
  /** A client assertion (RFC 7523 3), good once. */
  assert(claims?: Record<string, unknown>, key?: KeyObject): Promise<string>;
  /** The form that authenticates it, with a fresh assertion. */
  authenticate(): Promise<Record<string, string>>;
  /** Asks for an access token by the client credentials grant. */
  ask(more?: Record<string, string>): Promise<Answer>;
  /** Exchanges an access token of its own. */
  exchange(subjectToken: string, more?: Record<string, string>): Promise<Answer>;
}

export async function createServiceClient(issuer: TestIssuer, subject: string, ownerId: string): Promise<ServiceClient> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = randomUUID();
  const service = await issuer.app.accounts.services.add({ subject, name: 'A job', ownerId });
  await issuer.app.clients.services.register({ id: service.id, name: service.name, keys: { jwks: { keys: [{ ...(publicKey.export({ format: 'jwk' }) as Record<string, string>), kid, alg: 'ES256' }] } } });
  const assert = async (claims: Record<string, unknown> = {}, key = privateKey) =>
    new SignJWT({ iss: service.id, sub: service.id, aud: issuer.url, jti: randomUUID(), iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 60, ...claims }).setProtectedHeader({ alg: 'ES256', kid }).sign(key);
  const authenticate = async () => ({ client_id: service.id, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: await assert() });
  return {
    id: service.id, subject, kid, privateKey, assert, authenticate,
    ask: async (more = {}) => postToken(issuer.url, { grant_type: 'client_credentials', ...(await authenticate()), ...more }),
    exchange: async (subjectToken, more = {}) =>
      postToken(issuer.url, {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', ...(await authenticate()), subject_token: subjectToken,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', ...more,
      }),
  };
}
