import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../lib/clock.ts';
import { describeWait, type Allowance, type Limits } from '../lib/limits.ts';
import { nameCaller, readAddress, readForwarded } from './address.ts';
import type { Group } from './front.ts';
import { sendJson } from './reply.ts';
import { applyBrowserHeaders } from './security_headers.ts';

/*
 * Rate limits. A request is held up only by what is known in this process already. What it counts is gathered and told to
 * Redis a moment later, so that no answer waits and a flood costs a few questions a second: who goes over a limit gets a
 * moment more than it. Where that moment would be worth something, to who guesses what a person types, it is counted first
 * and answered then (`take`).
 */

/** What one network (an IPv4 address, an IPv6 /64) may do. */
export interface NetworkRule {
  readonly name: string;
  readonly fits: (method: string, path: string) => boolean;
  /** Every request, or those that were refused (4xx) alone. */
  readonly counts: 'requests' | 'refusals';
  readonly allowance: Allowance;
}

/** A proxy that is not trusted, one that says nothing, or more of them than are trusted. */
export type SharedAddressFault = 'untrusted_proxy' | 'missing_header' | 'too_few_trusted';

export interface LimiterOptions {
  readonly limits: Limits;
  readonly rules: readonly NetworkRule[];
  /** What every allowance is multiplied by. */
  readonly scale: number;
  readonly trustedProxies: number;
  readonly clock: Clock;
  readonly renderLimitedPage: (seconds: number) => string;
  readonly events: {
    /** Somebody is held up from now on. `who` is a network or an account. */
    onLimited(limited: { rule: string; who: string; seconds: number }): void;
    /** Requests come in a way that makes many callers look like one. Said once of each fault. */
    onSharedAddress(fault: SharedAddressFault): void;
  };
}

/** Whom a limit counts, by which rule, and how much they may. */
export interface Share {
  readonly rule: string;
  /** A network, an account, or what else the rule goes by; shown in the log. */
  readonly who: string;
  readonly allowance: Allowance;
}

export interface Limiter {
  /** Answers a request of a caller who is over a limit, with 429; false for everybody else, whom it counts. */
  readonly answer: Group;
  /** Counts one for somebody whom the rule knows otherwise than by their network: an account, an identity. */
  count(share: Share): void;
  /** Seconds for which they are held up; undefined when they are not. */
  findWait(rule: string, who: string): number | undefined;
  /**
   * Counts one for each of `shares` before it is known whether it was deserved, so that a hundred at once are a hundred. The
   * allowance is what it says, whatever the scale: it is no matter of load. Seconds to wait when one of them has had its
   * share; else what takes it back.
   */
  take(shares: readonly Share[]): Promise<{ readonly waitSeconds: number } | { readonly giveBack: () => Promise<void> }>;
}

interface Counted {
  readonly rule: string;
  readonly who: string;
  readonly allowance: Allowance;
  readonly times: number;
}

const GATHER_MS = 250;
const MOST_KEPT = 10_000;
/** So many requests that look wrong are no accident. */
const SUSPICIOUS_REQUESTS = 50;
/** Of so many requests so many from one caller are everybody's, if there are proxies that nobody trusts. */
const LOOKED_AT = 500;
const NEARLY_ALL = 475;

