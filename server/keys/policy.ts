import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';

/** Every threshold of the key life cycle, in seconds. They hang together: `findPolicyFaults` says when they do not. */
export interface KeyPolicy {
  /** The rings that there shall be. A ring that is taken away is drained. */
  readonly rings: readonly SigningAlgorithm[];
  /** How long a key signs before its standby takes over. Default 30 days. */
  readonly rotationSeconds: number;
  /** How long a key is published before it may sign. Default 24 h. */
  readonly leadSeconds: number;
  /** How long a key stays published after it stopped signing. Default 24 h. */
  readonly retentionSeconds: number;
  /** For how long beyond the lead a known verifier that lacks the key is waited for. Default 24 h. */
  readonly verifierWaitSeconds: number;
  /** A verifier that fetched within this time is a known one. Default 7 days. */
  readonly verifierWindowSeconds: number;
  /** An instance that could not read the key set for this long stops signing. Default 300. */
  readonly staleSeconds: number;
  /** `max-age` of the JWKS. Default 300. */
  readonly jwksMaxAgeSeconds: number;
  /** The longest life that any token may have. Default 3,600. */
  readonly longestTokenSeconds: number;
}

/** AWS tolerates five minutes, and nobody more: a token is believed at most this long after its `exp`. */
export const SKEW_SECONDS = 300;

/** Oracle's gateway takes ten keys, and nobody fewer. */
export const MOST_KEYS = 10;

/** Anthropic asks for 15 minutes between publishing and signing. */
const LEAD_FLOOR_SECONDS = 1_200;

export interface PolicyFault {
  readonly variable: string;
  readonly message: string;
}

/**
 * What makes a policy unsafe: pairs of thresholds that contradict each other, each named with both values. The floors that
 * providers ask for hold in production only, so that a test can run a whole life in seconds.
 */
export function findPolicyFaults(policy: KeyPolicy, { isProduction }: { isProduction: boolean }): PolicyFault[] {
  const { leadSeconds, retentionSeconds, rotationSeconds, verifierWindowSeconds, staleSeconds, jwksMaxAgeSeconds, longestTokenSeconds } = policy;
  const skew = isProduction ? SKEW_SECONDS : Math.min(SKEW_SECONDS, longestTokenSeconds);
  const leadSkew = isProduction ? SKEW_SECONDS : 0;
  const needed = longestTokenSeconds + staleSeconds + skew + jwksMaxAgeSeconds;
  const published = policy.rings.length * (2 + Math.ceil(retentionSeconds / rotationSeconds));
  const rules: readonly (readonly [boolean, string, string])[] = [
    [isProduction && leadSeconds < LEAD_FLOOR_SECONDS, 'VOUCH_KEY_LEAD_SECONDS', `is ${leadSeconds}, and providers need ${LEAD_FLOOR_SECONDS} between publishing a key and signing with it`],
    [leadSeconds < 2 * jwksMaxAgeSeconds, 'VOUCH_KEY_LEAD_SECONDS', `is ${leadSeconds}, less than twice VOUCH_KEY_JWKS_MAX_AGE_SECONDS, which is ${jwksMaxAgeSeconds}: a cache could still lack a key that signs`],
    [leadSeconds < staleSeconds + jwksMaxAgeSeconds + leadSkew, 'VOUCH_KEY_LEAD_SECONDS', `is ${leadSeconds}, less than VOUCH_KEY_STALE_SECONDS (${staleSeconds}), VOUCH_KEY_JWKS_MAX_AGE_SECONDS (${jwksMaxAgeSeconds}) and the ${leadSkew} that clocks may differ: a verifier could have cached the set of an instance that was out of touch`],
    [retentionSeconds < needed, 'VOUCH_KEY_RETENTION_SECONDS', `is ${retentionSeconds}, less than ${needed}: the longest token (${longestTokenSeconds}), VOUCH_KEY_STALE_SECONDS (${staleSeconds}), clocks (${skew}) and VOUCH_KEY_JWKS_MAX_AGE_SECONDS (${jwksMaxAgeSeconds}): a token could outlive its key`],
    [rotationSeconds <= leadSeconds, 'VOUCH_KEY_ROTATION_SECONDS', `is ${rotationSeconds}, and VOUCH_KEY_LEAD_SECONDS is ${leadSeconds}: a standby would be due before it may sign`],
    [verifierWindowSeconds <= leadSeconds, 'VOUCH_KEY_VERIFIER_WINDOW_SECONDS', `is ${verifierWindowSeconds}, and VOUCH_KEY_LEAD_SECONDS is ${leadSeconds}: once the lead is over, every verifier that is still known would have fetched the key, and nobody would ever be waited for`],
    [published > MOST_KEYS, 'VOUCH_KEY_ROTATION_SECONDS', `is ${rotationSeconds}, and VOUCH_KEY_RETENTION_SECONDS is ${retentionSeconds}: the JWKS would hold ${published} keys, and ${MOST_KEYS} is the most that providers take`],
    [!policy.rings.includes('RS256'), 'VOUCH_KEY_ALGORITHMS', `is "${policy.rings.join(' ')}" and must name RS256: access tokens and every audience that asks for nothing else are signed with it`],
  ];
  return rules.flatMap(([isBroken, variable, message]) => (isBroken ? [{ variable, message }] : []));
}
