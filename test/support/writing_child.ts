// Usage: writing_child.ts DATA_DIR. Writes to the embedded store until it is killed; prints each id once its write was acknowledged.
import { writeSync } from 'node:fs';
import { systemClock } from '../../server/lib/clock.ts';
import { createName, openTestStorage } from './drivers.ts';

const [dataDir] = process.argv.slice(2) as [string];
const { durable } = await openTestStorage(systemClock, { dataDir });
async function write(): Promise<never> {
  for (;;) {
    const id = createName('id');
    await durable.put('Written', id, { payload: { id, filler: 'x'.repeat(2_000) } }, undefined);
    // At once and past any buffer: what was said must be true even if this process dies in this instant.
    writeSync(1, `${id}\n`);
  }
}
await Promise.all([write(), write(), write(), write()]);
