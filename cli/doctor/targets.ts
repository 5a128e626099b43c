// What each provider asks of a token, as its documentation says (or, where it is silent, as others have seen).
const RSA_PSS_EC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'];
const RSA_EC = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'];

export interface Target {
  readonly name: string;
  readonly label: string;
  readonly algorithms: readonly string[];
  /** How far a clock may be off before `iat`, `nbf` or `exp` refuse. */
  readonly skewSeconds: number;
  /** The most that `exp - iat` may be, unless an admin has said otherwise. */
  readonly mostSeconds: number | undefined;
  readonly mostTokenBytes: number | undefined;
  readonly mostSubjectBytes: number | undefined;
  readonly mostKeys: number;
  /** Expected where the rule names none; undefined: the provider has no such default. */
  readonly defaultAudience: string | undefined;
  /** What a `*` in the subject pattern means: nothing, "any ending", or "anything, anywhere". */
  readonly wildcard: 'none' | 'trailing' | 'anywhere';
  /** How a claim that is not a text compares with the text of a rule. */
  readonly otherClaims: 'never' | 'stringified';
  readonly ignoresTrailingSlash: boolean;
  /** Variables that win over a short-lived credential when they hold a static key, by a pattern of such keys. */
  readonly shadows: Readonly<Record<string, RegExp>>;
  /** Where it can be told of an authority of your own, which it then trusts; undefined: nowhere. */
  readonly ownAuthority: string | undefined;
  /** Whether it may stand in your own network, where names lead to other addresses. */
  readonly isSelfHosted: boolean;
  /** Where the admin sees why a token was refused, and changes the rule. */
  readonly console: string;
}

const COMMON = {
  algorithms: RSA_PSS_EC, skewSeconds: 30, mostSeconds: undefined, mostTokenBytes: undefined, mostSubjectBytes: undefined, mostKeys: 100, defaultAudience: undefined,
  wildcard: 'none', otherClaims: 'never', ignoresTrailingSlash: false, ownAuthority: undefined, isSelfHosted: false, shadows: {},
} as const;
const ANY = /[^]/;

export const TARGETS: readonly Target[] = [
  {
    ...COMMON, name: 'anthropic', label: 'Anthropic', mostSeconds: 3600, mostTokenBytes: 16_384, defaultAudience: 'https://api.anthropic.com', wildcard: 'trailing', ownAuthority: 'ca_cert_pem of the issuer',
    shadows: { ANTHROPIC_API_KEY: ANY, ANTHROPIC_AUTH_TOKEN: /^(?!sk-ant-oat01-)/ }, console: 'Claude Console -> Settings -> Workload identity -> Federation rules',
  },
  {
    ...COMMON, name: 'openai', label: 'OpenAI', skewSeconds: 0, wildcard: 'trailing', otherClaims: 'stringified', ignoresTrailingSlash: true,
    shadows: { OPENAI_API_KEY: /^sk-/ }, console: 'OpenAI: organization settings -> workload identity',
  },
  {
    ...COMMON, name: 'aws', label: 'AWS', algorithms: RSA_EC, skewSeconds: 300, mostTokenBytes: 20_000, wildcard: 'anywhere',
    shadows: { AWS_PROFILE: ANY, AWS_ACCESS_KEY_ID: /^AKIA/ }, console: 'AWS console -> IAM -> Roles -> Trust relationships',
  },
  { ...COMMON, name: 'openrouter', label: 'OpenRouter', algorithms: ['RS256', 'ES256'], mostTokenBytes: 16_384, shadows: { OPENROUTER_API_KEY: /^sk-or-v1-/ }, console: 'OpenRouter -> federation policies' },
  {
    ...COMMON, name: 'google', label: 'Google Cloud', algorithms: ['RS256', 'ES256'], skewSeconds: 0, mostSeconds: 48 * 3600 - 1, mostSubjectBytes: 127,
    shadows: { GOOGLE_APPLICATION_CREDENTIALS: /(?:key|service[-_]?account)[^/\\]*\.json$/i }, console: 'Google Cloud console -> IAM -> Workload Identity Federation',
  },
  { ...COMMON, name: 'azure', label: 'Microsoft Entra', algorithms: ['RS256'], mostSeconds: 25 * 3600, mostSubjectBytes: 600, shadows: { AZURE_CLIENT_SECRET: ANY }, console: 'Entra admin center -> App registrations -> Certificates & secrets -> Federated credentials' },
  { ...COMMON, name: 'vault', label: 'Vault', skewSeconds: 60, wildcard: 'none', ownAuthority: 'oidc_discovery_ca_pem', isSelfHosted: true, shadows: { VAULT_TOKEN: ANY }, console: 'vault read auth/jwt/role/<role>' },
  { ...COMMON, name: 'kubernetes', label: 'Kubernetes', skewSeconds: 0, mostKeys: 1000, ownAuthority: 'certificateAuthority of the issuer', isSelfHosted: true, console: "the API server's AuthenticationConfiguration" },
  { ...COMMON, name: 'custom', label: 'the custom provider', ownAuthority: 'if it can be', isSelfHosted: true, console: "the provider's own settings" },
];

export function findTarget(name: string): Target | undefined {
  return TARGETS.find((target) => target.name === name);
}
