import type { KekRing } from '../crypto/kek.ts';
import type { Secret } from '../lib/secret.ts';
import type { Hints, KeyStore } from '../storage/storage.ts';
import { createAdministration, type KeyAdministration } from './administration.ts';
import type { Move } from './plan.ts';
import type { KeyPolicy } from './policy.ts';
import { reconcile } from './reconciler.ts';
import { createKeylessCustody, createLocalCustody, type Custody } from './sealed_key.ts';

/** What a command on the host may do to the keys, which is no instance that anybody waits for. */
export interface HostKeys {
  readonly administration: KeyAdministration;
  /** What was due before, and was done. */
  readonly settled: readonly Move[];
  /** Whether it can make and seal keys: an emergency must not wait for a key-encryption key that is not at hand. */
  readonly hasKek: boolean;
}

export interface HostOptions {
  readonly store: KeyStore;
  readonly hints: Pick<Hints, 'send'>;
  /** Undefined where none is given. One that does not open what is sealed counts as none: what it sealed, no instance could open. */
  readonly keks: Secret<KekRing> | undefined;
  readonly policy: KeyPolicy;
}

const HINT = 'keys';

export async function openOnHost({ store, hints, keks, policy }: HostOptions): Promise<HostKeys> {
  const custody = await chooseCustody(store, keks);
  const dependencies = { store, custody, policy };
  const settled = custody.canCreate ? await reconcile(dependencies, { waits: true }) : [];
  const inner = createAdministration(dependencies);
  const tell = async <T>(work: Promise<T>): Promise<T> => {
    const result = await work;
    hints.send(HINT);
    return result;
  };
  return {
    settled, hasKek: custody.canCreate,
    administration: {
      ...inner,
      rotate: (ring, actor) => tell(inner.rotate(ring, actor)),
      cancel: (ring, actor) => tell(inner.cancel(ring, actor)),
      revoke: (kid, actor, reason) => tell(inner.revoke(kid, actor, reason)),
    },
  };
}

async function chooseCustody(store: KeyStore, keks: Secret<KekRing> | undefined): Promise<Custody> {
  if (keks === undefined) return createKeylessCustody();
  const custody = createLocalCustody(keks);
  const { records } = await store.load();
  try {
    for (const record of records) if (record.sealed !== undefined) custody.open(record);
    return custody;
  } catch {
    return createKeylessCustody();
  }
}
