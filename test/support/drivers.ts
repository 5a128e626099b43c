import { randomBytes } from 'node:crypto';
import type { Clock } from '../../server/lib/clock.ts';
import { Secret } from '../../server/lib/secret.ts';
import { openStorage, type ArtifactStore, type Storage } from '../../server/storage/storage.ts';
import { createEmbeddedFolder } from './embedded_folder.ts';
import { createTestDatabase, testRedisUrl } from './services.ts';

/** Storage on real or embedded services, with nothing to say when Redis goes. */
export function openTestStorage(clock: Clock, { databaseUrl, redisUrl, dataDir = '' }: { databaseUrl?: string; redisUrl?: string; dataDir?: string }): Promise<Storage> {
  const secret = (value: string | undefined) => (value === undefined ? undefined : new Secret(value));
  return openStorage({ databaseUrl: secret(databaseUrl), redisUrl: secret(redisUrl), dataDir, clock, onRedisError: () => undefined });
}

interface Driver {
  open(clock: Clock): Promise<Storage>;
  artifacts(storage: Storage): ArtifactStore;
}

/** Every driver of the artifact store: what one must do, all must. The volatile ones lie beside a real Postgres, which opens faster than the embedded one. */
export const DRIVERS: Readonly<Record<'embedded' | 'postgres' | 'memory' | 'redis', Driver>> = {
  embedded: { open: async (clock) => openTestStorage(clock, { dataDir: await createEmbeddedFolder() }), artifacts: ({ durable }) => durable },
  postgres: { open: async (clock) => openTestStorage(clock, { databaseUrl: await createTestDatabase() }), artifacts: ({ durable }) => durable },
  memory: { open: async (clock) => openTestStorage(clock, { databaseUrl: await createTestDatabase() }), artifacts: ({ volatile }) => volatile },
  redis: { open: async (clock) => openTestStorage(clock, { databaseUrl: await createTestDatabase(), redisUrl: testRedisUrl() }), artifacts: ({ volatile }) => volatile },
};

/** The embedded database compiles 10 MB of WebAssembly before it opens, which a busy machine takes long for. */
export const OPENING_MS = 120_000;

/** A name that no other test uses, since all share one Redis. */
export function createName(kind: string): string {
  return `${kind}_${randomBytes(6).toString('hex')}`;
}
