import { createPrivateKey, type KeyObject } from 'node:crypto';
import { openEnvelope, sealEnvelope } from '../crypto/envelope.ts';
import type { KekRing } from '../crypto/kek.ts';
import type { Secret } from '../lib/secret.ts';
import type { KeyRecord } from '../storage/storage.ts';

/** Where private halves are kept. A key that never leaves a vault would be another implementation of this. */
export interface Custody {
  seal(key: KeyObject, record: Pick<KeyRecord, 'kid' | 'ring'>): Buffer;
  /** Throws when no KEK at hand opens it. */
  open(record: KeyRecord): KeyObject;
}

/** Private halves sealed under local key-encryption keys. */
export function createLocalCustody(keks: Secret<KekRing>): Custody {
  // Bound to its place: a sealed key copied to another row or ring does not open.
  const describe = ({ kid, ring }: Pick<KeyRecord, 'kid' | 'ring'>) => `vouch signing key|${ring}|${kid}`;
  return {
    seal: (key, record) => sealEnvelope(key.export({ format: 'der', type: 'pkcs8' }), describe(record), keks.reveal()),
    open: (record) => {
      if (record.sealed === undefined) throw new TypeError(`signing key ${record.kid} has no private half`);
      try {
        const der = openEnvelope(record.sealed, describe(record), keks.reveal());
        return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
      } catch (cause) {
        throw new Error(`signing key ${record.kid} cannot be opened with the key-encryption keys of VOUCH_KEK_FILE`, { cause });
      }
    },
  };
}
