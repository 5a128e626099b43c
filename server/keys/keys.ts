/*
 * Owns: the signing keys: their states, their custody, the snapshot that everybody signs and verifies with, the JWKS bytes.
 * Never: knows what is signed; shows a private half.
 * Keeps true: one active and one published standby a ring, whatever instances race; a snapshot never gives way to an older
 * one; an instance that cannot learn of a change stops signing, and goes on publishing.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KekRing } from '../crypto/kek.ts';
import type { Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { Hints, KeyRecord, KeySet, KeyStore } from '../storage/storage.ts';
import { createAdministration, type KeyAdministration } from './administration.ts';
import type { Move } from './plan.ts';
import type { KeyPolicy } from './policy.ts';
import { opens, reconcile } from './reconciler.ts';
import { AlteredKey, createLocalCustody, type Custody } from './sealed_key.ts';
import { createSnapshot, type KeySnapshot } from './snapshot.ts';
import { STATES } from './state.ts';
import { createStatements, type Statements } from './statement.ts';
import { createFetchCounter, type FetchCounter } from './verifiers.ts';

export type { KeyAdministration, KeysOverview, RingOverview, VerifierOverview } from './administration.ts';
export { createDiskSnapshot, type DiskSnapshot, type KeptDocument, type KeptSnapshot } from './disk_snapshot.ts';
export { openOnHost, type HostKeys } from './host.ts';
export { FIRST_START, type Move } from './plan.ts';
export { findPolicyFaults, type KeyPolicy } from './policy.ts';
export type { KeySnapshot, Signer, Verifier } from './snapshot.ts';
export type { Statements } from './statement.ts';

export interface Keys {
  /** The snapshot in force. */
  current(): KeySnapshot;
  /** Whether this instance may sign now with keys of `snapshot`: it is fresh, and no key of it was revoked since. */
  maySign(snapshot: KeySnapshot): boolean;
  /** Reads the key set again and, if it is newer, puts it in force: whether it did. */
  refresh(): Promise<boolean>;
  /**
   * The snapshot to publish now: the one in force, at once. Only an instance that has been out of touch for longer than
   * the stale limit looks first, a third of a second at most: it may have slept through an activation.
   */
  latest(): KeySnapshot | Promise<KeySnapshot>;
  /** Calls back with each snapshot that comes into force from now on. */
  onChange(listener: (snapshot: KeySnapshot) => void): void;
  /** Counts a fetch of the JWKS; costs no wait. */
  readonly countFetch: FetchCounter['count'];
  readonly administration: KeyAdministration;
  readonly statements: Statements;
  /** What the start changed. */
  readonly created: readonly Move[];
  /** Says that this instance lives, and begins to follow and to reconcile in the background. Nothing is signed before. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Alarms and changes, for the log and the metrics. */
export interface KeyEvents {
  onMoves(moves: readonly Move[]): void;
  /** The JWKS shows a key of which nothing shows that this issuer made it. */
  onStranger(kid: string): void;
  /** The database holds an older key set than this instance serves: it was restored under running instances. */
  onRolledBack(versions: { stored: bigint; served: bigint }): void;
  /** An instance's clock differs from the database's by more than `SKEW_ALARM_MS`. */
  onSkew(skewMs: number): void;
  onTrouble(what: string, error: unknown): void;
}

export interface KeysOptions {
  readonly store: KeyStore;
  readonly hints: Hints;
  readonly keks: Secret<KekRing>;
  readonly policy: KeyPolicy;
  readonly clock: Clock;
  readonly events: KeyEvents;
  /** How often the version is asked for: the longest that a change goes unseen without a hint. Default 5. */
  readonly pollSeconds: number;
  /** How often the plan is asked for, give or take a third. Default 15. */
  readonly tickSeconds: number;
}

const HINT = 'keys';
const LOOK_FIRST_MS = 333;

/** What an instance with another KEK sealed, no other could open, and none would start any more. Throws Refused. */
function demandKeks(records: readonly KeyRecord[], custody: Custody): void {
  for (const record of records) {
    try {
      if (record.sealed !== undefined) custody.open(record);
    } catch (cause) {
      if (cause instanceof AlteredKey) throw cause;
      throw new Refused('wrong_kek', `${(cause as Error).message}; add the one that sealed it as another line, and start again`, { cause });
    }
  }
}

