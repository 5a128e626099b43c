/** What is known when a browser stands at a sign-in. */
export interface Standing {
  /** What oidc-provider wants settled: `login` or `consent`. */
  readonly prompt: string;
  /** Whether this browser has a session. */
  readonly isSignedIn: boolean;
  /** Whether the person comes back from an upstream. */
  readonly hasVisited: boolean;
}

/** What the person is asked next. Pure: steps never call each other, this decides. */
export type NextStep = 'ask_who' | 'hear_upstream' | 'ask_consent' | 'refuse';

export function decideNextStep({ prompt, isSignedIn, hasVisited }: Standing): NextStep {
  const isAsked = prompt === 'login' || (prompt === 'consent' && !isSignedIn);
  if (isAsked) return hasVisited ? 'hear_upstream' : 'ask_who';
  return prompt === 'consent' ? 'ask_consent' : 'refuse';
}
