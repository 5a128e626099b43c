import type Router from '@koa/router';
import type { Sessions } from '../accounts/accounts.ts';
import type { Clients } from '../clients/clients.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { SessionRecord } from '../storage/storage.ts';
import type { AccountNotice, AccountOptions } from '../views/views.ts';
import type { Owners } from './account_owner.ts';
import { ACCOUNT_PATH, goTo, type Wrappers } from './wrappers.ts';

export interface SessionRouteOptions {
  readonly owners: Owners;
  readonly sessions: Pick<Sessions, 'list' | 'listEnded' | 'end' | 'endAll'>;
  readonly clients: Pick<Clients, 'find'>;
  readonly onChanged: (change: { accountId: string; what: AccountNotice }) => void;
}

/** Ending what is signed in elsewhere. It takes no fresh sign-in: whoever is worried must not be held up. */
export function addSessionRoutes(router: Router, { form }: Wrappers, { owners, sessions, onChanged }: SessionRouteOptions): void {
  const findAccount = async (ctx: Parameters<Owners['find']>[0]) => {
    const owner = await owners.find(ctx);
    if (owner === undefined) throw new Refused('signed_out', 'You are signed out. Open your account page and sign in again.');
    return owner.account;
  };
  router.post(`${ACCOUNT_PATH}/sessions/end`, form(async (ctx) => {
    const { id: accountId } = await findAccount(ctx);
    await sessions.endAll(accountId, 'person');
    onChanged({ accountId, what: 'sessions_ended' });
    goTo(ctx, `${ACCOUNT_PATH}?done=sessions_ended`);
  }));
  router.post(`${ACCOUNT_PATH}/sessions/:key/end`, form(async (ctx) => {
    const { id: accountId } = await findAccount(ctx);
    const { key = '' } = ctx.params;
    if (!/^[\w-]{1,64}$/.test(key) || !(await sessions.end(accountId, key, 'person'))) throw new NotFound('the account has no such session');
    onChanged({ accountId, what: 'session_ended' });
    goTo(ctx, `${ACCOUNT_PATH}?done=session_ended`);
  }));
}

/** What the account page says of sessions. */
export function createSessionDescriber({ sessions, clients }: Pick<SessionRouteOptions, 'sessions' | 'clients'>) {
  const nameClient = async (id: string) => {
    const name = (await clients.find(id))?.client_name;
    return typeof name === 'string' ? name : id;
  };
  return async (accountId: string): Promise<Pick<AccountOptions, 'sessions' | 'ended'>> => {
    const [living, ended] = await Promise.all([sessions.list(accountId), sessions.listEnded(accountId)]);
    return {
      sessions: await Promise.all(living.map(async ({ grantId, clientId, userAgent, ip, startedAt, usedAt, endsAt }) => ({ key: grantId, client: await nameClient(clientId), device: nameDevice(userAgent), ip, startedAt, usedAt, endsAt }))),
      ended: await Promise.all(ended.filter(isTold).map(async ({ clientId, userAgent, endedAt, endedBy: by }) => ({ client: await nameClient(clientId), device: nameDevice(userAgent), endedAt, by }))),
    };
  };
}

type Told = SessionRecord & { readonly endedAt: Date; readonly endedBy: 'reuse' | 'admin' };

function isTold(session: SessionRecord): session is Told {
  return session.endedAt !== undefined && (session.endedBy === 'reuse' || session.endedBy === 'admin');
}

/** The host and system that our command line names; of any other client the beginning of what it calls itself. */
function nameDevice(userAgent: string | undefined): string | undefined {
  const [, host, system] = /^vouch \(([^;)]+); (\w+)\)$/.exec(userAgent ?? '') ?? [];
  return host === undefined ? userAgent?.slice(0, 60) : `${host} (${system ?? ''})`;
}
