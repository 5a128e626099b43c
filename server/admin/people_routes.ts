import { z } from 'zod';
import type { Account, Accounts, EmailDispute, Identities, People, Person } from '../accounts/accounts.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { Demand } from './authorize.ts';
import { route, type Route } from './route.ts';

const READ: Demand = { scope: 'accounts:read' };
const WRITE: Demand = { scope: 'accounts:write', maxAgeSeconds: 300 };

const MOST_LISTED = 500;
const HOUR = 3600;
const LONGEST_INVITATION_SECONDS = 14 * 24 * HOUR;

const role = z.enum(['admin', 'member'], { error: 'role is admin or member' });
const accountBody = z.strictObject({ account: z.string({ error: 'account is required: an e-mail or an id' }).min(1).max(128) });
const listQuery = z.strictObject({
  status: z.enum(['active', 'suspended'], { error: 'status is active or suspended' }).optional(),
  role: role.optional(),
  /** The e-mail of the last one that was read. */
  after: z.string().max(128).optional(),
  limit: z.string().regex(/^[1-9]\d{0,2}$/, { error: `limit is a whole number up to ${MOST_LISTED}` }).transform(Number).refine((limit) => limit <= MOST_LISTED, { error: `limit is a whole number up to ${MOST_LISTED}` }).default(100),
});
const invitationBody = z.strictObject({
  email: z.string({ error: 'email is required: whom the invitation is for' }).max(128),
  role: role.default('member'),
  expires_in_seconds: z.int().min(300, { error: 'expires_in_seconds is 300 at least' }).max(LONGEST_INVITATION_SECONDS, { error: `expires_in_seconds is ${LONGEST_INVITATION_SECONDS} at most` }).default(24 * HOUR),
});
const disputeBody = z.strictObject({ dispute: z.uuid({ error: 'dispute is required: the id of one that is listed' }) });
const emailBody = z.strictObject({ email: z.string({ error: 'email is required' }).min(1).max(128).transform((email) => email.toLowerCase()) });

export interface PeopleRouteOptions {
  readonly accounts: Accounts;
  readonly people: People;
  readonly identities: Identities;
  readonly issuer: string;
}

export function createPeopleRoutes(options: PeopleRouteOptions): Route[] {
  return [...createAccountRows(options), ...createDisputeRows(options)];
}

function createAccountRows({ accounts, people, issuer }: PeopleRouteOptions): Route[] {
  return [
    route({
      method: 'get', path: '/accounts', name: 'account.list', summary: 'The accounts of people, by e-mail; next is what after takes for more', demand: READ, query: listQuery,
      handle: async ({ query }) => {
        const found = await people.list({ ...query, limit: query.limit + 1 });
        const shown = found.slice(0, query.limit);
        return { accounts: shown.map(presentPerson), next: found.length > shown.length ? (shown.at(-1)?.email ?? null) : null };
      },
    }),
    route({
      method: 'post', path: '/accounts/suspend', name: 'account.suspend', summary: 'End its sessions and let nobody in by it; no token is exchanged from then on', demand: WRITE, body: accountBody,
      handle: async ({ body, admin }) => {
        const { id } = await findPerson(body.account, accounts);
        return { is_changed: await people.suspend(id, `admin:${admin.accountId}`), account: await show(id, accounts) };
      },
    }),
    route({
      method: 'post', path: '/accounts/resume', name: 'account.resume', summary: 'Let its owner in again, by a new sign-in', demand: WRITE, body: accountBody,
      handle: async ({ body }) => {
        const { id } = await findPerson(body.account, accounts);
        return { is_changed: await people.resume(id), account: await show(id, accounts) };
      },
    }),
    route({
      method: 'post', path: '/accounts/remove', name: 'account.remove', summary: 'End its sessions and take it out, with its passkeys and sign-ins; the record stays, and its e-mail is kept from others', demand: WRITE, body: accountBody,
      handle: async ({ body }) => {
        const account = await findPerson(body.account, accounts);
        await people.remove(account.id);
        return { removed: present(account) };
      },
    }),
    route({
      method: 'post', path: '/accounts/role', name: 'account.role', summary: 'Make it an admin, or a member', demand: WRITE, body: accountBody.extend({ role }),
      handle: async ({ body }) => {
        const { id } = await findPerson(body.account, accounts);
        return { is_changed: await people.setRole(id, body.role), account: await show(id, accounts) };
      },
    }),
    route({
      method: 'post', path: '/invitations', name: 'account.invite', summary: 'A link by which one person comes in, for this address alone; it is shown once, and ends an earlier one', demand: WRITE, body: invitationBody,
      handle: async ({ body }) => {
        const { token, expiresAt } = await accounts.invite(body.role, { email: body.email, expiresInSeconds: body.expires_in_seconds });
        return { email: body.email.trim().toLowerCase(), role: body.role, link: `${issuer}/login/enrol/${token.reveal()}`, expires_at: expiresAt.toISOString() };
      },
    }),
  ];
}

