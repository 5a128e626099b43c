import { describe, expect, it } from '@jest/globals';
import { findAddressFault, isPublicAddress } from '../../cli/doctor/addresses.ts';
import { describeDifference } from '../../cli/doctor/difference.ts';
import { compareUploadedKeys, evaluateRule, examineToken, type Cause } from '../../cli/doctor/evaluate.ts';
import { EMPTY_RULE, readRule, type Rule } from '../../cli/doctor/rule.ts';
import { findTarget } from '../../cli/doctor/targets.ts';

const ISSUER = 'https://vouch.example.com';
const NOW = 1_800_000_000;
const CLAIMS = { iss: ISSUER, sub: 'dev@example.com', aud: ISSUER, iat: NOW - 10, nbf: NOW - 10, exp: NOW + 590, jti: 'j', email: 'dev@example.com', email_verified: true, hd: 'example.com', groups: ['a'] };

function makeToken(changes: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode({ alg: 'RS256', kid: 'k1', typ: 'JWT', ...header })}.${encode({ ...CLAIMS, ...changes })}.c2ln`;
}
const examine = (target: string, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): Cause | undefined =>
  examineToken({ token: makeToken(claims, header), target: findTarget(target)!, now: NOW * 1000, kids: ['k1'] });
const evaluate = (target: string, rule: Partial<Rule>, claims: Record<string, unknown> = {}): Cause | undefined =>
  evaluateRule({ token: makeToken(claims), target: findTarget(target)!, rule: { ...EMPTY_RULE, ...rule } });

describe('the token itself', () => {
  it.each(['anthropic', 'openai', 'aws', 'openrouter', 'google', 'azure', 'vault', 'kubernetes', 'custom'])('of a Vouch issuer is fine for %s', (target) => {
    expect(examine(target)).toBeUndefined();
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>, RegExp]>([
    ['anthropic', {}, { alg: 'EdDSA' }, /^the token is signed with "EdDSA", and Anthropic takes RS256/],
    ['azure', {}, { alg: 'ES256' }, /^the token is signed with "ES256", and Microsoft Entra takes RS256$/],
    ['openrouter', {}, { alg: 'RS512' }, /takes RS256, ES256$/],
    ['anthropic', {}, { kid: undefined }, /^the header has no kid/],
    ['anthropic', {}, { kid: 'k2' }, /^the key "k2" is not in the issuer's JWKS$/],
    ['anthropic', { exp: undefined }, {}, /^the claim exp is missing$/],
    ['aws', { iat: NOW - 0.5 }, {}, /^the claim iat is not a whole number$/],
    ['anthropic', { exp: NOW - 30 }, {}, /^the token expired 30 s ago$/],
    ['anthropic', { iat: NOW + 31 }, {}, /^iat lies 31 s in the future, and Anthropic allows 30 s$/],
    ['google', { iat: NOW + 1, nbf: NOW }, {}, /^iat lies 1 s in the future, and Google Cloud allows 0 s$/],
    ['anthropic', { exp: NOW + 3591 }, {}, /^the token lives 3601 s, and Anthropic takes at most 3600 s/],
    ['google', { sub: 'a'.repeat(128) }, {}, /^the subject has 128 bytes, and Google Cloud takes 127$/],
    ['anthropic', { pad: 'x'.repeat(16_384) }, {}, /^the token has \d+ bytes, and Anthropic takes 16384$/],
    ['aws', { azp: 'vouch-cli' }, {}, /^the token has azp "vouch-cli": AWS compares that with the client IDs, and not aud/],
    ['azure', { aud: ['a', 'b'] }, {}, /^aud is a list of 2/],
    ['kubernetes', { email_verified: false }, {}, /^email_verified is false/],
  ])('for %s with %j %j', (target, claims, header, sentence) => {
    expect(examine(target, claims, header)?.sentence).toMatch(sentence);
  });

  it.each([['anthropic', { exp: NOW - 29 }], ['aws', { exp: NOW - 299 }], ['anthropic', { exp: NOW + 3590 }], ['google', { sub: 'a'.repeat(127) }], ['anthropic', { aud: ['one'] }]])('for %s with %j is still fine', (target, claims) => {
    expect(examine(target, claims)).toBeUndefined();
  });

  it('that is no JWT says so', () => {
    expect(examineToken({ token: 'sk-ant-oat01-x', target: findTarget('anthropic')!, now: 0, kids: undefined })?.sentence).toMatch(/^this is no JWT/);
  });
});

describe('a rule', () => {
  const claim = (name: string, expected: string): Partial<Rule> => ({ audiences: [ISSUER], claims: [{ name, expected, operator: 'equals' }] });
  const whole = (rule: Partial<Rule>): Partial<Rule> => ({ isWhole: true, ...rule });

  it.each<[string, Partial<Rule>]>([
    ['anthropic', { issuer: ISSUER, audiences: [ISSUER], subject: 'dev@example.com' }],
    ['anthropic', { audiences: [ISSUER], subject: 'dev@*' }],
    ['anthropic', claim('hd', 'example.com')],
    ['openai', { issuer: `${ISSUER}/`, audiences: [ISSUER], claims: [{ name: 'email_verified', expected: 'true', operator: 'equals' }] }],
    ['aws', { issuer: ISSUER, audiences: [ISSUER], claims: [{ name: 'sub', expected: '*@example.com', operator: 'like' }] }],
    ['vault', whole({ audiences: ['other', ISSUER] })],
    ['openai', { uploadedKids: ['k0', 'k1'] }],
    ['custom', {}],
  ])('of %s that matches: %j', (target, rule) => {
    expect(evaluate(target, rule)).toBeUndefined();
  });

  it.each<[string, Partial<Rule>, RegExp, RegExp?]>([
    ['anthropic', { isArchived: true }, /^the rule is archived/],
    ['anthropic', { issuer: `${ISSUER}/` }, /^the rule expects the issuer "https:\/\/vouch\.example\.com\/", .* byte 26 on: "\/" 0x2f is expected, the end is there \(a slash at the end\)$/],
    ['anthropic', { issuer: 'https://Vouch.example.com' }, /from byte 9 on: "V" 0x56 is expected, "v" 0x76 is there \(capital and small letters\)$/],
    ['anthropic', whole({ subject: 'dev@example.com' }), /^the rule names no audience, so Anthropic expects "https:\/\/api\.anthropic\.com"/, /set Expected audience to https:\/\/vouch\.example\.com/],
    ['anthropic', whole({ condition: 'claims.hd == "example.com"' }), /^in CEL mode the audience field is hidden, so Anthropic expects/, /vouch setup anthropic --audience https:\/\/api\.anthropic\.com/],
    ['anthropic', { audiences: ['https://api.anthropic.com'] }, /^the rule expects the audience "https:\/\/api\.anthropic\.com"/, /vouch setup anthropic --audience https:\/\/api\.anthropic\.com/],
    ['anthropic', { audiences: [ISSUER], subject: '*@example.com' }, /only a \* at the end stands for anything, so this is not "ends with"$/, /leave the subject out and demand the claim hd = example\.com/],
    ['anthropic', { audiences: [ISSUER], subject: 'Dev@example.com' }, /byte 1 on: "D" 0x44 is expected, "d" 0x64 is there/],
    ['openrouter', { audiences: [ISSUER], subject: 'dev@*' }, /^the rule expects the subject "dev@\*"/],
    ['anthropic', claim('email_verified', 'true'), /^the claim email_verified is the boolean true, and Anthropic compares claims as texts/, /use CEL expression mode \(claims\.email_verified == true\)/],
    ['openai', claim('groups', 'a'), /^the claim groups is a list or an object/],
    ['anthropic', claim('hd', 'example.org'), /^the rule expects the claim hd "example\.org", .* byte 9 on/],
    ['anthropic', claim('department', 'x'), /^the rule demands the claim department = "x", and the token has no department$/],
    ['anthropic', claim('toString', 'x'), /has no toString$/],
    ['anthropic', { audiences: [ISSUER], mostSeconds: 300 }, /^the token lives 600 s, and Anthropic takes at most 300 s/],
    ['vault', whole({}), /and the role binds none: Vault refuses that$/],
    ['openai', { uploadedKids: ['k0', 'old'] }, /^the token is signed with the key "k1", and the JWKS uploaded at OpenAI holds "k0", "old": uploaded keys do not follow the issuer's rotations$/, /choose discovery .*\nor upload https:\/\/vouch\.example\.com\/oauth\/jwks anew/],
    ['anthropic', { uploadedKids: [] }, /uploaded at Anthropic holds no key: /],
    ['aws', { audiences: ['sts.amazonaws.com'] }, /^the rule expects the audience "sts\.amazonaws\.com"/],
    ['aws', { audiences: [ISSUER], claims: [{ name: 'sub', expected: 'ops-?@example.com', operator: 'like' }] }, /^the rule expects the claim sub/],
  ])('of %s that does not: %j', (...[target, rule, sentence, hint]) => {
    const cause = evaluate(target, rule);
    expect(cause?.sentence).toMatch(sentence);
    if (hint !== undefined) expect(cause?.hints.join('\n')).toMatch(hint);
  });
});

describe('the JSON of a rule', () => {
  it.each<[string, unknown, Partial<Rule>]>([
    ['Anthropic', { id: 'fdrl_1', match: { subject_prefix: 'dev@*', audience: ISSUER, claims: { hd: 'example.com' }, condition: 'true' }, archived_at: null }, {
      subject: 'dev@*', audiences: [ISSUER], claims: [{ name: 'hd', expected: 'example.com', operator: 'equals' }], condition: 'true', isArchived: false, isWhole: true,
    }],
    ['Anthropic, archived', { match: { claims: { hd: 'x' } }, archived_at: '2026-01-01T00:00:00Z' }, { isArchived: true }],
    ['Google', { oidc: { issuerUri: ISSUER, allowedAudiences: ['a', 'b'] }, attributeCondition: 'x' }, { issuer: ISSUER, audiences: ['a', 'b'], condition: 'x' }],
    ['Entra', { issuer: ISSUER, subject: 's', audiences: ['api://AzureADTokenExchange'] }, { issuer: ISSUER, subject: 's', audiences: ['api://AzureADTokenExchange'] }],
    ['Vault', { bound_audiences: ['v'], bound_subject: 's', bound_claims: { hd: 'example.com' } }, { audiences: ['v'], subject: 's', claims: [{ name: 'hd', expected: 'example.com', operator: 'equals' }] }],
    ['Kubernetes', { issuer: { url: ISSUER, audiences: ['k'] }, claimValidationRules: [{ claim: 'hd', requiredValue: 'example.com' }] }, { issuer: ISSUER, audiences: ['k'], claims: [{ name: 'hd', expected: 'example.com', operator: 'equals' }] }],
    ['AWS', { Statement: [{ Effect: 'Allow', Principal: { Federated: 'arn:aws:iam::1:oidc-provider/vouch.example.com' }, Action: 'sts:AssumeRoleWithWebIdentity', Condition: { StringEquals: { 'vouch.example.com:aud': 'sts' }, StringLike: { 'vouch.example.com:sub': '*@example.com' } } }] }, {
      issuer: ISSUER, audiences: ['sts'], claims: [{ name: 'sub', expected: '*@example.com', operator: 'like' }],
    }],
    ['OpenAI, with keys', { issuer: ISSUER, audience: ISSUER, jwks: { keys: [{ kid: 'k0' }, {}] } }, { issuer: ISSUER, uploadedKids: ['k0', ''] }],
    ['Google, with keys', { oidc: { issuerUri: ISSUER, jwksJson: '{"keys":[{"kid":"k0"}]}' } }, { uploadedKids: ['k0'] }],
    ['Anthropic, which fetches the keys', { issuer_url: ISSUER, jwks: { type: 'discovery' } }, { uploadedKids: undefined }],
    ['Anthropic, with keys', { issuer_url: ISSUER, jwks: { type: 'inline', keys: [{ kid: 'k0' }] } }, { uploadedKids: ['k0'] }],
  ])('of %s is read', (_name, json, rule) => {
    expect(readRule(JSON.stringify(json))).toMatchObject(rule);
  });

  it.each([
    ['nonsense', 'it is not valid JSON'], ['[]', 'the file is not an object'], ['{"match":{"audience":7}}', '"audience" holds something that is not a text'],
    ['{"match":{"claims":{"a":["b"]}}}', '"claims.a" is not a plain value'],
    ['{"jwks":{"keys":7}}', '"jwks.keys" is not a list'], ['{"jwks":"nonsense"}', 'it is not valid JSON'],
    ['{"Statement":[{"Action":"sts:AssumeRole"}]}', 'no statement allows sts:AssumeRoleWithWebIdentity'],
    ['{"Statement":{"Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"arn:aws:iam::1:oidc-provider/a.example"},"Condition":{"StringEquals":{"b.example:aud":"x"}}}}', 'the condition key b.example:aud does not begin with a.example:, so it is never present'],
  ])('%s is refused', (text, fault) => {
    expect(() => readRule(text)).toThrow(fault);
  });
});

describe('uploaded keys', () => {
  it.each<[readonly string[] | undefined, readonly string[], string | undefined]>([
    [undefined, ['k1'], undefined],
    [['k1', 'k2'], ['k1', 'k2'], "uploaded keys do not follow the issuer's rotations: choose discovery"],
    [['k1'], ['k1', 'k2'], "uploaded keys do not follow the issuer's rotations: choose discovery; the uploaded JWKS lacks \"k2\", which the issuer serves and will sign with"],
    [['k0', 'k1'], ['k1', 'k2'], "uploaded keys do not follow the issuer's rotations: choose discovery; the uploaded JWKS lacks \"k2\", which the issuer serves and will sign with, and still trusts \"k0\", which the issuer no longer serves"],
  ])('%j against %j that are served', (uploadedKids, served, sentence) => {
    expect(compareUploadedKeys({ ...EMPTY_RULE, uploadedKids }, served)).toBe(sentence);
  });
});

describe('small things', () => {
  it.each([
    ['abc', 'abc', undefined], ['a ', 'a', /byte 2 on: 0x20 is expected, the end is there \(white space at an end\)/], ['https://a', 'http://a', /\(http and https\)/],
    ['https://a:443', 'https://a', /\(a port\)/], ['https://a', 'a', /\(the scheme is missing\)/], ['\u212Aey', 'Key', /\(c/], ['é', 'e\u0301', /\(characters that look alike\)/], ['abc', 'abd', /^they differ from byte 3 on: "c" 0x63 is expected, "d" 0x64 is there$/],
  ])('the difference of %j and %j', (expected, found, sentence) => {
    const difference = describeDifference(expected, found);
    if (sentence === undefined) expect(difference).toBeUndefined();
    else expect(difference).toMatch(sentence);
  });

  it.each(['10.1.2.3', '172.31.0.1', '192.168.1.1', '127.0.0.1', '169.254.169.254', '100.64.0.1', '::1', 'fd00::1', 'fe80::1', '::ffff:10.0.0.1', 'nonsense'])('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
  it.each(['8.8.8.8', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
  it.each([['http://localhost:3000', /this machine only/], ['https://vouch.example.com:8443', /has a port/], ['https://10.0.0.1', /is an IP address/], ['https://vouch', /without a dot/], ['https://vouch.example.com', undefined]])('the address %s', (issuer, fault) => {
    if (fault === undefined) expect(findAddressFault(issuer)).toBeUndefined();
    else expect(findAddressFault(issuer)).toMatch(fault);
  });
});
