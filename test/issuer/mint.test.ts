import { expect, test } from '@jest/globals';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Account, Accounts } from '../../server/accounts/accounts.ts';
import type { Audience, Audiences } from '../../server/audiences/audiences.ts';
import { completeAccessToken } from '../../server/issuer/access_token.ts';
import type { AccessClaims, FederationClaims } from '../../server/issuer/claims.ts';
import { mintAccessToken, mintFederationToken, type MintDependencies } from '../../server/issuer/mint.ts';
import { systemClock } from '../../server/lib/clock.ts';

/* What does not pass the last look is neither signed nor on record, whoever made it. */

const ISSUER = 'https://vouch.example';
const UID = '01890000-0000-7000-8000-00000000000a';
const api: Audience = {
  name: 'https://api.example', kind: 'api', preset: 'custom', algorithm: 'RS256', lifetimeSeconds: 600, maxAuthAgeSeconds: undefined, mode: 'enforce', isEnabled: true,
  scopes: ['read'], allow: ['people'], deny: [], clients: [], revision: 1, isConfigured: false,
};
const account: Account = { id: UID, kind: 'person', email: 'ada@example.com', isEmailVerified: true, name: '', role: 'member', status: 'active', createdAt: new Date(0), ownerId: undefined, hostedDomain: undefined, groups: [] };
const claims: AccessClaims = { iss: ISSUER, sub: UID, aud: api.name, iat: 1000, exp: 1600, jti: UID, client_id: 'vouch-cli' };

function createMint() {
  const done = { signed: 0, recorded: 0 };
  const sign = () => {
    done.signed += 1;
    return Promise.resolve(Buffer.from('signature'));
  };
  const record = () => {
    done.recorded += 1;
    return Promise.resolve();
  };
  const signers = new Map([['RS256', { kid: 'kid-1', alg: 'RS256', sign }]]);
  return { done, dependencies: { issuer: ISSUER, keys: { signers }, audit: { record } } as unknown as MintDependencies };
}

test('an access token out of an exchange', async () => {
  const { done, dependencies } = createMint();
  const circumstances = { event: 'token_exchange', at: new Date() };
  await expect(mintAccessToken({ ...claims, exp: 1601 }, api, circumstances, dependencies)).rejects.toThrow(new TypeError('an access token was not signed: it lives longer than it may, or not at all'));
  expect(done).toEqual({ signed: 0, recorded: 0 });
  expect((await mintAccessToken(claims, api, circumstances, dependencies)).kid).toBe('kid-1');
  expect(done).toEqual({ signed: 1, recorded: 1 });
});

test('a federation token', async () => {
  const { done, dependencies } = createMint();
  const broken = { ...claims, nbf: 999, vouch_uid: UID } as unknown as FederationClaims;
  await expect(mintFederationToken(broken, api, { event: 'token_exchange', at: new Date() }, dependencies)).rejects.toThrow(/^a federation token was not signed: sub is not .*nbf is not iat/);
  expect(done).toEqual({ signed: 0, recorded: 0 });
});

test('an access token that oidc-provider makes', async () => {
  const complete = async (payload: Record<string, unknown>, aud = api.name) => {
    const ctx = { oidc: { entities: { RefreshToken: { authTime: 990, amr: ['pop'] } } } } as unknown as KoaContextWithOIDC;
    const token = { kind: 'AccessToken', accountId: UID, clientId: 'vouch-cli', grantId: 'g'.repeat(43), aud };
    const accounts = { find: () => Promise.resolve(account) } as unknown as Accounts;
    const audiences = { find: () => Promise.resolve(api) } as unknown as Audiences;
    const jwt = { payload: { ...claims, aud, jti: 'j'.repeat(43), scope: 'read', authorization_details: undefined, ...payload } };
    await completeAccessToken(ctx, token, jwt, { issuer: ISSUER, accounts, audiences, clock: systemClock });
    return jwt.payload;
  };
  expect(await complete({})).toMatchObject({ auth_time: 990, amr: ['pop'], grant_id: 'g'.repeat(43) });
  expect(await complete({ exp: 1600 }, ISSUER)).toMatchObject({ aud: ISSUER });
  await expect(complete({ exp: 1601 })).rejects.toThrow(new TypeError('an access token was not signed: it lives longer than it may, or not at all'));
  await expect(complete({ aud: 'https://other.example' }, ISSUER)).rejects.toThrow('aud is not the one audience');
  await expect(complete({ email: 'ada@example.com' })).rejects.toThrow('email is no claim of ours');
});
