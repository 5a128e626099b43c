// What vouch must know of a provider: the parameters of its federation, the request, and how to read its refusal.
// The order of an exchange is in exchange.ts; a provider fills in only what differs.
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

export interface ProviderRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body: Readonly<Record<string, string>>;
}

export interface RequestInput {
  readonly parameters: Parameters;
  /** The issuer's ID token: single use, so every request gets a fresh one. */
  readonly assertion: string;
  readonly anthropicBaseUrl: string | undefined;
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

export interface Provider {
  readonly name: string;
  /** As people call it. */
  readonly label: string;
  readonly parameters: readonly Parameter[];
  /** A whole `vouch setup` command, for help and hints. */
  readonly setupExample: string;
  /** Throws `CliError` (configuration) where the place to send to is not acceptable. */
  readonly buildRequest: (input: RequestInput) => ProviderRequest;
  readonly suggestChecks: (refusal: Refusal) => readonly string[];
}

/** Copies the named parameters that have a value, as the provider's JSON wants them. */
export function selectParameters(parameters: Parameters, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => names.includes(name)));
}

/** `federation_rule_id` -> `--federation-rule-id`. */
export function nameFlag(parameter: Parameter): string {
  return `--${parameter.name.replaceAll('_', '-')}`;
}
