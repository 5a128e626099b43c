import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { PRESET_NAMES, type Audience } from '../../server/audiences/audiences.ts';
import { describeAccessToken, describeFederationToken, lintAccessClaims, lintFederationClaims } from '../../server/issuer/claims.ts';

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
const LONG = `https://${'a'.repeat(248)}`;
interface Acts { sub: string; vouch_uid: string; act?: Acts }
/** So many who acted for each other. */
const actors = (depth: number, sub = 'ci@example.com'): Acts => ({ sub, vouch_uid: UID, ...(depth === 1 ? {} : { act: actors(depth - 1, sub) }) });
const lint = (claims: object, more: Partial<Audience> = {}) => lintFederationClaims({ ...claims }, { ...audience, ...more }, ISSUER);

test('what is right passes, for every preset', () => {
  for (const preset of PRESET_NAMES) expect(lint(good, { preset })).toEqual([]);
  const { email: _e, email_verified: _v, hd: _h, auth_time: _a, ...machine } = good;
  expect(lint({ ...machine, amr: ['pop'] })).toEqual([]);
  for (const depth of [1, 4]) expect(lint({ ...good, act: actors(depth) })).toEqual([]);
  expect(lint({ ...good, aud: LONG }, { name: LONG })).toEqual([]);
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
  ['somebody who acts under no e-mail', { act: { sub: 'CI', vouch_uid: UID } }, /act is not a chain of at most 4 accounts/],
  ['somebody who acts and is no account', { act: { sub: 'ci@example.com' } }, /act is not a chain/],
  ['more of who acts than we say', { act: { sub: 'ci@example.com', vouch_uid: UID, iss: ISSUER } }, /act is not a chain/],
  ['a name in place of who acts', { act: 'ci@example.com' }, /act is not a chain/],
  ['five who act', { act: actors(5) }, /act is not a chain/],
  ['a method that is none', { amr: ['Pop'] }, /amr is not a list of methods/],
  ['an audience of 256 characters for AWS', { aud: LONG }, /aud is longer than AWS takes/, { name: LONG, preset: 'aws' }],
  ['a huge claim', { act: { sub: 'x'.repeat(4000), vouch_uid: UID } }, /it is too large/],
  ['ES256 for azure', {}, /Azure does not take ES256/, { preset: 'azure', algorithm: 'ES256' }],
  ['an API', {}, /takes no ID tokens/, { kind: 'api' }],
  ['a disabled audience', {}, /takes no ID tokens/, { isEnabled: false }],
])('%s does not pass', (_what, changes, fault, ...[more]) => {
  expect(lint({ ...good, ...changes }, more).join('; ')).toMatch(fault);
});

const api: Audience = { ...audience, kind: 'api', scopes: ['read', 'write'], lifetimeSeconds: 300 };
const RANDOM = 'r'.repeat(43);
const access = {
  iss: ISSUER, sub: UID, aud: api.name, iat: 1000, exp: 1300, jti: UID, client_id: 'vouch-cli', scope: 'read write', auth_time: 900, amr: ['pop', 'user', 'mfa'],
};
const { auth_time: _time, ...withoutSignIn } = access;
const ofService = { ...withoutSignIn, client_id: UID, amr: ['pop'] };
const ofSession = { ...access, aud: ISSUER, scope: 'openid email', grant_id: RANDOM };
const lintAccess = (claims: object, more: Partial<Audience> = {}) => lintAccessClaims({ ...claims }, { ...api, ...more }, ISSUER);

test.each<[what: string, claims: object, audience: Audience | undefined]>([
  ['for an API, out of an exchange', access, api],
  ['for an API, bound to a key', { ...access, cnf: { jkt: RANDOM } }, api],
  ['for an API, by oidc-provider', { ...access, jti: RANDOM, grant_id: RANDOM, authorization_details: undefined, scope: undefined }, api],
  ['for an API, with somebody who acts', { ...access, act: actors(4) }, api],
  ['of a service, for an API', ofService, api],
  ['of a service, by oidc-provider', { ...ofService, aud: ISSUER, jti: RANDOM, scope: undefined, exp: 1600 }, undefined],
  ['of a session, narrowed', ofSession, { ...audience, name: ISSUER }],
  ['of a session, by oidc-provider', { ...ofSession, jti: RANDOM, exp: 1600 }, undefined],
  ['of an admin', { ...ofSession, aud: `${ISSUER}/admin`, jti: RANDOM, scope: 'keys:read keys:write' }, undefined],
  ['with fifty long scopes', { ...access, scope: Array.from({ length: 50 }, () => 's'.repeat(100)).join(' ') }, api],
])('an access token %s passes', (_what, claims, whom) => {
  expect(lintAccessClaims({ ...claims }, whom, ISSUER)).toEqual([]);
});

