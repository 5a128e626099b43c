/*
 * Owns: the signing keys: their states, their custody, the snapshot that everybody signs and verifies with, the JWKS bytes.
 * Never: knows what is signed; shows a private half.
 * Keeps true: one active and one published standby a ring, whatever instances race; a snapshot never gives way to an older one.
 */
import type { KekRing } from '../crypto/kek.ts';
import type { Clock } from '../lib/clock.ts';
import type { Secret } from '../lib/secret.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyStore } from '../storage/storage.ts';
import type { Move } from './plan.ts';
import { reconcile } from './reconciler.ts';
import { createLocalCustody } from './sealed_key.ts';
import { createSnapshot, type KeySnapshot } from './snapshot.ts';

export type { KeySnapshot, Signer, Verifier } from './snapshot.ts';

export interface Keys {
  /** The snapshot in force. */
  current(): KeySnapshot;
  /** Reads the key set again and, if it is newer, puts it in force: whether it did. */
  refresh(): Promise<boolean>;
  /** Calls back with each snapshot that comes into force from now on. */
  onChange(listener: (snapshot: KeySnapshot) => void): void;
  /** What the start changed: the keys that it created. */
  readonly created: readonly Move[];
}

export interface KeysOptions {
  readonly store: KeyStore;
  readonly keks: Secret<KekRing>;
  readonly rings: readonly SigningAlgorithm[];
  readonly clock: Clock;
}

/** Brings the key set in order and loads it. Throws when the store is away or a key cannot be opened. */
export async function createKeys({ store, keks, rings, clock }: KeysOptions): Promise<Keys> {
  const custody = createLocalCustody(keks);
  const created = await reconcile({ store, custody, rings, clock });
  let snapshot = createSnapshot(await store.load(), custody);
  const listeners: ((snapshot: KeySnapshot) => void)[] = [];
  return {
    created,
    current: () => snapshot,
    refresh: async () => {
      const set = await store.load();
      if (set.version <= snapshot.version) return false;
      snapshot = createSnapshot(set, custody);
      for (const listener of listeners) listener(snapshot);
      return true;
    },
    onChange: (listener) => {
      listeners.push(listener);
    },
  };
}
