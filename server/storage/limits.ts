import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Allowance, Limits } from '../lib/limits.ts';

export function createMemoryLimits(): Limits {
  return createLimits((options) => new RateLimiterMemory(options));
}

export function createRedisLimits(redis: Redis): Limits {
  return createLimits((options) => new RateLimiterRedis({
    ...options, storeClient: redis, keyPrefix: `vouch:limit:${options.keyPrefix}`, insuranceLimiter: new RateLimiterMemory(options),
    // Not to wait for a Redis that is away: nobody's request may hang on a count.
    rejectIfRedisNotReady: true,
  }));
}

function createLimits(create: (options: { keyPrefix: string; points: number; duration: number }) => RateLimiterAbstract): Limits {
  const limiters = new Map<string, RateLimiterAbstract>();
  const find = (what: string, { points, seconds }: Allowance) => {
    // A limiter keeps the allowance that it was made with.
    const name = `${what} ${points} ${seconds}`;
    const limiter = limiters.get(name) ?? create({ keyPrefix: what, points, duration: seconds });
    limiters.set(name, limiter);
    return limiter;
  };
  return {
    take: async (what, key, allowance, times) => {
      try {
        await find(what, allowance).consume(key, times);
        return undefined;
      } catch (refusal) {
        // Anything else is a store that does not answer and whose stand-in failed: then nobody is held up.
        return refusal instanceof RateLimiterRes ? refusal.msBeforeNext : undefined;
      }
    },
    giveBack: async (what, key, allowance, times) => {
      await find(what, allowance).reward(key, times).catch(() => undefined);
    },
  };
}
