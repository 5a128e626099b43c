// A session's key: its refresh token is worth nothing to whoever copies it without the key (DPoP, RFC 9449).
import * as oauth from 'openid-client';
import type { ProofKey } from './session.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** A key for a session that begins; undefined where the issuer takes no proofs. */
export async function createProofKey(config: oauth.Configuration): Promise<ProofKey | undefined> {
  const { dpop_signing_alg_values_supported: supported } = config.serverMetadata();
  if (supported?.includes('ES256') !== true) return undefined;
  const { privateKey } = await oauth.randomDPoPKeyPair('ES256', { extractable: true });
  const { x = '', y = '', d = '' } = await crypto.subtle.exportKey('jwk', privateKey);
  return { kty: 'EC', crv: 'P-256', x, y, d };
}

/** What makes the protocol library prove the key with a request; nothing without one. */
export async function proveKey(config: oauth.Configuration, key: ProofKey | undefined): Promise<oauth.DPoPOptions | undefined> {
  if (key === undefined) return undefined;
  const { d: _, ...publicPart } = key;
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey('jwk', { ...key }, ALGORITHM, false, ['sign']),
    crypto.subtle.importKey('jwk', publicPart, ALGORITHM, true, ['verify']),
  ]);
  return { DPoP: oauth.getDPoPHandle(config, { privateKey, publicKey }) };
}