function createDisputeRows({ accounts, identities }: PeopleRouteOptions): Route[] {
  return [
    route({
      method: 'get', path: '/disputes', name: 'dispute.list', summary: 'E-mails that somebody was refused for, since they are, or were, another account’s', demand: READ,
      handle: async () => ({ disputes: await Promise.all((await identities.listDisputes()).map((dispute) => presentDispute(dispute, accounts))) }),
    }),
    route({
      method: 'post', path: '/disputes/release', name: 'dispute.release', summary: 'It is a new person: the account that has the e-mail is closed, and whoever came gets one of their own', demand: WRITE, body: disputeBody,
      handle: async ({ body, admin }) => ({ released: await presentDispute(await identities.releaseEmail(body.dispute, admin.accountId), accounts) }),
    }),
    route({
      method: 'post', path: '/disputes/link', name: 'dispute.link', summary: 'It is the same person: the sign-in that was refused leads to the account from now on', demand: WRITE, body: disputeBody,
      handle: async ({ body, admin }) => ({ linked: await presentDispute(await identities.linkDisputed(body.dispute, admin.accountId), accounts) }),
    }),
    route({
      method: 'post', path: '/disputes/free', name: 'dispute.free', summary: 'The e-mail is nobody’s any more: an account that has it is closed, and another may take it', demand: WRITE, body: emailBody,
      handle: async ({ body, admin }) => {
        const holder = await accounts.lookUp(body.email);
        if (holder?.kind === 'service') throw new Refused('is_service', 'that is the subject of a service account, which keeps it');
        await identities.freeEmail(body.email, admin.accountId);
        return { freed: body.email };
      },
    }),
  ];
}

async function findPerson(named: string, accounts: Accounts): Promise<Account> {
  const account = await accounts.lookUp(named.includes('@') ? named.toLowerCase() : named);
  if (account === undefined) throw new NotFound(`there is no account "${named}"`);
  if (account.kind === 'service') throw new Refused('is_service', `"${named}" is a service account: see vouch service-accounts`);
  return account;
}

async function show(id: string, accounts: Accounts) {
  const account = await accounts.lookUp(id);
  return account === undefined ? null : present(account);
}

function present({ id, email, isEmailVerified, name, role: held, status, suspendedBy, awaitsOwner, externalId, groups, createdAt }: Omit<Account, 'hostedDomain'>) {
  return {
    id, email, email_verified: isEmailVerified, name, role: held, status, suspended_by: suspendedBy ?? null, awaits_owner: awaitsOwner ?? false, external_id: externalId ?? null, groups,
    created_at: createdAt.toISOString(),
  };
}

function presentPerson({ passkeys, identities, lastUsedAt, ...account }: Person) {
  return { ...present(account), passkeys, upstreams: identities, last_sign_in_at: lastUsedAt?.toISOString() ?? null };
}

async function presentDispute({ id, email, issuer, subject, accountId, firstAt, lastAt, tries }: EmailDispute, accounts: Accounts) {
  const account = await accounts.lookUp(accountId);
  return {
    id, email, upstream: issuer, subject, account_id: accountId, account: account === undefined ? null : present(account),
    first_at: firstAt.toISOString(), last_at: lastAt.toISOString(), tries,
  };
}
