import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyRecord } from '../storage/storage.ts';
import { checkGate, isLive, plusSeconds, type Evidence } from './evidence.ts';
import { MOST_KEYS, type KeyPolicy } from './policy.ts';
import { STATES } from './state.ts';

export const FIRST_START = 'first start';

/** What should change, and why, in words for the history. */
export type Move =
  /** A new key; only where there is none at all do the first ones start as `active`. */
  | { readonly kind: 'generate'; readonly ring: SigningAlgorithm; readonly state: 'active' | 'pending'; /** Once it is made. */ readonly kid?: string; readonly reason: string }
  /** The standby signs from now on; `retires`, the key that signed so far, no longer does. */
  | { readonly kind: 'activate'; readonly ring: SigningAlgorithm; readonly kid: string; readonly retires: string | undefined; readonly isForced: boolean; readonly reason: string }
  /** A key of a ring that is taken away signs no more. */
  | { readonly kind: 'retire'; readonly ring: SigningAlgorithm; readonly kid: string; readonly reason: string }
  /** The last token that the key signed has expired everywhere. */
  | { readonly kind: 'end'; readonly ring: SigningAlgorithm; readonly kid: string; readonly reason: string }
  /** A standby of a ring that is taken away: it never signed. */
  | { readonly kind: 'drop'; readonly ring: SigningAlgorithm; readonly kid: string; readonly reason: string };

/**
 * Given the records, what was seen, and now: what should change? Pure, and idle when all is well, so that running it
 * twice, late, or on ten instances does no harm. Applying what it says and asking again leads to rest.
 *
 * `lost` is a ring whose signer was revoked in this very transaction: its standby signs whatever its age.
 */
export function plan(records: readonly KeyRecord[], evidence: Evidence, now: Date, policy: KeyPolicy, lost?: SigningAlgorithm): readonly Move[] {
  // No verifier can hold a set that is good for anything: only then a key signs at once.
  if (!records.some(({ state }) => STATES[state].isPublished)) return policy.rings.flatMap((ring) => planFirstKeys(ring, records.length === 0 ? FIRST_START : 'no key was left'));
  const wanted = findWantedRings(evidence, now, policy);
  const isNeeded = isAnyRingNeeded(records, wanted);
  // The lost one first: it comes before whatever else may want the last place in the set.
  const rings = new Set([...(lost === undefined ? [] : [lost]), ...wanted, ...records.map(({ ring }) => ring)]);
  const planOwn = (ring: SigningAlgorithm, own: readonly KeyRecord[]) => {
    if (wanted.has(ring) || (isNeeded && ring === lost)) return planRing(ring, own, evidence, now, policy, ring === lost);
    return isNeeded ? [] : drainRing(ring, own);
  };
  const moves = [...rings].flatMap((ring) => {
    const own = records.filter((record) => record.ring === ring);
    return [...planEnds(ring, own, now, policy), ...planOwn(ring, own)];
  });
  return keepWithinLimit(moves, records.filter(({ state }) => STATES[state].isPublished).length);
}

/**
 * The rings that are configured here or at any live instance: in a rolling change of the configuration old and new
 * instances would otherwise undo each other.
 */
export function findWantedRings({ instances }: Evidence, now: Date, policy: KeyPolicy): ReadonlySet<SigningAlgorithm> {
  const elsewhere = instances.filter(({ seenAt }) => isLive(seenAt, now, policy)).flatMap(({ rings }) => rings);
  return new Set([...policy.rings, ...elsewhere]);
}

/**
 * Until each wanted ring has a signer, one that is not wanted any more is left as it is: something must sign while a new
 * ring waits for its gate.
 */
export function isAnyRingNeeded(records: readonly KeyRecord[], wanted: ReadonlySet<SigningAlgorithm>): boolean {
  return [...wanted].some((ring) => !records.some((record) => record.ring === ring && record.state === 'active'));
}

function planFirstKeys(ring: SigningAlgorithm, reason: string): Move[] {
  return [
    { kind: 'generate', ring, state: 'active', reason },
    { kind: 'generate', ring, state: 'pending', reason },
  ];
}

function planRing(ring: SigningAlgorithm, own: readonly KeyRecord[], evidence: Evidence, now: Date, policy: KeyPolicy, isLost: boolean): Move[] {
  const standby = own.find(({ state }) => state === 'pending');
  if (standby === undefined) return [{ kind: 'generate', ring, state: 'pending', reason: 'a standby is always published' }];
  const active = own.find(({ state }) => state === 'active');
  const why = findReasonToActivate(isLost, active, standby, now, policy);
  if (why === undefined) return [];
  const { isOpen, isForced } = checkGate(standby, evidence, now, policy);
  if (!isOpen && why !== EMERGENCY) return [];
  return [{ kind: 'activate', ring, kid: standby.kid, retires: active?.kid, isForced: isForced || !isOpen, reason: why }];
}

const EMERGENCY = 'the key that signed was revoked';

function findReasonToActivate(isLost: boolean, active: KeyRecord | undefined, standby: KeyRecord, now: Date, policy: KeyPolicy): string | undefined {
  // A ring that has signed and cannot any more takes the key that verifiers hold best, whatever its age.
  if (active === undefined) return isLost ? EMERGENCY : 'the ring begins';
  if (standby.requestedAt !== undefined) return 'an admin asked for it';
  const dueAt = plusSeconds(active.activatedAt ?? active.createdAt, policy.rotationSeconds);
  return now >= dueAt ? `it is ${policy.rotationSeconds} s since the last rotation` : undefined;
}

/** A ring that is taken away: nothing signs with it, and what it signed stays verifiable for its time. */
function drainRing(ring: SigningAlgorithm, own: readonly KeyRecord[]): Move[] {
  const reason = 'the ring was taken away';
  return own.flatMap(({ state, kid }): Move[] => {
    if (state === 'active') return [{ kind: 'retire', ring, kid, reason }];
    return state === 'pending' ? [{ kind: 'drop', ring, kid, reason }] : [];
  });
}

function planEnds(ring: SigningAlgorithm, own: readonly KeyRecord[], now: Date, policy: KeyPolicy): Move[] {
  return own
    .filter(({ state, retiringAt, createdAt }) => state === 'retiring' && now >= plusSeconds(retiringAt ?? createdAt, policy.retentionSeconds))
    .map(({ kid }): Move => ({ kind: 'end', ring, kid, reason: 'the last token that it signed has expired' }));
}

/**
 * Providers take a bounded set: what would go beyond it waits until a key has left. An activation counts, since a new
 * standby must follow it; one that replaces nothing does not wait.
 */
function keepWithinLimit(moves: readonly Move[], published: number): readonly Move[] {
  let room = MOST_KEYS - published;
  return moves.filter((move) => {
    if (move.kind !== 'generate' && move.kind !== 'activate') return true;
    const waits = move.kind === 'generate' || move.retires !== undefined;
    if (waits && room <= 0) return false;
    room -= 1;
    return true;
  });
}
