import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { decide, type Applicant, type Audience } from '../../server/audiences/audiences.ts';

const ADA = '01890000-0000-7000-8000-00000000000a';
const BOB = '01890000-0000-7000-8000-00000000000b';
const CI = '01890000-0000-7000-8000-00000000000c';

const audience = (changes: Partial<Audience> = {}): Audience => ({
  name: 'https://api.example', kind: 'federation', preset: 'custom', algorithm: 'RS256', lifetimeSeconds: 600, maxAuthAgeSeconds: undefined, mode: 'enforce', isEnabled: true,
  scopes: [], allow: [], deny: [], clients: [], revision: 1, isConfigured: false, ...changes,
});
const person = (changes: Partial<Applicant> = {}): Applicant => ({ accountId: ADA, kind: 'person', hostedDomain: 'example.com', groups: ['ml'], clientId: 'vouch-cli', authAgeSeconds: 10, ...changes });
const service: Applicant = { accountId: CI, kind: 'service', hostedDomain: undefined, groups: [], clientId: CI, authAgeSeconds: undefined };

test.each<[what: string, audience: Partial<Audience>, applicant: Applicant, isAllowed: boolean, clause: string]>([
  ['nothing allows anybody', {}, person(), false, 'no clause allows'],
  ['people are every person', { allow: ['people'] }, person(), true, 'allow people'],
  ['people are no services', { allow: ['people'] }, service, false, 'no clause allows'],
  ['an account', { allow: [`account:${ADA}`] }, person(), true, `allow account:${ADA}`],
  ['another account', { allow: [`account:${BOB}`] }, person(), false, 'no clause allows'],
  ['a hosted domain', { allow: ['domain:example.com'] }, person(), true, 'allow domain:example.com'],
  ['a subdomain is another domain', { allow: ['domain:example.com'] }, person({ hostedDomain: 'a.example.com' }), false, 'no clause allows'],
  ['no domain is no domain', { allow: ['domain:undefined'] }, person({ hostedDomain: undefined }), false, 'no clause allows'],
  ['a group', { allow: ['group:ml'] }, person(), true, 'allow group:ml'],
  ['another group', { allow: ['group:ops'] }, person(), false, 'no clause allows'],
  ['a service by its clause', { allow: [`service:${CI}`] }, service, true, `allow service:${CI}`],
  ['a person is no service', { allow: [`service:${ADA}`] }, person(), false, 'no clause allows'],
  ['a service in a group', { allow: ['group:ci'] }, { ...service, groups: ['ci'] }, true, 'allow group:ci'],
  ['the first that allows is named', { allow: ['group:ops', 'group:ml', 'people'] }, person(), true, 'allow group:ml'],
  ['a deny wins over every allow', { allow: ['people', `account:${ADA}`], deny: [`account:${ADA}`] }, person(), false, `deny account:${ADA}`],
  ['a deny of a client', { allow: ['people'], deny: ['client:vouch-cli'] }, person(), false, 'deny client:vouch-cli'],
  ['only through the clients that are named', { allow: ['people'], clients: ['other'] }, person(), false, 'client not named'],
  ['through a client that is named', { allow: ['people'], clients: ['other', 'vouch-cli'] }, person(), true, 'allow people'],
  ['a client alone allows nobody', { clients: ['vouch-cli'] }, person(), false, 'no clause allows'],
  ['a sign-in as old as it may be', { allow: ['people'], maxAuthAgeSeconds: 60 }, person({ authAgeSeconds: 60 }), true, 'allow people'],
  ['a sign-in that is too old', { allow: ['people'], maxAuthAgeSeconds: 60 }, person({ authAgeSeconds: 61 }), false, 'sign-in older than 60 s'],
  ['a sign-in of unknown age', { allow: ['people'], maxAuthAgeSeconds: 60 }, person({ authAgeSeconds: undefined }), false, 'sign-in older than 60 s'],
  ['a service never signs in', { allow: [`service:${CI}`], maxAuthAgeSeconds: 60 }, service, true, `allow service:${CI}`],
  ['disabled is closed', { allow: ['people'], isEnabled: false }, person(), false, 'disabled'],
  ['audit mode lets through and says so', { mode: 'audit', deny: ['people'] }, person(), true, 'audit mode; would deny: deny people'],
  ['audit mode says of what it would deny for age', { mode: 'audit', allow: ['people'], maxAuthAgeSeconds: 60 }, person({ authAgeSeconds: 61 }), true, 'audit mode; would deny: sign-in older than 60 s'],
  ['audit mode allows what is allowed, as ever', { mode: 'audit', allow: ['people'] }, person(), true, 'allow people'],
  ['disabled is closed in audit mode too', { mode: 'audit', allow: ['people'], isEnabled: false }, person(), false, 'disabled'],
])('%s', (_what, changes, applicant, isAllowed, clause) => {
  expect(decide(audience(changes), applicant)).toMatchObject({ isAllowed, clause });
});

describe('whatever the clauses', () => {
  const clause = fc.constantFrom('people', 'domain:example.com', 'domain:other.example', 'group:ml', 'group:ops', `account:${ADA}`, `account:${BOB}`, `account:${CI}`, `service:${CI}`, `service:${ADA}`);
  const clauses = fc.array(clause, { maxLength: 4 });
  const anybody = fc.constantFrom(person(), person({ accountId: BOB, hostedDomain: undefined, groups: [] }), person({ groups: ['ops', 'ml'] }), service, { ...service, groups: ['ops'] });
  const record = fc.record({ allow: clauses, deny: clauses, clients: fc.subarray(['vouch-cli', 'other', CI]) });

  test('a deny that fits keeps out, and more allows never let in whom a deny keeps out', () => {
    fc.assert(fc.property(record, anybody, clauses, (changes, applicant, more) => {
      const isDenied = changes.deny.some((one) => decide(audience({ allow: [one] }), applicant).isAllowed);
      if (isDenied) expect(decide(audience({ ...changes, allow: [...changes.allow, ...more] }), applicant).isAllowed).toBe(false);
    }));
  });

  test('who is let in is let in by a clause that alone would let in', () => {
    fc.assert(fc.property(record, anybody, (changes, applicant) => {
      const { isAllowed, clause: decided } = decide(audience(changes), applicant);
      if (!isAllowed) return;
      const [, allowing = ''] = /^allow (.*)$/.exec(decided) ?? [];
      expect(changes.allow).toContain(allowing);
      expect(decide(audience({ allow: [allowing] }), applicant).isAllowed).toBe(true);
      if (changes.clients.length > 0) expect(changes.clients).toContain(applicant.clientId);
    }));
  });
});
