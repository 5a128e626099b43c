// A cluster in memory for the properties: the real plan, gate, reconciler, administration and fetch counter, over a key
// store that honours the lock, the rollback and the compare-and-set. What an instance does around them (poll, sign, publish)
// is written again here, in the order of keys/keys.ts, with a time that the test holds.
import { randomUUID } from 'node:crypto';
import type { PublicJwk } from '../../server/crypto/jwk.ts';
import { createAdministration } from '../../server/keys/administration.ts';
import type { KeyPolicy } from '../../server/keys/policy.ts';
import { reconcile } from '../../server/keys/reconciler.ts';
import type { Custody } from '../../server/keys/sealed_key.ts';
import { STATES } from '../../server/keys/state.ts';
import { createFetchCounter } from '../../server/keys/verifiers.ts';
import { Conflict, NotFound, Refused } from '../../server/lib/errors.ts';
import type { SigningAlgorithm } from '../../server/oauth2/vocabulary.ts';
import type { InstanceRecord, KeyRecord, KeySet, KeyState, KeyStore, KeyTransaction, VerifierRecord } from '../../server/storage/storage.ts';

/**
 * Two rings. The second has a name of its own because making an RSA key takes a tenth of a second: whatever is not RS256
 * gets an elliptic key, and nothing in the plan depends on the name.
 */
export const RINGS = ['ES256', 'ES256-two'] as unknown as readonly [SigningAlgorithm, SigningAlgorithm];

/** The process was killed in the middle of a transaction. */
class Crash extends Error {}

export interface Commit {
  readonly before: KeySet;
  readonly after: KeySet;
  /** By the database's clock. */
  readonly at: Date;
  readonly trueAt: number;
  readonly isChanged: boolean;
  readonly instances: readonly InstanceRecord[];
  readonly verifiers: readonly VerifierRecord[];
  readonly policy: KeyPolicy;
}

export interface Token {
  readonly kid: string;
  readonly ring: SigningAlgorithm;
  readonly by: Instance;
  readonly mintedAt: number;
  /** In true time: the clock of the instance that made it may be off. */
  readonly expiresAt: number;
  /** Signed with the snapshot that the request began with, which was no longer the one in force. */
  readonly isOfHeldSnapshot: boolean;
}

export interface Instance {
  readonly id: string;
  snapshot: KeySet;
  readAt: number;
  clockOffset: number;
  isPaused: boolean;
  /** Its heartbeat arrives, but what changed cannot be read. */
  isBlind: boolean;
  held: { readonly snapshot: KeySet; readonly arrivedAt: number } | undefined;
  readonly counter: ReturnType<typeof createFetchCounter>;
}

export interface Verifier {
  readonly name: string;
  /** The kids that it got last, and when; from an instance that was in touch, or from one that was not. */
  kids: ReadonlySet<string>;
  fetchedAt: number;
  isOfFreshInstance: boolean;
}

export type Cluster = ReturnType<typeof createCluster>;

const EPOCH_MS = Date.UTC(2030, 0, 1);

