import { describe, expect, test } from '@jest/globals';
import { loadConfig, type UpstreamConfig } from '../../server/config/config.ts';
import { judgePerson, readWitness } from '../../server/login/upstream_person.ts';

/* The rules of each kind of upstream, on claims as Google and Microsoft really give them. */

const TENANT = '11111111-2222-3333-4444-555555555555';
const [google, entra] = loadConfig({
  VOUCH_UPSTREAMS: JSON.stringify([
    { id: 'google', name: 'Google', issuer: 'https://accounts.google.com', clientId: 'g', clientSecret: 's', domains: ['corp.example', 'gmail.com'] },
    { id: 'entra', name: 'Microsoft', issuer: `https://login.microsoftonline.com/${TENANT}/v2.0`, clientId: 'm', clientSecret: 's', domains: ['corp.example', 'subsidiary.example'] },
  ]),
}).upstreams as [UpstreamConfig, UpstreamConfig];

const judge = (config: UpstreamConfig, claims: Record<string, unknown>) => judgePerson({ iss: config.issuer, sub: 's1', iat: 1000, ...claims }, config);
const refusal = (code: string): unknown => expect.objectContaining({ code });
const attempt = (config: UpstreamConfig, claims: Record<string, unknown>): unknown => {
  try {
    return judge(config, claims);
  } catch (error) {
    return error;
  }
};

describe('Google', () => {
  test.each<[string, Record<string, unknown>, unknown]>([
    ['Workspace', { email: 'Ada@corp.example', email_verified: true, hd: 'corp.example', name: 'Ada' }, { email: 'ada@corp.example', isEmailVerified: true, hostedDomain: 'corp.example', name: 'Ada', subject: 's1', issuer: 'https://accounts.google.com', isEmailOfUpstream: true }],
    ['Workspace, an address of a secondary domain', { email: 'ada@other.example', email_verified: true, hd: 'corp.example' }, expect.objectContaining({ hostedDomain: 'corp.example', isEmailOfUpstream: false })],
    ['a personal account in an allowed domain: no hd', { email: 'ada@gmail.com', email_verified: true }, expect.objectContaining({ hostedDomain: undefined, email: 'ada@gmail.com' })],
    ['a personal account with the company’s address', { email: 'ada@corp.example', email_verified: true }, refusal('upstream_not_allowed')],
    ['Workspace of somebody else', { email: 'ada@corp.example', email_verified: true, hd: 'elsewhere.example' }, refusal('upstream_not_allowed')],
    ['hd of a consumer domain', { email: 'ada@gmail.com', email_verified: true, hd: 'gmail.com' }, refusal('upstream_not_allowed')],
    ['not verified', { email: 'ada@corp.example', email_verified: false, hd: 'corp.example' }, refusal('upstream_email_unverified')],
  ])('%s', (_what, claims, outcome) => {
    expect(attempt(google, claims)).toEqual(outcome);
  });
});

describe('Entra', () => {
  test.each<[string, Record<string, unknown>, unknown]>([
    ['the tenant’s, hd from the tenant', { tid: TENANT, email: 'ada@subsidiary.example' }, expect.objectContaining({ hostedDomain: 'corp.example', isEmailVerified: false, isEmailOfUpstream: false, name: 'ada' })],
    ['with the domain owner’s word for the address', { tid: TENANT, email: 'ada@corp.example', xms_edov: '1' }, expect.objectContaining({ isEmailVerified: true, isEmailOfUpstream: true })],
    ['with word to the contrary', { tid: TENANT, email: 'ada@corp.example', xms_edov: false }, expect.objectContaining({ isEmailVerified: false })],
    ['another tenant', { tid: '9188040d-6c67-4c5b-b112-36a304b66dad', email: 'ada@corp.example' }, refusal('upstream_not_allowed')],
    ['no tenant', { email: 'ada@corp.example' }, refusal('upstream_not_allowed')],
    ['a guest of another tenant', { tid: TENANT, email: 'ada@corp.example', idp: 'https://sts.windows.net/other/' }, refusal('upstream_not_allowed')],
    ['another domain', { tid: TENANT, email: 'ada@gmail.com' }, refusal('upstream_not_allowed')],
    ['no e-mail, only a user name', { tid: TENANT, preferred_username: 'ada@corp.example' }, refusal('upstream_no_email')],
  ])('%s', (_what, claims, outcome) => {
    expect(attempt(entra, claims)).toEqual(outcome);
  });
});

test.each<[string, Record<string, unknown>, { authTime: number; saysWhen: boolean; amr: string[] }]>([
  ['auth_time where it is said', { auth_time: 900 }, { authTime: 900, saysWhen: true, amr: [] }],
  ['when it spoke where it is not', {}, { authTime: 1000, saysWhen: false, amr: [] }],
  ['never the future', { auth_time: 5000 }, { authTime: 1010, saysWhen: true, amr: [] }],
  ['nothing where it is no whole number', { auth_time: '900' }, { authTime: 1000, saysWhen: false, amr: [] }],
  ['registered methods only', { auth_time: 900, amr: ['pwd', 'ngcmfa', 5, 'mfa'] }, { authTime: 900, saysWhen: true, amr: ['pwd', 'mfa'] }],
])('how and when: %s', (_what, claims, witness) => {
  expect(readWitness({ iss: 'i', sub: 's', iat: 1000, ...claims }, 1010)).toEqual(witness);
});
