// vouch keys rotate and cancel: the standby takes over as soon as it may, or not.
import type { AdminApi } from '../admin_api.ts';
import { CliError } from '../errors.ts';
import { printReport } from '../output.ts';
import { formatDuration, formatInstant } from '../time.ts';
import { listPublished, readLiveTokens, readMoves, readOverview, type Key, type LiveTokens, type Move, type Overview, type Ring } from './answers.ts';
import { describeWaiting } from './list.ts';
import { countTokens, describeLiveTokens, presentLiveTokens } from './live_tokens.ts';
import { MANUAL_STEPS, renderManualSteps } from './manual_steps.ts';

export interface RotateOptions {
  readonly ring: string;
  readonly isPlan: boolean;
  readonly isJson: boolean;
}

/** Asks for a rotation, or with `isPlan` only says what that would do; prints the timeline. */
export async function rotateKeys(api: AdminApi, { ring: name, isPlan, isJson }: RotateOptions): Promise<void> {
  const overview = readOverview(await api.get('/keys'));
  const plan = planRotation(overview, name);
  const live = readLiveTokens(await api.get('/keys/live-tokens'));
  const moves = isPlan ? [] : readMoves(await api.post('/keys/rotate', { ring: name }));
  const outcome = { plan, overview, isPlan, moves, live, issuer: api.issuer };
  await printReport(isJson ? JSON.stringify(describeAsJson(outcome), null, 2) : describe(outcome));
}

/** Calls a rotation off that has not happened. */
export async function cancelRotation(api: AdminApi, { ring, isJson }: Omit<RotateOptions, 'isPlan'>): Promise<void> {
  await api.post('/keys/cancel', { ring });
  await printReport(isJson ? JSON.stringify({ ring, cancelled: true }, null, 2) : `The rotation of ${ring} is called off. Its standby goes on waiting for its day.`);
}

