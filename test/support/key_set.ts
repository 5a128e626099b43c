import { generateSigningKeyPair, toPublicJwk } from '../../server/crypto/jwk.ts';
import type { KekRing } from '../../server/crypto/kek.ts';
import { createKeys, type Keys } from '../../server/keys/keys.ts';
import { createLocalCustody } from '../../server/keys/sealed_key.ts';
import { systemClock, type Clock } from '../../server/lib/clock.ts';
import type { Secret } from '../../server/lib/secret.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../server/oauth2/vocabulary.ts';
import type { KeyRecord, KeyState, KeyStore, Storage } from '../../server/storage/storage.ts';
import { openTestStorage } from './drivers.ts';

export interface Instance {
  readonly storage: Storage;
  readonly keys: Keys;
}

/** What one instance of the issuer has of the keys: its own connections, its own snapshot. */
export async function startInstance(databaseUrl: string, keks: Secret<KekRing>, clock: Clock = systemClock): Promise<Instance> {
  const storage = await openTestStorage(clock, { databaseUrl });
  try {
    return { storage, keys: await createKeys({ store: storage.keys, keks, rings: SIGNING_ALGORITHMS, clock }) };
  } catch (error) {
    await storage.close();
    throw error;
  }
}

const HAS_PRIVATE_HALF = new Set<KeyState>(['pending', 'active']);

/** A record as the reconciler makes it, in any state. */
export async function createRecord(ring: SigningAlgorithm, state: KeyState, keks: Secret<KekRing>, createdAt = new Date()): Promise<KeyRecord> {
  const key = await generateSigningKeyPair(ring);
  const publicJwk = toPublicJwk(key, ring);
  const { kid } = publicJwk;
  const sealed = HAS_PRIVATE_HALF.has(state) ? createLocalCustody(keks).seal(key, { kid, ring }) : undefined;
  return { kid, ring, state, publicJwk, sealed, createdAt, activatedAt: undefined, retiringAt: undefined, endedAt: undefined };
}

/** What a rotation does: the active key retires, the standby signs, and there is a new standby. */
export async function rotate(store: KeyStore, ring: SigningAlgorithm, keks: Secret<KekRing>): Promise<void> {
  const standby = await createRecord(ring, 'pending', keks);
  await store.change(async (transaction) => {
    const { records } = await transaction.load();
    const kidOf = (state: KeyState) => records.find((record) => record.ring === ring && record.state === state)!.kid;
    const [active, pending] = [kidOf('active'), kidOf('pending')];
    const isMoved = (await transaction.move(active, 'active', 'retiring', new Date())) && (await transaction.move(pending, 'pending', 'active', new Date()));
    if (!isMoved) throw new Error('the key set changed under the lock');
    await transaction.insert(standby);
    return { isChanged: true };
  });
}
