import { z } from 'zod';
import { Refused } from '../lib/errors.ts';
import { isAudience, isResourceIndicator } from '../oauth2/syntax.ts';
import { isSigningAlgorithm, SCOPES, SIGNING_ALGORITHMS, type SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { AudienceRecord } from '../storage/storage.ts';
import { PRESET_NAMES, presetOf, type PresetName } from './presets.ts';

/** Whom a token may be for, and who may have it. Only `checkAudience` and `readAudience` make one. */
export interface Audience {
  /** Byte for byte what stands in `aud`. */
  readonly name: string;
  /** `federation`: an ID token for a provider's exchange. `api`: an access token (RFC 9068) for an API of yours. */
  readonly kind: 'federation' | 'api';
  readonly preset: PresetName;
  readonly algorithm: SigningAlgorithm;
  /** 60-3600; shorter only where no token may live for 60 s. */
  readonly lifetimeSeconds: number;
  /** The sign-in may be at most this old. */
  readonly maxAuthAgeSeconds: number | undefined;
  /** `audit` tries a policy: what it would deny is counted and let through. */
  readonly mode: 'enforce' | 'audit';
  readonly isEnabled: boolean;
  /** What a token for an API may hold. */
  readonly scopes: readonly string[];
  /** Clauses; one that fits lets in. */
  readonly allow: readonly string[];
  /** Clauses; one that fits keeps out, whatever else fits. */
  readonly deny: readonly string[];
  /** Where any are named, the only clients through which it can be had. */
  readonly clients: readonly string[];
  readonly revision: number;
  /** From the configuration: it can be overridden and not removed. */
  readonly isConfigured: boolean;
}

/** What an admin says of an audience. */
export type AudienceInput = z.input<typeof inputSchema>;

export const LONGEST_LIFETIME_SECONDS = 3600;
export const SHORTEST_LIFETIME_SECONDS = 60;

const CLIENT_ID = /^[A-Za-z0-9._-]{3,100}$/;
/** `people` is every person; a service is never among them. */
const CLAUSE = /^(people|domain:[a-z0-9.-]{1,253}|group:[a-z0-9][a-z0-9._-]{0,62}|(account|service):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const DENY_CLAUSE = new RegExp(`${CLAUSE.source}|^client:[A-Za-z0-9._-]{3,100}$`);

const clauses = (pattern: RegExp, kinds: string) =>
  z.array(z.string().regex(pattern, { error: ({ input }) => `"${String(input).slice(0, 300)}" is no clause; one is ${kinds}` })).max(1000).transform((list) => [...new Set(list)]);

const inputSchema = z.strictObject({
  name: z.string().refine(isAudience, { error: 'name must be 1-256 visible ASCII characters' }),
  kind: z.enum(['federation', 'api'], { error: 'kind must be federation or api' }).default('federation'),
  preset: z.enum(PRESET_NAMES, { error: `preset must be one of ${PRESET_NAMES.join(', ')}` }).default('custom'),
  algorithm: z.enum(SIGNING_ALGORITHMS, { error: `algorithm must be ${SIGNING_ALGORITHMS.join(' or ')}` }).default('RS256'),
  lifetimeSeconds: z.int({ error: 'lifetime_seconds must be a whole number' }).default(600),
  maxAuthAgeSeconds: z.int().min(60, { error: 'max_auth_age_seconds must be at least 60' }).max(86_400, { error: 'max_auth_age_seconds must be at most 86400' }).optional(),
  mode: z.enum(['enforce', 'audit'], { error: 'mode must be enforce or audit' }).default('enforce'),
  isEnabled: z.boolean({ error: 'is_enabled must be true or false' }).default(true),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/, { error: 'a scope has 1-100 visible ASCII characters, without " and \\' }))
    .max(50).default([]),
  allow: clauses(CLAUSE, 'people, domain:NAME, group:NAME, account:ID or service:ID').default([]),
  deny: clauses(DENY_CLAUSE, 'people, domain:NAME, group:NAME, account:ID, service:ID or client:ID').default([]),
  clients: z.array(z.string().regex(CLIENT_ID, { error: 'a client id has 3-100 letters, digits, dots, dashes or underscores' })).max(100).default([]),
});

type Checked = Omit<Audience, 'revision' | 'isConfigured'>;

/**
 * Checks what an admin wrote, when a record is made and when it is changed. Throws Refused (`invalid_audience`) with every
 * fault at once; gives what is right and worth a word beside the record.
 */
export function checkAudience(input: unknown): { readonly audience: Checked; readonly advice: readonly string[] } {
  const parsed = inputSchema.safeParse(input);
  const faults = parsed.success ? findFaults(parsed.data) : parsed.error.issues.map(({ code, message, path }) => (code === 'unrecognized_keys' ? message : /^[a-z_]+ /.test(message) ? message : `${path.join('.')}: ${message}`));
  if (!parsed.success || faults.length > 0) throw new Refused('invalid_audience', `${faults.join('; ')}.`);
  const { advice } = presetOf(parsed.data.preset);
  return { audience: Object.freeze({ ...parsed.data, maxAuthAgeSeconds: parsed.data.maxAuthAgeSeconds }), advice: advice === undefined ? [] : [advice] };
}

function findFaults({ name, kind, preset: presetName, algorithm, lifetimeSeconds, scopes }: z.output<typeof inputSchema>): string[] {
  const preset = presetOf(presetName);
  const faults: string[] = [];
  if (lifetimeSeconds < SHORTEST_LIFETIME_SECONDS) faults.push(`lifetime_seconds must be at least ${SHORTEST_LIFETIME_SECONDS}: an exchange over a slow network takes that long`);
  if (lifetimeSeconds > preset.longestSeconds) faults.push(`lifetime_seconds must be at most ${preset.longestSeconds} for ${presetName}: ${preset.lifetimeReason}`);
  if (preset.algorithms?.includes(algorithm) === false) faults.push(`algorithm ${algorithm} will not do for ${presetName}: ${preset.algorithmReason}`);
  if (name.length > preset.longestAudience) faults.push(`name has ${name.length} characters and ${preset.label} takes at most ${preset.longestAudience}`);
  if (kind === 'api' && presetName !== 'custom') faults.push('an audience of kind api is an API of yours: its preset must be custom');
  if (kind === 'api' && !isResourceIndicator(name)) faults.push('the name of an API must be an absolute URI without a fragment (RFC 8707)');
  if (kind === 'federation' && scopes.length > 0) faults.push('scopes are for audiences of kind api: an ID token has none');
  const reserved = scopes.filter((scope) => SCOPES.includes(scope as (typeof SCOPES)[number]) || scope === 'offline_access');
  if (reserved.length > 0) faults.push(`scope ${reserved.join(', ')} is the issuer’s own`);
  return faults;
}

/** A record as it came out of storage, which nothing but `checkAudience` has let in. Throws a TypeError when somebody else has written there. */
export function readAudience(record: AudienceRecord): Audience {
  const { kind, preset, algorithm, mode, createdAt: _c, updatedAt: _u, ...rest } = record;
  if ((kind !== 'federation' && kind !== 'api') || (mode !== 'enforce' && mode !== 'audit') || !isPreset(preset) || !isSigningAlgorithm(algorithm)) {
    throw new TypeError(`the record of audience "${record.name}" was not written by this issuer`);
  }
  return Object.freeze({ ...rest, kind, preset, algorithm, mode, isConfigured: false });
}

function isPreset(name: string): name is PresetName {
  return (PRESET_NAMES as string[]).includes(name);
}
