import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { PRESET_NAMES, type Audience } from '../../server/audiences/audiences.ts';
import { describeFederationToken, lintFederationClaims } from '../../server/issuer/claims.ts';

const ISSUER = 'https://vouch.example';
const UID = '01890000-0000-7000-8000-00000000000a';
const audience: Audience = {
  name: 'https://api.example', kind: 'federation', preset: 'custom', algorithm: 'RS256', lifetimeSeconds: 600, maxAuthAgeSeconds: undefined, mode: 'enforce', isEnabled: true,
  scopes: [], allow: [], deny: [], clients: [], revision: 1, isConfigured: false,
};
const good = {
  iss: ISSUER, sub: 'ada@example.com', aud: audience.name, iat: 1000, nbf: 1000, exp: 1600, jti: UID, email: 'ada@example.com', email_verified: true, hd: 'example.com',
  auth_time: 900, amr: ['pop', 'user', 'mfa'], vouch_uid: UID,
};
const lint = (claims: object, more: Partial<Audience> = {}) => lintFederationClaims({ ...claims }, { ...audience, ...more }, ISSUER);

test('what is right passes, for every preset', () => {
  for (const preset of PRESET_NAMES) expect(lint(good, { preset })).toEqual([]);
  const { email: _e, email_verified: _v, hd: _h, auth_time: _a, ...machine } = good;
  expect(lint({ ...machine, amr: ['pop'] })).toEqual([]);
  expect(lint({ ...good, act: { sub: 'ci@example.com', vouch_uid: UID } })).toEqual([]);
});

test.each<[what: string, changes: Record<string, unknown>, fault: RegExp, more?: Partial<Audience>]>([
  ['another issuer', { iss: `${ISSUER}/` }, /iss is not the issuer/],
  ['a list of audiences', { aud: [audience.name] }, /aud is not the one audience/],
  ['another audience', { aud: 'https://api.example/' }, /aud is not the one audience/],
  ['capitals in sub', { sub: 'Ada@example.com', email: 'Ada@example.com' }, /sub is not a lower-case/],
  ['a wildcard in sub', { sub: '*@example.com', email: '*@example.com' }, /sub is not a lower-case/],
  ['a sub of 128 bytes', { sub: `${'a'.repeat(116)}@example.com`, email: undefined, email_verified: undefined, hd: undefined, amr: [] }, /sub is not a lower-case/],
  ['a sub in another script', { sub: 'аda@example.com', email: 'аda@example.com' }, /sub is not/],
  ['no sub', { sub: undefined }, /sub is not/],
  ['a fraction of a second', { iat: 1000.5, nbf: 1000.5 }, /whole seconds/],
  ['nbf before iat', { nbf: 999 }, /nbf is not iat/],
  ['no end', { exp: undefined }, /whole seconds/],
  ['an end before the beginning', { exp: 999 }, /lives longer than it may, or not at all/],
  ['more than the audience gives', { exp: 1601 }, /lives longer than it may/],
  ['more than an hour', { exp: 1000 + 3601 }, /lives longer than it may/, { lifetimeSeconds: 7200 }],
  ['a jti that is none', { jti: 'x' }, /jti is not a UUID/],
  ['no vouch_uid', { vouch_uid: undefined }, /vouch_uid is not a UUID/],
  ['an e-mail that is not sub', { email: 'eve@example.com' }, /email is not sub/],
  ['an e-mail of which nothing is said', { email_verified: undefined }, /do not go together/],
  ['"true" in place of true', { email_verified: 'true' }, /email_verified is not a boolean/],
  ['an hd with a capital', { hd: 'Example.com' }, /hd is not the domain of a person/],
  ['an hd without a person', { email: undefined, email_verified: undefined }, /hd is not the domain of a person/],
  ['a sign-in in the future', { auth_time: 1001 }, /auth_time is not a moment of the past/],
  ['a person’s method for a machine', { email: undefined, email_verified: undefined, hd: undefined }, /amr claims a person for a service/],
  ['azp', { azp: 'vouch-cli' }, /azp is no claim of ours/],
  ['a twin that differs by case', { SUB: 'eve@example.com' }, /SUB is no claim of ours/],
  ['a claim of OpenAI’s', { 'openai.role': 'owner' }, /openai.role is no claim of ours/],
  ['a huge claim', { act: { sub: 'x'.repeat(4000), vouch_uid: UID } }, /it is too large/],
  ['ES256 for azure', {}, /Azure does not take ES256/, { preset: 'azure', algorithm: 'ES256' }],
  ['an API', {}, /takes no ID tokens/, { kind: 'api' }],
  ['a disabled audience', {}, /takes no ID tokens/, { isEnabled: false }],
])('%s does not pass', (_what, changes, fault, ...[more]) => {
  expect(lint({ ...good, ...changes }, more).join('; ')).toMatch(fault);
});

describe('whatever an account is called', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }), fc.emailAddress(), fc.emailAddress().map((email) => email.toUpperCase()),
    fc.constantFrom('*@example.com', 'a?@example.com', 'ada@example.com\u202e', 'ada+x@example.com', 'ada@exämple.com', `${'a'.repeat(290)}@example.com`, 'ada@example.com ', '"a b"@example.com', 'ada@example.com\u0000'),
  );

  test('what passes is one lower-case ASCII address of at most 127 bytes, and nothing that a provider reads as a pattern', () => {
    fc.assert(fc.property(hostile, (email) => {
      const account = { id: UID, kind: 'person', email, isEmailVerified: true, name: '', role: 'member', status: 'active', createdAt: new Date(0), ownerId: undefined, hostedDomain: undefined, groups: [] } as const;
      const claims = describeFederationToken({ issuer: ISSUER, account, audience, clientId: 'c', authTime: 900, amr: ['pop'], act: undefined, issuedAt: 1000, expiresAt: 1600, jti: UID });
      const isPlain = /^[!-~]+@[!-~]+$/.test(email) && email === email.toLowerCase() && !/[*?"(),:;<>@[\\\]](?=.*@)/.test(email) && Buffer.byteLength(email) <= 127;
      if (lint(claims).length === 0) expect(isPlain).toBe(true);
    }), { numRuns: 1000 });
  });
});
