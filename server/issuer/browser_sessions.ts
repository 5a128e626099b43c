import type { IncomingMessage, ServerResponse } from 'node:http';
import { Provider, type Adapter, type AdapterPayload, type KoaContextWithOIDC } from 'oidc-provider';
import type { BrowserUse, Sessions } from '../accounts/accounts.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import { fromProtocolError, guardProtocol } from './failure.ts';
import { originOf } from './issuance.ts';

/*
 * oidc-provider keeps what a browser's cookie leads to, in Redis. That the browser is signed in at all is for
 * accounts/sessions.ts to say, out of Postgres, each time anybody asks: so that what was ended stays ended, whatever Redis
 * brings back, on every instance from the next request on.
 */

/** A browser that somebody has signed in with. */
export interface BrowserSession {
  /** Stays the same while the session lasts; not what the cookie holds. */
  readonly uid: string;
  readonly accountId: string;
  /** Unix seconds of the last sign-in. */
  readonly authTime: number;
  readonly amr: readonly string[];
}

export interface BrowserSessions {
  /** By the browser's own signed cookie; undefined when nobody is signed in, or not any more. That it was used is noted, once a minute. */
  find(request: IncomingMessage, response: ServerResponse): Promise<BrowserSession | undefined>;
}

export interface BrowserSessionDependencies {
  readonly sessions: Pick<Sessions, 'browsers'>;
  readonly trustedProxies: number;
  readonly clock: Clock;
}

/** How precisely it is known when a browser was last used. */
const NOTED_SECONDS = 60;

export function createBrowserSessions(current: () => Provider, { sessions, trustedProxies, clock }: BrowserSessionDependencies): BrowserSessions {
  const noteUse = async (session: BrowserSession, req: IncomingMessage) => {
    const kept = await sessions.browsers.find(session.uid);
    if (kept === undefined || addSeconds(kept.usedAt, NOTED_SECONDS) > clock.now()) return;
    await sessions.browsers.note({ ...kept, ...originOf({ req }, trustedProxies) });
  };
  return {
    find: async (request, response) => {
      const provider = current();
      // What the library's documentation calls it with; of the context it uses only the cookies.
      const context = provider.createContext(request, response) as unknown as KoaContextWithOIDC;
      const { uid, accountId, loginTs, amr } = await provider.Session.get(context).catch((error: unknown) => {
        throw fromProtocolError(error);
      });
      if (accountId === undefined || loginTs === undefined) return undefined;
      const session = { uid, accountId, authTime: loginTs, amr: amr ?? [] };
      await noteUse(session, request);
      return session;
    },
  };
}

/** The part of the library's storage by which it sees only sessions that count. One that nobody has signed in with is nobody's business. */
export function createBrowserSessionAdapter(kept: Adapter, { sessions, trustedProxies, clock }: BrowserSessionDependencies): Pick<Adapter, 'upsert' | 'find' | 'findByUid'> {
  const ifLiving = async (payload: AdapterPayload | undefined) => {
    if (payload?.accountId === undefined) return payload;
    return (await sessions.browsers.find(String(payload.uid)))?.accountId === payload.accountId ? payload : undefined;
  };
  return {
    upsert: (id, payload, expiresIn) =>
      guardProtocol(async () => {
        const use = describeUse(payload, addSeconds(clock.now(), expiresIn ?? 0), trustedProxies);
        // One that was ended while this request was under way is not kept.
        if (use === undefined || (await sessions.browsers.note(use))) await kept.upsert(id, payload, expiresIn);
      }),
    find: (id) => guardProtocol(async () => ifLiving((await kept.find(id)) ?? undefined)),
    findByUid: (uid) => guardProtocol(async () => ifLiving((await kept.findByUid(uid)) ?? undefined)),
  };
}

/** Undefined where nobody has signed in. */
function describeUse({ uid, accountId, loginTs }: AdapterPayload, endsAt: Date, trustedProxies: number): BrowserUse | undefined {
  const ctx = Provider.ctx;
  if (uid === undefined || accountId === undefined || loginTs === undefined || ctx === undefined) return undefined;
  return { id: uid, accountId, authenticatedAt: new Date(loginTs * 1000), endsAt, ...originOf(ctx, trustedProxies) };
}
