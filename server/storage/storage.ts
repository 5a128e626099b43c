/*
 * Owns: Postgres (embedded or real), Redis (memory or real), their schema, and one small store a noun.
 * Never: decides anything; knows of oidc-provider, HTTP or passkeys.
 * Keeps true: a write that decides is a compare-and-set that says whether it won; out of reach is Unavailable, never "not found".
 */
import { addSeconds, type Clock } from '../lib/clock.ts';
import type { Limits } from '../lib/limits.ts';
import type { Secret } from '../lib/secret.ts';
import { createAccountStore, type AccountStore } from './accounts_sql.ts';
import type { ArtifactStore, DurableArtifactStore, TransientStore } from './artifacts.ts';
import { createAudienceStore, type AudienceStore } from './audiences_sql.ts';
import { createSqlArtifacts, purgeExpiredArtifacts } from './artifacts_sql.ts';
import { createBrowserSessionStore, purgeBrowserSessions, type BrowserSessionStore } from './browser_sessions_sql.ts';
import { createAuditStore, type AuditStore } from './audit_sql.ts';
import { createClientStore, type ClientStore } from './clients_sql.ts';
import { openEmbedded, openPostgres } from './database.ts';
import { createDirectoryGroupStore, type DirectoryGroupStore } from './directory_groups_sql.ts';
import { guardStore } from './failure.ts';
import { createGroupStore, type GroupStore } from './groups_sql.ts';
import { createMemoryHints, createRedisHints, type Hints } from './hints.ts';
import { createIdentityStore, type IdentityStore } from './identities_sql.ts';
import { createMemoryLimits } from './limits.ts';
import { createKeyStore, type KeyStore } from './keys_sql.ts';
import { createPasskeyStore, type PasskeyStore } from './passkeys_sql.ts';
import { createPeopleStore, type PeopleStore } from './people_sql.ts';
import { createScimTokenStore, type ScimTokenStore } from './scim_tokens_sql.ts';
import { createSessionStore, purgeSessions, type SessionStore } from './sessions_sql.ts';
import { createMemoryVolatile } from './volatile_memory.ts';
import { createRedisVolatile } from './volatile_redis.ts';

export type { AccountRecord, AccountStore, GroupedAccountRecord, InvitationRecord } from './accounts_sql.ts';
export type { Artifact, ArtifactStore, DurableArtifactStore, TransientStore } from './artifacts.ts';
export type { AudienceRecord, AudienceStore } from './audiences_sql.ts';
export type { GroupRecord, GroupStore } from './groups_sql.ts';
export type {
  AuditBatch, AuditFields, AuditFilter, AuditRecord, AuditStore, AuditTransaction, ChainHead, ChainPlace, ChainRecord, LiveCount, StoredCheckpoint,
} from './audit_sql.ts';
export type { BrowserSessionEnd, BrowserSessionRecord, BrowserSessionStore } from './browser_sessions_sql.ts';
export type { ClientStore } from './clients_sql.ts';
export type { DisputeRecord, IdentityRecord, IdentityStore, IdentityUse } from './identities_sql.ts';
export type { JsonObject, JsonValue } from './json.ts';
export type { InstanceRecord, KeyEvent, KeyRecord, KeySet, KeyState, KeyStore, KeyTransaction, VerifierCount, VerifierRecord } from './keys_sql.ts';
export type { DirectoryGroupRecord, DirectoryGroupStore, GroupFilter, MemberChange } from './directory_groups_sql.ts';
export type { Hints } from './hints.ts';
export type { DirectoryFilter, LifeCycleOutcome, PeopleFilter, PeopleStore, PersonChanges, PersonRecord, Slice } from './people_sql.ts';
export type { ScimTokenRecord, ScimTokenStore } from './scim_tokens_sql.ts';
export type { AttestationBytes, PasskeyRecord, PasskeyStore, WaysIn } from './passkeys_sql.ts';
export type { SessionEnd, SessionRecord, SessionStore } from './sessions_sql.ts';

export interface Storage {
  readonly keys: KeyStore;
  readonly accounts: AccountStore;
  readonly people: PeopleStore;
  readonly groups: GroupStore;
  readonly directoryGroups: DirectoryGroupStore;
  readonly scimTokens: ScimTokenStore;
  readonly passkeys: PasskeyStore;
  readonly identities: IdentityStore;
  readonly sessions: SessionStore;
  readonly browserSessions: BrowserSessionStore;
  readonly clients: ClientStore;
  readonly audiences: AudienceStore;
  readonly audit: AuditStore;
  /** What must not be lost and must be used once: Postgres. */
  readonly durable: DurableArtifactStore;
  /** What may vanish: Redis. */
  readonly volatile: ArtifactStore;
  readonly transient: TransientStore;
  readonly limits: Limits;
  readonly hints: Hints;
  /** Throws Unavailable when Postgres or Redis does not answer. */
  check(): Promise<void>;
  /** Drops what has expired, a bounded piece at a time. */
  purge(): Promise<number>;
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly databaseUrl: Secret<string> | undefined;
  readonly redisUrl: Secret<string> | undefined;
  /** Where the embedded database lies. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly onRedisError: (error: Error) => void;
}

const PURGE_LIMIT = 5_000;
/** How long a session that is over can still be looked at: 30 days. */
const ENDED_SESSION_SECONDS = 30 * 24 * 3600;

/** Opens everything and brings the schema up to date. Throws Unavailable, or Refused when the data folder is in use. */
export async function openStorage({ databaseUrl, redisUrl, dataDir, clock, onRedisError }: StorageOptions): Promise<Storage> {
  const database = databaseUrl === undefined ? await openEmbedded(dataDir) : await openPostgres(databaseUrl.reveal());
  const redis = redisUrl === undefined ? undefined : createRedisVolatile(redisUrl.reveal(), clock, onRedisError);
  const { artifacts, transient } = redis ?? createMemoryVolatile(clock);
  const hints = redisUrl === undefined ? createMemoryHints() : createRedisHints(redisUrl.reveal(), onRedisError);
  const { prisma } = database;
  return {
    keys: createKeyStore(prisma),
    accounts: createAccountStore(database),
    people: createPeopleStore(prisma),
    groups: createGroupStore(prisma),
    directoryGroups: createDirectoryGroupStore(prisma),
    scimTokens: createScimTokenStore(prisma),
    passkeys: createPasskeyStore(prisma),
    identities: createIdentityStore(prisma),
    sessions: createSessionStore(prisma),
    browserSessions: createBrowserSessionStore(prisma),
    clients: createClientStore(prisma),
    audiences: createAudienceStore(prisma),
    audit: createAuditStore(database),
    durable: createSqlArtifacts(prisma, clock),
    volatile: artifacts,
    transient,
    limits: redis?.limits ?? createMemoryLimits(),
    hints,
    check: async () => {
      await guardStore('ask the database', () => prisma.$queryRaw`SELECT 1`);
      await redis?.ping();
    },
    purge: async () => {
      const forgotten = addSeconds(clock.now(), -ENDED_SESSION_SECONDS);
      return (await purgeExpiredArtifacts(prisma, clock.now(), PURGE_LIMIT)) + (await purgeSessions(prisma, forgotten, PURGE_LIMIT)) + (await purgeBrowserSessions(prisma, forgotten, PURGE_LIMIT));
    },
    close: async () => {
      await Promise.all([database.close(), redis?.close(), hints.close()]);
    },
  };
}
