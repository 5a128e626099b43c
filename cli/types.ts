// `--type anthropic`, `--type anthropic:work`: the credentials that `vouch env` and `vouch exec` hand to a command.
import { CliError } from './errors.ts';
import { printNote } from './output.ts';
import { obtainCredential, type Obtained, type ProviderUse } from './provider_credential.ts';
import type { Provider, Variables } from './providers/provider.ts';
import { findProvider, PROVIDERS } from './providers/providers.ts';
import type { Assignments } from './shells.ts';

export interface WantedType {
  readonly provider: Provider;
  readonly profile: string | undefined;
  /** As it was typed. */
  readonly name: string;
}

export interface ObtainedType extends WantedType, Obtained {
  readonly variables: Variables;
}

/** Reads the values of `--type`. Throws `CliError` (usage). */
export function readTypes(names: readonly string[]): readonly WantedType[] {
  return names.map((name) => {
    const [providerName = '', profile, ...rest] = name.split(':');
    const provider = findProvider(providerName);
    if (provider !== undefined && rest.length === 0 && profile !== '') return { provider, profile, name };
    throw new CliError('usage', '--type must be the name of a provider, or <provider>:<profile>', { hints: [`the providers are ${PROVIDERS.map((known) => known.name).join(', ')}`] });
  });
}

/** Obtains a credential of each, one after the other: a second exchange needs the session that the first has refreshed. */
export async function obtainTypes(use: ProviderUse, wanted: readonly WantedType[], audience: string | undefined): Promise<readonly ObtainedType[]> {
  const all: ObtainedType[] = [];
  for (const type of wanted) {
    const obtained = await obtainCredential(use, { ...type, audience, usesCache: true });
    all.push({ ...type, ...obtained, variables: type.provider.composeVariables(obtained.credential, obtained.parameters) });
  }
  return all;
}

/** Joins what several types set. Throws `CliError` (usage) if two of them set one variable to different values. */
export function mergeVariables(all: readonly { readonly name: string; readonly variables: Variables }[]): Assignments {
  const set = new Map<string, { readonly value: string; readonly by: string }>();
  for (const { name: by, variables } of all) {
    for (const [name, value] of Object.entries(variables.set)) {
      const other = set.get(name);
      if (other !== undefined && other.value !== value) throw new CliError('usage', `--type ${other.by} and --type ${by} both set ${name}`, { hints: ['run one command for each'] });
      set.set(name, { value, by });
    }
  }
  const unset = new Set(all.flatMap(({ variables }) => variables.unset).filter((name) => !set.has(name)));
  return { set: Object.fromEntries([...set].map(([name, { value }]) => [name, value])), unset: [...unset] };
}

/** Says what happens to variables that are there already, and what is not obvious; names, never values. */
export function explainVariables(all: readonly { readonly variables: Variables }[], { set, unset }: Assignments, present: Readonly<Record<string, string | undefined>>): void {
  for (const name of unset) if (present[name] !== undefined) printNote(`note: ${name} is set here and would win over the short-lived credential: it is unset`);
  for (const [name, value] of Object.entries(set)) {
    const isReplaced = present[name] !== undefined && present[name] !== '' && present[name] !== value;
    if (isReplaced && /KEY|TOKEN|SECRET/.test(name)) printNote(`note: ${name} was set here already: it is replaced`);
  }
  for (const { variables } of all) for (const remark of variables.remarks) printNote(`note: ${remark}`);
}
