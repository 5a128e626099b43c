import { addSeconds, type Clock } from '../lib/clock.ts';
import type { Artifact, ArtifactStore, TransientStore } from './artifacts.ts';
import type { JsonObject } from './json.ts';

interface Entry {
  readonly model: string;
  readonly artifact: Artifact;
  readonly expiresAt: Date | undefined;
}

/** Entries beyond which the oldest go: memory is not for sale to whoever opens sign-in pages. */
const MOST_ENTRIES = 100_000;

/** What may vanish, in this process's memory: one instance only. */
export function createMemoryVolatile(clock: Clock): { artifacts: ArtifactStore; transient: TransientStore } {
  const entries = new Map<string, Entry>();
  const toKey = (model: string, id: string) => `${model} ${id}`;
  const isAlive = ({ expiresAt }: Entry) => expiresAt === undefined || expiresAt > clock.now();

  const read = (key: string): Artifact | undefined => {
    const entry = entries.get(key);
    if (entry === undefined) return undefined;
    if (isAlive(entry)) return structuredClone(entry.artifact); // callers change what they get
    entries.delete(key);
    return undefined;
  };
  const write = (model: string, id: string, artifact: Artifact, expiresAt: Date | undefined) => {
    const key = toKey(model, id);
    const consumedAt = read(key)?.consumedAt;
    entries.delete(key);
    entries.set(key, { model, artifact: { ...structuredClone(artifact), consumedAt }, expiresAt });
    if (entries.size > MOST_ENTRIES) sweep(entries, isAlive);
  };
  const findWhere = (model: string, fits: (artifact: Artifact) => boolean) => {
    for (const [key, entry] of entries) if (entry.model === model && fits(entry.artifact) && isAlive(entry)) return read(key);
    return undefined;
  };

  const artifacts: ArtifactStore = {
    put: async (model, id, artifact, expiresAt) => {
      write(model, id, artifact, expiresAt);
    },
    add: async (model, id, artifact, expiresAt) => {
      if (read(toKey(model, id)) !== undefined) return false;
      write(model, id, artifact, expiresAt);
      return true;
    },
    find: async (model, id) => read(toKey(model, id)),
    findByUid: async (model, uid) => findWhere(model, (artifact) => artifact.uid === uid),
    findByUserCode: async (model, userCode) => findWhere(model, (artifact) => artifact.userCode === userCode),
    consume: async (model, id) => {
      const key = toKey(model, id);
      const artifact = read(key);
      const entry = entries.get(key);
      if (artifact === undefined || entry === undefined || artifact.consumedAt !== undefined) return false;
      entries.set(key, { ...entry, artifact: { ...artifact, consumedAt: clock.now() } });
      return true;
    },
    remove: async (model, id) => {
      entries.delete(toKey(model, id));
    },
    revokeByGrantId: async (model, grantId) => {
      for (const [key, entry] of entries) if (entry.model === model && entry.artifact.grantId === grantId) entries.delete(key);
    },
  };
  return { artifacts, transient: createTransient(artifacts, clock) };
}

function createTransient(artifacts: ArtifactStore, clock: Clock): TransientStore {
  return {
    put: (key, value: JsonObject, ttlSeconds) => artifacts.put('Transient', key, { payload: value }, addSeconds(clock.now(), ttlSeconds)),
    take: async (key) => {
      const artifact = await artifacts.find('Transient', key);
      if (artifact === undefined || !(await artifacts.consume('Transient', key))) return undefined;
      await artifacts.remove('Transient', key);
      return artifact.payload;
    },
  };
}

/** Drops the dead, and then the oldest tenth if that was not enough. */
function sweep(entries: Map<string, Entry>, isAlive: (entry: Entry) => boolean): void {
  for (const [key, entry] of entries) if (!isAlive(entry)) entries.delete(key);
  if (entries.size <= MOST_ENTRIES) return;
  for (const key of entries.keys()) {
    if (entries.size <= MOST_ENTRIES * 0.9) return;
    entries.delete(key);
  }
}
