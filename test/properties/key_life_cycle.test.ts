// Random histories of a whole cluster, and after every step what DESIGN.md 5 promises of the signing keys. The policy is
// random too: any that `findPolicyFaults` lets into production has to keep every promise.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkGate, plusSeconds } from '../../server/keys/evidence.ts';
import { findWantedRings, isAnyRingNeeded, plan } from '../../server/keys/plan.ts';
import { findPolicyFaults, MOST_KEYS, type KeyPolicy } from '../../server/keys/policy.ts';
import { STATES } from '../../server/keys/state.ts';
import type { SigningAlgorithm } from '../../server/oauth2/vocabulary.ts';
import type { KeyRecord } from '../../server/storage/storage.ts';
import { createCluster, RINGS, signersOf, type Cluster, type Commit, type Instance, type Token } from './cluster_model.ts';

/** A long soak: `PROPERTY_RUNS=20000`. `PROPERTY_SEED` repeats a run. */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 1_500);
const SEED = process.env.PROPERTY_SEED === undefined ? {} : { seed: Number(process.env.PROPERTY_SEED) };

/** Together less than the clocks that the policy allows for: the database's moves by up to 180 s, an instance's lies 60 s off. */
const DATABASE_JUMPS = [-90, -45, 0, 45, 90];
const INSTANCE_JUMPS = [-60, 0, 60];

const policies = fc
  .record({ stale: fc.integer({ min: 5, max: 900 }), maxAge: fc.integer({ min: 1, max: 600 }), longest: fc.integer({ min: 60, max: 3_600 }), extraLead: fc.nat(600), extraRetention: fc.nat(9_000), extraRotation: fc.integer({ min: 1, max: 9_000 }), wait: fc.nat(3_000), extraWindow: fc.integer({ min: 1, max: 9_000 }), rings: fc.constantFrom<readonly SigningAlgorithm[]>([RINGS[0]], RINGS) })
  .map(({ stale, maxAge, longest, extraLead, extraRetention, extraRotation, wait, extraWindow, rings }): KeyPolicy => {
    const leadSeconds = Math.max(1_200, 2 * maxAge, stale + 300) + extraLead;
    const retentionSeconds = longest + stale + 300 + maxAge + extraRetention;
    return { rings, leadSeconds, retentionSeconds, rotationSeconds: Math.max(leadSeconds, Math.ceil(retentionSeconds / 3)) + extraRotation, verifierWaitSeconds: wait, verifierWindowSeconds: leadSeconds + extraWindow, staleSeconds: stale, jwksMaxAgeSeconds: maxAge, longestTokenSeconds: longest };
  })
  // Both rings may come to be configured.
  .filter((policy) => findPolicyFaults({ ...policy, rings: ['RS256', 'ES256'] }, { isProduction: true }).length === 0);

type Span = 'leadSeconds' | 'rotationSeconds' | 'retentionSeconds' | 'staleSeconds' | 'verifierWaitSeconds' | 'longestTokenSeconds';

/** One step: which one, and numbers that it makes of what it needs. */
interface Step {
  readonly name: keyof typeof STEPS;
  readonly a: number;
  readonly b: number;
}

const SPANS: readonly Span[] = ['leadSeconds', 'rotationSeconds', 'retentionSeconds', 'staleSeconds', 'verifierWaitSeconds', 'longestTokenSeconds'];
const pick = <T>(from: readonly T[], number: number): T | undefined => from[number % from.length];
const spanOf = ({ policy }: Cluster, a: number, b: number) => Math.max(1, policy[pick(SPANS, a) ?? 'staleSeconds'] + (b % 5) - 2);

type Act = (cluster: Cluster, one: Instance, a: number, b: number) => unknown;
const ringOf = (number: number) => pick(RINGS, number) ?? RINGS[0];

