import { EventEmitter } from 'node:events';
import { Redis } from 'ioredis';

/** Says to all instances that something changed, at once and without promise: whoever misses it finds out by polling. */
export interface Hints {
  /** Never throws and never waits for long: a hint that is lost is only a later poll. */
  readonly send: (topic: string) => void;
  onHint(topic: string, listener: () => void): void;
  close(): Promise<void>;
}

/** One process: whoever changes something hears of it as others would. */
export function createMemoryHints(): Hints {
  const emitter = new EventEmitter();
  return {
    send: (topic) => {
      queueMicrotask(() => emitter.emit(topic));
    },
    onHint: (topic, listener) => {
      emitter.on(topic, listener);
    },
    close: async () => {
      emitter.removeAllListeners();
    },
  };
}

const PREFIX = 'vouch:hint:';

/** Two connections, since one that listens can do nothing else. Both come back by themselves. */
export function createRedisHints(url: string, onError: (error: Error) => void): Hints {
  const options = { connectTimeout: 2_000, maxRetriesPerRequest: 1, retryStrategy: (times: number) => Math.min(50 * 2 ** times, 2_000) };
  const sender = new Redis(url, { ...options, commandTimeout: 1_000, socketTimeout: 2_000, enableOfflineQueue: false });
  // What it asks for waits until there is a connection: a subscription that was refused once would be missed for ever.
  const listener = new Redis(url, { ...options, autoResubscribe: true, maxRetriesPerRequest: null });
  sender.on('error', onError);
  listener.on('error', onError);
  const emitter = new EventEmitter();
  listener.on('message', (channel: string) => emitter.emit(channel));
  return {
    send: (topic) => {
      sender.publish(PREFIX + topic, '1').catch(onError);
    },
    onHint: (topic, handle) => {
      emitter.on(PREFIX + topic, handle);
      listener.subscribe(PREFIX + topic).catch(onError);
    },
    close: async () => {
      sender.disconnect();
      listener.disconnect();
    },
  };
}
