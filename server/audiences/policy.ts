import type { Audience } from './record.ts';

/** Who asks for a token, as far as a policy can see. */
export interface Applicant {
  readonly accountId: string;
  readonly kind: 'person' | 'service';
  readonly hostedDomain: string | undefined;
  readonly groups: readonly string[];
  readonly clientId: string;
  /** Seconds since the person signed in; undefined for a service, which never does. */
  readonly authAgeSeconds: number | undefined;
}

export interface Decision {
  readonly isAllowed: boolean;
  /** The clause that decided, for the record. */
  readonly clause: string;
  /** Why not, in a sentence for whoever asked; undefined when nothing stands against it. */
  readonly reason: string | undefined;
  /** A newer sign-in would do; the age that it may have, in seconds. */
  readonly needsAuthAgeSeconds: number | undefined;
}

/**
 * Whether `applicant` may have a token for `audience`. Closed by default; a deny wins over every allow; where clients are
 * named, only these. `mode: audit` lets through what `enforce` would deny, and says so in the clause; a disabled audience
 * is closed in both.
 */
export function decide(audience: Audience, applicant: Applicant): Decision {
  if (!audience.isEnabled) return refuse('disabled', 'it is disabled');
  const decision = judge(audience, applicant);
  if (decision.isAllowed || audience.mode === 'enforce') return decision;
  return { isAllowed: true, clause: `audit mode; would deny: ${decision.clause}`, reason: decision.reason, needsAuthAgeSeconds: undefined };
}

function judge({ allow, deny, clients, maxAuthAgeSeconds }: Audience, applicant: Applicant): Decision {
  const denying = deny.find((clause) => fits(clause, applicant));
  if (denying !== undefined) return refuse(`deny ${denying}`, 'a clause denies it');
  const allowing = allow.find((clause) => fits(clause, applicant));
  if (allowing === undefined) return refuse('no clause allows', 'no clause allows it for this account');
  if (clients.length > 0 && !clients.includes(applicant.clientId)) return refuse('client not named', 'it cannot be had through this client');
  // A service proves its key with every request: its sign-in is never old.
  if (maxAuthAgeSeconds !== undefined && applicant.kind === 'person' && (applicant.authAgeSeconds ?? Number.POSITIVE_INFINITY) > maxAuthAgeSeconds) {
    const reason = `it needs a sign-in of at most ${maxAuthAgeSeconds} s ago`;
    return { isAllowed: false, clause: `sign-in older than ${maxAuthAgeSeconds} s`, reason, needsAuthAgeSeconds: maxAuthAgeSeconds };
  }
  return { isAllowed: true, clause: `allow ${allowing}`, reason: undefined, needsAuthAgeSeconds: undefined };
}

function fits(clause: string, { accountId, kind, hostedDomain, groups, clientId }: Applicant): boolean {
  const at = clause.indexOf(':');
  const value = clause.slice(at + 1);
  switch (at === -1 ? clause : clause.slice(0, at)) {
    case 'people':
      return kind === 'person';
    case 'account':
      return value === accountId;
    case 'service':
      return kind === 'service' && value === accountId;
    case 'domain':
      return kind === 'person' && value === hostedDomain;
    case 'group':
      return groups.includes(value);
    case 'client':
      return value === clientId;
    default:
      return false;
  }
}

function refuse(clause: string, reason: string): Decision {
  return { isAllowed: false, clause, reason, needsAuthAgeSeconds: undefined };
}
