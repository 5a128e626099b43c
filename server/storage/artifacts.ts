import type { JsonObject } from './json.ts';

/** Something oidc-provider keeps: a grant, a code, a refresh token, a browser session, an interaction. */
export interface Artifact {
  readonly payload: JsonObject;
  readonly grantId?: string | undefined;
  readonly uid?: string | undefined;
  readonly userCode?: string | undefined;
  /** Whose it is: in Postgres it ends with the account's sessions. Not read back. */
  readonly accountId?: string | undefined;
  readonly consumedAt?: Date | undefined;
}

/**
 * One contract, four drivers (embedded and real Postgres, memory, Redis), one conformance suite. `id` is already a hash.
 * What has expired is not found, from its exact second on. Every method throws Unavailable when the store is out of
 * reach, and never reads that as "not found".
 */
export interface ArtifactStore {
  /** Writes or overwrites. `expiresAt` undefined: for ever. An overwrite keeps a `consumedAt` that is there. */
  put(model: string, id: string, artifact: Artifact, expiresAt: Date | undefined): Promise<void>;
  /** Writes unless it is there (and has not expired): whether it wrote. */
  add(model: string, id: string, artifact: Artifact, expiresAt: Date): Promise<boolean>;
  find(model: string, id: string): Promise<Artifact | undefined>;
  findByUid(model: string, uid: string): Promise<Artifact | undefined>;
  findByUserCode(model: string, userCode: string): Promise<Artifact | undefined>;
  /** Compare-and-set: true for exactly one of any number of callers, in any number of processes; false for all others. */
  consume(model: string, id: string): Promise<boolean>;
  remove(model: string, id: string): Promise<void>;
  revokeByGrantId(model: string, grantId: string): Promise<void>;
}

/** Postgres alone can take back a use. */
export interface DurableArtifactStore extends ArtifactStore {
  /** Compare-and-set: makes it unused again, if it was used at `consumedAt` and still stands so. Whether it did. */
  release(model: string, id: string, consumedAt: Date): Promise<boolean>;
}

/** Small values that may vanish: challenges of a ceremony that is under way. */
export interface TransientStore {
  put(key: string, value: JsonObject, ttlSeconds: number): Promise<void>;
  /** Reads and removes in one step, so that what is kept here is used once. */
  take(key: string): Promise<JsonObject | undefined>;
}
