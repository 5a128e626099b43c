import { expect, test } from '@jest/globals';
import { findPolicyFaults, type KeyPolicy } from '../../server/keys/policy.ts';

const DEFAULTS: KeyPolicy = {
  rings: ['RS256', 'ES256'], rotationSeconds: 2_592_000, leadSeconds: 86_400, retentionSeconds: 86_400, verifierWaitSeconds: 86_400,
  verifierWindowSeconds: 604_800, staleSeconds: 300, jwksMaxAgeSeconds: 300, longestTokenSeconds: 3_600,
};

/** The smallest that goes into production with each default else. */
const TIGHTEST: Partial<KeyPolicy> = { leadSeconds: 1_200, retentionSeconds: 4_500, rotationSeconds: 1_501 };

test('the defaults, and the tightest values, are without fault', () => {
  expect(findPolicyFaults(DEFAULTS, { isProduction: true })).toEqual([]);
  expect(findPolicyFaults({ ...DEFAULTS, ...TIGHTEST }, { isProduction: true })).toEqual([]);
});

/** Each breaks one rule and no other: what is changed, the variable that is named, and every value that the words must hold. */
const BROKEN: readonly (readonly [string, Partial<KeyPolicy>, string, readonly (string | number)[]])[] = [
  ['a lead that providers find too short', { leadSeconds: 1_199 }, 'VOUCH_KEY_LEAD_SECONDS', [1_199, 1_200]],
  ['a lead of less than two lives of a cache', { leadSeconds: 1_999, jwksMaxAgeSeconds: 1_000, staleSeconds: 300 }, 'VOUCH_KEY_LEAD_SECONDS', [1_999, 'VOUCH_KEY_JWKS_MAX_AGE_SECONDS', 1_000]],
  ['a lead within which a verifier may ask an instance that is out of touch', { leadSeconds: 1_599, staleSeconds: 1_000 }, 'VOUCH_KEY_LEAD_SECONDS', [1_599, 'VOUCH_KEY_STALE_SECONDS', 1_000, 'VOUCH_KEY_JWKS_MAX_AGE_SECONDS', 300]],
  ['a retention of less than a token, an instance out of touch, clocks and a cache', { retentionSeconds: 4_499 }, 'VOUCH_KEY_RETENTION_SECONDS', [4_499, 4_500, 3_600, 'VOUCH_KEY_STALE_SECONDS', 300, 'VOUCH_KEY_JWKS_MAX_AGE_SECONDS']],
  ['a rotation before the standby may sign', { rotationSeconds: 86_400 }, 'VOUCH_KEY_ROTATION_SECONDS', [86_400, 'VOUCH_KEY_LEAD_SECONDS', 'is 86400:']],
  ['a window in which nobody can be late', { verifierWindowSeconds: 86_400 }, 'VOUCH_KEY_VERIFIER_WINDOW_SECONDS', ['is 86400,', 'VOUCH_KEY_LEAD_SECONDS', 'is 86400:']],
  ['more keys than providers take', { rotationSeconds: 90_000, retentionSeconds: 270_001 }, 'VOUCH_KEY_ROTATION_SECONDS', [90_000, 'VOUCH_KEY_RETENTION_SECONDS', 270_001, '12 keys', 'and 10 is']],
  ['no ring of the algorithm that every provider takes', { rings: ['ES256'] }, 'VOUCH_KEY_ALGORITHMS', ['is "ES256"', 'RS256']],
];

test.each(BROKEN)('%s is refused, with both values', (_, change, variable, words) => {
  const faults = findPolicyFaults({ ...DEFAULTS, ...change }, { isProduction: true });
  expect(faults).toEqual([{ variable, message: expect.any(String) }]);
  for (const word of words) expect(faults[0]!.message).toContain(String(word));
});

test.each<readonly [string, Partial<KeyPolicy>]>([
  ['two lives of a cache', { leadSeconds: 2_000, jwksMaxAgeSeconds: 1_000 }],
  ['the stale limit, a cache and clocks', { leadSeconds: 1_600, staleSeconds: 1_000 }],
  ['one second more than the lead, as a rotation', { rotationSeconds: 86_401 }],
  ['ten keys', { rotationSeconds: 90_000, retentionSeconds: 270_000 }],
])('a value that just keeps its rule is taken: %s', (_, change) => {
  expect(findPolicyFaults({ ...DEFAULTS, ...change }, { isProduction: true })).toEqual([]);
});

test('all faults are named at once', () => {
  const faults = findPolicyFaults({ ...DEFAULTS, leadSeconds: 10, retentionSeconds: 10, rotationSeconds: 10, rings: [] }, { isProduction: true });
  expect(faults.map(({ variable }) => variable)).toEqual([
    'VOUCH_KEY_LEAD_SECONDS', 'VOUCH_KEY_LEAD_SECONDS', 'VOUCH_KEY_LEAD_SECONDS', 'VOUCH_KEY_RETENTION_SECONDS', 'VOUCH_KEY_ROTATION_SECONDS', 'VOUCH_KEY_ALGORITHMS',
  ]);
});

test('away from production a whole life may take seconds, and what contradicts itself is refused all the same', () => {
  const fast = { ...DEFAULTS, rotationSeconds: 20, leadSeconds: 4, retentionSeconds: 14, staleSeconds: 2, jwksMaxAgeSeconds: 2, longestTokenSeconds: 5 };
  expect(findPolicyFaults(fast, { isProduction: false })).toEqual([]);
  expect(findPolicyFaults(fast, { isProduction: true })).not.toEqual([]);
  expect(findPolicyFaults({ ...fast, retentionSeconds: 13 }, { isProduction: false })).toEqual([{ variable: 'VOUCH_KEY_RETENTION_SECONDS', message: expect.stringMatching(/^is 13, less than 14: the longest token \(5\).* \(2\), clocks \(5\) and .* \(2\)/) }]);
  expect(findPolicyFaults({ ...fast, staleSeconds: 5, retentionSeconds: 17 }, { isProduction: false })).toEqual([{ variable: 'VOUCH_KEY_LEAD_SECONDS', message: expect.stringContaining('is 4, less than VOUCH_KEY_STALE_SECONDS (5)') }]);
});
