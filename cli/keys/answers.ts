// What the admin API says of signing keys.
import { readAnswer, readText, takeText } from '../answers.ts';
import { asFields, Malformed, takeBoolean, takeInstant, takeList, takeNullable, takeNumber, takeString, type Fields } from '../fields.ts';

export interface Key {
  readonly kid: string;
  readonly ring: string;
  readonly state: string;
  /** Instants are milliseconds since 1970, here and below. */
  readonly publishedAt: number;
  readonly publishedVersion: bigint;
  readonly activatedAt: number | undefined;
  readonly retiringAt: number | undefined;
  readonly endedAt: number | undefined;
}

export interface NextActivation {
  readonly dueAt: number | undefined;
  readonly isRequested: boolean;
  readonly leadEndsAt: number | undefined;
  readonly isOpen: boolean;
  readonly lateInstances: readonly string[];
  readonly lateVerifiers: readonly string[];
}

export interface Ring {
  readonly ring: string;
  readonly keys: readonly Key[];
  readonly next: NextActivation;
}

export interface Instance {
  readonly id: string;
  readonly host: string;
  readonly servedVersion: bigint;
  readonly seenAt: number;
  readonly skewMs: number;
  readonly isLive: boolean;
}

/** Thresholds in seconds; each undefined if the issuer does not say it. */
export interface Policy {
  readonly retentionSeconds: number | undefined;
  readonly verifierWaitSeconds: number | undefined;
  readonly longestTokenSeconds: number | undefined;
  readonly staleSeconds: number | undefined;
  readonly jwksMaxAgeSeconds: number | undefined;
}

export interface Overview {
  readonly version: bigint;
  /** The database's time. */
  readonly now: number;
  readonly rings: readonly Ring[];
  readonly instances: readonly Instance[];
  readonly policy: Policy;
}

export interface Verifier {
  readonly family: string;
  readonly network: string;
  readonly lastFetchAt: number;
  /** Between two fetches; undefined while nothing can be said of it. */
  readonly meanIntervalSeconds: number | undefined;
  readonly lastVersion: bigint;
  readonly fetches: number;
  readonly notModified: number;
  readonly isKnown: boolean;
  readonly lacks: readonly string[];
}

export interface KeyEvent {
  readonly at: number;
  readonly version: bigint;
  readonly kind: string;
  readonly ring: string;
  readonly kid: string;
  readonly actor: string;
  readonly reason: string;
}

/** Tokens that a key has signed and that have not expired, for one audience. */
export interface LiveTokens {
  readonly kid: string;
  readonly audience: string;
  readonly count: number;
}

export interface Move {
  readonly kind: string;
  readonly ring: string;
  readonly kid: string | undefined;
}

const PUBLISHED = ['active', 'pending', 'retiring'];

export function isPublished({ state }: Key): boolean {
  return PUBLISHED.includes(state);
}

/** The kids that the JWKS shows, those that sign first. */
export function listPublished(rings: readonly Ring[]): readonly string[] {
  const keys = rings.flatMap((ring) => ring.keys).filter(isPublished);
  return [...keys].sort((a, b) => PUBLISHED.indexOf(a.state) - PUBLISHED.indexOf(b.state)).map(({ kid }) => kid);
}

export const readOverview = (fields: Fields): Overview => readAnswer(() => ({
  version: takeVersion(fields, 'version'),
  now: takeInstant(fields, 'now'),
  rings: takeList(fields, 'rings', readRing),
  instances: takeList(fields, 'instances', readInstance),
  policy: readPolicy(takeNullable(fields, 'policy', (all, name) => asFields(all[name], `"${name}"`)) ?? {}),
}));

export const readVerifiers = (fields: Fields): readonly Verifier[] => readAnswer(() => takeList(fields, 'verifiers', (item) => {
  const verifier = asFields(item, 'a verifier');
  return {
    family: takeText(verifier, 'family'), network: takeText(verifier, 'network'),
    lastFetchAt: takeInstant(verifier, 'last_fetch_at'), meanIntervalSeconds: takeNullable(verifier, 'mean_interval_seconds', takeNumber), lastVersion: takeVersion(verifier, 'last_version'),
    fetches: takeNumber(verifier, 'fetches'), notModified: takeNumber(verifier, 'not_modified'), isKnown: takeBoolean(verifier, 'is_known'),
    lacks: takeList(verifier, 'lacks', readText),
  };
}));

