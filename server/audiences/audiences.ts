/*
 * Owns: which audiences exist and what a token for each looks like.
 * Never: normalises a name; lets an unknown audience pass.
 * Keeps true: closed by default; the issuer itself is an audience from the start.
 */
import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';

export interface Audience {
  /** Byte for byte what stands in `aud`. */
  readonly name: string;
  readonly algorithm: SigningAlgorithm;
  /** 60-3600; shorter only where no token may live for 60 s. */
  readonly lifetimeSeconds: number;
}

export interface Audiences {
  /** Undefined: not registered, so nobody can have it. */
  find(name: string): Promise<Audience | undefined>;
}

/** Ten minutes: enough for one exchange and a slow network, too short to be worth stealing. */
const DEFAULT_LIFETIME_SECONDS = 600;

/** RS256, because it alone is taken by every provider that says what it takes. */
const DEFAULT_ALGORITHM: SigningAlgorithm = 'RS256';

export function createAudiences({ issuer, names, longestTokenSeconds }: { issuer: string; names: readonly string[]; longestTokenSeconds: number }): Audiences {
  const lifetimeSeconds = Math.min(DEFAULT_LIFETIME_SECONDS, longestTokenSeconds);
  const registered = new Map([issuer, ...names].map((name) => [name, Object.freeze({ name, algorithm: DEFAULT_ALGORITHM, lifetimeSeconds })]));
  return { find: async (name) => registered.get(name) };
}
