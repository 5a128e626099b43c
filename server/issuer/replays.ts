import { Unavailable } from '../lib/errors.ts';
import type { ArtifactStore } from '../storage/storage.ts';

/**
 * Where it is kept that a client assertion or a proof was used. In Redis, since it is soon worth nothing; in Postgres while
 * Redis is away, so that nobody's refresh waits for it.
 */
export function createReplays({ volatile, durable }: { volatile: ArtifactStore; durable: ArtifactStore }): Pick<ArtifactStore, 'add' | 'find'> {
  const orDurable = <T>(ask: (store: ArtifactStore) => Promise<T>) =>
    ask(volatile).catch((error: unknown) => {
      if (error instanceof Unavailable) return ask(durable);
      throw error;
    });
  return {
    add: (...given) => orDurable((store) => store.add(...given)),
    find: (...given) => orDurable((store) => store.find(...given)),
  };
}
