import type { KeysOverview, Move, RingOverview, VerifierOverview } from '../keys/keys.ts';

/*
 * What the admin API says of keys, in JSON: instants in RFC 3339, versions as strings (they are 64 bits wide), and never a
 * private half: every member is picked by name.
 */

export function presentOverview({ version, now, rings, instances, policy }: KeysOverview) {
  return {
    policy: {
      retention_seconds: policy.retentionSeconds, longest_token_seconds: policy.longestTokenSeconds, verifier_wait_seconds: policy.verifierWaitSeconds,
      stale_seconds: policy.staleSeconds, jwks_max_age_seconds: policy.jwksMaxAgeSeconds,
    },
    version: version.toString(),
    now: now.toISOString(),
    rings: rings.map(presentRing),
    instances: instances.map(({ id, host, servedVersion, seenAt, skewMs, isLive }) => ({ id, host, served_version: servedVersion.toString(), seen_at: seenAt.toISOString(), skew_ms: skewMs, is_live: isLive })),
  };
}

function presentRing({ ring, keys, dueAt, isRequested, gate }: RingOverview) {
  return {
    ring,
    keys: keys.map(presentKey),
    next_activation: {
      due_at: dueAt?.toISOString() ?? null,
      is_requested: isRequested,
      lead_ends_at: gate?.leadEndsAt.toISOString() ?? null,
      is_open: gate?.isOpen ?? false,
      late_instances: gate?.lateInstances ?? [],
      late_verifiers: gate?.lateVerifiers ?? [],
    },
  };
}

export function presentKey({ kid, ring, state, createdAt, publishedVersion, activatedAt, retiringAt, endedAt }: RingOverview['keys'][number]) {
  return {
    kid, ring, state,
    published_at: createdAt.toISOString(),
    published_version: publishedVersion.toString(),
    activated_at: activatedAt?.toISOString() ?? null,
    retiring_at: retiringAt?.toISOString() ?? null,
    ended_at: endedAt?.toISOString() ?? null,
  };
}

export function presentVerifier(verifier: VerifierOverview) {
  const { family, network, lastFetchAt, lastVersion, fetches, notModified, isKnown, lacks } = verifier;
  return { family, network, last_fetch_at: lastFetchAt.toISOString(), mean_interval_seconds: findMeanInterval(verifier), last_version: lastVersion.toString(), fetches, not_modified: notModified, is_known: isKnown, lacks };
}

/** In whole seconds; null while all its fetches came at once, by the instants at which they were counted. */
function findMeanInterval({ firstFetchAt, lastFetchAt, fetches }: VerifierOverview): number | null {
  const spanMs = lastFetchAt.getTime() - firstFetchAt.getTime();
  return spanMs > 0 && fetches > 1 ? Math.round(spanMs / 1000 / (fetches - 1)) : null;
}

export function presentMoves(moves: readonly Move[]) {
  return moves.map(({ kind, ring, reason, ...rest }) => ({ kind, ring, reason, kid: 'kid' in rest ? rest.kid : null }));
}
