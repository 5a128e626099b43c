import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KoaContextWithOIDC, Provider } from 'oidc-provider';
import { fromProtocolError } from './failure.ts';

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
  /** By the browser's own signed cookie; undefined when nobody is signed in, or not any more. Changes nothing. */
  find(request: IncomingMessage, response: ServerResponse): Promise<BrowserSession | undefined>;
}

export function createBrowserSessions(current: () => Provider): BrowserSessions {
  return {
    find: async (request, response) => {
      const provider = current();
      // What the library's documentation calls it with; of the context it uses only the cookies.
      const context = provider.createContext(request, response) as unknown as KoaContextWithOIDC;
      const { uid, accountId, loginTs, amr } = await provider.Session.get(context).catch((error: unknown) => {
        throw fromProtocolError(error);
      });
      return accountId === undefined || loginTs === undefined ? undefined : { uid, accountId, authTime: loginTs, amr: amr ?? [] };
    },
  };
}
