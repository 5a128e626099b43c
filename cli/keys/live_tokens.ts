// Tokens that a key has signed and that have not expired: what a rotation leaves to verify, and a revocation ends.
import { joinSome } from '../table.ts';
import type { LiveTokens } from './answers.ts';

const MOST_AUDIENCES = 4;

export function countTokens(live: readonly LiveTokens[], kid: string): number {
  return ofKey(live, kid).reduce((sum, { count }) => sum + count, 0);
}

/** "12: https://a.example 10, https://b.example 2", or "none". */
export function describeLiveTokens(live: readonly LiveTokens[], kid: string): string {
  const own = ofKey(live, kid);
  return own.length === 0 ? 'none' : `${countTokens(live, kid)}: ${joinSome(own.map(({ audience, count }) => `${audience} ${count}`), MOST_AUDIENCES)}`;
}

export function presentLiveTokens(live: readonly LiveTokens[], kid: string): readonly object[] {
  return ofKey(live, kid).map(({ audience, count }) => ({ audience, count }));
}

/** Those of one key, the most numerous audience first. */
function ofKey(live: readonly LiveTokens[], kid: string): readonly LiveTokens[] {
  return live.filter((tokens) => tokens.kid === kid).sort((a, b) => b.count - a.count);
}
