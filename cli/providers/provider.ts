// What vouch must know of a provider: the parameters of its federation, the request, how its token is used, and how to
// read its refusal. The order of an exchange is in exchange.ts; a provider fills in only what differs.
import type { Check } from '../formats.ts';

export interface Parameter {
  /** As config.json spells it; the option is the same with dashes. */
  readonly name: string;
  /** What stands for the value in `--help`. */
  readonly placeholder: string;
  readonly about: string;
  readonly isRequired: boolean;
  readonly check: Check;
}

/** Checked values of one provider's parameters, by name. */
export type Parameters = Readonly<Record<string, string>>;

/** What a provider gives for an assertion. */
export interface Credential {
  /** `token`, or the three parts of a key of AWS. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Milliseconds since 1970; undefined if the provider does not say. */
  readonly expiresAt: number | undefined;
}

/** How request and answer are written: dialects.ts has one of each. */
export type DialectName = 'json' | 'form' | 'sts';

export interface ProviderRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
}

export interface RequestInput {
  readonly parameters: Parameters;
  /** The issuer's ID token: single use, so every request gets a fresh one. */
  readonly assertion: string;
  /** Its claims. */
  readonly claims: AssertionClaims;
}

/** The claims of the assertion that was sent, for the hints. */
export interface AssertionClaims {
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
}

export interface Refusal {
  readonly status: number;
  /** The provider's own code, or empty. */
  readonly code: string;
  readonly parameters: Parameters;
  readonly claims: AssertionClaims;
}

/** Places that the environment may name. */
export interface PlaceVariables {
  readonly anthropicBaseUrl: string | undefined;
}

/** What a command needs in its environment to use the credential. */
export interface Variables {
  readonly set: Readonly<Record<string, string>>;
  /** Variables that would win over those, or make the provider's SDK refuse to start. */
  readonly unset: readonly string[];
  /** Sentences for the person, about what is not obvious. */
  readonly remarks: readonly string[];
}

export interface Provider {
  readonly name: string;
  /** As people call it. */
  readonly label: string;
  readonly parameters: readonly Parameter[];
  /** A whole `vouch setup` command, for help and hints. */
  readonly setupExample: string;
  /** Where the exchange is made. Throws `CliError` (configuration) where that place is not acceptable. */
  readonly locate: (parameters: Parameters, places: PlaceVariables) => string;
  readonly chooseDialect: (parameters: Parameters) => DialectName;
  readonly buildRequest: (input: RequestInput) => ProviderRequest;
  /** Codes of refusals that pass: another attempt a little later may succeed. */
  readonly passingCodes: Readonly<Record<string, 'network' | 'rateLimited'>>;
  readonly suggestChecks: (refusal: Refusal) => readonly string[];
  /** What `vouch credential` prints. */
  readonly print: (credential: Credential) => string;
  /** Throws `CliError` (configuration) where no variable is known. */
  readonly composeVariables: (credential: Credential, parameters: Parameters) => Variables;
}

/** Copies the named parameters that have a value, as the provider's request wants them. */
export function selectParameters(parameters: Parameters, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => names.includes(name)));
}

/** `federation_rule_id` -> `--federation-rule-id`. */
export function nameFlag(parameter: Parameter): string {
  return `--${parameter.name.replaceAll('_', '-')}`;
}

/** The token of a provider that gives one. */
export function takeToken({ secrets }: Credential): string {
  return secrets['token'] ?? '';
}
