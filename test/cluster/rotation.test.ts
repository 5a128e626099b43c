import { writeSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runWorld, sum, summarize, type Report } from './world.ts';

/*
 * Keys rotate as fast as the policy allows while tokens are minted and everything that can break is broken. A rotation
 * takes five seconds: with the shortest token that there is, ten keys are full at three retiring ones a ring. So more
 * rotations in the same time are more clusters side by side.
 */
const ROTATIONS = 200;
const CLUSTERS = 3;
/** A limit and no measure: three clusters need some 180 s, and a busy machine longer. */
const MOST_SECONDS = 420;
const WORKERS = 3;
const PAUSE_MS = 400;

let reports: readonly Report[] = [];

beforeAll(async () => {
  const worlds = Array.from({ length: CLUSTERS }, (_, index) => runWorld({ seconds: MOST_SECONDS, rotations: Math.ceil(ROTATIONS / CLUSTERS), workers: WORKERS, pauseMs: PAUSE_MS, tell: tellOf(index) }));
  reports = await Promise.all(worlds);
}, (MOST_SECONDS + 180) * 1000);

afterAll(() => {
  if (reports.length > 0) writeSync(2, `rotation: ${summarize(reports)}\n`);
});

function tellOf(index: number): (line: string) => void {
  return process.env.VOUCH_TEST_VERBOSE === undefined ? () => undefined : (line) => { writeSync(2, `cluster ${index}, ${line}\n`); };
}

test('every token verifies everywhere, at once, near its end, and late', () => {
  expect(reports.flatMap(({ verificationFailures }) => verificationFailures)).toEqual([]);
  for (const { tokens, verifications } of reports) expect(verifications).toBe(tokens * 4 * 3);
  expect(reports.reduce((all, { tokens }) => all + tokens, 0)).toBeGreaterThan(ROTATIONS);
});

test('discovery and the JWKS answer 200 through everything, with a good set of at most ten keys', () => {
  expect(reports.flatMap(({ published }) => published.faults)).toEqual([]);
  for (const { published, seconds } of reports) expect(published.answers).toBeGreaterThan(seconds);
});

test('an exchange fails only with 503, or with its connection, while what it needs was broken on purpose', () => {
  expect(reports.flatMap(({ unexpected }) => unexpected)).toEqual([]);
});

test('both rings rotated all the time', () => {
  for (const { rotations } of reports) for (const ring of ['RS256', 'ES256']) expect(rotations[ring]).toBeGreaterThan(ROTATIONS / CLUSTERS / 4);
  expect(reports.reduce((all, { rotations }) => all + sum(rotations), 0)).toBeGreaterThanOrEqual(ROTATIONS);
});

test('either algorithm signed its half of the tokens, with key after key', () => {
  for (const { tokens, signed } of reports) {
    expect(Object.keys(signed).sort()).toEqual(['ES256', 'RS256']);
    for (const alg of ['RS256', 'ES256']) {
      expect(signed[alg]!.tokens).toBeGreaterThan(tokens / 3);
      expect(signed[alg]!.keys).toBeGreaterThan(ROTATIONS / CLUSTERS / 4);
    }
  }
});

test('everything was broken at least once', () => {
  for (const { disturbed } of reports) for (const count of Object.values(disturbed)) expect(count).toBeGreaterThan(0);
});
