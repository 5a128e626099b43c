// Usage: recording_child.ts DATABASE_URL. Writes to the issuance record until it is killed; prints each jti once it was recorded.
import { writeSync } from 'node:fs';
import { systemClock } from '../../server/lib/clock.ts';
import { createCheckpointKeys, createInstance, createToken } from './audit_instance.ts';
import { openTestStorage } from './drivers.ts';

const [databaseUrl] = process.argv.slice(2) as [string];
const storage = await openTestStorage(systemClock, { databaseUrl });
const { audit } = createInstance(storage.audit, systemClock, createCheckpointKeys());
/** At once and past any buffer: what was said must be true even if this process dies in this instant. A full pipe is waited for. */
function say(line: string): void {
  for (let isSaid = false; !isSaid;) {
    try {
      writeSync(1, line);
      isSaid = true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

async function write(): Promise<never> {
  for (;;) {
    const token = createToken(systemClock.now());
    await audit.record([token]);
    say(`jti ${token.jti ?? ''}\n`);
  }
}
await Promise.all(Array.from({ length: 8 }, write));
