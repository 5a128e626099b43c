// How fast two servers answer, side by side: alternating short rounds, so that a noisy neighbour troubles both alike.
import { readFileSync } from 'node:fs';
import autocannon from 'autocannon';

export interface Load {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Server {
  readonly pid: number;
  readonly load: Load;
}

export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
}

export interface Speed {
  readonly perCpuSecond: number;
  readonly perSecond: number;
  /** Of one answer, in milliseconds: the median and the 99th percentile. */
  readonly p50: number;
  readonly p99: number;
}

export interface Comparison {
  readonly ours: Speed;
  readonly baseline: Speed;
  /** Medians of the rounds' own ratios. */
  readonly ratio: Speed;
}

// Counted in answers, not in seconds: on a busy machine a short time would leave the younger process uncompiled.
const WARM_UP_ANSWERS = { GET: 20_000, POST: 4_000 };

/** Measures both under the same load, once both are warm. Throws if any answer is not a 2xx. */
export async function compare(ours: Server, baseline: Server, effort: Effort): Promise<Comparison> {
  for (const { load } of [ours, baseline]) await autocannon({ ...load, connections: effort.connections, amount: WARM_UP_ANSWERS[load.method], timeout: 5 });
  const pairs: { ours: Speed; baseline: Speed }[] = [];
  for (let round = 0; round < effort.rounds; round += 1) {
    // Who goes first alternates too: a processor that slows down as it warms up favours the first.
    const [first, second] = round % 2 === 0 ? [ours, baseline] : [baseline, ours];
    const [one, two] = [await measure(first, effort), await measure(second, effort)];
    pairs.push(round % 2 === 0 ? { ours: one, baseline: two } : { ours: two, baseline: one });
  }
  return {
    ours: summarize(pairs.map((pair) => pair.ours)),
    baseline: summarize(pairs.map((pair) => pair.baseline)),
    ratio: summarize(pairs.map((pair) => ({
      perCpuSecond: pair.ours.perCpuSecond / pair.baseline.perCpuSecond,
      perSecond: pair.ours.perSecond / pair.baseline.perSecond,
      p50: pair.ours.p50 / pair.baseline.p50,
      p99: pair.ours.p99 / pair.baseline.p99,
    }))),
  };
}

async function measure({ pid, load }: Server, { seconds, connections }: Effort): Promise<Speed> {
  const cpuBefore = readCpuSeconds(pid);
  const startedAt = performance.now();
  const result = await autocannon({ ...load, connections, duration: seconds, timeout: 5 });
  const cpuSeconds = readCpuSeconds(pid) - cpuBefore;
  const wallSeconds = (performance.now() - startedAt) / 1000;
  const answered = result['2xx'];
  if (answered === 0 || result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${load.method} ${load.url}: ${answered} answers were good, ${result.non2xx} not, ${result.errors} failed`);
  }
  return { perCpuSecond: answered / cpuSeconds, perSecond: answered / wallSeconds, p50: result.latency.p50, p99: result.latency.p99 };
}

// The kernel's USER_HZ, which is 100 on every Linux that Node runs on, whatever the kernel's own tick.
const TICKS_PER_SECOND = 100;

/** Processor time of a process and all its threads so far; NaN where there is no /proc. */
function readCpuSeconds(pid: number): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return Number.NaN;
  }
  // The program's name, in brackets, may hold spaces: utime and stime are the 14th and 15th field, counted from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const summarize = (speeds: readonly Speed[]): Speed => ({
  perCpuSecond: findMedian(speeds.map((speed) => speed.perCpuSecond)),
  perSecond: findMedian(speeds.map((speed) => speed.perSecond)),
  p50: findMedian(speeds.map((speed) => speed.p50)),
  p99: findMedian(speeds.map((speed) => speed.p99)),
});

function findMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = sorted.length % 2 === 1 ? [sorted[middle], sorted[middle]] : [sorted[middle - 1], sorted[middle]];
  return (low + high) / 2;
}
