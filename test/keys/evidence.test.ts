import { describe, expect, test } from '@jest/globals';
import { checkGate, isKnown, isLive, type Evidence, type Gate, type InstanceEvidence, type VerifierEvidence } from '../../server/keys/evidence.ts';
import type { KeyPolicy } from '../../server/keys/policy.ts';
import type { KeyRecord } from '../../server/storage/storage.ts';

const POLICY: KeyPolicy = {
  rings: ['RS256'], rotationSeconds: 10_000, leadSeconds: 1_200, retentionSeconds: 5_000, verifierWaitSeconds: 600, verifierWindowSeconds: 4_000,
  staleSeconds: 300, jwksMaxAgeSeconds: 300, longestTokenSeconds: 3_600,
};
const at = (seconds: number) => new Date(Date.UTC(2030, 0, 1) + seconds * 1000);
const STANDBY: KeyRecord = {
  kid: 'standby', ring: 'RS256', state: 'pending', publicJwk: { kty: 'RSA', use: 'sig', alg: 'RS256', kid: 'standby', n: '', e: '' }, sealed: Buffer.of(1), proof: undefined,
  createdAt: at(0), publishedVersion: 7n, requestedAt: undefined, activatedAt: undefined, retiringAt: undefined, endedAt: undefined,
};
const NOW = 1_200;
const instance = (change: Partial<InstanceEvidence>): InstanceEvidence => ({ id: 'one', servedVersion: 7n, rings: ['RS256'], seenAt: at(NOW - 5), ...change });
const verifier = (change: Partial<VerifierEvidence>): VerifierEvidence => ({ id: 'Go-http-client', lastFetchAt: at(NOW - 60), lastVersion: 7n, fetches: 2, ...change });

interface Row {
  readonly now?: number;
  readonly instances?: Evidence['instances'];
  readonly verifiers?: Evidence['verifiers'];
  readonly gate: Partial<Gate>;
}

const OPEN: Partial<Gate> = { isOpen: true, lateInstances: [], lateVerifiers: [], isForced: false };
const LATE = verifier({ lastVersion: 6n });

describe('the gate', () => {
  const rows: Readonly<Record<string, Row>> = {
    'opens when the lead is over and everybody has the key': { gate: { ...OPEN, leadEndsAt: at(1_200) } },
    'opens when nobody is there': { instances: [], verifiers: [], gate: OPEN },
    'is closed a millisecond before the lead is over': { now: NOW - 0.001, gate: { isOpen: false, lateInstances: [], lateVerifiers: [], isForced: false } },
    'is closed while a live instance serves an older set': { instances: [instance({}), instance({ id: 'two', servedVersion: 6n })], gate: { isOpen: false, lateInstances: ['two'], lateVerifiers: [] } },
    'is closed by a late instance for as long as it lives': { now: 9_000, instances: [instance({ servedVersion: 6n, seenAt: at(8_999) })], verifiers: [], gate: { isOpen: false, lateInstances: ['one'] } },
    'waits for a silent instance as long as it may sign': { instances: [instance({ servedVersion: 6n, seenAt: at(NOW - 300) })], gate: { isOpen: false, lateInstances: ['one'] } },
    'does not wait for an instance that may not sign any more': { instances: [instance({ servedVersion: 6n, seenAt: at(NOW - 301) })], gate: OPEN },
    'takes an instance that serves a newer set': { instances: [instance({ servedVersion: 8n })], gate: OPEN },
    'is closed while a known verifier has an older set': { verifiers: [verifier({ id: 'other' }), LATE], gate: { isOpen: false, lateInstances: [], lateVerifiers: ['Go-http-client'], isForced: false } },
    'does not wait for somebody who looked once': { verifiers: [{ ...LATE, fetches: 1 }], gate: OPEN },
    'does not wait for a verifier that has not come for a whole window': { verifiers: [{ ...LATE, lastFetchAt: at(NOW - 4_000) }], gate: OPEN },
    'waits for a verifier that came within the window': { verifiers: [{ ...LATE, lastFetchAt: at(NOW - 3_999) }], gate: { isOpen: false, lateVerifiers: ['Go-http-client'] } },
    'is closed just before the wait for a verifier is over': { now: 1_799, verifiers: [{ ...LATE, lastFetchAt: at(1_700) }], instances: [], gate: { isOpen: false, lateVerifiers: ['Go-http-client'], isForced: false } },
    'is forced when the wait for a verifier is over': { now: 1_800, verifiers: [{ ...LATE, lastFetchAt: at(1_700) }], instances: [], gate: { isOpen: true, lateVerifiers: ['Go-http-client'], isForced: true } },
    'is not forced when everybody has the key by then': { now: 1_800, verifiers: [verifier({ lastFetchAt: at(1_700) })], instances: [], gate: OPEN },
    'is never forced past an instance': { now: 1_800, verifiers: [{ ...LATE, lastFetchAt: at(1_700) }], instances: [instance({ servedVersion: 6n, seenAt: at(1_799) })], gate: { isOpen: false, isForced: false, lateInstances: ['one'] } },
  };
  test.each(Object.entries(rows))('%s', (_, { now = NOW, instances = [instance({})], verifiers = [verifier({})], gate }) => {
    expect(checkGate(STANDBY, { instances, verifiers }, at(now), POLICY)).toMatchObject(gate);
  });
});

test.each([[0, true], [300, true], [300.999, true], [301, false]])('an instance that was seen %d s ago lives: %s', (age, lives) => {
  expect(isLive(at(0), at(age), POLICY)).toBe(lives);
});

test.each([[1, 0, false], [2, 0, true], [2, 3_999, true], [2, 4_000, false], [1_000, 4_000, false]])('a verifier of %d fetches, the last %d s ago, is known: %s', (fetches, age, known) => {
  expect(isKnown(verifier({ fetches, lastFetchAt: at(0) }), at(age), POLICY)).toBe(known);
});