/** Brings the key set in order and loads it. Throws when the store is away, and Refused when a key cannot be opened. */
export async function createKeys(options: KeysOptions): Promise<Keys> {
  const { store, keks, policy, hints } = options;
  const custody = createLocalCustody(keks);
  const dependencies = { store, custody, policy };
  const created = await reconcile(dependencies, { waits: true, check: (records) => { demandKeks(records, custody); } });
  if (created.length > 0) {
    hints.send(HINT);
    options.events.onMoves(created);
  }

  // A stranger is published all the same: what another instance made under a KEK that is new to this one looks just so.
  const load = async (): Promise<KeySet> => {
    const set = await store.load();
    for (const record of set.records) if (STATES[record.state].isPublished && !custody.isOurs(record) && !opens(record, custody)) options.events.onStranger(record.kid);
    return set;
  };
  let snapshot = createSnapshot(await load(), custody, policy.jwksMaxAgeSeconds);
  const [unopened] = snapshot.unopened;
  if (unopened !== undefined) throw unopened.cause;
  // Nothing is signed before this instance has said that it lives: others wait for those that they know of.
  let inTouchAt = Number.NEGATIVE_INFINITY;
  let usableVersion = snapshot.version;
  const listeners: ((snapshot: KeySnapshot) => void)[] = [];
  const counter = createFetchCounter();

  const refresh = async () => {
    const set = await load();
    if (set.version <= snapshot.version) return false;
    snapshot = createSnapshot(set, custody, policy.jwksMaxAgeSeconds);
    for (const listener of listeners) listener(snapshot);
    if (snapshot.unopened.length === 0) usableVersion = snapshot.version;
    else options.events.onTrouble('a signing key cannot be opened with the key-encryption keys of VOUCH_KEK (or VOUCH_KEK_FILE); this instance publishes it and cannot sign with it', snapshot.unopened[0]?.cause);
    return true;
  };
  // By the monotonic clock, which also counts while the process is stopped: an instance that wakes must not sign first.
  const isFresh = () => performance.now() - inTouchAt < policy.staleSeconds * 1000;
  const canSign = () => isFresh() && !snapshot.unopened.some(({ signs }) => signs);
  const administration = createAdministration(dependencies);
  const loops = createLoops(options, {
    current: () => snapshot, usableVersion: () => usableVersion, refresh, counter,
    reconcile: () => reconcile(dependencies, { waits: false }),
    markInTouch: (at) => { inTouchAt = Math.max(inTouchAt, at); },
  });

  return {
    created, refresh,
    current: () => snapshot,
    latest: () => (isFresh() || loops.isRolledBack() ? snapshot : Promise.race([refresh().catch(() => undefined), sleep(LOOK_FIRST_MS)]).then(() => snapshot)),
    maySign: (used) => canSign() && (used === snapshot || [...used.signers.values()].every(({ kid }) => snapshot.verifiers.has(kid))),
    onChange: (listener) => {
      listeners.push(listener);
    },
    countFetch: counter.count,
    statements: createStatements(() => snapshot, store, custody),
    administration: hintAfterChanges(administration, hints, refresh),
    start: async () => {
      hints.onHint(HINT, loops.wake);
      await loops.start();
    },
    stop: loops.stop,
  };

  // What an admin does here is in force here when the answer goes out, and elsewhere a moment later.
  function hintAfterChanges(inner: KeyAdministration, { send }: Pick<Hints, 'send'>, update: () => Promise<boolean>): KeyAdministration {
    const then = async <T>(work: Promise<T>): Promise<T> => {
      const result = await work;
      await update();
      send(HINT);
      return result;
    };
    const tell = (moves: readonly Move[]) => {
      if (moves.length > 0) options.events.onMoves(moves);
    };
    return {
      ...inner,
      rotate: async (ring, actor) => {
        const moves = await then(inner.rotate(ring, actor));
        tell(moves);
        return moves;
      },
      cancel: (ring, actor) => then(inner.cancel(ring, actor)),
      revoke: async (kid, actor, reason) => {
        const result = await then(inner.revoke(kid, actor, reason));
        tell(result.moves);
        return result;
      },
    };
  }
}