/** How often, and what. Where nobody is left, whatever is next is a `join`. */
const STEPS = {
  calm: [10, (cluster, _, a, b) => cluster.advance(spanOf(cluster, a, b), { isCalm: true })],
  moment: [6, (cluster, _, a) => cluster.advance(1 + (a % 20), { isCalm: true })],
  silence: [4, (cluster, _, a, b) => cluster.advance(spanOf(cluster, a, b), { isCalm: false })],
  tick: [14, (cluster, one) => cluster.tick(one)],
  twoTicks: [3, (cluster, one, a) => cluster.tickTogether(one, pick(cluster.instances, a) ?? one)],
  crash: [3, (cluster, one, a) => cluster.crashingTick(one, a % 6)],
  interruptedTick: [2, (cluster, one, a, b) => cluster.interruptedTick(one, spanOf(cluster, a, b))],
  poll: [6, (cluster, one) => cluster.poll(one)],
  pause: [2, (_, one) => (one.isPaused = true)],
  resume: [3, (cluster) => { for (const instance of cluster.instances) instance.isPaused = false; }],
  goBlind: [2, (_, one) => (one.isBlind = true)],
  seeAgain: [2, (cluster) => { for (const instance of cluster.instances) instance.isBlind = false; }],
  join: [3, (cluster) => (cluster.instances.length < 4 ? cluster.join() : undefined)],
  die: [1, (cluster, one) => cluster.end(one, { says: false })],
  leave: [1, (cluster, one) => cluster.end(one, { says: true })],
  databaseClock: [2, (cluster, _, a) => { cluster.setDatabaseClock(pick(DATABASE_JUMPS, a) ?? 0); }],
  instanceClock: [2, (_, one, a) => (one.clockOffset = pick(INSTANCE_JUMPS, a) ?? 0)],
  revoke: [3, (cluster, one, a) => cluster.revoke(one, pick(cluster.set.records, a)?.kid ?? '')],
  revokeSigner: [2, (cluster, one, a) => cluster.revoke(one, pick(signersOf(cluster.set), a)?.kid ?? '')],
  rotate: [6, (cluster, one, a) => cluster.rotate(one, ringOf(a))],
  rotateWhenOpen: [4, async (cluster, one) => {
    await cluster.advance(cluster.policy.leadSeconds + 1, { isCalm: true });
    for (const ring of RINGS) await cluster.rotate(one, ring);
  }],
  cancel: [1, (cluster, one, a) => cluster.cancel(one, ringOf(a))],
  configure: [2, (cluster, _, a) => { cluster.configure(pick([[RINGS[0]], RINGS, [RINGS[1]]], a) ?? RINGS); }],
  fetch: [8, (cluster, one, a) => { const verifier = pick(cluster.verifiers, a); return verifier === undefined ? undefined : cluster.fetch(verifier, one); }],
  mint: [10, (cluster, one, a, b) => { cluster.mint(one, ringOf(b), a % 3 === 0 ? 1 : cluster.policy.longestTokenSeconds); }],
  everybodyMints: [6, (cluster) => { for (const instance of cluster.instances) for (const ring of RINGS) cluster.mint(instance, ring, cluster.policy.longestTokenSeconds); }],
  beginRequest: [2, (cluster, one) => { cluster.beginRequest(one); }],
  endRequest: [3, (cluster, one, a) => { cluster.endRequest(one, ringOf(a), cluster.policy.longestTokenSeconds); }],
} as const satisfies Record<string, readonly [number, Act]>;

const histories = fc.array(
  fc.oneof(...Object.entries(STEPS).map(([name, [weight]]) => ({ weight, arbitrary: fc.record<Step>({ name: fc.constant(name as Step['name']), a: fc.nat(999), b: fc.nat(999) }) }))),
  { maxLength: 90, size: 'max' },
);

test('whatever happens to a cluster, its signing keys keep what is promised of them', async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(policies, fc.integer({ min: 1, max: 4 }), histories, async (policy, count, history) => {
      const cluster = createCluster(policy);
      for (let index = 0; index < count; index += 1) await cluster.join();
      const watch = createWatch(cluster, seen);
      await watch();
      for (const [index, { name, a, b }] of history.entries()) {
        const one = pick(cluster.instances, a + index);
        const act: Act = STEPS[name][1];
        await (one === undefined ? cluster.join() : act(cluster, one, a, b));
        await watch();
      }
    }),
    { endOnFailure: true, numRuns: RUNS, ...SEED },
  );
  // The histories are worth something only if they get this far.
  const rare = WORTH_SEEING.filter((what) => (seen.get(what) ?? 0) < RUNS / 100);
  expect({ rare, seen }).toMatchObject({ rare: [] });
}, 300_000);

const WORTH_SEEING = ['first keys', 'activated', 'forced', 'emergency', 'retired', 'revoked', 'dropped', 'token', 'token of a held snapshot', 'full'];

/** Checks what happened since it was last asked. Each promise by its name. */
function createWatch(cluster: Cluster, seen: Map<string, number>) {
  const ghosts: Ghosts = { unserved: new Set(), begun: new Set(), emergencies: new Set(), movedAt: new Map(), ended: new Set() };
  let [commitsSeen, tokensSeen] = [0, 0];
  const note = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1);
  return async () => {
    keep('states move only along their table', cluster.illegalMoves.length === 0, cluster.illegalMoves.join());
    for (const commit of cluster.commits.slice(commitsSeen)) checkCommit(commit, cluster, ghosts, note);
    for (const token of cluster.tokens.slice(tokensSeen)) checkToken(token, cluster, ghosts, note);
    [commitsSeen, tokensSeen] = [cluster.commits.length, cluster.tokens.length];
    const { records } = cluster.set;
    const published = publishedOf(records).length;
    keep('the set is never empty and never beyond what providers take', published > 0 && published <= MOST_KEYS, `${published} keys`);
    if (published === MOST_KEYS) note('full');
    for (const ring of RINGS) keep('a ring never has two signers', records.filter((record) => record.ring === ring && record.state === 'active').length <= 1, ring);
    await Promise.resolve();
  };
}