export const readEvents = (fields: Fields): readonly KeyEvent[] => readAnswer(() => takeList(fields, 'events', (item) => {
  const event = asFields(item, 'an event');
  return {
    at: takeInstant(event, 'at'), version: takeVersion(event, 'version'),
    kind: takeText(event, 'kind'), ring: takeText(event, 'ring'), kid: takeText(event, 'kid'), actor: takeText(event, 'actor'),
    reason: readText(event['reason']),
  };
}));

export const readMoves = (fields: Fields): readonly Move[] => readAnswer(() => takeList(fields, 'moves', (item) => {
  const move = asFields(item, 'a move');
  return { kind: takeText(move, 'kind'), ring: takeText(move, 'ring'), kid: takeNullable(move, 'kid', takeText) };
}));

export const readLiveTokens = (fields: Fields): readonly LiveTokens[] => readAnswer(() => takeList(fields, 'live', (item) => {
  const live = asFields(item, 'a count of tokens');
  return { kid: takeText(live, 'kid'), audience: takeText(live, 'audience'), count: takeNumber(live, 'count') };
}));

/** Empty at an issuer that does not say. */
export const readUnproved = (fields: Fields): readonly string[] => readAnswer(() => (fields['unproved'] === undefined ? [] : takeList(fields, 'unproved', readText)));
export const readCount = (fields: Fields, name: string): number => readAnswer(() => takeNumber(fields, name));

function readRing(item: unknown): Ring {
  const fields = asFields(item, 'a ring');
  const next = asFields(fields['next_activation'], '"next_activation"');
  return {
    ring: takeText(fields, 'ring'),
    keys: takeList(fields, 'keys', readKey),
    next: {
      dueAt: takeNullable(next, 'due_at', takeInstant),
      isRequested: takeBoolean(next, 'is_requested'),
      leadEndsAt: takeNullable(next, 'lead_ends_at', takeInstant),
      isOpen: takeBoolean(next, 'is_open'),
      lateInstances: takeList(next, 'late_instances', readText),
      lateVerifiers: takeList(next, 'late_verifiers', readText),
    },
  };
}

function readKey(item: unknown): Key {
  const fields = asFields(item, 'a key');
  return {
    kid: takeText(fields, 'kid'), ring: takeText(fields, 'ring'), state: takeText(fields, 'state'),
    publishedAt: takeInstant(fields, 'published_at'), publishedVersion: takeVersion(fields, 'published_version'),
    activatedAt: takeNullable(fields, 'activated_at', takeInstant),
    retiringAt: takeNullable(fields, 'retiring_at', takeInstant),
    endedAt: takeNullable(fields, 'ended_at', takeInstant),
  };
}

function readInstance(item: unknown): Instance {
  const fields = asFields(item, 'an instance');
  return {
    id: takeText(fields, 'id'), host: takeText(fields, 'host'), servedVersion: takeVersion(fields, 'served_version'),
    seenAt: takeInstant(fields, 'seen_at'), skewMs: takeNumber(fields, 'skew_ms'), isLive: takeBoolean(fields, 'is_live'),
  };
}

function readPolicy(fields: Fields): Policy {
  const take = (name: string): number | undefined => takeNullable(fields, name, takeNumber);
  return {
    retentionSeconds: take('retention_seconds'), verifierWaitSeconds: take('verifier_wait_seconds'), longestTokenSeconds: take('longest_token_seconds'),
    staleSeconds: take('stale_seconds'), jwksMaxAgeSeconds: take('jwks_max_age_seconds'),
  };
}

/** Versions are 64 bits wide, and texts therefore. */
function takeVersion(fields: Fields, name: string): bigint {
  const text = takeString(fields, name);
  if (!/^\d{1,19}$/.test(text)) throw new Malformed(`"${name}" is not a version`);
  return BigInt(text);
}
