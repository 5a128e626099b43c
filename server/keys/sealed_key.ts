import { createHmac, createPrivateKey, hkdfSync, timingSafeEqual } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { openEnvelope, sealEnvelope } from '../crypto/envelope.ts';
import { generateSigningKeyPair, pickPublicMembers, toPublicJwk, type PublicJwk } from '../crypto/jwk.ts';
import { signBytes } from '../crypto/jws.ts';
import { KEK_ID_BYTES, type Kek, type KekRing } from '../crypto/kek.ts';
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
  /** A new key: its public half, what opens it again, and what shows that it is ours, to be kept in its record. */
  create(ring: SigningAlgorithm): Promise<{ readonly publicJwk: PublicJwk; readonly sealed: Buffer; readonly proof: Buffer }>;
  /** Throws when no KEK at hand opens it, or when it is not the private half of what the record publishes. */
  open(record: KeyRecord): Sign;
  /** Whether this issuer made the public half, as far as the KEKs at hand can tell. */
  isOurs(record: KeyRecord): boolean;
  /** Shows it from now on, by the first KEK. It is asked for no reason: whoever calls has one. */
  prove(record: Pick<KeyRecord, 'ring' | 'publicJwk'>): Buffer;
  /** The same key under the first KEK. Throws as `open` does. */
  reseal(record: KeyRecord): Buffer;
}

/** What opens is not the private half of what the record publishes. */
export class AlteredKey extends Refused {
  constructor(kid: string) {
    super('altered_key', `signing key ${kid} publishes a key that is not its own: the database was altered`);
  }
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
  const prove: Custody['prove'] = (record) => {
    const [first] = keks.reveal();
    return Buffer.concat([first.id, authenticate(record, first)]);
  };
  return {
    canCreate: true,
    create: async (ring) => {
      const privateKey = await generateSigningKeyPair(ring);
      const publicJwk = toPublicJwk(privateKey, ring);
      return { publicJwk, proof: prove({ ring, publicJwk }), sealed: sealEnvelope(privateKey.export({ format: 'der', type: 'pkcs8' }), describe({ kid: publicJwk.kid, ring }), keks.reveal()) };
    },
    open: (record) => {
      const privateKey = createPrivateKey({ key: unseal(record), format: 'der', type: 'pkcs8' });
      if (!isDeepStrictEqual(toPublicJwk(privateKey, record.ring), pickPublicMembers(record.publicJwk))) throw new AlteredKey(record.kid);
      return (data) => signBytes(record.ring, data, privateKey);
    },
    isOurs: (record) => {
      const { proof } = record;
      const kek = proof === undefined ? undefined : keks.reveal().find(({ id }) => id.equals(proof.subarray(0, KEK_ID_BYTES)));
      return proof?.length === KEK_ID_BYTES + PROOF_BYTES && kek !== undefined && timingSafeEqual(proof.subarray(KEK_ID_BYTES), authenticate(record, kek));
    },
    prove,
    reseal: (record) => sealEnvelope(unseal(record), describe(record), keks.reveal()),
  };
}

const PROOF_BYTES = 32;

/** A MAC over the public half, under a key that is derived from the KEK for nothing else. */
function authenticate({ ring, publicJwk }: Pick<KeyRecord, 'ring' | 'publicJwk'>, { key }: Kek): Buffer {
  const derived = Buffer.from(hkdfSync('sha256', key, '', 'vouch signing key, public half', 32));
  return createHmac('sha256', derived).update(JSON.stringify([ring, pickPublicMembers(publicJwk)])).digest();
}

/** Of somebody who has the database and no key-encryption key: states change, nothing is made, opened or sealed. */
export function createKeylessCustody(): Custody {
  const refuse = (): never => {
    throw new Refused('needs_kek', 'this needs the key-encryption key: set VOUCH_KEK (or VOUCH_KEK_FILE)');
  };
  return { canCreate: false, create: async () => refuse(), open: refuse, isOurs: () => false, prove: refuse, reseal: refuse };
}
