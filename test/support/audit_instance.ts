import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { createAudit, CHECKPOINT_TYPE, type Audit, type AuditEntry, type AuditOptions } from '../../server/audit/audit.ts';
import { parseJws, signJws, verifyJws } from '../../server/crypto/jws.ts';
import type { Clock } from '../../server/lib/clock.ts';
import { createAuditStore } from '../../server/storage/audit_sql.ts';
import { openEmbedded, openPostgres, type Database } from '../../server/storage/database.ts';
import type { AuditStore } from '../../server/storage/storage.ts';
import { createEmbeddedFolder } from './embedded_folder.ts';
import { createTestDatabase } from './services.ts';

/** A database of the issuance record, and a way to lay hands on it. */
export interface RecordDatabase {
  /** As one process has it: each call is another pool of what is known. */
  createStore(): AuditStore;
  /** What somebody with the database's password does. Gives the number of rows. */
  tamper(sql: string, ...values: unknown[]): Promise<number>;
  read<T>(sql: string, ...values: unknown[]): Promise<T[]>;
  /** Empties it; months stay, which take long to make. */
  clear(): Promise<void>;
  dropMonths(): Promise<void>;
  close(): Promise<void>;
}

export const RECORD_DATABASES: Readonly<Record<'embedded' | 'postgres', () => Promise<RecordDatabase>>> = {
  embedded: async () => toRecordDatabase(await openEmbedded(await createEmbeddedFolder())),
  postgres: async () => toRecordDatabase(await openPostgres(await createTestDatabase())),
};

function toRecordDatabase(database: Database): RecordDatabase {
  const { prisma } = database;
  const read = <T>(sql: string, ...values: unknown[]) => prisma.$queryRawUnsafe<T[]>(sql, ...values);
  return {
    createStore: () => createAuditStore(database),
    tamper: (sql, ...values) => prisma.$executeRawUnsafe(sql, ...values),
    read,
    clear: async () => {
      for (const table of ['audit_rows', 'audit_chains', 'audit_checkpoints']) await prisma.$executeRawUnsafe(`DELETE FROM ${table}`);
    },
    dropMonths: async () => {
      const partitions = await read<{ name: string }>("SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_rows'::regclass");
      for (const { name } of partitions) await prisma.$executeRawUnsafe(`DROP TABLE ${name}`);
    },
    close: () => database.close(),
  };
}

/** Keys of an issuer, of which the last one signs. */
export interface CheckpointKeys {
  sign(payload: object): Promise<string>;
  verifySignature(jws: string): Promise<object | undefined>;
  rotate(): void;
}

export function createCheckpointKeys(): CheckpointKeys {
  const keys: { kid: string; privateKey: KeyObject; publicKey: KeyObject }[] = [];
  const rotate = () => {
    keys.push({ kid: randomUUID(), ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) });
  };
  rotate();
  return {
    rotate,
    sign: (payload) => {
      const { kid, privateKey } = keys.at(-1)!;
      return signJws({ alg: 'ES256', kid, typ: CHECKPOINT_TYPE }, payload, privateKey);
    },
    verifySignature: async (jws) => {
      const parsed = parseJws(jws);
      const key = keys.find(({ kid }) => kid === parsed?.header.kid);
      return parsed !== undefined && key !== undefined && verifyJws(parsed, key.publicKey) ? parsed.claims : undefined;
    },
  };
}

/** One instance's record and what it told its surroundings. */
export interface AuditInstance {
  readonly audit: Audit;
  readonly batches: { rows: number; waitMs: number }[];
  readonly troubles: { what: string; error: unknown }[];
  readonly checkpoints: { number: number; hash: string }[];
  dropped: number;
}

export function createInstance(store: AuditStore, clock: Clock, keys: CheckpointKeys, changes: Partial<AuditOptions> = {}): AuditInstance {
  const told: Omit<AuditInstance, 'audit'> = { batches: [], troubles: [], checkpoints: [], dropped: 0 };
  const instance = {
    ...told,
    audit: createAudit({
      store, clock, sign: (payload) => keys.sign(payload), verifySignature: (jws) => keys.verifySignature(jws), retentionDays: 90, ...changes,
      events: {
        onBatch: (batch) => told.batches.push(batch),
        onTrouble: (what, error) => told.troubles.push({ what, error }),
        onDropped: (count) => { instance.dropped += count; },
        onCheckpoint: (checkpoint) => told.checkpoints.push(checkpoint),
      },
    }),
  };
  return instance;
}

export function createToken(at: Date, changes: Partial<AuditEntry> = {}): AuditEntry {
  return {
    kind: 'token', event: 'token_exchange', at, jti: randomUUID(), kid: 'kid-1', alg: 'ES256', tokenKind: 'id_token', accountId: '0194f6a0-0000-7000-8000-000000000001',
    subject: 'somebody@example.com', clientId: 'vouch-cli', audience: 'https://api.anthropic.com', subjectJti: 'subject-1', ip: '203.0.113.7', userAgent: 'vouch/0.1.0',
    expiresAt: new Date(at.getTime() + 600_000), clause: 'audience:everyone', ...changes,
  };
}
