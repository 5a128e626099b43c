import { createHash, createPublicKey, generateKeyPair, type JsonWebKey, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';

/** A public key exactly as the JWKS shows it: no member more, since AWS refuses `key_ops` and Google `x5c`. */
export type PublicJwk =
  | { kty: 'RSA'; use: 'sig'; alg: 'RS256'; kid: string; n: string; e: string }
  | { kty: 'EC'; use: 'sig'; alg: 'ES256'; kid: string; crv: 'P-256'; x: string; y: string };

const generate = promisify(generateKeyPair);

/**
 * A new key pair of a ring: RSA of 2048 bits with e = 65537, or P-256. One whose thumbprint begins with a dash, as one in 64
 * does, is let go: a command line would take the kid for an option, in an emergency too.
 */
export async function generateSigningKeyPair(alg: SigningAlgorithm): Promise<KeyObject> {
  for (;;) {
    const { privateKey } =
      alg === 'RS256'
        ? await generate('rsa', { modulusLength: 2048, publicExponent: 0x10001 })
        : await generate('ec', { namedCurve: 'P-256' });
    if (!toPublicJwk(privateKey, alg).kid.startsWith('-')) return privateKey;
  }
}

export function toPublicJwk(privateKey: KeyObject, alg: SigningAlgorithm): PublicJwk {
  return describePublicKey(createPublicKey(privateKey).export({ format: 'jwk' }), alg);
}

function describePublicKey(jwk: JsonWebKey, alg: SigningAlgorithm): PublicJwk {
  const kid = computeThumbprint(jwk);
  if (alg === 'RS256') return { kty: 'RSA', use: 'sig', alg, kid, n: String(jwk.n), e: String(jwk.e) };
  return { kty: 'EC', use: 'sig', alg, kid, crv: 'P-256', x: String(jwk.x), y: String(jwk.y) };
}

/** RFC 7638 3: the SHA-256 of the required members in lexical order, in base64url. */
export function computeThumbprint(jwk: JsonWebKey): string {
  const required =
    jwk.kty === 'RSA' ? { e: jwk.e, kty: jwk.kty, n: jwk.n } : { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y };
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url');
}

/** Member by member, whatever the row holds: a stray `key_ops`, `x5c` or private member must never be published. */
export function pickPublicMembers(jwk: PublicJwk): PublicJwk {
  return jwk.kty === 'RSA'
    ? { kty: jwk.kty, use: jwk.use, alg: jwk.alg, kid: jwk.kid, n: jwk.n, e: jwk.e }
    : { kty: jwk.kty, use: jwk.use, alg: jwk.alg, kid: jwk.kid, crv: jwk.crv, x: jwk.x, y: jwk.y };
}