export function createLimiter(options: LimiterOptions): Limiter {
  const { limits, rules, scale, trustedProxies, clock, renderLimitedPage, events } = options;
  /** Until when, in Unix milliseconds, by rule and who. */
  const heldUp = new Map<string, number>();
  const watches = [createAddressWatch(options), createCallerWatch(options)];
  const now = () => clock.now().getTime();

  const findWait = (rule: string, who: string) => {
    const until = heldUp.get(`${rule} ${who}`);
    if (until === undefined) return undefined;
    if (until > now()) return Math.ceil((until - now()) / 1000);
    heldUp.delete(`${rule} ${who}`);
    return undefined;
  };
  const holdUp = (rule: string, who: string, waitMs: number) => {
    const isNew = findWait(rule, who) === undefined;
    // The oldest goes: whoever fills this up must not fill the memory.
    if (heldUp.size >= MOST_KEPT) heldUp.delete(heldUp.keys().next().value ?? '');
    heldUp.set(`${rule} ${who}`, now() + waitMs);
    if (isNew) events.onLimited({ rule, who, seconds: Math.ceil(waitMs / 1000) });
  };
  const tell = async ({ rule, who, allowance: { points, seconds }, times }: Counted) => {
    const waitMs = await limits.take(rule, who, { points: Math.max(1, Math.round(points * scale)), seconds }, times);
    if (waitMs !== undefined && waitMs > 0) holdUp(rule, who, waitMs);
  };
  const counted = new Map<string, Counted>();
  const count = (rule: string, who: string, allowance: Allowance) => {
    if (counted.size === 0) {
      setTimeout(() => {
        const told = [...counted.values()];
        counted.clear();
        for (const one of told) void tell(one);
      }, GATHER_MS).unref();
    }
    const key = `${rule} ${who}`;
    counted.set(key, { rule, who, allowance, times: (counted.get(key)?.times ?? 0) + 1 });
  };

  return {
    answer: (request, response, path) => {
      for (const watch of watches) watch(request);
      const method = request.method ?? '';
      const fitting = rules.filter((rule) => rule.fits(method, path));
      if (fitting.length === 0) return false;
      // Taken now: a socket that is closed has no address any more.
      const caller = nameCaller(readAddress(request, trustedProxies));
      for (const { name } of fitting) {
        const seconds = findWait(name, caller);
        if (seconds === undefined) continue;
        refuse(request, response, seconds, renderLimitedPage);
        return true;
      }
      for (const { name, counts, allowance } of fitting) {
        if (counts === 'requests') count(name, caller, allowance);
        else response.once('finish', () => {
          if (response.statusCode >= 400 && response.statusCode < 500) count(name, caller, allowance);
        });
      }
      return false;
    },
    count: ({ rule, who, allowance }) => {
      count(rule, who, allowance);
    },
    findWait,
    take: async (shares) => {
      const waits = await Promise.all(shares.map(async ({ rule, who, allowance }) => ({ rule, who, waitMs: await limits.take(rule, who, allowance, 1) })));
      const over = waits.flatMap(({ waitMs, ...share }) => (waitMs === undefined || waitMs <= 0 ? [] : [{ ...share, waitMs }]));
      for (const { rule, who, waitMs } of over) holdUp(rule, who, waitMs);
      if (over.length > 0) return { waitSeconds: Math.ceil(Math.max(...over.map(({ waitMs }) => waitMs)) / 1000) };
      return {
        giveBack: async () => {
          await Promise.all(shares.map(({ rule, who, allowance }) => limits.giveBack(rule, who, allowance, 1)));
        },
      };
    },
  };
}

function refuse(request: IncomingMessage, response: ServerResponse, seconds: number, renderLimitedPage: LimiterOptions['renderLimitedPage']): void {
  response.setHeader('Retry-After', String(seconds));
  if (!(request.headers.accept ?? '').includes('text/html')) {
    sendJson(response, 429, { error: 'temporarily_unavailable', error_description: `Too many requests came from your network. Try again in ${describeWait(seconds)}.` });
    return;
  }
  applyBrowserHeaders(response, { formAction: "'none'" });
  response.writeHead(429, { 'Content-Type': 'text/html; charset=utf-8' });
  response.end(renderLimitedPage(seconds));
}

type Watch = (request: IncomingMessage) => void;

/** Limits by network are worth little, or hurt everybody, where a proxy's address is taken for the client's. */
function createAddressWatch({ trustedProxies, events }: LimiterOptions): Watch {
  let suspicious = 0;
  const fault = trustedProxies === 0 ? 'untrusted_proxy' : 'missing_header';
  return ({ headers }) => {
    if (suspicious >= SUSPICIOUS_REQUESTS) return;
    // With no proxy trusted there should be no such header; with one there should.
    if ((headers['x-forwarded-for'] === undefined) === (trustedProxies === 0)) return;
    suspicious += 1;
    if (suspicious === SUSPICIOUS_REQUESTS) events.onSharedAddress(fault);
  };
}

/**
 * The same where more proxies stand in front than are trusted: the one that is next to the last, a CDN say, is then taken for
 * everybody. It shows by one caller in nearly all requests, and entries in front of theirs; either alone is no sign.
 */
function createCallerWatch({ trustedProxies, events }: LimiterOptions): Watch {
  let [isSaid, requests, alike] = [trustedProxies === 0, 0, 0];
  let caller: string | undefined;
  return (request) => {
    if (isSaid) return;
    requests += 1;
    if (readForwarded(request).length > trustedProxies) {
      const name = nameCaller(readAddress(request, trustedProxies));
      caller ??= name;
      if (name === caller) alike += 1;
    }
    if (requests < LOOKED_AT) return;
    isSaid = alike >= NEARLY_ALL;
    if (isSaid) events.onSharedAddress('too_few_trusted');
    [requests, alike, caller] = [0, 0, undefined];
  };
}
