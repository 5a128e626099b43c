import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyRecord } from '../storage/storage.ts';
import type { KeyPolicy } from './policy.ts';

/** What an instance last said of itself, by the database's clock. */
export interface InstanceEvidence {
  readonly id: string;
  readonly servedVersion: bigint;
  /** The rings that it is configured for. */
  readonly rings: readonly SigningAlgorithm[];
  readonly seenAt: Date;
}

/** What a class of verifiers was last seen to fetch. */
export interface VerifierEvidence {
  readonly id: string;
  readonly lastFetchAt: Date;
  readonly lastVersion: bigint;
  readonly fetches: number;
}

export interface Evidence {
  readonly instances: readonly InstanceEvidence[];
  readonly verifiers: readonly VerifierEvidence[];
}

/** Whether a standby may sign, and if not, what it waits for. */
export interface Gate {
  readonly isOpen: boolean;
  /** When the lead is over. */
  readonly leadEndsAt: Date;
  readonly lateInstances: readonly string[];
  /** Known verifiers that cannot have the key yet. */
  readonly lateVerifiers: readonly string[];
  /** Opened although a verifier is late, since the limit of waiting is over: this is an alarm. */
  readonly isForced: boolean;
}

/** One fetch is somebody looking; two are a verifier that comes back. */
const FETCHES_OF_A_KNOWN_VERIFIER = 2;

/**
 * The three conditions of an activation: the lead is over; every live instance serves the key; every known verifier has
 * fetched the set since the key is in it, or has been waited for long enough.
 */
export function checkGate(standby: KeyRecord, { instances, verifiers }: Evidence, now: Date, policy: KeyPolicy): Gate {
  const leadEndsAt = plusSeconds(standby.createdAt, policy.leadSeconds);
  const lateInstances = instances
    .filter(({ seenAt, servedVersion }) => isLive(seenAt, now, policy) && servedVersion < standby.publishedVersion)
    .map(({ id }) => id);
  const lateVerifiers = verifiers.filter((verifier) => isKnown(verifier, now, policy) && verifier.lastVersion < standby.publishedVersion).map(({ id }) => id);
  const isWaitOver = now >= plusSeconds(leadEndsAt, policy.verifierWaitSeconds);
  const isOpen = now >= leadEndsAt && lateInstances.length === 0 && (lateVerifiers.length === 0 || isWaitOver);
  return { isOpen, leadEndsAt, lateInstances, lateVerifiers, isForced: isOpen && lateVerifiers.length > 0 };
}

/**
 * An instance stops signing when it could not reach the database for the stale limit, counted from before it last asked;
 * `seenAt` is when the database answered, so a silent instance is waited for at least as long as it may sign.
 */
export function isLive(seenAt: Date, now: Date, { staleSeconds }: KeyPolicy): boolean {
  return now < plusSeconds(seenAt, staleSeconds + 1);
}

export function isKnown({ fetches, lastFetchAt }: VerifierEvidence, now: Date, { verifierWindowSeconds }: KeyPolicy): boolean {
  return fetches >= FETCHES_OF_A_KNOWN_VERIFIER && now < plusSeconds(lastFetchAt, verifierWindowSeconds);
}

export function plusSeconds(instant: Date, seconds: number): Date {
  return new Date(instant.getTime() + seconds * 1000);
}
