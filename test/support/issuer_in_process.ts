import { createServer } from 'node:http';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp, type App, type AppOptions } from '../../server/app.ts';
import { ensureEmbeddedSecrets, loadConfig } from '../../server/config/config.ts';
import { createDiskSnapshot } from '../../server/keys/keys.ts';
import { parseKekRing } from '../../server/crypto/kek.ts';
import { Secret } from '../../server/lib/secret.ts';
import type { Clock } from '../../server/lib/clock.ts';
import { createBrowser, enrol, type Browser } from './browser.ts';
import { findFreePort } from './free_port.ts';
import { UNLIMITED } from './issuer_process.ts';
import { createTestDatabase, testRedisUrl } from './services.ts';
import { createSoftwarePasskey, type SoftwarePasskey } from './software_passkey.ts';

export interface TestIssuer {
  readonly url: string;
  readonly databaseUrl: string;
  readonly app: App;
  readonly clock: TestClock;
  /** Every object that was logged. */
  readonly logged: readonly unknown[];
  /** Enrols a new person and gives their browser and passkey. */
  createPerson(email: string): Promise<{ browser: Browser; passkey: SoftwarePasskey }>;
  close(): Promise<void>;
}

/** Runs with the real time plus whatever a test adds. */
export interface TestClock extends Clock {
  advance(seconds: number): void;
}

/** Moves Date.now with it, since oidc-provider reads that. */
export function createTestClock(): TestClock {
  let offsetMs = 0;
  const realNow = Date.now;
  Date.now = () => realNow() + offsetMs;
  return {
    now: () => new Date(Date.now()),
    advance: (seconds) => {
      offsetMs += seconds * 1000;
    },
  };
}

/** The whole issuer in this process, on real Postgres and Redis, with a clock that can be moved. */
export async function startTestIssuer(env: Record<string, string> = {}, more: Pick<AppOptions, 'fetchPublic'> = {}): Promise<TestIssuer> {
  const port = await findFreePort();
  const databaseUrl = env.DATABASE_URL ?? (await createTestDatabase());
  const config = loadConfig({
    VOUCH_PORT: String(port), VOUCH_RATE_LIMIT_SCALE: UNLIMITED, VOUCH_DATA_DIR: mkdtempSync(join(tmpdir(), 'vouch-')), DATABASE_URL: databaseUrl, REDIS_URL: testRedisUrl(), ...env,
  });
  const clock = createTestClock();
  const logged: unknown[] = [];
  const record = (...line: unknown[]) => {
    logged.push(...line);
  };
  const secrets = ensureEmbeddedSecrets(config);
  const keks = new Secret(parseKekRing(secrets.keks.reveal()));
  const disk = createDiskSnapshot(config.dataDir, config.issuer, keks);
  const app = await createApp({ config, keks, cookieKeys: secrets.cookieKeys.reveal(), disk, clock, ...more, log: { debug: record, info: record, warn: record, error: record } });
  await app.start();
  const server = createServer(app.handle);
  await new Promise<void>((resolve) => server.listen(config.port, '127.0.0.1', resolve));
  const url = config.issuer;
  return {
    url, databaseUrl, app, clock, logged,
    createPerson: async (email) => {
      const { token } = await app.accounts.invite('admin');
      const browser = createBrowser(url);
      const passkey = createSoftwarePasskey({ origin: url });
      await enrol(browser, `${url}/login/enrol/${token.reveal()}`, { email, name: 'Test Person' }, passkey);
      return { browser, passkey };
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await app.close();
    },
  };
}