/** What the cluster does, one method a step. Time passes only by `advance`; `seconds` everywhere. */
export function createCluster(firstPolicy: KeyPolicy) {
  let trueNow = 0;
  let databaseOffset = 0;
  let policy = firstPolicy;
  let born = 0;
  let instances: Instance[] = [];
  const commits: Commit[] = [];
  const tokens: Token[] = [];
  /** Keys whose revocation somebody asked for. */
  const decided = new Set<string>();
  const illegalMoves: string[] = [];
  const verifiers: Verifier[] = ['prompt', 'slow', 'vanishing'].map((name) => ({ name, kids: new Set(), fetchedAt: -Infinity, isOfFreshInstance: false }));
  const database = createMemoryKeyStore({
    now: () => new Date(EPOCH_MS + (trueNow + databaseOffset) * 1000),
    pass: () => {
      trueNow += 0.001;
    },
    onIllegalMove: (move) => illegalMoves.push(move),
    onCommit: (commit) => commits.push({ ...commit, trueAt: trueNow, policy }),
  });
  const { store } = database;
  const dependencies = () => ({ store, custody: FAKE_CUSTODY, policy });

  const isFresh = ({ readAt }: Instance) => trueNow - readAt < policy.staleSeconds;
  const beat = ({ id, snapshot, clockOffset }: Instance) =>
    store.beat({ id, host: id, startedAt: new Date(EPOCH_MS), servedVersion: snapshot.version, rings: policy.rings, clock: new Date(EPOCH_MS + (trueNow + clockOffset) * 1000) });
  const refresh = async (instance: Instance) => {
    const askedAt = trueNow;
    const set = await store.load();
    instance.readAt = Math.max(instance.readAt, askedAt);
    if (set.version > instance.snapshot.version) instance.snapshot = set;
  };
  const poll = async (instance: Instance) => {
    if (instance.isPaused) return;
    const askedAt = trueNow;
    const version = await beat(instance);
    if (version <= instance.snapshot.version) {
      instance.readAt = Math.max(instance.readAt, askedAt);
    } else if (!instance.isBlind) {
      await refresh(instance);
      await beat(instance);
    }
  };
  const maySign = (instance: Instance, used: KeySet) => {
    const believed = new Set(instance.snapshot.records.filter(({ state }) => STATES[state].verifies).map(({ kid }) => kid));
    return isFresh(instance) && (used === instance.snapshot || signersOf(used).every(({ kid }) => believed.has(kid)));
  };
  const tick = async (instance: Instance) => {
    if (instance.isPaused) return;
    await store.countFetches(instance.counter.take());
    const moves = await survive(reconcile(dependencies(), { waits: false }));
    if (moves !== undefined && moves.length > 0) await poll(instance);
  };
  const pollAll = async () => {
    for (const instance of instances) await poll(instance);
  };
  const administer = async (work: (administration: ReturnType<typeof createAdministration>) => Promise<unknown>, by: Instance) => {
    if (by.isPaused) return;
    await survive(work(createAdministration(dependencies())));
    if (!by.isBlind) await refresh(by);
  };
  const sign = (by: Instance, used: KeySet, ring: SigningAlgorithm, arrivedAt: number, lifetimeSeconds: number) => {
    const signer = signersOf(used).find((record) => record.ring === ring);
    if (by.isPaused || signer === undefined || !maySign(by, used)) return;
    tokens.push({ kid: signer.kid, ring, by, mintedAt: trueNow, expiresAt: arrivedAt + by.clockOffset + lifetimeSeconds, isOfHeldSnapshot: used !== by.snapshot });
  };

  return {
    commits, tokens, decided, illegalMoves, verifiers, isFresh, tick, poll,
    get instances() { return instances; },
    get policy() { return policy; },
    get now() { return trueNow; },
    get set() { return database.set(); },
    evidence: async () => ({ instances: await store.listInstances(), verifiers: await store.listVerifiers() }),
    databaseNow: database.now,
    /** Seconds go by. In a calm the instances poll all along; in silence nobody does anything. */
    advance: async (seconds: number, { isCalm }: { isCalm: boolean }) => {
      trueNow += seconds;
      if (isCalm) await pollAll();
    },
    join: async () => {
      await survive(reconcile(dependencies(), { waits: true }));
      born += 1;
      instances = [...instances, { id: `instance ${born}`, snapshot: await store.load(), readAt: trueNow, clockOffset: 0, isPaused: false, isBlind: false, held: undefined, counter: createFetchCounter() }];
    },
    /** Gone without a word, or with one. */
    end: async (instance: Instance, { says }: { says: boolean }) => {
      instances = instances.filter((other) => other !== instance);
      if (says) await store.leave(instance.id);
    },
    tickTogether: async (one: Instance, other: Instance) => {
      await Promise.all([tick(one), tick(other)]);
    },
    crashingTick: async (instance: Instance, afterOperations: number) => {
      database.crashAfter(afterOperations);
      await tick(instance);
      database.crashAfter(Infinity);
    },
    /** The reconciler's process is stopped between what it saw and what it does, while the others go on. */
    interruptedTick: async (instance: Instance, seconds: number) => {
      database.beforeLock(async () => {
        database.beforeLock(undefined);
        trueNow += seconds;
        for (const other of instances) if (other !== instance) await poll(other);
      });
      await tick(instance);
      database.beforeLock(undefined);
    },
    setDatabaseClock: (offset: number) => {
      databaseOffset = offset;
    },
    configure: (rings: readonly SigningAlgorithm[]) => {
      policy = { ...policy, rings };
    },
    revoke: (by: Instance, kid: string) => {
      if (!by.isPaused) decided.add(kid);
      return administer((administration) => administration.revoke(kid, 'admin', 'a drill'), by);
    },
    rotate: (by: Instance, ring: SigningAlgorithm) => administer((administration) => administration.rotate(ring, 'admin'), by),
    cancel: (by: Instance, ring: SigningAlgorithm) => administer((administration) => administration.cancel(ring, 'admin'), by),
    mint: (by: Instance, ring: SigningAlgorithm, lifetimeSeconds: number) => {
      sign(by, by.snapshot, ring, trueNow, lifetimeSeconds);
    },
    beginRequest: (by: Instance) => {
      if (!by.isPaused) by.held = { snapshot: by.snapshot, arrivedAt: trueNow };
    },
    endRequest: (by: Instance, ring: SigningAlgorithm, lifetimeSeconds: number) => {
      if (by.held !== undefined) sign(by, by.held.snapshot, ring, by.held.arrivedAt, lifetimeSeconds);
      by.held = undefined;
    },
    fetch: async (verifier: Verifier, from: Instance) => {
      if (from.isPaused) return;
      if (!isFresh(from) && !from.isBlind) await refresh(from);
      const published = from.snapshot.records.filter(({ state }) => STATES[state].isPublished);
      Object.assign(verifier, { kids: new Set(published.map(({ kid }) => kid)), fetchedAt: trueNow, isOfFreshInstance: isFresh(from) });
      from.counter.count({ userAgent: verifier.name, address: '192.0.2.1', version: from.snapshot.version, isNotModified: false });
    },
  };
}

