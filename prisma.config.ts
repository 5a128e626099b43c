import { fileURLToPath } from 'node:url';
import { defineConfig } from 'prisma/config';

// The CLI reads this file before it looks for its schema engine, so this is what keeps every
// `prisma …` command off the network: the engine comes from npm (see scripts/schema_engine.mjs).
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= fileURLToPath(new URL('./scripts/schema_engine.mjs', import.meta.url));
process.env.CHECKPOINT_DISABLE ??= '1';

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: {
    url: process.env.DATABASE_URL ?? 'postgresql://app:app@127.0.0.1:5432/app',
    // Where migrations are replayed: an in-memory PGlite unless told otherwise ('' = a throw-away database beside `url`).
    ...(process.env.SHADOW_DATABASE_URL === '' ? {} : { shadowDatabaseUrl: process.env.SHADOW_DATABASE_URL ?? 'pglite:memory' }),
  },
});
