import { z } from 'zod';
import type { Accounts } from '../accounts/accounts.ts';
import type { Audiences } from '../audiences/audiences.ts';
import { checkServiceKeys, type Clients, type ServiceKeys } from '../clients/clients.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import type { JsonObject } from '../storage/storage.ts';
import type { Demand } from './authorize.ts';
import { route, type Route } from './route.ts';

const READ: Demand = { scope: 'accounts:read' };
const WRITE: Demand = { scope: 'accounts:write', maxAgeSeconds: 300 };

const keysBody = {
  jwks: z.looseObject({ keys: z.array(z.looseObject({})) }).optional(),
  jwks_uri: z.string().optional(),
};
const serviceBody = z.strictObject({ service: z.string({ error: 'service is required: the subject or the id of a service account' }).min(1).max(128) });
const newServiceBody = z.strictObject({
  subject: z.string({ error: 'subject is required: what stands as sub in its tokens, written like an e-mail address' }),
  name: z.string({ error: 'name is required' }),
  /** Audiences that it may have from the start: each gets a clause that allows it. */
  audiences: z.array(z.string()).max(50).default([]),
  ...keysBody,
});
const rotateBody = serviceBody.extend({ ...keysBody, keeps_newest: z.boolean().default(true) });
const groupBody = z.strictObject({ group: z.string({ error: 'group is required' }) });
const memberBody = groupBody.extend({ account: z.string({ error: 'account is required: an e-mail, a subject or an id' }).max(128) });

export interface AccountRouteOptions {
  readonly accounts: Accounts;
  readonly clients: Clients;
  readonly audiences: Audiences;
  readonly issuer: string;
}

export function createAccountRoutes({ accounts, clients, audiences, issuer }: AccountRouteOptions): Route[] {
  const { services, groups } = accounts;
  const present = async (service: Awaited<ReturnType<typeof services.get>>) => {
    const { id, email, name, status, createdAt, ownerId } = service;
    const [{ kids, jwksUri }, owner] = await Promise.all([clients.services.describeKeys(id), ownerId === undefined ? undefined : accounts.lookUp(ownerId)]);
    const own = (await audiences.list()).filter(({ allow }) => allow.includes(`service:${id}`)).map((audience) => audience.name);
    return { id, client_id: id, subject: email, name, status, owner: owner?.email ?? null, created_at: createdAt.toISOString(), kids, jwks_uri: jwksUri ?? null, audiences: own };
  };
  const setStatus = (status: 'active' | 'suspended') => async ({ body }: { body: { service: string } }) => {
    const isChanged = await services.setStatus(body.service, status);
    return { service: await present(await services.get(body.service)), is_changed: isChanged };
  };
  return [
    route({
      method: 'get', path: '/service-accounts', name: 'service_account.list', summary: 'Every service account', demand: READ,
      handle: async () => ({ service_accounts: await Promise.all((await services.list()).map(present)) }),
    }),
    route({
      method: 'post', path: '/service-accounts', name: 'service_account.add', summary: 'Make a service account, whose client proves itself with a key (private_key_jwt)', demand: WRITE, body: newServiceBody,
      handle: async ({ body, admin }) => {
        // All that can be wrong is asked before anything is written.
        const keys = checkServiceKeys(readKeys(body));
        for (const name of body.audiences) if ((await audiences.find(name)) === undefined) throw new NotFound(`audience "${name.slice(0, 256)}" is not registered with this issuer`);
        const service = await services.add({ subject: body.subject, name: body.name, ownerId: admin.accountId });
        await clients.services.register({ id: service.id, name: service.name, keys });
        for (const name of body.audiences) {
          const { allow } = (await audiences.find(name)) ?? { allow: [] };
          await audiences.set(name, { allow: [...allow, `service:${service.id}`] });
        }
        return { service: await present(service), issuer };
      },
    }),
    route({
      method: 'post', path: '/service-accounts/rotate-key', name: 'service_account.rotate_key', summary: 'Put another key in place; the newest of the former goes on working until the next change, unless keeps_newest is false', demand: WRITE, body: rotateBody,
      handle: async ({ body }) => {
        const service = await services.get(body.service);
        return { service_id: service.id, ...(await clients.services.replaceKeys(service.id, readKeys(body), { keepsNewest: body.keeps_newest })) };
      },
    }),
    route({ method: 'post', path: '/service-accounts/disable', name: 'service_account.disable', summary: 'It gets no token from now on', demand: WRITE, body: serviceBody, handle: setStatus('suspended') }),
    route({ method: 'post', path: '/service-accounts/enable', name: 'service_account.enable', summary: 'It gets tokens again', demand: WRITE, body: serviceBody, handle: setStatus('active') }),
    route({
      method: 'get', path: '/groups', name: 'group.list', summary: 'Every group and its members', demand: READ,
      handle: async () => ({
        groups: await Promise.all((await groups.list()).map(async ({ name, memberIds }) => ({ name, members: await Promise.all(memberIds.map(async (id) => ({ id, name: (await accounts.lookUp(id))?.email ?? id }))) }))),
      }),
    }),
    route({
      method: 'post', path: '/groups', name: 'group.add', summary: 'Make a group', demand: WRITE, body: groupBody,
      handle: async ({ body }) => {
        await groups.add(body.group);
        return { group: body.group };
      },
    }),
    route({
      method: 'post', path: '/groups/remove', name: 'group.remove', summary: 'Take a group out, where no audience names it', demand: WRITE, body: groupBody,
      handle: async ({ body }) => {
        const users = (await audiences.list()).filter(({ allow, deny }) => [...allow, ...deny].includes(`group:${body.group}`)).map(({ name }) => `"${name}"`);
        if (users.length > 0) throw new Conflict(`group "${body.group}" is named by the audience ${users.join(', ')}; take it out there first`);
        await groups.remove(body.group);
        return { removed: body.group };
      },
    }),
    route({
      method: 'post', path: '/groups/add-member', name: 'group.add_member', summary: 'Put an account into a group', demand: WRITE, body: memberBody,
      handle: async ({ body }) => ({ is_changed: await groups.addMember(body.group, await findAccountId(body.account, accounts)) }),
    }),
    route({
      method: 'post', path: '/groups/remove-member', name: 'group.remove_member', summary: 'Take an account out of a group', demand: WRITE, body: memberBody,
      handle: async ({ body }) => ({ is_changed: await groups.removeMember(body.group, await findAccountId(body.account, accounts)) }),
    }),
  ];
}

async function findAccountId(named: string, accounts: Accounts): Promise<string> {
  const account = await accounts.lookUp(named);
  if (account === undefined) throw new NotFound(`there is no account "${named}"`);
  return account.id;
}

function readKeys({ jwks, jwks_uri: jwksUri }: { jwks?: unknown; jwks_uri?: string | undefined }): ServiceKeys {
  if ((jwks === undefined) === (jwksUri === undefined)) throw new Refused('invalid_request', 'give either jwks, with the public keys, or jwks_uri');
  return jwksUri === undefined ? { jwks: jwks as JsonObject } : { jwksUri };
}
