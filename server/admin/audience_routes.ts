import { z } from 'zod';
import type { Account, Accounts } from '../accounts/accounts.ts';
import { decide, type Audience, type Audiences } from '../audiences/audiences.ts';
import { CLI_CLIENT_ID } from '../clients/clients.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { Demand } from './authorize.ts';
import { route, type Route } from './route.ts';

const READ: Demand = { scope: 'audiences:read' };
const WRITE: Demand = { scope: 'audiences:write', maxAgeSeconds: 300 };

/** An audience is named in the body or the query, never in the path, which proxies normalise. */
const name = z.string({ error: 'name is required: the audience, byte for byte' }).min(1);
/** The members of a record; audiences/record.ts says what each may be, and all that is wrong at once. */
const fields = {
  kind: z.unknown(), preset: z.unknown(), algorithm: z.unknown(), lifetime_seconds: z.unknown(), max_auth_age_seconds: z.unknown(), mode: z.unknown(), is_enabled: z.unknown(),
  scopes: z.unknown(), allow: z.array(z.string()).optional(), deny: z.array(z.string()).optional(), clients: z.unknown(),
};
const recordBody = z.strictObject({ name, ...fields }).partial().required({ name: true });
/** With the revision that it was read at, a change is made only where nobody has made another since. */
const changeBody = recordBody.extend({ revision: z.int().min(0).optional() });
const testBody = z.strictObject({
  name,
  account: z.string().max(128).optional(),
  client: z.string().max(100).default(CLI_CLIENT_ID),
  auth_age_seconds: z.int().min(0).default(0),
});

/** How many accounts are asked one by one who could have a token. */
const MOST_ASKED = 1_000;

export function createAudienceRoutes({ audiences, accounts }: { audiences: Audiences; accounts: Accounts }): Route[] {
  const get = async (named: string) => {
    const audience = await audiences.find(named);
    if (audience === undefined) throw new NotFound(`audience "${named.slice(0, 256)}" is not registered with this issuer`);
    return audience;
  };
  const readInput = async ({ name: named, allow, deny, ...rest }: z.output<typeof recordBody>) => ({
    name: named,
    ...toCamelCase(rest),
    ...(allow === undefined ? {} : { allow: await Promise.all(allow.map((clause) => resolveClause(clause, accounts))) }),
    ...(deny === undefined ? {} : { deny: await Promise.all(deny.map((clause) => resolveClause(clause, accounts))) }),
  });
  return [
    route({
      method: 'get', path: '/audiences', name: 'audience.list', summary: 'Every audience, and who may have it', demand: READ,
      handle: async () => ({ audiences: await Promise.all((await audiences.list()).map((audience) => present(audience, accounts))) }),
    }),
    route({
      method: 'get', path: '/audiences/get', name: 'audience.get', summary: 'One audience', demand: READ, query: z.strictObject({ name }),
      handle: async ({ query }) => present(await get(query.name), accounts),
    }),
    route({
      method: 'post', path: '/audiences', name: 'audience.add', summary: 'Register an audience', demand: WRITE, body: recordBody,
      handle: async ({ body }) => {
        const { audience, advice } = await audiences.add(await readInput(body));
        return { audience: await present(audience, accounts), advice };
      },
    }),
    route({
      method: 'post', path: '/audiences/set', name: 'audience.set', summary: 'Change what is named of an audience; max_auth_age_seconds 0 takes the limit away', demand: WRITE, body: changeBody,
      handle: async ({ body: { revision, ...body } }) => {
        const { audience, advice } = await audiences.set(body.name, await readInput(body), revision);
        return { audience: await present(audience, accounts), advice };
      },
    }),
    route({
      method: 'post', path: '/audiences/remove', name: 'audience.remove', summary: 'Take an audience out; tokens that were given live until they expire', demand: WRITE, body: z.strictObject({ name }),
      handle: async ({ body }) => {
        await audiences.remove(body.name);
        return { removed: body.name };
      },
    }),
    route({
      method: 'post', path: '/audiences/test', name: 'audience.test', summary: 'Who could have a token for it, and whether one account would; changes nothing', demand: READ, body: testBody,
      handle: async ({ body }) => {
        const audience = await get(body.name);
        const ask = (account: Account) =>
          decide(audience, { accountId: account.id, kind: account.kind, hostedDomain: account.hostedDomain, groups: account.groups, clientId: account.kind === 'service' ? account.id : body.client, authAgeSeconds: account.kind === 'person' ? body.auth_age_seconds : undefined });
        return { audience: body.name, ...(body.account === undefined ? await listWho(ask, accounts) : await testOne(body.account, ask, accounts)) };
      },
    }),
  ];
}

type Ask = (account: Account) => ReturnType<typeof decide>;

async function testOne(named: string, ask: Ask, accounts: Accounts) {
  const account = await accounts.lookUp(named);
  if (account === undefined) throw new NotFound(`there is no account "${named}"`);
  if (account.status !== 'active') return { account: label(account), is_allowed: false, clause: 'account suspended', reason: 'its account is suspended' };
  const { isAllowed, clause, reason } = ask(account);
  return { account: label(account), is_allowed: isAllowed, clause, reason: reason ?? null };
}

async function listWho(ask: Ask, accounts: Accounts) {
  const records = (await Promise.all([accounts.list('person', MOST_ASKED), accounts.list('service', MOST_ASKED)])).flat();
  const found = await Promise.all(records.map(({ id }) => accounts.find(id)));
  const allowed = found.filter((account) => account !== undefined).map((account) => ({ account, decision: ask(account) })).filter(({ decision }) => decision.isAllowed);
  return {
    who: allowed.map(({ account, decision }) => ({ ...label(account), clause: decision.clause })),
    asked: records.length,
    is_complete: records.length < MOST_ASKED,
  };
}

function label({ id, email, kind }: Account) {
  return { id, name: email, kind };
}

/** `account:` and `service:` may name an e-mail or a subject; what is kept is the id, since an e-mail can change hands. */
async function resolveClause(clause: string, accounts: Accounts): Promise<string> {
  const at = clause.indexOf(':');
  const [kind, value] = at === -1 ? [clause, ''] : [clause.slice(0, at), clause.slice(at + 1)];
  if (kind === 'group') await accounts.groups.get(value);
  if (kind !== 'account' && kind !== 'service') return clause;
  const account = await accounts.lookUp(value);
  if (account === undefined || (kind === 'service' && account.kind !== 'service')) throw new Refused('invalid_audience', `there is no ${kind === 'service' ? 'service account' : 'account'} "${value.slice(0, 128)}"`);
  return `${kind}:${account.id}`;
}

async function present({ name: named, kind, preset, algorithm, lifetimeSeconds, maxAuthAgeSeconds, mode, isEnabled, scopes, allow, deny, clients, revision, isConfigured }: Audience, accounts: Accounts) {
  const explain = async (clause: string) => {
    const [, kind = '', id] = /^(account|service):(.+)$/.exec(clause) ?? [];
    return { clause, label: id === undefined ? clause : `${kind}:${(await accounts.lookUp(id))?.email ?? id}` };
  };
  return {
    name: named, kind, preset, algorithm, lifetime_seconds: lifetimeSeconds, max_auth_age_seconds: maxAuthAgeSeconds ?? null, mode, is_enabled: isEnabled, scopes,
    allow: await Promise.all(allow.map(explain)), deny: await Promise.all(deny.map(explain)), clients, revision, is_configured: isConfigured,
  };
}

function toCamelCase(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]));
}
