/**
 * Gathers look-ups into as few questions as the store needs: while one is under way, all that arrive wait for the next.
 * Every look-up is asked after it arrived, so that none is answered from before: this is not a cache. A failed question
 * fails those that waited for it.
 */
export function createBatch<K, V>(ask: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>, { largest }: { largest: number }): (key: K) => Promise<V | undefined> {
  interface Waiting {
    readonly key: K;
    readonly resolve: (value: V | undefined) => void;
    readonly reject: (error: unknown) => void;
  }
  const waiting: Waiting[] = [];
  let isAsking = false;

  const run = async () => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, largest);
      try {
        const found = await ask([...new Set(batch.map(({ key }) => key))]);
        for (const { key, resolve } of batch) resolve(found.get(key));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isAsking = false;
  };

  return (key) =>
    new Promise((resolve, reject) => {
      waiting.push({ key, resolve, reject });
      if (isAsking) return;
      isAsking = true;
      // What else arrives in this turn of the event loop goes along.
      setImmediate(() => void run());
    });
}
