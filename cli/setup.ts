// vouch setup <provider>: records the parameters of a federation. No token, no network.
import { saveProvider } from './config.ts';
import { CliError } from './errors.ts';
import type { Home } from './home.ts';
import { printNote } from './output.ts';
import { nameFlag, type Parameter, type Parameters, type Provider } from './providers/provider.ts';

export interface SetupInput {
  readonly home: Home;
  readonly provider: Provider;
  /** By parameter name; undefined where the option was not given. */
  readonly values: Readonly<Record<string, string | undefined>>;
}

/** Checks all values, then replaces what was recorded; throws `CliError` (usage) that names every fault at once. */
export async function setUpProvider({ home, provider, values }: SetupInput): Promise<void> {
  const parameters = checkParameters(provider, values);
  await saveProvider(home, provider, parameters);
  printNote(`${provider.label} is set up in ${home.configPath}. Next: vouch credential ${provider.name}`);
}

function checkParameters(provider: Provider, values: SetupInput['values']): Parameters {
  const faults = provider.parameters.flatMap((parameter) => findFault(parameter, values[parameter.name]) ?? []);
  if (faults.length > 0) {
    throw new CliError('usage', faults.join('; '), { hints: [`see \`vouch setup ${provider.name} --help\``] });
  }
  return Object.fromEntries(Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function findFault(parameter: Parameter, value: string | undefined): string | undefined {
  if (value === undefined) return parameter.isRequired ? `${nameFlag(parameter)} is missing` : undefined;
  const fault = parameter.check(value);
  return fault === undefined ? undefined : `${nameFlag(parameter)} ${fault}`;
}
