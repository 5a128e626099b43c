import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { BrowserSignIn, Sessions } from '../accounts/accounts.ts';
import type { Clients } from '../clients/clients.ts';
import { compareAddresses, readAddress } from '../http/address.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { SessionRecord } from '../storage/storage.ts';
import type { AccountNotice, AccountOptions, SessionRow } from '../views/views.ts';
import type { Owner, Owners } from './account_owner.ts';
import { nameBrowser } from './user_agent.ts';
import { ACCOUNT_PATH, goTo, type Wrappers } from './wrappers.ts';

export interface SessionRouteOptions {
  readonly owners: Owners;
  readonly sessions: Pick<Sessions, 'list' | 'listEnded' | 'end' | 'browsers' | 'endAll'>;
  readonly clients: Pick<Clients, 'find'>;
  readonly onChanged: (change: { accountId: string; what: AccountNotice }) => void;
}

/** Ending what is signed in elsewhere. It takes no fresh sign-in: whoever is worried must not be held up. */
export function addSessionRoutes(router: Router, { form }: Wrappers, { owners, sessions, onChanged }: SessionRouteOptions): void {
  const requireOwner = async (ctx: Parameters<Owners['find']>[0]) => {
    const owner = await owners.find(ctx);
    if (owner === undefined) throw new Refused('signed_out', 'You are signed out. Open your account page and sign in again.');
    return owner;
  };
  router.post(`${ACCOUNT_PATH}/sessions/end`, form(async (ctx) => {
    const { account: { id: accountId }, session: { uid } } = await requireOwner(ctx);
    await sessions.endAll(accountId, 'person', [uid]);
    onChanged({ accountId, what: 'sessions_ended' });
    goTo(ctx, `${ACCOUNT_PATH}?done=sessions_ended`);
  }));
  const endOne: Readonly<Record<SessionRow['kind'], (accountId: string, key: string) => Promise<boolean>>> = {
    sessions: (accountId, key) => sessions.end(accountId, key, 'person'),
    browsers: (accountId, key) => sessions.browsers.end(accountId, key, 'person'),
  };
  for (const [kind, end] of Object.entries(endOne)) {
    router.post(`${ACCOUNT_PATH}/${kind}/:key/end`, form(async (ctx) => {
      const { account: { id: accountId } } = await requireOwner(ctx);
      const { key = '' } = ctx.params;
      if (!/^[\w-]{1,64}$/.test(key) || !(await end(accountId, key))) throw new NotFound('the account has no such session');
      onChanged({ accountId, what: 'session_ended' });
      goTo(ctx, `${ACCOUNT_PATH}?done=session_ended`);
    }));
  }
}

export interface SessionDescriberDependencies extends Pick<SessionRouteOptions, 'sessions' | 'clients'> {
  readonly trustedProxies: number;
}

/** What the account page says of sessions, the browser that asks first. */
export function createSessionDescriber({ sessions, clients, trustedProxies }: SessionDescriberDependencies) {
  const nameClient = async (id: string) => {
    const name = (await clients.find(id))?.client_name;
    return typeof name === 'string' ? name : id;
  };
  return async ({ account: { id: accountId }, session }: Owner, request: IncomingMessage): Promise<Pick<AccountOptions, 'sessions' | 'ended'>> => {
    const here = readAddress(request, trustedProxies);
    const [browsers, living, ended] = await Promise.all([sessions.browsers.list(accountId), sessions.list(accountId), sessions.listEnded(accountId)]);
    const describe = ({ ip, startedAt, usedAt, endsAt }: SessionRecord | BrowserSignIn) => ({ ip, startedAt, usedAt, endsAt, isNear: NEAR.has(compareAddresses(ip, here)) });
    const describeBrowser = (browser: BrowserSignIn): SessionRow => ({ ...describe(browser), kind: 'browsers', key: browser.id, client: undefined, device: nameBrowser(browser.userAgent), isHere: browser.id === session.uid });
    const describeClient = async (of: SessionRecord): Promise<SessionRow> => ({ ...describe(of), kind: 'sessions', key: of.grantId, client: await nameClient(of.clientId), device: nameDevice(of.userAgent), isHere: false });
    return {
      sessions: [...browsers.map(describeBrowser).sort((one, other) => Number(other.isHere) - Number(one.isHere)), ...(await Promise.all(living.map(describeClient)))],
      ended: await Promise.all(ended.filter(isTold).map(async ({ clientId, userAgent, endedAt, endedBy: by }) => ({ client: await nameClient(clientId), device: nameDevice(userAgent), endedAt, by }))),
    };
  };
}

const NEAR: ReadonlySet<string> = new Set(['same_address', 'same_network']);

type Told = SessionRecord & { readonly endedAt: Date; readonly endedBy: 'reuse' | 'admin' };

function isTold(session: SessionRecord): session is Told {
  return session.endedAt !== undefined && (session.endedBy === 'reuse' || session.endedBy === 'admin');
}

/** The host and system that our command line names; of any other client the beginning of what it calls itself. */
function nameDevice(userAgent: string | undefined): string | undefined {
  const [, host, system] = /^vouch \(([^;)]+); (\w+)\)$/.exec(userAgent ?? '') ?? [];
  return host === undefined ? userAgent?.slice(0, 60) : `${host} (${system ?? ''})`;
}
