import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyEvent, KeyRecord, KeyStore, KeyTransaction } from '../storage/storage.ts';
import { checkGate, isKnown, isLive, plusSeconds, type Evidence, type Gate } from './evidence.ts';
import type { Move } from './plan.ts';
import type { KeyPolicy } from './policy.ts';
import { readEvidence, settle, type ReconcilerDependencies } from './reconciler.ts';
import { STATES } from './state.ts';

export interface RingOverview {
  readonly ring: SigningAlgorithm;
  readonly keys: readonly KeyRecord[];
  /** When the standby is due to take over: now, if an admin asked for it. */
  readonly dueAt: Date | undefined;
  readonly isRequested: boolean;
  /** What the standby waits for. */
  readonly gate: Gate | undefined;
}

export interface KeysOverview {
  readonly policy: KeyPolicy;
  readonly version: bigint;
  readonly now: Date;
  readonly rings: readonly RingOverview[];
  readonly instances: readonly { id: string; host: string; servedVersion: bigint; seenAt: Date; skewMs: number; isLive: boolean }[];
}

export interface VerifierOverview {
  readonly id: string;
  readonly family: string;
  readonly network: string;
  readonly firstFetchAt: Date;
  readonly lastFetchAt: Date;
  readonly lastVersion: bigint;
  readonly fetches: number;
  readonly notModified: number;
  readonly isKnown: boolean;
  /** Published keys that it cannot have yet. */
  readonly lacks: readonly string[];
}

export interface Rewrapped {
  readonly sealed: number;
  /** Keys of which no KEK at hand shows that this issuer made them: what they have sealed in the record is not believed. */
  readonly unproved: readonly string[];
}

/** What an admin can do about keys. Every change is one transaction with its history, and planned to rest in it. */
export interface KeyAdministration {
  overview(): Promise<KeysOverview>;
  verifiers(): Promise<readonly VerifierOverview[]>;
  history(limit: number): Promise<readonly KeyEvent[]>;
  /** Asks for the standby to take over as soon as its gate opens. Throws NotFound for an unknown ring, Conflict when it is asked for already. */
  rotate(ring: SigningAlgorithm, actor: string): Promise<readonly Move[]>;
  /** Calls a rotation off that was asked for and has not happened. */
  cancel(ring: SigningAlgorithm, actor: string): Promise<void>;
  /** Drops a key at once. An active one gives way to its standby, however young that is. Throws NotFound, or Refused for one that is out of use. */
  revoke(kid: string, actor: string, reason: string): Promise<{ readonly revoked: KeyRecord; readonly moves: readonly Move[] }>;
  /** Seals every private half, and proves every public one, again under the first KEK, one transaction a key, so that it can be stopped anywhere. */
  rewrap(actor: string, onProgress: (done: number, of: number) => void): Promise<Rewrapped>;
  /**
   * Takes a key that signs no more for one of this issuer's although no KEK at hand proves it, as after the loss of one.
   * Throws NotFound, or Refused for one that has a private half: what opens that proves it.
   */
  adopt(kid: string, actor: string, reason: string): Promise<void>;
}