/** What the watch remembers that no record holds. */
interface Ghosts {
  /** Rings that have signed since they were configured. */
  readonly begun: Set<SigningAlgorithm>;
  /** Rings whose signer was revoked and has no successor yet. */
  readonly emergencies: Set<SigningAlgorithm>;
  /** Keys that began to sign in an emergency: instances may not have them yet. */
  readonly unserved: Set<string>;
  /** In true time, when a key stopped being the signer. */
  readonly movedAt: Map<string, number>;
  /** Keys out of the set. */
  readonly ended: Set<string>;
}

function checkCommit(commit: Commit, cluster: Cluster, ghosts: Ghosts, note: (what: string) => void): void {
  const { before, after, at, trueAt, isChanged, policy, instances, verifiers } = commit;
  keep('the version grows by one with each change and else stays', after.version === before.version + (isChanged ? 1n : 0n), `${before.version} -> ${after.version}`);
  keep('a transaction that changes nothing says so', isChanged || JSON.stringify(describe(before.records)) === JSON.stringify(describe(after.records)), '');
  keep('planning again gives nothing', plan(after.records, { instances, verifiers }, at, policy).length === 0, JSON.stringify(plan(after.records, { instances, verifiers }, at, policy)));
  const stateBefore = new Map(before.records.map((record) => [record.kid, record]));
  const isFirst = before.records.length === 0;
  if (isFirst) note('first keys');
  const configured = findWantedRings(commit, commit.at, policy);
  const wanted = isAnyRingNeeded(after.records, configured) ? new Set(RINGS) : configured;
  for (const ring of RINGS) if (!wanted.has(ring)) for (const forgotten of [ghosts.begun, ghosts.emergencies]) forgotten.delete(ring);

  for (const record of after.records) {
    const { kid, ring, state } = record;
    const old = stateBefore.get(kid);
    if (old?.state === state) continue;
    if (old?.state === 'active') ghosts.movedAt.set(kid, trueAt);
    if (state === 'revoked' && old?.state === 'active') ghosts.emergencies.add(ring);
    // A ring that is drained in the very transaction in which its standby took over for a revoked key.
    if (state === 'retiring' && old?.state !== 'active') note('retired before it signed');
    if (STATES[state].isPublished) continue;
    ghosts.ended.add(kid);
    note(state === 'revoked' && old?.state === 'pending' ? 'dropped' : state);
    if (cluster.decided.has(kid)) continue;
    const living = cluster.tokens.find((token) => token.kid === kid && token.expiresAt > trueAt);
    keep('no key leaves the set while an unexpired token that it signed may live', living === undefined, `${kid} left at ${trueAt}, a token of ${living?.mintedAt ?? 0} lives until ${living?.expiresAt ?? 0}`);
  }
  for (const record of signersOf(after)) {
    if (stateBefore.get(record.kid)?.state !== 'active') checkActivation(record, commit, ghosts, isFirst, note);
    ghosts.begun.add(record.ring);
    ghosts.emergencies.delete(record.ring);
  }
  const left = after.records.find(({ ring, state }) => !wanted.has(ring) && (state === 'active' || state === 'pending'));
  keep('a ring that no instance wants any more, and that is not needed, signs no more', left === undefined, left?.kid ?? '');
  const isFull = publishedOf(after.records).length === MOST_KEYS;
  for (const ring of policy.rings) {
    const own = after.records.filter((record) => record.ring === ring);
    keep('a standby is always published', own.some(({ state }) => state === 'pending') || isFull, ring);
    keep('exactly one key of a ring that has begun signs', !ghosts.begun.has(ring) || own.some(({ state }) => state === 'active'), ring);
  }
}

