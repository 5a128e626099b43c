import { z } from 'zod';
import { SCIM_SCOPES, type Accounts, type ScimToken, type ScimTokens } from '../accounts/accounts.ts';
import type { Demand } from './authorize.ts';
import { route, type Route } from './route.ts';

const READ: Demand = { scope: 'accounts:read' };
const WRITE: Demand = { scope: 'accounts:write', maxAgeSeconds: 300 };

const DEFAULT_DAYS = 365;
const MOST_DAYS = 730;

const nameBody = z.strictObject({ name: z.string({ error: 'name is required' }).max(63) });
const tokenBody = nameBody.extend({
  domains: z.array(z.string().max(253).transform((domain) => domain.toLowerCase())).max(50).default([]),
  scopes: z.array(z.enum(SCIM_SCOPES, { error: `a scope is ${SCIM_SCOPES.join(', ')}` })).min(1, { error: 'scopes must not be empty' }).default([...SCIM_SCOPES]),
  expires_in_days: z.int().min(1, { error: 'expires_in_days is 1 at least' }).max(MOST_DAYS, { error: `expires_in_days is ${MOST_DAYS} at most` }).default(DEFAULT_DAYS),
});

/** What companies' directories come with. Each is shown once. */
export function createScimTokenRoutes({ accounts, scimTokens, scimUrl }: { accounts: Accounts; scimTokens: ScimTokens; scimUrl: string }): Route[] {
  return [
    route({
      method: 'get', path: '/scim-tokens', name: 'scim_token.list', summary: 'Every SCIM token, without what it is known by', demand: READ,
      handle: async () => ({ scim_tokens: await Promise.all((await scimTokens.list()).map((token) => present(token, accounts))), url: scimUrl }),
    }),
    route({
      method: 'post', path: '/scim-tokens', name: 'scim_token.add', summary: 'Make a token for a directory (SCIM 2.0), for some of the company’s domains; it is shown once', demand: WRITE, body: tokenBody,
      handle: async ({ body: { name, domains, scopes, expires_in_days: expiresInDays }, admin }) => {
        const { token, record } = await scimTokens.add({ name, domains, scopes, expiresInDays, createdBy: admin.accountId });
        return { scim_token: await present(record, accounts), token: token.reveal(), url: scimUrl };
      },
    }),
    route({
      method: 'post', path: '/scim-tokens/revoke', name: 'scim_token.revoke', summary: 'It opens nothing from now on', demand: WRITE, body: nameBody,
      handle: async ({ body }) => {
        await scimTokens.revoke(body.name);
        return { revoked: body.name };
      },
    }),
  ];
}

async function present({ name, domains, scopes, createdAt, createdBy, expiresAt, lastUsedAt }: ScimToken, accounts: Accounts) {
  const admin = await accounts.lookUp(createdBy);
  return {
    name, domains, scopes, created_at: createdAt.toISOString(), created_by: admin?.email ?? createdBy, expires_at: expiresAt.toISOString(), last_used_at: lastUsedAt?.toISOString() ?? null,
  };
}
