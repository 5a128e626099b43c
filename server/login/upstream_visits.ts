import type { UpstreamPerson } from '../accounts/accounts.ts';
import { createRandomValue, hashValue, isEqualInConstantTime } from '../crypto/digest.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { JsonObject, TransientStore } from '../storage/storage.ts';
import type { Upstream, UpstreamRequest } from './upstream.ts';
import { judgePerson, readWitness, type Witness } from './upstream_person.ts';

/** What a browser is sent to an upstream for. */
export type Purpose =
  | { readonly kind: 'sign_in'; readonly uid: string }
  | { readonly kind: 'link'; readonly accountId: string; readonly sessionUid: string };

export interface UpstreamAnswer {
  readonly upstreamId: string;
  readonly person: UpstreamPerson;
  readonly witness: Witness;
}

/** What came of a visit: an answer, or a refusal to show where the person came from. */
export interface Visited {
  readonly purpose: Purpose;
  readonly outcome: UpstreamAnswer | Refused;
}

/**
 * Sending a browser to an upstream and taking it back. A visit is found by its `state`, once, and belongs to the upstream
 * that it went to and the browser that began it, whose cookie holds a secret of its own.
 */
export interface UpstreamVisits {
  readonly upstreams: readonly Upstream[];
  /** A secret for the browser's cookie; the visits of several tabs share one. */
  createBrowserSecret(): string;
  begin(upstreamId: string, purpose: Purpose, visit: { browserSecret: string; isFresh: boolean }): Promise<{ url: string }>;
  /** Throws NotFound when no such visit was begun in this browser. */
  finish(upstreamId: string, search: string, browserSecret: string | undefined): Promise<Visited>;
  /** Keeps what came of a sign-in for the step that goes on with it. */
  keep(uid: string, outcome: Visited['outcome']): Promise<void>;
  /** Once. */
  take(uid: string): Promise<Visited['outcome'] | undefined>;
}

export interface UpstreamVisitDependencies {
  readonly upstreams: readonly Upstream[];
  readonly transient: TransientStore;
  readonly sessionSeconds: number;
  readonly clock: Clock;
}

const VISIT_SECONDS = 600;
const ANSWER_SECONDS = 60;
/** By how much an upstream's clock may be behind ours. */
const SKEW_SECONDS = 30;

interface Visit {
  readonly upstreamId: string;
  readonly purpose: Purpose;
  readonly request: UpstreamRequest;
  readonly browserHash: string;
  /** Unix seconds; the person must have signed in there since. Null: whenever. */
  readonly freshSince: number | null;
}

export function createUpstreamVisits({ upstreams, transient, sessionSeconds, clock }: UpstreamVisitDependencies): UpstreamVisits {
  const byId = new Map(upstreams.map((upstream) => [upstream.config.id, upstream]));
  const visitKey = (state: string) => `upstream-visit:${hashValue(state)}`;
  const answerKey = (uid: string) => `upstream-answer:${uid}`;

  const find = (id: string): Upstream => {
    const upstream = byId.get(id);
    if (upstream === undefined) throw new NotFound('there is no such upstream');
    return upstream;
  };

  const hear = async (upstream: Upstream, search: string, { request, freshSince }: Visit): Promise<UpstreamAnswer> => {
    const claims = await upstream.finish(search, request);
    const witness = readWitness(claims, toUnixSeconds(clock.now()));
    if (freshSince !== null) requireFresh(upstream.config.name, witness, freshSince);
    return { upstreamId: upstream.config.id, person: judgePerson(claims, upstream.config), witness };
  };

  return {
    upstreams,
    createBrowserSecret: () => createRandomValue(),
    begin: async (upstreamId, purpose, { browserSecret, isFresh }) => {
      const { url, request } = await find(upstreamId).begin(isFresh ? 0 : sessionSeconds);
      const visit: Visit = { upstreamId, purpose, request, browserHash: hashValue(browserSecret), freshSince: isFresh ? toUnixSeconds(clock.now()) : null };
      await transient.put(visitKey(request.state), visit as unknown as JsonObject, VISIT_SECONDS);
      return { url };
    },
    finish: async (upstreamId, search, browserSecret) => {
      const upstream = find(upstreamId);
      const state = new URLSearchParams(search).get('state');
      const visit = state === null ? undefined : ((await transient.take(visitKey(state))) as unknown as Visit | undefined);
      // Of another upstream: an answer that was led astray (a mix-up), which its code must not be sent on for.
      if (visit?.upstreamId !== upstreamId) throw new NotFound('no such visit is under way');
      if (browserSecret === undefined || !isEqualInConstantTime(visit.browserHash, hashValue(browserSecret))) throw new NotFound('the visit was begun in another browser');
      const outcome = await hear(upstream, search, visit).catch((error: unknown) => {
        if (error instanceof Refused) return error;
        throw error;
      });
      return { purpose: visit.purpose, outcome };
    },
    keep: (uid, outcome) => transient.put(answerKey(uid), toJson(outcome), ANSWER_SECONDS),
    take: async (uid) => {
      const kept = await transient.take(answerKey(uid));
      return kept === undefined ? undefined : fromJson(kept);
    },
  };
}

/** Throws Refused. That it spoke just now shows nothing: it may have let in a session of this morning without a question. */
function requireFresh(name: string, { authTime, saysWhen }: Witness, since: number): void {
  if (!saysWhen) {
    throw new Refused('upstream_not_fresh', `${name} does not say when you signed in there, and here it must have been just now. Use your passkey instead. If you have none: sign out on your account page, sign in again by ${name}, and add one there within ten minutes.`);
  }
  if (authTime < since - SKEW_SECONDS) throw new Refused('upstream_not_fresh', `${name} did not ask you to sign in again, which is needed here. Use your passkey instead.`);
}

function toJson(outcome: Visited['outcome']): JsonObject {
  return outcome instanceof Refused ? { refusal: { code: outcome.code, message: outcome.message } } : { answer: JSON.parse(JSON.stringify(outcome)) as JsonObject };
}

function fromJson({ answer, refusal }: JsonObject): Visited['outcome'] {
  if (answer !== undefined) return answer as unknown as UpstreamAnswer;
  const { code, message } = refusal as unknown as { code: string; message: string };
  return new Refused(code, message);
}
