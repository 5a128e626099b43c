/*
 * Owns: which audiences exist, what a token for each looks like, and who may have one.
 * Never: normalises a name; lets an unknown audience pass; knows an account.
 * Keeps true: closed by default; the issuer itself is an audience from the start; a record that its provider would refuse is
 * never kept.
 */
import type { Clock } from '../lib/clock.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import { isAudience } from '../oauth2/syntax.ts';
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { AudienceRecord, AudienceStore } from '../storage/storage.ts';
import { checkAudience, readAudience, type Audience, type AudienceInput } from './record.ts';

export { decide, type Applicant, type Decision } from './policy.ts';
export { presetOf, PRESET_NAMES, type Preset, type PresetName } from './presets.ts';
export type { Audience, AudienceInput } from './record.ts';

export interface Kept {
  readonly audience: Audience;
  /** Right, and worth a word. */
  readonly advice: readonly string[];
}

export interface Audiences {
  /** Undefined: not registered, so nobody can have it. */
  find(name: string): Promise<Audience | undefined>;
  list(): Promise<readonly Audience[]>;
  /** Throws Refused with every fault, Conflict when the name is taken. */
  add(input: unknown): Promise<Kept>;
  /** Changes what `changes` names. Throws NotFound, Refused with every fault, Conflict when it changed meanwhile: since `revision`, where one is named. */
  set(name: string, changes: Partial<AudienceInput>, revision?: number): Promise<Kept>;
  /** Throws NotFound, or Refused for one that the configuration names. */
  remove(name: string): Promise<void>;
}

export interface AudiencesOptions {
  readonly store: AudienceStore;
  readonly issuer: string;
  /** The audiences that the configuration registers, beside the issuer: every person may have them. */
  readonly names: readonly string[];
  /** The algorithms that there are signing keys for. */
  readonly rings: readonly SigningAlgorithm[];
  readonly longestTokenSeconds: number;
  readonly clock: Clock;
}

/** Ten minutes: enough for one exchange and a slow network, too short to be worth stealing. */
const DEFAULT_LIFETIME_SECONDS = 600;

export function createAudiences({ store, issuer, names, rings, longestTokenSeconds, clock }: AudiencesOptions): Audiences {
  const limit = (audience: Audience): Audience => (audience.lifetimeSeconds <= longestTokenSeconds ? audience : Object.freeze({ ...audience, lifetimeSeconds: longestTokenSeconds }));
  const configured = new Map([issuer, ...names].map((name) => [name, describeConfigured(name)]));
  // The admin API has tokens of its own, which no exchange gives.
  const reserved = [`${issuer}/admin`];

  /** As an admin wrote it: a change keeps what it does not name, also where no token may live that long just now. */
  const findWritten = async (name: string) => {
    const record = await store.find(name);
    return record === undefined ? configured.get(name) : { ...readAudience(record), isConfigured: configured.has(name) };
  };
  const cache = createCache(async (name) => {
    const audience = await findWritten(name);
    return audience === undefined ? undefined : limit(audience);
  });
  const keep = async (input: unknown, former: Audience | undefined): Promise<Kept> => {
    try {
      return await write(input, former);
    } finally {
      cache.clear();
    }
  };
  const write = async (input: unknown, former: Audience | undefined): Promise<Kept> => {
    const { audience: checked, advice } = checkAudience(input);
    if (!rings.includes(checked.algorithm)) throw new Refused('invalid_audience', `algorithm ${checked.algorithm} has no signing keys here; add it to VOUCH_KEY_ALGORITHMS, and wait until its ring signs.`);
    if (reserved.includes(checked.name)) throw new Refused('invalid_audience', `${checked.name} is the admin API of this issuer; tokens for it come from a sign-in.`);
    if (checked.name === issuer && checked.kind !== 'federation') throw new Refused('invalid_audience', 'the issuer itself is an audience of kind federation.');
    const now = clock.now();
    const record: AudienceRecord = { ...checked, revision: 1, createdAt: now, updatedAt: now };
    if (former === undefined || former.revision === 0) {
      await store.add(record).catch((error: unknown) => {
        throw error instanceof Conflict ? new Conflict(`audience "${checked.name}" is registered already; change it with set`, { cause: error }) : error;
      });
      return { audience: Object.freeze({ ...checked, revision: 1, isConfigured: configured.has(checked.name) }), advice };
    }
    if (!(await store.replace(record, former.revision))) throw changedMeanwhile(checked.name);
    return { audience: Object.freeze({ ...checked, revision: former.revision + 1, isConfigured: former.isConfigured }), advice };
  };

  return {
    // What cannot be a name is nobody's, and some of it no database takes.
    find: async (name) => (isAudience(name) ? cache.find(name) : undefined),
    list: async () => {
      const kept = (await store.list()).map((record) => ({ ...readAudience(record), isConfigured: configured.has(record.name) }));
      const names = new Set(kept.map(({ name }) => name));
      return [...[...configured.values()].filter(({ name }) => !names.has(name)), ...kept].map(limit);
    },
    add: (input) => keep(input, undefined),
    set: async (name, changes, expected) => {
      const former = await findWritten(name);
      if (former === undefined) throw notRegistered(name);
      if (expected !== undefined && expected !== former.revision) throw changedMeanwhile(name);
      const { revision: _r, isConfigured: _c, ...rest } = former;
      const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
      return keep({ ...rest, ...given, name, ...(changes.maxAuthAgeSeconds === 0 ? { maxAuthAgeSeconds: undefined } : {}) }, former);
    },
    remove: async (name) => {
      const isRemoved = await store.remove(name);
      cache.clear();
      if (isRemoved) return;
      if (configured.has(name)) throw new Refused('invalid_audience', `${name === issuer ? 'the issuer' : `"${name}"`} is an audience by configuration; disable it instead.`);
      throw notRegistered(name);
    },
  };
}

/** What an admin changes at another instance is in force here after this long. */
const CACHE_MS = 1_000;
const MOST_CACHED = 10_000;

/** Records are asked for with every token and change a few times a year. Sessions and accounts are never cached. */
function createCache(load: (name: string) => Promise<Audience | undefined>) {
  let entries = new Map<string, { readonly until: number; readonly found: Promise<Audience | undefined> }>();
  return {
    find: (name: string): Promise<Audience | undefined> => {
      const now = performance.now();
      const known = entries.get(name);
      if (known !== undefined && known.until > now) return known.found;
      // Whoever asks for ever new names must not fill the memory.
      if (entries.size >= MOST_CACHED) entries = new Map();
      const found = load(name);
      const entry = { until: now + CACHE_MS, found };
      entries.set(name, entry);
      found.catch(() => {
        if (entries.get(name) === entry) entries.delete(name);
      });
      return found;
    },
    clear: () => {
      entries = new Map();
    },
  };
}

function describeConfigured(name: string): Audience {
  const { audience } = checkAudience({ name, lifetimeSeconds: DEFAULT_LIFETIME_SECONDS, allow: ['people'] });
  return Object.freeze({ ...audience, revision: 0, isConfigured: true });
}

function notRegistered(name: string): NotFound {
  return new NotFound(`audience "${name.slice(0, 256)}" is not registered with this issuer`);
}

function changedMeanwhile(name: string): Conflict {
  return new Conflict(`audience "${name.slice(0, 256)}" was changed by somebody else meanwhile; look again`);
}
