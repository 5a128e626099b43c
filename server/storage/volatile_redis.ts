import { Redis, type ChainableCommander } from 'ioredis';
import type { Clock } from '../lib/clock.ts';
import type { Artifact, ArtifactStore, TransientStore } from './artifacts.ts';
import type { Limits } from '../lib/limits.ts';
import { guardStore } from './failure.ts';
import type { JsonObject } from './json.ts';
import { createRedisLimits } from './limits.ts';

/*
 * What may vanish, shared by all instances. One JSON string an artifact, so that a read is one GET; a marker beside it
 * says that it was consumed, so that consuming is one SET NX whichever instance asks. Redis's own clock drops keys; our
 * clock decides the exact second, as in every other driver.
 */
const PREFIX = 'vouch:';
const LONGEST_MS = 400 * 86_400_000;

/** KEYS: artifact, marker. 1 when this call consumed it, 0 when it is gone or was consumed before. */
const CONSUME = `
local left = redis.call('PTTL', KEYS[1])
if left == -2 then return 0 end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', left > 0 and left or ${LONGEST_MS}) then return 1 end
return 0`;

/**
 * KEYS: artifact, marker. ARGV: text, ms to live, the text that is over by our clock and not yet by Redis's own (or empty).
 * 1 when this call wrote it. One step, so that nobody removes what another has just added.
 */