interface LoopParts {
  readonly current: () => KeySnapshot;
  readonly refresh: () => Promise<boolean>;
  /** The newest version that this instance can sign with. */
  readonly usableVersion: () => bigint;
  readonly markInTouch: (at: number) => void;
  readonly counter: FetchCounter;
  readonly reconcile: () => Promise<readonly Move[]>;
}

const SKEW_ALARM_MS = 5_000;
const DAY_SECONDS = 86_400;

/** Two things in the background: following what others change, and asking what should change. */
function createLoops({ store, hints, clock, events, policy, pollSeconds, tickSeconds }: KeysOptions, parts: LoopParts) {
  const { current, usableVersion, refresh, counter, reconcile: tick, markInTouch } = parts;
  const identity = { id: randomUUID(), host: hostname(), startedAt: clock.now(), rings: policy.rings };
  let timers: NodeJS.Timeout[] = [];
  let isStopped = false;
  let following: Promise<void> | undefined;

  // What is signed with a newer set than the stored one, nobody else can verify; and what this instance would write into
  // that database (that it serves the newer version, what verifiers fetched of it) would let keys sign that nobody has.
  let rolledBackFrom: bigint | undefined;
  // The same number, come to again, is of another set; a greater one is a whole set again.
  const isRolledBack = () => rolledBackFrom !== undefined && current().version <= rolledBackFrom;
  const beat = async () => {
    const askedAt = performance.now();
    const served = current().version;
    const version = await store.beat({ ...identity, servedVersion: isRolledBack() ? 0n : usableVersion(), clock: clock.now() });
    if (version < served && !isRolledBack()) {
      rolledBackFrom = served;
      events.onRolledBack({ stored: version, served });
    }
    if (version > served) {
      await refresh();
      await store.beat({ ...identity, servedVersion: usableVersion(), clock: clock.now() });
    }
    if (!isRolledBack()) markInTouch(askedAt);
  };
  const follow = async () => {
    // Not once it has left, after a reconciliation that was under way: it would be listed for a day as one that went silent.
    if (isStopped) return;
    // One at a time: a store that is slow must not be asked ever more often.
    following ??= beat()
      .catch((error: unknown) => {
        events.onTrouble('the key set could not be read', error);
      })
      .finally(() => {
        following = undefined;
      });
    await following;
  };
  const flush = async () => {
    const counts = counter.take();
    await store.countFetches(counts).catch((error: unknown) => {
      counter.restore(counts);
      events.onTrouble('what verifiers fetched could not be written', error);
    });
  };
  const watchSkew = async () => {
    const own = (await store.listInstances()).find(({ id }) => id === identity.id);
    if (own !== undefined && Math.abs(own.skewMs) > SKEW_ALARM_MS) events.onSkew(own.skewMs);
  };
  const reconcileOnce = async () => {
    // Asked first: what was counted since the last beat may be of a set that the database has never seen.
    await follow();
    if (isRolledBack()) return;
    await flush();
    const moves = await tick().catch((error: unknown) => {
      events.onTrouble('the key set could not be reconciled', error);
      return [];
    });
    if (moves.length > 0) {
      events.onMoves(moves);
      await follow();
      hints.send(HINT);
    }
    const seconds = { instances: DAY_SECONDS, verifiers: Math.max(30 * DAY_SECONDS, 2 * policy.verifierWindowSeconds) };
    await Promise.all([watchSkew(), store.forget(seconds)]).catch(() => undefined); // said by the loop above already
  };
  const repeat = (work: () => Promise<void>, nextMs: () => number) => {
    if (isStopped) return;
    const timer = setTimeout(() => {
      timers = timers.filter((other) => other !== timer);
      void work().finally(() => {
        repeat(work, nextMs);
      });
    }, nextMs());
    timer.unref();
    timers.push(timer);
  };
  return {
    isRolledBack,
    start: async () => {
      await follow();
      repeat(follow, () => pollSeconds * 1000);
      // Jittered, so that instances that start together do not ask together for ever.
      repeat(reconcileOnce, () => tickSeconds * 1000 * (2 / 3 + (Math.random() * 2) / 3));
    },
    wake: () => {
      if (!isStopped) void follow();
    },
    stop: async () => {
      isStopped = true;
      for (const timer of timers) clearTimeout(timer);
      await following;
      if (!isRolledBack()) await flush();
      await store.leave(identity.id).catch(() => undefined); // nobody waits for it longer than the stale limit anyway
    },
  };
}
