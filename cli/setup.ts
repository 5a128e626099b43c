// vouch setup <provider>: records the parameters of a federation. No token; no network but for the dry run.
import { purgeCache } from './cache.ts';
import { saveProvider } from './config.ts';
import { CliError } from './errors.ts';
import { checkProfileName } from './formats.ts';
import type { Home } from './home.ts';
import { printNote } from './output.ts';
import { mintAndExchange, requireParameters, type ProviderUse } from './provider_credential.ts';
import { nameFlag, type Parameter, type Parameters, type Provider } from './providers/provider.ts';
import { formatDuration } from './time.ts';

export interface SetupRequest {
  readonly provider: Provider;
  /** By parameter name; undefined where the option was not given. */
  readonly values: Readonly<Record<string, string | undefined>>;
  readonly profile: string | undefined;
}

/** Checks all values, then records them; throws `CliError`: usage, which names every fault at once, or configuration. */
export async function setUpProvider(home: Home, { provider, values, profile, isForced }: SetupRequest & { readonly isForced: boolean }): Promise<void> {
  const parameters = checkParameters(provider, values, profile);
  await saveProvider(home, { provider, profile, parameters, isForced });
  await purgeCache(home, provider.name);
  const option = profile === undefined ? '' : ` --profile ${profile}`;
  const what = profile === undefined ? provider.label : `the profile "${profile}" of ${provider.label}`;
  printNote(`${what.slice(0, 1).toUpperCase()}${what.slice(1)} is set up in ${home.configPath}. Next: vouch credential ${provider.name}${option}`);
}

/** Checks the values, or what is recorded where none are given, with one exchange; records nothing and prints no token. */
export async function checkSetup(use: ProviderUse, { provider, values, profile }: SetupRequest): Promise<void> {
  const isGiven = Object.values(values).some((value) => value !== undefined);
  const parameters = isGiven ? checkParameters(provider, values, profile) : await requireParameters(use, provider, profile);
  const url = provider.locate(parameters, use.places);
  printNote(`The values are well-formed. Trying one exchange at ${url} ...`);
  await use.source.identify();
  const { expiresAt } = await use.source.withFreshSignIn(() => mintAndExchange(use, { provider, parameters, url, audience: parameters['audience'] }));
  const life = expiresAt === undefined ? '' : ` for ${formatDuration(expiresAt - use.clock())}`;
  printNote(`It works: ${provider.label} gave a credential${life}. ${isGiven ? 'Nothing was recorded: run this again without --check.' : ''}`.trimEnd());
}

function checkParameters(provider: Provider, values: SetupRequest['values'], profile: string | undefined): Parameters {
  const profileFault = profile === undefined ? undefined : checkProfileName(profile);
  const faults = [
    ...provider.parameters.flatMap((parameter) => findFault(parameter, values[parameter.name]) ?? []),
    ...(profileFault === undefined ? [] : [`--profile ${profileFault}`]),
  ];
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
