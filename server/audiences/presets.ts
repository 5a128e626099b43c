import type { SigningAlgorithm } from '../oauth2/vocabulary.ts';

/*
 * What each provider publishes about the tokens that it takes, as of November 2026. A record that its provider would refuse
 * is refused here first, with the provider's reason.
 */

export interface Preset {
  /** The provider, as a person would say it. */
  readonly label: string;
  /** The algorithms that it takes, and what it says to another. Undefined: it publishes no list. */
  readonly algorithms: readonly SigningAlgorithm[] | undefined;
  readonly algorithmReason: string;
  /** The longest `exp` less `iat` that it takes as it is set up at first, in seconds. */
  readonly longestSeconds: number;
  readonly lifetimeReason: string;
  /** The longest audience that it can hold, in characters. */
  readonly longestAudience: number;
  /** The longest `sub`, in bytes. */
  readonly longestSubject: number;
  /** Said when such a record is made: right, and easily got wrong at the provider. */
  readonly advice: string | undefined;
}

const BOTH = ['RS256', 'ES256'] as const;
const LONGEST_SECONDS = 3600;
const OURS = 'no federation token of this issuer lives longer than an hour';

const USUAL: Preset = {
  label: 'any provider', algorithms: BOTH, algorithmReason: '', longestSeconds: LONGEST_SECONDS, lifetimeReason: OURS, longestAudience: 256, longestSubject: 127, advice: undefined,
};

export const PRESETS = {
  anthropic: {
    ...USUAL, label: 'Anthropic',
    lifetimeReason: 'the issuer setting "Maximum token lifetime" in the Claude Console is 3600 s unless somebody raised it',
    advice: 'set the rule’s expected audience to exactly this string; a rule without one, and every rule in CEL mode, expects https://api.anthropic.com',
  },
  openai: {
    ...USUAL, label: 'OpenAI', lifetimeReason: 'a token of OpenAI’s never outlives an hour, nor the token that it was exchanged for',
    advice: 'OpenAI does not support every issuer yet; ask them before you rely on it, and set the provider’s audience to exactly this string',
  },
  openrouter: { ...USUAL, label: 'OpenRouter', algorithmReason: 'OpenRouter takes RS256 and ES256', advice: undefined },
  aws: { ...USUAL, label: 'AWS', longestAudience: 255, advice: 'add this string as a client ID of the IAM OIDC provider' },
  'google-cloud': { ...USUAL, label: 'Google Cloud', advice: 'add this string to the pool provider’s allowed audiences' },
  azure: {
    ...USUAL, label: 'Azure', algorithms: ['RS256'],
    algorithmReason: 'Entra refuses ES256 (AADSTS5002738): only issuers that sign with RS256 are supported',
    advice: 'a federated identity credential holds exactly one audience, usually api://AzureADTokenExchange',
  },
  vault: { ...USUAL, label: 'Vault', advice: 'name this string in the role’s bound_audiences: Vault refuses a token with an audience when the role binds none' },
  kubernetes: { ...USUAL, label: 'Kubernetes', advice: 'with the older --oidc-* flags the API server takes RS256 only; structured authentication takes both' },
  databricks: { ...USUAL, label: 'Databricks', algorithmReason: 'Databricks takes RS256 and ES256', advice: undefined },
  snowflake: {
    ...USUAL, label: 'Snowflake', algorithms: undefined, longestSubject: 127,
    advice: 'Snowflake publishes no list of algorithms; RS256 is what every provider takes',
  },
  custom: { ...USUAL, label: 'a provider of your own', advice: undefined },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;

export const PRESET_NAMES = Object.keys(PRESETS) as PresetName[];

export function presetOf(name: PresetName): Preset {
  return PRESETS[name];
}