export function createAdministration(dependencies: ReconcilerDependencies): KeyAdministration {
  const { store, custody, policy } = dependencies;

  const changeStandby = async (ring: SigningAlgorithm, requested: boolean, actor: string) => {
    return change(store, async (transaction) => {
      const evidence = await readEvidence(transaction);
      const { records, version } = await transaction.load();
      const standby = records.find((record) => record.ring === ring && record.state === 'pending');
      if (standby === undefined) throw new NotFound(`there is no ring ${ring} with a standby`);
      if (!(await transaction.request(standby.kid, requested))) {
        throw new Conflict(requested ? `a rotation of ${ring} is asked for already` : `no rotation of ${ring} is asked for`);
      }
      const kind = requested ? 'rotation asked for' : 'rotation called off';
      await transaction.record({ kind, ring, kid: standby.kid, actor, reason: '', version: version + 1n });
      const { moves } = await settle(transaction, dependencies, evidence, actor);
      return { isChanged: true, moves };
    });
  };

  return {
    overview: async () => {
      const [{ version, records, readAt: now }, evidence, instances] = await Promise.all([store.load(), readEvidence(store), store.listInstances()]);
      const rings = [...new Set([...policy.rings, ...records.map(({ ring }) => ring)])];
      return {
        version, now, policy,
        rings: rings.map((ring) => describeRing(ring, records.filter((record) => record.ring === ring), evidence, now, dependencies)),
        instances: instances.map((instance) => ({ ...instance, isLive: isLive(instance.seenAt, now, policy) })),
      };
    },
    verifiers: async () => {
      const [{ records, readAt: now }, verifiers] = await Promise.all([store.load(), store.listVerifiers()]);
      const published = records.filter(({ state }) => STATES[state].isPublished);
      return verifiers.map((verifier) => ({
        ...verifier,
        isKnown: isKnown(verifier, now, policy),
        lacks: published.filter(({ publishedVersion }) => verifier.lastVersion < publishedVersion).map(({ kid }) => kid),
      }));
    },
    history: (limit) => store.listEvents(limit),
    rotate: async (ring, actor) => (await changeStandby(ring, true, actor)).moves,
    cancel: async (ring, actor) => {
      await changeStandby(ring, false, actor);
    },
    revoke: async (kid, actor, reason) => {
      return change(store, async (transaction) => {
        const evidence = await readEvidence(transaction);
        const { records, version } = await transaction.load();
        const revoked = records.find((record) => record.kid === kid);
        if (revoked === undefined) throw new NotFound(`there is no signing key ${kid}`);
        if (!STATES[revoked.state].next.includes('revoked')) throw new Refused('out_of_use', `signing key ${kid} is ${revoked.state} already`);
        if (!(await transaction.move(kid, revoked.state, 'revoked'))) throw new Conflict(`signing key ${kid} changed in the meantime`);
        await transaction.record({ kind: 'revoked', ring: revoked.ring, kid, actor, reason, version: version + 1n });
        const { moves } = await settle(transaction, dependencies, evidence, actor, revoked.state === 'active' ? revoked.ring : undefined);
        return { isChanged: true, revoked, moves };
      });
    },
    rewrap: async (actor, onProgress) => {
      const { records } = await store.load();
      const sealed = records.filter((record) => record.sealed !== undefined);
      const unproved: string[] = [];
      let done = 0;
      for (const record of sealed) {
        const { sealed: from } = record;
        if (from === undefined) continue;
        custody.open(record); // what opens as its private half is ours
        const [to, proof] = [custody.reseal(record), custody.prove(record)];
        const { won } = await change(store, async (transaction) => {
          const won = await transaction.reseal(record.kid, from, to);
          const { version } = await transaction.load();
          if (won) await transaction.prove(record.kid, proof);
          if (won) await transaction.record({ kind: 'sealed again', ring: record.ring, kid: record.kid, actor, reason: '', version });
          return { isChanged: false, won };
        });
        // Lost: the key left its state meanwhile, and its private half with it.
        if (won) done += 1;
        onProgress(done, sealed.length);
      }
      // Read again: a key may have left its state meanwhile.
      for (const record of (await store.load()).records.filter(({ sealed: half }) => half === undefined)) {
        if (!custody.isOurs(record)) unproved.push(record.kid);
        else await change(store, async (transaction) => {
          await transaction.prove(record.kid, custody.prove(record));
          return { isChanged: false };
        });
      }
      return { sealed: done, unproved };
    },
    adopt: async (kid, actor, reason) => {
      await change(store, async (transaction) => {
        const { records, version } = await transaction.load();
        const record = records.find((one) => one.kid === kid);
        if (record === undefined) throw new NotFound(`there is no signing key ${kid}`);
        if (record.sealed !== undefined) throw new Refused('in_use', `signing key ${kid} is ${record.state}: only one that signs no more is adopted`);
        await transaction.prove(kid, custody.prove(record));
        await transaction.record({ kind: 'adopted', ring: record.ring, kid, actor, reason, version });
        return { isChanged: false };
      });
    },
  };
}

function describeRing(ring: SigningAlgorithm, keys: readonly KeyRecord[], evidence: Evidence, now: Date, { policy }: ReconcilerDependencies): RingOverview {
  const standby = keys.find(({ state }) => state === 'pending');
  const active = keys.find(({ state }) => state === 'active');
  const isRequested = standby?.requestedAt !== undefined;
  const byAge = active === undefined ? undefined : plusSeconds(active.activatedAt ?? active.createdAt, policy.rotationSeconds);
  return {
    ring, keys, isRequested,
    dueAt: isRequested ? standby.requestedAt : byAge,
    gate: standby === undefined ? undefined : checkGate(standby, evidence, now, policy),
  };
}

/** A change that waits for its turn always has a result. */
async function change<T extends { readonly isChanged: boolean }>(store: KeyStore, work: (transaction: KeyTransaction) => Promise<T>): Promise<T> {
  const result = await store.change(work, { waits: true });
  if (result === undefined) throw new TypeError('a change that waits came back with nothing');
  return result;
}