test.each<[what: string, changes: Record<string, unknown>, fault: RegExp, more?: Partial<Audience>]>([
  ['of another issuer', { iss: `${ISSUER}/` }, /iss is not the issuer/],
  ['for a list of audiences', { aud: [api.name] }, /aud is not the one audience/],
  ['for another audience', { aud: 'https://api.example/' }, /aud is not the one audience/],
  ['for nobody', { aud: undefined }, /aud is not the one audience/],
  ['for a provider', {}, /takes no access tokens/, { kind: 'federation' }],
  ['for a disabled API', {}, /takes no access tokens/, { isEnabled: false }],
  ['with an e-mail as sub', { sub: 'ada@example.com' }, /sub is not the UUID of an account/],
  ['without sub', { sub: undefined }, /sub is not/],
  ['of a fraction of a second', { iat: 1000.5 }, /whole seconds/],
  ['without an end', { exp: undefined }, /whole seconds/],
  ['that ends as it begins', { exp: 1000 }, /lives longer than it may, or not at all/],
  ['that lives longer than its API says', { exp: 1301 }, /lives longer than it may/],
  ['that lives for more than an hour', { exp: 1000 + 3601 }, /lives longer than it may/, { lifetimeSeconds: 7200 }],
  ['with a jti that is none', { jti: 'x' }, /jti is neither/],
  ['of no client', { client_id: undefined }, /client_id is not/],
  ['of a client with a strange name', { client_id: 'a client' }, /client_id is not/],
  ['with an empty scope', { scope: '' }, /scope is not a list/],
  ['with a scope that is a list', { scope: ['read'] }, /scope is not a list/],
  ['with two spaces in its scope', { scope: 'read  write' }, /scope is not a list/],
  ['of a sign-in in the future', { auth_time: 1001 }, /auth_time is not a moment of the past/],
  ['with a method that is none', { amr: ['Pop'] }, /amr is not a list/],
  ['of a service that signed in', { client_id: UID, amr: ['pop'] }, /claims a sign-in for a service/],
  ['of a service with a PIN', { client_id: UID, auth_time: undefined, amr: ['pop', 'pin'] }, /claims a sign-in for a service/],
  ['with five who act', { act: actors(5) }, /act is not a chain/],
  ['with an actor of no shape', { act: { sub: 'ci@example.com' } }, /act is not a chain/],
  ['of a session that is none', { grant_id: '' }, /of no session/],
  ['for us, of no session', { aud: ISSUER }, /of no session/, { name: ISSUER, kind: 'federation' }],
  ['bound to no key', { cnf: {} }, /cnf is not/],
  ['bound to a certificate', { cnf: { jkt: RANDOM, 'x5t#S256': RANDOM } }, /cnf is not/],
  ['with an e-mail', { email: 'ada@example.com' }, /email is no claim of ours/],
  ['with a twin that differs by case', { SUB: UID }, /SUB is no claim of ours/],
  ['with more methods than there are', { amr: Array.from({ length: 41 }, () => 'pop') }, /it is too large/],
  ['that is huge', { scope: `read ${'x'.repeat(6000)}` }, /it is too large/],
])('an access token %s does not pass', (_what, changes, fault, ...[more]) => {
  expect(lintAccess({ ...access, ...changes }, more).join('; ')).toMatch(fault);
});

test('an access token of oidc-provider for an audience without a record is for us alone', () => {
  for (const aud of [api.name, `${ISSUER}/`, `${ISSUER}/admin/`, [ISSUER], undefined]) {
    expect(lintAccessClaims({ ...ofSession, aud }, undefined, ISSUER)).toContain('aud is not the one audience, as a string');
  }
  expect(lintAccessClaims({ ...ofSession, exp: 1000 + 3601 }, undefined, ISSUER)).toEqual(['it lives longer than it may, or not at all']);
});

test('no claim that passes makes an access token too large for a header', () => {
  const longest = { ...ofSession, aud: LONG, client_id: 'c'.repeat(100), scope: 's'.repeat(5_100), amr: Array.from({ length: 40 }, () => 'm'.repeat(20)), act: actors(4, `ci@${'x'.repeat(120)}.com`), cnf: { jkt: RANDOM } };
  expect(lintAccessClaims(longest, { ...api, name: LONG, lifetimeSeconds: 3600 }, ISSUER)).toEqual([]);
  expect(JSON.stringify(longest).length).toBeLessThan(8_192);
});

describe('whatever an account is called', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }), fc.emailAddress(), fc.emailAddress().map((email) => email.toUpperCase()),
    fc.constantFrom('*@example.com', 'a?@example.com', 'ada@example.com\u202e', 'ada+x@example.com', 'ada@exämple.com', `${'a'.repeat(290)}@example.com`, 'ada@example.com ', '"a b"@example.com', 'ada@example.com\u0000'),
  );

  test('an access token of theirs passes: it names them by their UUID', () => {
    fc.assert(fc.property(hostile, (email) => {
      const account = { id: UID, kind: 'person', email, isEmailVerified: true, name: '', role: 'member', status: 'active', createdAt: new Date(0), ownerId: undefined, hostedDomain: undefined, groups: [] } as const;
      const claims = describeAccessToken({ issuer: ISSUER, account, audience: api, clientId: 'vouch-cli', authTime: 1003, amr: ['pop'], act: undefined, issuedAt: 1000, expiresAt: 1300, jti: UID }, { scope: 'read', grantId: undefined, jkt: undefined });
      expect(lintAccess(claims)).toEqual([]);
      expect(claims.auth_time).toBe(1000);
    }), { numRuns: 100 });
  });

  test('what passes is one lower-case ASCII address of at most 127 bytes, and nothing that a provider reads as a pattern', () => {
    fc.assert(fc.property(hostile, (email) => {
      const account = { id: UID, kind: 'person', email, isEmailVerified: true, name: '', role: 'member', status: 'active', createdAt: new Date(0), ownerId: undefined, hostedDomain: undefined, groups: [] } as const;
      const claims = describeFederationToken({ issuer: ISSUER, account, audience, clientId: 'c', authTime: 900, amr: ['pop'], act: undefined, issuedAt: 1000, expiresAt: 1600, jti: UID });
      const isPlain = /^[!-~]+@[!-~]+$/.test(email) && email === email.toLowerCase() && !/[*?"(),:;<>@[\\\]](?=.*@)/.test(email) && Buffer.byteLength(email) <= 127;
      if (lint(claims).length === 0) expect(isPlain).toBe(true);
    }), { numRuns: 1000 });
  });
});