/** A key begins to sign: in an emergency at once, else only when the three conditions of its gate hold. */
function checkActivation(key: KeyRecord, { before, after, at, policy, instances, verifiers }: Commit, ghosts: Ghosts, isFirst: boolean, note: (what: string) => void): void {
  if (isFirst) return;
  if (ghosts.emergencies.has(key.ring)) {
    note('emergency');
    ghosts.unserved.add(key.kid);
    return;
  }
  note('activated');
  keep('no key signs in the transaction that makes it', before.records.some(({ kid }) => kid === key.kid), key.kid);
  keep('no key signs before its lead is over', at >= plusSeconds(key.createdAt, policy.leadSeconds), key.kid);
  const isLate = ({ seenAt, servedVersion }: (typeof instances)[number]) => at <= plusSeconds(seenAt, policy.staleSeconds) && servedVersion < key.publishedVersion;
  keep('no key signs before every live instance serves it', !instances.some(isLate), `${key.kid} of version ${key.publishedVersion}, ${JSON.stringify(instances.filter(isLate).map(({ id }) => id))}`);
  const lateVerifiers = verifiers.filter(({ fetches, lastFetchAt, lastVersion }) => fetches >= 2 && at < plusSeconds(lastFetchAt, policy.verifierWindowSeconds) && lastVersion < key.publishedVersion);
  const isForced = at >= plusSeconds(key.createdAt, policy.leadSeconds + policy.verifierWaitSeconds);
  if (lateVerifiers.length > 0) note('forced');
  keep('no key signs before every known verifier has had the chance of it', lateVerifiers.length === 0 || isForced, key.kid);
  const replaced = before.records.some(({ ring, state }) => ring === key.ring && state === 'active');
  keep('a rotation waits until there is room for the next standby', !replaced || after.records.some(({ ring, state }) => ring === key.ring && state === 'pending'), key.kid);
  const gate = checkGate(key, { instances, verifiers }, at, policy);
  keep('what was forced is said to be', gate.isForced === lateVerifiers.length > 0, after.version.toString());
}

function checkToken(token: Token, cluster: Cluster, ghosts: Ghosts, note: (what: string) => void): void {
  const { kid, by, mintedAt, isOfHeldSnapshot } = token;
  note(isOfHeldSnapshot ? 'token of a held snapshot' : 'token');
  const known = by.snapshot.records.find((record) => record.kid === kid);
  keep('a revoked key never signs on an instance that has seen the revocation', known !== undefined && known.state !== 'revoked' && known.state !== 'retired', `${by.id} signed with ${kid}`);
  keep('no instance signs past the stale limit', mintedAt - by.readAt < cluster.policy.staleSeconds, `${by.id} was last in touch at ${by.readAt} and signed at ${mintedAt}`);
  // A request that was under way when its key began to retire ends with that key: its token counts from the arrival.
  const movedAt = ghosts.movedAt.get(kid) ?? Infinity;
  keep('no key signs once the stale limit has passed since it stopped', isOfHeldSnapshot || mintedAt < movedAt + cluster.policy.staleSeconds, `${kid} stopped at ${movedAt} and ${by.id} signed at ${mintedAt}`);
  keep('no token that is good is made whose key is out of the set for longer than the stale limit', !ghosts.ended.has(kid) || token.expiresAt <= mintedAt || mintedAt < movedAt + cluster.policy.staleSeconds, kid);
  // After a revocation a key signs that not everybody has, and whoever has not heard of it signs with one that others dropped.
  if (ghosts.unserved.has(kid) || ghosts.ended.has(kid)) return;
  const lacking = cluster.instances.find((other) => cluster.isFresh(other) && !other.snapshot.records.some((record) => record.kid === kid));
  keep('whoever may sign serves every key that signs', lacking === undefined, `${by.id} signed with ${kid}, and ${lacking?.id ?? ''} lacks it`);
  checkVerifiers(token, cluster);
}

/** Where the lead leaves time for an instance that is nearly stale and for a cache that is filled from it. */
function checkVerifiers({ kid, mintedAt }: Token, { verifiers, policy }: Cluster): void {
  if (policy.leadSeconds < policy.staleSeconds + policy.jwksMaxAgeSeconds + 300) return;
  const lacking = verifiers.find(({ kids, fetchedAt, isOfFreshInstance }) => isOfFreshInstance && mintedAt - fetchedAt <= policy.jwksMaxAgeSeconds && !kids.has(kid));
  keep('a verifier that honours max-age has the key of every token', lacking === undefined, `${lacking?.name ?? ''} fetched at ${lacking?.fetchedAt ?? 0} and lacks ${kid} at ${mintedAt}`);
}

function keep(promise: string, isKept: boolean, detail: string): void {
  if (!isKept) throw new Error(`broken: ${promise} (${detail})`);
}

function publishedOf(records: readonly KeyRecord[]): readonly KeyRecord[] {
  return records.filter(({ state }) => STATES[state].isPublished);
}

function describe(records: readonly KeyRecord[]) {
  return records.map(({ kid, state, requestedAt }) => [kid, state, requestedAt]);
}
