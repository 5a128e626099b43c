// What no issuer can do by itself: verifiers that hold a copy of the JWKS.

/** Where a set was uploaded, or is cached without end; each a sentence that says what to do. */
export const MANUAL_STEPS: readonly string[] = [
  'Anthropic, an issuer with inline keys: replace its keys by the JWKS (one with discovery follows by itself)',
  'OpenAI, a provider with an uploaded JWKS: upload the JWKS again',
  'Google, a provider with an uploaded jwksJson: upload it again, with only kty, alg, use, kid, n, e, crv, x and y',
  'Cloudflare API Shield: upload the JWKS to its token configuration again',
  'go-oidc caches (Vault, OpenBao, Kubernetes API server): they keep a key that has left until they meet an unknown kid; restart them, or write their configuration again',
];

export function renderManualSteps(issuer: string): string {
  return [`By hand, where ${issuer}/oauth/jwks was copied to:`, ...MANUAL_STEPS.map((step) => `  - ${step}`)].join('\n');
}
