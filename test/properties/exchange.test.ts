import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { decodeJwt } from 'jose';
import type { Account } from '../../server/accounts/accounts.ts';
import type { Audience } from '../../server/audiences/audiences.ts';
import type { AuditEntry } from '../../server/audit/audit.ts';
import { signBytes, signJws } from '../../server/crypto/jws.ts';
import { exchangeToken } from '../../server/issuer/token_exchange.ts';
import type { KeySnapshot } from '../../server/keys/keys.ts';
import { Unavailable } from '../../server/lib/errors.ts';

/*
 * What is granted is never more than was asked for and never more than is allowed, and no token is without its record:
 * over random subject tokens, audiences, accounts, requests, and a record that cannot always be kept.
 */

const ISSUER = 'https://vouch.example';
const NOW = 1_800_000_000;
const ADA = '01890000-0000-7000-8000-00000000000a';
const ACCESS = 'urn:ietf:params:oauth:token-type:access_token';
const ID = 'urn:ietf:params:oauth:token-type:id_token';
const SCOPES = ['openid', 'email', 'read', 'write'];

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keys = {
  version: 1n, signers: new Map([['ES256', { kid: 'k', alg: 'ES256', publicKey, sign: (data: Buffer) => signBytes('ES256', data, privateKey) }]]), verifiers: new Map([['k', { alg: 'ES256', publicKey }]]), unopened: [],
} as unknown as KeySnapshot;

const audience = fc.record({
  kind: fc.constantFrom('federation', 'api'), lifetimeSeconds: fc.integer({ min: 60, max: 3600 }), isEnabled: fc.constantFrom(true, true, true, false), mode: fc.constantFrom('enforce', 'audit'),
  maxAuthAgeSeconds: fc.option(fc.integer({ min: 60, max: 3600 }), { nil: undefined }), scopes: fc.subarray(['read', 'write']),
  allow: fc.subarray(['people', `account:${ADA}`, 'group:ml', 'domain:example.com']), deny: fc.subarray(['group:ml', 'client:vouch-cli'], { maxLength: 1 }), clients: fc.subarray(['vouch-cli', 'other']),
});
const request = fc.record({
  requested_token_type: fc.constantFrom(ID, ACCESS, ACCESS, undefined, 'urn:x'), audience: fc.constantFrom('https://api.example', 'https://api.example', 'https://api.example', ISSUER, 'https://nobody.example', undefined, 'a b'),
  scope: fc.option(fc.subarray(SCOPES, { maxLength: 2 }).map((list) => list.join(' ')), { nil: undefined }),
});
const subject = fc.record({
  exp: fc.integer({ min: NOW - 50, max: NOW + 600 }), scope: fc.subarray(SCOPES).map((list) => list.join(' ')), auth_time: fc.option(fc.integer({ min: NOW - 4000, max: NOW }), { nil: undefined }),
  aud: fc.constantFrom(ISSUER, ISSUER, ISSUER, 'https://api.example'), client_id: fc.constantFrom('vouch-cli', 'vouch-cli', 'other'),
});
const world = fc.record({
  sessionEndsAt: fc.option(fc.integer({ min: NOW - 100, max: NOW + 4000 }), { nil: undefined }), isClosed: fc.constantFrom(false, false, false, true), groups: fc.subarray(['ml']), hostedDomain: fc.option(fc.constant('example.com'), { nil: undefined }), canRecord: fc.constantFrom(true, true, true, false),
});

test('granted is never more than requested, never more than allowed, and always on record', async () => {
  let granted = 0;
  await fc.assert(
    fc.asyncProperty(audience, request, subject, world, async (record, asked, claims, { sessionEndsAt, isClosed, groups, hostedDomain, canRecord }) => {
      const registered = { ...record, name: 'https://api.example', preset: 'custom', algorithm: 'ES256', revision: 1, isConfigured: false } as Audience;
      const account: Account = { id: ADA, kind: 'person', email: 'ada@example.com', isEmailVerified: false, name: 'Ada', role: 'member', status: 'active', createdAt: new Date(0), ownerId: undefined, groups, hostedDomain };
      const own = { ...registered, name: ISSUER, kind: 'federation', allow: ['people'], deny: [], clients: [], isEnabled: true, maxAuthAgeSeconds: undefined, scopes: [] } as Audience;
      const token = await signJws({ alg: 'ES256', kid: 'k', typ: 'at+jwt' }, { iss: ISSUER, sub: ADA, iat: NOW - 20, jti: 'j', grant_id: 'g'.repeat(43), ...claims }, privateKey);
      const kept: AuditEntry[] = [];
      const facts = {};
      const answer = await exchangeToken({ subject_token: token, subject_token_type: ACCESS, ...asked }, {
        issuer: ISSUER, keys, accounts: { findHolder: async () => ({ account: isClosed ? undefined : account, sessionEndsAt }) },
        audiences: { find: async (name) => (name === ISSUER ? own : name === registered.name ? registered : undefined) },
        audit: { record: async (entries) => { if (!canRecord) throw new Unavailable('no record'); kept.push(...entries); } },
        proveKey: undefined, findAccountWait: () => undefined, clientId: 'vouch-cli', ip: undefined, userAgent: undefined, arrivedAt: new Date(NOW * 1000),
      }, facts).catch((error: unknown) => error as Error);
      if (answer instanceof Error) {
        if (!(answer instanceof Unavailable)) expect((answer as { error?: string }).error).toMatch(/^(invalid_request|invalid_target|invalid_scope|insufficient_user_authentication)$/);
        return;
      }
      granted += 1;
      const given = decodeJwt(answer.access_token);
      const target = asked.audience === ISSUER || asked.audience === undefined ? own : registered;
      // No more than requested.
      expect(given.aud).toBe(asked.audience ?? ISSUER);
      expect(answer.issued_token_type).toBe(asked.requested_token_type ?? ID);
      const words = (typeof given.scope === 'string' ? given.scope : '').split(' ').filter((word) => word !== '');
      for (const word of words) {
        expect(claims.scope.split(' ')).toContain(word);
        if (asked.scope !== undefined) expect(asked.scope.split(' ')).toContain(word);
        if (target.name !== ISSUER) expect(target.scopes).toContain(word);
      }
      expect(answer.scope ?? '').toBe(words.join(' '));
      // No more than allowed.
      expect(given.exp).toBeLessThanOrEqual(Math.min(claims.exp, sessionEndsAt ?? 0, NOW + target.lifetimeSeconds));
      expect(given.exp! - NOW).toBe(answer.expires_in);
      expect([isClosed, claims.client_id, claims.aud, target.isEnabled]).toEqual([false, 'vouch-cli', ISSUER, true]);
      if (target.mode === 'enforce' && target.name !== ISSUER) {
        expect(target.allow.length).toBeGreaterThan(0);
        if (target.deny.includes('group:ml')) expect(groups).not.toContain('ml');
        expect(target.deny).not.toContain('client:vouch-cli');
        if (target.clients.length > 0) expect(target.clients).toContain('vouch-cli');
        if (target.maxAuthAgeSeconds !== undefined) expect(NOW - (claims.auth_time ?? 0)).toBeLessThanOrEqual(target.maxAuthAgeSeconds);
      }
      // On record.
      expect(kept).toMatchObject([{ kind: 'token', jti: given.jti, audience: given.aud, accountId: ADA, clientId: 'vouch-cli', subjectJti: 'j' }]);
    }),
    { numRuns: 2000 },
  );
  // A property of what is granted says nothing when nothing is.
  expect(granted).toBeGreaterThan(20);
});