export function signersOf({ records }: KeySet): readonly KeyRecord[] {
  return records.filter(({ state }) => STATES[state].signs);
}

/** What an admin is told and what a kill leaves are no failures of the cluster. */
async function survive<T>(work: Promise<T>): Promise<T | undefined> {
  return work.catch((error: unknown) => {
    if (error instanceof Crash || error instanceof Conflict || error instanceof NotFound || error instanceof Refused) return undefined;
    throw error;
  });
}

const FAKE_CUSTODY: Custody = {
  canCreate: true,
  create: async (ring) => {
    const kid = randomUUID();
    const publicJwk: PublicJwk = ring === 'RS256' ? { kty: 'RSA', use: 'sig', alg: ring, kid, n: '', e: '' } : { kty: 'EC', use: 'sig', alg: ring, kid, crv: 'P-256', x: '', y: '' };
    return { publicJwk, sealed: Buffer.from(kid), proof: Buffer.from(kid) };
  },
  open: () => () => {
    throw new TypeError('nobody signs here');
  },
  isOurs: () => true,
  prove: ({ publicJwk: { kid } }) => Buffer.from(kid),
  reseal: ({ kid }) => Buffer.from(kid),
};

interface StoreHooks {
  readonly now: () => Date;
  /** No transaction takes no time at all. */
  readonly pass: () => void;
  readonly onCommit: (commit: Omit<Commit, 'trueAt' | 'policy'>) => void;
  readonly onIllegalMove: (move: string) => void;
}

