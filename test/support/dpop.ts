import { createHash, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose';

export interface ProofKey {
  readonly jkt: string;
  /** A proof for a POST to the token endpoint, unless `claims` say otherwise; undefined leaves one out. */
  prove(issuer: string, claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
}

export async function createProofKey(): Promise<ProofKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = await exportJWK(publicKey);
  return {
    jkt: await calculateJwkThumbprint(jwk),
    prove: (issuer, claims = {}, header = {}) => {
      const payload: JWTPayload = { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), htm: 'POST', htu: `${issuer}/oauth/token`, ...claims };
      return new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload).setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header }).sign(privateKey);
    },
  };
}

/** The `ath` of an access token (RFC 9449 4.2). */
export const hashAccessToken = (token: string) => createHash('sha256').update(token).digest('base64url');