const ADD = `
local kept = redis.call('GET', KEYS[1])
if kept and kept ~= ARGV[3] then return 0 end
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

/** KEYS: the grant's set. Drops the artifacts that it lists, their markers and itself. */
const REVOKE = `
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('UNLINK', key, key .. ':consumed') end
return redis.call('UNLINK', KEYS[1])`;

interface Kept {
  readonly artifact: Omit<Artifact, 'consumedAt'>;
  readonly expiresAtMs: number | undefined;
}

export interface RedisVolatile {
  readonly artifacts: ArtifactStore;
  readonly transient: TransientStore;
  readonly limits: Limits;
  /** Throws Unavailable when Redis does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** Connects in the background: an instance starts, and serves its keys, while Redis is down. */
export function createRedisVolatile(url: string, clock: Clock, onError: (error: Error) => void): RedisVolatile {
  // Without these limits a client was seen to hang on a frozen master for ever.
  const redis = new Redis(url, {
    connectTimeout: 2_000, commandTimeout: 1_000, socketTimeout: 2_000, maxRetriesPerRequest: 1,
    retryStrategy: (times) => Math.min(50 * 2 ** times, 2_000),
  });
  redis.on('error', onError);
  return {
    artifacts: createRedisArtifacts(redis, clock),
    transient: {
      put: (key, value, ttlSeconds) =>
        guardStore('keep a value', async () => {
          await redis.set(`${PREFIX}transient:${key}`, JSON.stringify(value), 'EX', ttlSeconds);
        }),
      take: (key) =>
        guardStore('take a value', async () => {
          const text = await redis.getdel(`${PREFIX}transient:${key}`);
          return text === null ? undefined : (JSON.parse(text) as JsonObject);
        }),
    },
    limits: createRedisLimits(redis),
    ping: () =>
      guardStore('ask Redis', async () => {
        await redis.ping();
      }),
    close: async () => {
      // With nobody at the other end a goodbye would wait for its time-out.
      if (redis.status === 'ready') await redis.quit().catch(() => undefined);
      redis.disconnect();
    },
  };
}

function createRedisArtifacts(redis: Redis, clock: Clock): ArtifactStore {
  const keyOf = (model: string, id: string) => `${PREFIX}${model}:${id}`;

  const isOver = ({ expiresAtMs }: Kept) => expiresAtMs !== undefined && expiresAtMs <= clock.now().getTime();
  const load = async (key: string): Promise<Artifact | undefined> => {
    const [text, consumed] = await redis.mget(key, `${key}:consumed`);
    if (text === null || text === undefined) return undefined;
    const kept = JSON.parse(text) as Kept;
    if (isOver(kept)) return undefined;
    return { ...kept.artifact, consumedAt: consumed ? new Date(Number(consumed)) : undefined };
  };
  // An overwrite may have given the artifact another name: the pointer alone is not believed.
  const findThrough = (pointer: string, fits: (artifact: Artifact) => boolean) =>
    guardStore('find an artifact', async () => {
      const key = await redis.get(pointer);
      const artifact = key === null ? undefined : await load(key);
      return artifact !== undefined && fits(artifact) ? artifact : undefined;
    });
  const addPointers = (write: ChainableCommander, model: string, key: string, { grantId, uid, userCode }: Artifact, ttlMs: number) => {
    if (uid !== undefined) write.set(`${PREFIX}${model}:uid:${uid}`, key, 'PX', ttlMs);
    if (userCode !== undefined) write.set(`${PREFIX}${model}:user_code:${userCode}`, key, 'PX', ttlMs);
    if (grantId === undefined) return;
    const set = `${PREFIX}${model}:grant:${grantId}`;
    write.sadd(set, key).pexpire(set, ttlMs, 'NX').pexpire(set, ttlMs, 'GT');
  };
  const run = async (write: ChainableCommander) => {
    for (const [error] of (await write.exec()) ?? []) if (error !== null) throw error;
  };

  return {
    put: (model, id, artifact, expiresAt) =>
      guardStore('write an artifact', async () => {
        const key = keyOf(model, id);
        const ttlMs = millisecondsLeft(expiresAt, clock);
        // That it was consumed lives as long as it does, and ends with it.
        const former = await load(key);
        const write = redis.multi().set(key, serialize(artifact, expiresAt), 'PX', ttlMs);
        if (former?.grantId !== undefined && former.grantId !== artifact.grantId) write.srem(`${PREFIX}${model}:grant:${former.grantId}`, key);
        if (former !== undefined) write.pexpire(`${key}:consumed`, ttlMs);
        else write.unlink(`${key}:consumed`);
        addPointers(write, model, key, artifact, ttlMs);
        await run(write);
      }),
    add: (model, id, artifact, expiresAt) =>
      guardStore('add an artifact', async () => {
        const key = keyOf(model, id);
        const ttlMs = millisecondsLeft(expiresAt, clock);
        const kept = await redis.get(key);
        const over = kept !== null && isOver(JSON.parse(kept) as Kept) ? kept : '';
        if ((await redis.eval(ADD, 2, key, `${key}:consumed`, serialize(artifact, expiresAt), ttlMs, over)) !== 1) return false;
        const write = redis.multi();
        addPointers(write, model, key, artifact, ttlMs);
        await run(write);
        return true;
      }),
    find: (model, id) => guardStore('find an artifact', () => load(keyOf(model, id))),
    findByUid: (model, uid) => findThrough(`${PREFIX}${model}:uid:${uid}`, (artifact) => artifact.uid === uid),
    findByUserCode: (model, userCode) => findThrough(`${PREFIX}${model}:user_code:${userCode}`, (artifact) => artifact.userCode === userCode),
    consume: (model, id) =>
      guardStore('consume an artifact', async () => {
        const key = keyOf(model, id);
        if ((await load(key)) === undefined) return false;
        return (await redis.eval(CONSUME, 2, key, `${key}:consumed`, clock.now().getTime())) === 1;
      }),
    remove: (model, id) =>
      guardStore('remove an artifact', async () => {
        const key = keyOf(model, id);
        await redis.unlink(key, `${key}:consumed`);
      }),
    revokeByGrantId: (model, grantId) =>
      guardStore('revoke a grant', async () => {
        await redis.eval(REVOKE, 1, `${PREFIX}${model}:grant:${grantId}`);
      }),
  };
}

function serialize(artifact: Artifact, expiresAt: Date | undefined): string {
  const { consumedAt: _, ...kept } = artifact;
  return JSON.stringify({ artifact: kept, expiresAtMs: expiresAt?.getTime() } satisfies Kept);
}

/** At least 1: Redis refuses to write a key that is already over, and our own clock then finds it expired. */
function millisecondsLeft(expiresAt: Date | undefined, clock: Clock): number {
  return expiresAt === undefined ? LONGEST_MS : Math.max(1, expiresAt.getTime() - clock.now().getTime());
}