/** A key store in memory: as strict as the database's constraints, as alone as its lock, as whole as its transactions. */
function createMemoryKeyStore({ now, pass, onCommit, onIllegalMove }: StoreHooks) {
  let committed: Omit<KeySet, 'readAt'> = { version: 0n, records: [] };
  let instances: readonly InstanceRecord[] = [];
  let verifiers: readonly VerifierRecord[] = [];
  let turn: Promise<unknown> | undefined;
  let operationsLeft = Infinity;
  let beforeLock: (() => Promise<void>) | undefined;

  const begin = (draft: { records: KeyRecord[] }, at: Date): KeyTransaction => {
    const operate = () => {
      if (operationsLeft <= 0) throw new Crash();
      operationsLeft -= 1;
    };
    const update = (kid: string, isExpected: (record: KeyRecord) => boolean, change: Partial<KeyRecord>) => {
      operate();
      const found = draft.records.find((record) => record.kid === kid);
      if (found === undefined || !isExpected(found)) return false;
      draft.records = draft.records.map((record) => (record === found ? { ...found, ...change } : record));
      requireUnique(draft.records);
      return true;
    };
    return {
      now: at,
      load: async () => ({ version: committed.version, records: [...draft.records], readAt: at }),
      listInstances: async () => instances,
      listVerifiers: async () => verifiers,
      prove: async () => undefined,
      insert: async (record) => {
        operate();
        draft.records = [...draft.records, record];
        requireUnique(draft.records);
      },
      move: async (kid, from, to) => {
        if (!STATES[from].next.includes(to)) onIllegalMove(`${kid}: ${from} -> ${to}`);
        return update(kid, ({ state }) => state === from, { state: to, ...changesOf(to, at) });
      },
      request: async (kid, requested) =>
        update(kid, ({ state, requestedAt }) => state === 'pending' && (requestedAt === undefined) === requested, { requestedAt: requested ? at : undefined }),
      reseal: async (kid, from, to) => update(kid, ({ sealed }) => sealed?.equals(from) === true, { sealed: to }),
      record: async () => {
        operate();
      },
    };
  };

  const store: KeyStore = {
    load: async () => ({ ...committed, readAt: now() }),
    change: async (work, { waits }) => {
      await beforeLock?.();
      if (turn !== undefined && !waits) return undefined;
      while (turn !== undefined) await turn;
      let release: (value: unknown) => void = () => undefined;
      turn = new Promise((resolve) => (release = resolve));
      try {
        pass();
        const draft = { records: [...committed.records] };
        const at = now();
        const result = await work(begin(draft, at));
        if (operationsLeft <= 0) throw new Crash();
        const before = committed;
        committed = { version: before.version + (result.isChanged ? 1n : 0n), records: draft.records };
        onCommit({ before: { ...before, readAt: at }, after: { ...committed, readAt: at }, at, isChanged: result.isChanged, instances, verifiers });
        return result;
      } finally {
        turn = undefined;
        release(undefined);
      }
    },
    beat: async ({ id, host, startedAt, servedVersion, rings, clock }) => {
      instances = [...instances.filter((other) => other.id !== id), { id, host, startedAt, servedVersion, rings, seenAt: now(), skewMs: clock.getTime() - now().getTime() }];
      return committed.version;
    },
    leave: async (id) => {
      instances = instances.filter((instance) => instance.id !== id);
    },
    listInstances: async () => instances,
    listVerifiers: async () => verifiers,
    countFetches: async (counts) => {
      for (const count of counts) {
        const known = verifiers.find(({ id }) => id === count.id);
        verifiers = [...verifiers.filter((other) => other !== known), {
          ...count,
          fetches: count.fetches + (known?.fetches ?? 0), notModified: count.notModified + (known?.notModified ?? 0),
          lastVersion: known !== undefined && known.lastVersion > count.lastVersion ? known.lastVersion : count.lastVersion,
          firstFetchAt: known?.firstFetchAt ?? now(), lastFetchAt: now(),
        }];
      }
    },
    listEvents: async () => [],
    forget: async () => undefined,
  };
  return {
    store, now,
    set: (): KeySet => ({ ...committed, readAt: now() }),
    crashAfter: (operations: number) => {
      operationsLeft = operations;
    },
    beforeLock: (interrupt: (() => Promise<void>) | undefined) => {
      beforeLock = interrupt;
    },
  };
}

function changesOf(to: KeyState, at: Date): Partial<KeyRecord> {
  if (to === 'active') return { activatedAt: at };
  return to === 'retiring' ? { retiringAt: at, sealed: undefined } : { endedAt: at, sealed: undefined };
}

/** The database's own constraints. */
function requireUnique(records: readonly KeyRecord[]): void {
  const taken = records.filter(({ state }) => state === 'active' || state === 'pending').map(({ ring, state }) => `${ring} ${state}`);
  if (new Set(taken).size < taken.length) throw new TypeError(`the database refuses two keys of ${taken.join(', ')}`);
  for (const { state, sealed } of records) if ((sealed !== undefined) !== (state === 'active' || state === 'pending')) throw new TypeError(`the database refuses a private half with ${state}`);
}
