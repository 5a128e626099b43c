// What a change of the signing keys costs the requests that run meanwhile: the same steady load in turns, calm and while
// standbys are dropped one after the other, each of which gives every instance another key set and another oidc-provider.
import autocannon from 'autocannon';
import type { BenchAdmin } from './admin.ts';
import type { Load } from './measure.ts';

const TURNS = 5;
const TURN_SECONDS = 6;
const REQUESTS_PER_SECOND = 200;
const CONNECTIONS = 8;
const PAUSE_MS = 400;

export interface Latencies {
  readonly requests: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly most: number;
}

export interface SwapReport {
  readonly calm: Latencies;
  readonly swapping: Latencies;
  readonly swaps: number;
}

/** Throws if any answer is not a 2xx. */
export async function measureSwaps(admin: BenchAdmin, load: Load): Promise<SwapReport> {
  await autocannon({ ...load, connections: CONNECTIONS, amount: 4_000, timeout: 5 });
  const [calm, swapping]: [number[], number[]] = [[], []];
  let swaps = 0;
  for (let turn = 0; turn < TURNS; turn += 1) {
    calm.push(...(await collect(load)));
    const over = new AbortController();
    const swapper = (async () => {
      while (!over.signal.aborted) {
        await admin.dropStandby('ES256');
        swaps += 1;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    })();
    swapping.push(...(await collect(load)));
    over.abort();
    await swapper;
  }
  return { calm: summarize(calm), swapping: summarize(swapping), swaps };
}

/** How long each answer took, in milliseconds. */
function collect(load: Load): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const times: number[] = [];
    const run = autocannon({ ...load, connections: CONNECTIONS, overallRate: REQUESTS_PER_SECOND, duration: TURN_SECONDS, timeout: 5 }, (error, result) => {
      if (error) reject(error as Error);
      else if (result.non2xx > 0 || result.errors > 0) reject(new Error(`${result.non2xx} answers were not good, ${result.errors} failed`));
      else resolve(times);
    });
    run.on('response', (_client, _status, _bytes, milliseconds) => times.push(milliseconds));
  });
}

function summarize(times: readonly number[]): Latencies {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { requests: sorted.length, p50: at(0.5), p99: at(0.99), p999: at(0.999), most: sorted.at(-1) ?? Number.NaN };
}