interface Plan {
  readonly ring: Ring;
  readonly standby: Key;
  readonly active: Key | undefined;
  readonly askedAt: number;
  /** The standby signs at this time at the earliest. */
  readonly activationAt: number;
  /** When verifiers that lack it are waited for no longer. */
  readonly forcedAt: number | undefined;
  readonly publishedUntil: number | undefined;
  readonly tokensUntil: number | undefined;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** All counted from the earliest activation; undefined where the issuer does not say its threshold. */
function planRotation(overview: Overview, name: string): Plan {
  const ring = overview.rings.find((candidate) => candidate.ring === name);
  const standby = ring?.keys.find(({ state }) => state === 'pending');
  if (ring === undefined || standby === undefined) {
    throw new CliError('refused', `the issuer has no ring ${name} with a standby`, { hints: ['see `vouch keys list`, and VOUCH_KEY_ALGORITHMS of the issuer'] });
  }
  const { retentionSeconds, longestTokenSeconds, verifierWaitSeconds } = overview.policy;
  const leadEndsAt = ring.next.leadEndsAt ?? overview.now;
  const activationAt = Math.max(overview.now, leadEndsAt);
  const after = (from: number, seconds: number | undefined): number | undefined => (seconds === undefined ? undefined : from + seconds * 1000);
  const active = ring.keys.find(({ state }) => state === 'active');
  const before = listPublished(overview.rings);
  return {
    ring, standby, active, activationAt, before,
    askedAt: overview.now,
    forcedAt: after(leadEndsAt, verifierWaitSeconds),
    publishedUntil: after(activationAt, retentionSeconds),
    tokensUntil: after(activationAt, longestTokenSeconds),
    after: orderAfter(before, standby, active),
  };
}

function orderAfter(before: readonly string[], standby: Key, active: Key | undefined): readonly string[] {
  const others = before.filter((kid) => kid !== standby.kid && kid !== active?.kid);
  return [standby.kid, ...others, ...(active === undefined ? [] : [active.kid])];
}

interface Outcome {
  readonly plan: Plan;
  readonly overview: Overview;
  readonly isPlan: boolean;
  readonly moves: readonly Move[];
  /** What the keys of every ring have signed and what has not expired. */
  readonly live: readonly LiveTokens[];
  readonly issuer: string;
}

const hasActivated = ({ moves, plan }: Outcome): boolean => moves.some(({ kind, kid }) => kind === 'activate' && kid === plan.standby.kid);

function describe(outcome: Outcome): string {
  const { plan, overview, isPlan, issuer } = outcome;
  return [
    `${isPlan ? 'A rotation' : 'The rotation'} of ${plan.ring.ring}${isPlan ? ' would go like this; nothing was changed.' : ' is asked for. Call it off with `vouch keys cancel` until it happens.'}`,
    describeTimeline(outcome),
    `JWKS before  ${plan.before.join(', ')}`,
    `JWKS after   ${plan.after.join(', ')}, and a new standby that is made then`,
    'Tokens still alive, by the key that signed them:',
    ...plan.before.map((kid) => `  ${kid}  ${describeLiveTokens(outcome.live, kid)}`),
    '',
    renderManualSteps(issuer),
    ...(isPlan && plan.ring.next.isRequested ? ['', `A rotation of ${plan.ring.ring} is asked for already${overview.now >= plan.activationAt ? '' : `, and happens ${formatInstant(plan.activationAt)} at the earliest`}.`] : []),
  ].join('\n');
}

function describeTimeline(outcome: Outcome): string {
  const { plan, overview, isPlan } = outcome;
  const waits = describeWaiting(plan.ring.next, overview);
  const activation = hasActivated(outcome)
    ? `at once: ${plan.standby.kid} signs now`
    : `${formatInstant(plan.activationAt)} at the earliest${waits === '' ? '' : `; waits for ${waits}${plan.forcedAt === undefined ? '' : `, until ${formatInstant(plan.forcedAt)}`}`}`;
  const from = hasActivated(outcome) ? '' : ' at the earliest';
  const lines: readonly (readonly [string, string])[] = [
    [isPlan ? 'If asked now' : 'Asked', formatInstant(plan.askedAt)],
    ['Standby', `${plan.standby.kid}, published since ${formatInstant(plan.standby.publishedAt)} (${formatDuration(overview.now - plan.standby.publishedAt)})`],
    ['Activation', activation],
    ['Old key', plan.active === undefined ? 'none: the ring begins' : plan.active.kid],
    ...(plan.active === undefined ? [] : [
      ['  published', plan.publishedUntil === undefined ? 'for VOUCH_KEY_RETENTION_SECONDS (24 h unless set) after it stops signing' : `until ${formatInstant(plan.publishedUntil)}${from}`] as const,
      ['  its tokens', plan.tokensUntil === undefined ? 'live for VOUCH_LONGEST_TOKEN_SECONDS (1 h unless set) after it stops signing, at most' : `live until ${formatInstant(plan.tokensUntil)}, counted from then`] as const,
    ]),
  ];
  return `\n${lines.map(([name, text]) => `${name.padEnd(13)}${text}`).join('\n')}\n`;
}

const toIso = (at: number | undefined): string | null => (at === undefined ? null : new Date(at).toISOString());

function describeAsJson(outcome: Outcome): unknown {
  const { plan, isPlan, moves } = outcome;
  return {
    ring: plan.ring.ring,
    is_plan: isPlan,
    is_requested: !isPlan || plan.ring.next.isRequested,
    has_activated: hasActivated(outcome),
    asked_at: toIso(plan.askedAt),
    standby: { kid: plan.standby.kid, published_at: toIso(plan.standby.publishedAt) },
    earliest_activation_at: toIso(plan.activationAt),
    waits_for: { instances: plan.ring.next.lateInstances, verifiers: plan.ring.next.lateVerifiers, until: toIso(plan.forcedAt) },
    old_key: plan.active === undefined ? null : { kid: plan.active.kid, published_until: toIso(plan.publishedUntil), tokens_live_until: toIso(plan.tokensUntil) },
    jwks: { before: plan.before, after: plan.after, adds_new_standby: true },
    live_tokens: plan.before.map((kid) => ({ kid, count: countTokens(outcome.live, kid), by_audience: presentLiveTokens(outcome.live, kid) })),
    moves: moves.map(({ kind, ring, kid }) => ({ kind, ring, kid: kid ?? null })),
    manual_steps: MANUAL_STEPS,
  };
}
