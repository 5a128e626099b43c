import { createPrivateKey } from 'node:crypto';
import { openEnvelope, sealEnvelope } from '../crypto/envelope.ts';
import { generateSigningKeyPair, toPublicJwk, type PublicJwk } from '../crypto/jwk.ts';
import { signBytes } from '../crypto/jws.ts';
import type { KekRing } from '../crypto/kek.ts';
import { Refused } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyRecord } from '../storage/storage.ts';

/** Makes signatures of its algorithm, in the form of RFC 7518 3. Rejects when it cannot just now. */
export type Sign = (data: Buffer) => Promise<Buffer> | Buffer;

/**
 * Where private halves are kept. Nobody else ever holds one: what is asked for is a signature. A key that never leaves a
 * vault or a KMS would be another implementation of this, with its name there for `sealed`.
 */
export interface Custody {
  /** False where nothing could be sealed: no new key is made then. */
  readonly canCreate: boolean;
  /** A new key: its public half, and what opens it again, to be kept in its record. */
  create(ring: SigningAlgorithm): Promise<{ readonly publicJwk: PublicJwk; readonly sealed: Buffer }>;
  /** Throws when no KEK at hand opens it. */
  open(record: KeyRecord): Sign;
  /** The same key under the first KEK. Throws as `open` does. */
  reseal(record: KeyRecord): Buffer;
}

/** Private halves sealed under local key-encryption keys. */
export function createLocalCustody(keks: Secret<KekRing>): Custody {
  // Bound to its place: a sealed key copied to another row or ring does not open.
  const describe = ({ kid, ring }: Pick<KeyRecord, 'kid' | 'ring'>) => `vouch signing key|${ring}|${kid}`;
  const unseal = (record: KeyRecord): Buffer => {
    if (record.sealed === undefined) throw new TypeError(`signing key ${record.kid} has no private half`);
    try {
      return openEnvelope(record.sealed, describe(record), keks.reveal());
    } catch (cause) {
      throw new Error(`signing key ${record.kid} cannot be opened with the key-encryption keys of VOUCH_KEK (or VOUCH_KEK_FILE)`, { cause });
    }
  };
  return {
    canCreate: true,
    create: async (ring) => {
      const privateKey = await generateSigningKeyPair(ring);
      const publicJwk = toPublicJwk(privateKey, ring);
      return { publicJwk, sealed: sealEnvelope(privateKey.export({ format: 'der', type: 'pkcs8' }), describe({ kid: publicJwk.kid, ring }), keks.reveal()) };
    },
    open: (record) => {
      const privateKey = createPrivateKey({ key: unseal(record), format: 'der', type: 'pkcs8' });
      return (data) => signBytes(record.ring, data, privateKey);
    },
    reseal: (record) => sealEnvelope(unseal(record), describe(record), keks.reveal()),
  };
}

/** Of somebody who has the database and no key-encryption key: states change, nothing is made, opened or sealed. */
export function createKeylessCustody(): Custody {
  const refuse = (): never => {
    throw new Refused('needs_kek', 'this needs the key-encryption key: set VOUCH_KEK (or VOUCH_KEK_FILE)');
  };
  return { canCreate: false, create: async () => refuse(), open: refuse, reseal: refuse };
}
