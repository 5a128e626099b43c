/** What is known when a browser stands at a sign-in. */
export interface Standing {
  /** What oidc-provider wants settled: `login` or `consent`. */
  readonly prompt: string;
  /** Whether this browser has a session. */
  readonly isSignedIn: boolean;
}

/** What the person is asked next. Pure: steps never call each other, this decides. */
export type NextStep = 'prove_passkey' | 'ask_consent' | 'refuse';

export function decideNextStep({ prompt, isSignedIn }: Standing): NextStep {
  if (prompt === 'login') return 'prove_passkey';
  if (prompt === 'consent') return isSignedIn ? 'ask_consent' : 'prove_passkey';
  return 'refuse';
}
