import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { ES256_AUDIENCE } from '../support/es256_audience.ts';
import { CLI, exchangeForm, type Tokens } from '../support/oauth.ts';
import type { Cluster } from './cluster.ts';
import { SERVED_BY } from './proxy.ts';

export interface Minted {
  readonly token: string;
  readonly kid: string;
  readonly alg: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  readonly instance: number;
  /** When it was asked for, and when the answer was there. */
  readonly askedAt: number;
  readonly at: number;
}

/** How a request of the token endpoint ended without a token. */
export interface Failure {
  readonly what: 'exchange' | 'refresh';
  /** `cut`: the connection ended without an answer. `expired`: so late an answer that the access token was over by then. */
  readonly kind: 'cut' | 'unavailable' | 'expired' | 'refused';
  readonly detail: string;
  readonly from: number;
  readonly instance: number | undefined;
  /** The key of the access token that was to be exchanged. */
  readonly subjectKid: string | undefined;
}

export interface LoadEvents {
  onMinted(minted: Minted): void;
  onFailure(failure: Failure): void;
  /** A session could not go on, since the answer that held its next refresh token was lost; a new sign-in follows. */
  onSessionLost(): void;
}

export interface Load {
  /** Ends it: resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** An access token that is about to expire is not worth an exchange. */
const SPARE_MS = 1_500;

/** `workers` command lines, each with a session of its own, that exchange one token after the other, for both audiences in turn. */
export async function startLoad(cluster: Cluster, { workers, pauseMs, events }: { workers: number; pauseMs: number; events: LoadEvents }): Promise<Load> {
  let isStopped = false;
  const sessions: Tokens[] = [];
  while (sessions.length < workers) sessions.push(await cluster.signIn());
  const runs = sessions.map((session) => work(cluster, session, { pauseMs, events, isStopped: () => isStopped }));
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(runs);
    },
  };
}

interface WorkOptions {
  readonly pauseMs: number;
  readonly events: LoadEvents;
  readonly isStopped: () => boolean;
}

async function work(cluster: Cluster, first: Tokens, { pauseMs, events, isStopped }: WorkOptions): Promise<void> {
  let session: Tokens | undefined = first;
  let exchanges = 0;
  let isDoubtful = false; // a refresh of this session ended without an answer: its refresh token may be spent
  while (!isStopped()) {
    await sleep(pauseMs);
    if (session === undefined) {
      // Signing in needs every store: it is tried until they are there.
      session = await cluster.signIn().catch(() => undefined);
      isDoubtful = false;
      continue;
    }
    if (decodeJwt(session.access_token).exp! * 1000 < Date.now() + SPARE_MS) {
      const answer = await post(cluster.issuer, 'refresh', { grant_type: 'refresh_token', client_id: CLI.id, refresh_token: session.refresh_token });
      if (isRefusal(answer)) {
        const isLost = answer.kind === 'refused' && isDoubtful && answer.detail.includes('invalid_grant');
        if (isLost) events.onSessionLost();
        else events.onFailure(answer);
        if (answer.kind === 'refused') session = undefined;
        else isDoubtful = true;
      } else {
        session = answer.body as unknown as Tokens;
        isDoubtful = false;
      }
      continue;
    }
    const audience = [cluster.issuer, ES256_AUDIENCE][exchanges % 2]!;
    exchanges += 1;
    const answer = await post(cluster.issuer, 'exchange', exchangeForm(session.access_token, { audience }));
    if (isRefusal(answer)) {
      events.onFailure(answer);
      if (answer.kind === 'refused' || answer.kind === 'expired') session = { ...session, access_token: EXPIRED };
      continue;
    }
    const token = answer.body.access_token!;
    const { kid, alg } = decodeProtectedHeader(token) as { kid: string; alg: string };
    events.onMinted({ token, kid, alg, expiresAt: decodeJwt(token).exp!, instance: answer.instance, askedAt: answer.from, at: Date.now() });
  }
}

/** Makes the next step a refresh, as a client does whose token is not taken. */
const EXPIRED = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"exp":0}').toString('base64url')}.`;

interface Success {
  readonly from: number;
  readonly instance: number;
  readonly body: Record<string, string>;
}

async function post(issuer: string, what: Failure['what'], form: Record<string, string>): Promise<Success | Failure> {
  const from = Date.now();
  const subjectKid = form.subject_token === undefined ? undefined : decodeProtectedHeader(form.subject_token).kid;
  try {
    const response = await fetch(`${issuer}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
    const text = await response.text();
    const instance = Number(response.headers.get(SERVED_BY));
    if (response.status === 200) return { from, instance, body: JSON.parse(text) as Record<string, string> };
    return { what, subjectKid, kind: classify(response.status, text, form.subject_token), detail: `${response.status} ${text.slice(0, 200)}`, from, instance };
  } catch (error) {
    return { what, subjectKid, kind: 'cut', detail: String((error as Error).cause ?? error), from, instance: undefined };
  }
}

function classify(status: number, text: string, subjectToken: string | undefined): Failure['kind'] {
  if (status === 503 && text.includes('"temporarily_unavailable"')) return 'unavailable';
  const isOver = subjectToken !== undefined && decodeJwt(subjectToken).exp! * 1000 <= Date.now();
  return isOver && text.includes('it has expired') ? 'expired' : 'refused';
}

function isRefusal(answer: Success | Failure): answer is Failure {
  return 'kind' in answer;
}
