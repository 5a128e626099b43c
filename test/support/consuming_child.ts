// Usage: consuming_child.ts durable|volatile DATABASE_URL REDIS_URL MODEL COUNT
// Says "ready"; of each id that it reads as a line, consumes COUNT times at once and says how often it won.
import { createInterface } from 'node:readline';
import { systemClock } from '../../server/lib/clock.ts';
import { openTestStorage } from './drivers.ts';

const [which, databaseUrl, redisUrl, model, count] = process.argv.slice(2) as ['durable' | 'volatile', string, string, string, string];
const storage = await openTestStorage(systemClock, { databaseUrl, redisUrl });
await storage.check();
process.stdout.write('ready\n');
for await (const id of createInterface({ input: process.stdin })) {
  const results = await Promise.all(Array.from({ length: Number(count) }, () => storage[which].consume(model, id)));
  process.stdout.write(`${id} won ${results.filter(Boolean).length} of ${results.length}\n`);
}
await storage.close();
