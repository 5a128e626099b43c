// config.json: the issuer and the parameters of the providers that were set up. Never a token.
import { CliError } from './errors.ts';
import { asFields, Malformed, parseJson, takeOptionalString, takeString, type Fields } from './fields.ts';
import { checkEndpoint } from './formats.ts';
import { readPrivateFile, withFileLock, writePrivateFile, type Home } from './home.ts';
import type { Parameters, Provider } from './providers/provider.ts';
import { findProvider } from './providers/providers.ts';

export interface Config {
  readonly issuer: string | undefined;
  /** By provider name; only providers that this version knows. */
  readonly providers: Readonly<Record<string, Parameters>>;
  /** By provider name, then by the name that the person gave; beside `providers`, never instead. */
  readonly profiles: Readonly<Record<string, Readonly<Record<string, Parameters>>>>;
}

interface StoredConfig {
  readonly config: Config;
  /** The file as it is, so that a field of a newer version survives a write by this one. */
  readonly raw: Fields;
}

/** Reads config.json, empty if there is none; throws `CliError` (configuration) that names the file and the fault. */
export async function readConfig(home: Home): Promise<Config> {
  return (await readStored(home)).config;
}

/** Remembers the issuer for the next `vouch login`. */
export async function saveIssuer(home: Home, issuer: string): Promise<void> {
  await updateConfig(home, (raw) => ({ ...raw, issuer }));
}

export interface Recording {
  readonly provider: Provider;
  /** Undefined: the setup without a name. */
  readonly profile: string | undefined;
  readonly parameters: Parameters;
  /** Whether other values that were recorded may be replaced. */
  readonly isForced: boolean;
}

/** Records the parameters of a provider, or of a profile of it. Throws `CliError` (configuration) if others are there and it is not forced. */
export async function saveProvider(home: Home, recording: Recording): Promise<void> {
  const { provider: { name }, profile, parameters } = recording;
  await updateConfig(home, (raw, { providers, profiles }) => {
    const recorded = profile === undefined ? providers[name] : profiles[name]?.[profile];
    if (recorded !== undefined && !recording.isForced) refuseToReplace(recording, recorded);
    const read = (fields: Fields, key: string): Fields => asFields(fields[key] ?? {}, `"${key}"`);
    if (profile === undefined) return { ...raw, providers: { ...read(raw, 'providers'), [name]: parameters } };
    const all = read(raw, 'profiles');
    return { ...raw, profiles: { ...all, [name]: { ...read(all, name), [profile]: parameters } } };
  });
}

function refuseToReplace({ provider, profile, parameters }: Recording, recorded: Parameters): void {
  const names = new Set([...Object.keys(parameters), ...Object.keys(recorded)]);
  const changed = [...names].filter((name) => parameters[name] !== recorded[name]);
  if (changed.length === 0) return;
  const what = profile === undefined ? provider.label : `the profile "${profile}" of ${provider.label}`;
  throw new CliError('configuration', `${what} is set up already, with another ${changed.join(', ')}`, {
    hints: ['add --force to replace it', `or keep both: \`vouch setup ${provider.name} --profile <name> ...\``],
  });
}

async function updateConfig(home: Home, change: (raw: Fields, config: Config) => Fields): Promise<void> {
  await withFileLock(home.configPath, async () => {
    const { raw, config } = await readStored(home);
    const changed = JSON.stringify(change(raw, config), null, 2);
    if (changed !== JSON.stringify(raw, null, 2)) await writePrivateFile(home.configPath, `${changed}\n`);
  });
}

async function readStored(home: Home): Promise<StoredConfig> {
  const text = await readPrivateFile(home.configPath);
  try {
    const raw = text === undefined ? {} : asFields(parseJson(text), 'the file');
    return { raw, config: Object.freeze({ issuer: parseIssuer(raw), providers: parseProviders(raw), profiles: parseProfiles(raw) }) };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new CliError('configuration', `${home.configPath} is broken: ${error.message}`, {
      hints: ['correct the file, or move it away and run `vouch setup` again'],
      cause: error,
    });
  }
}

function parseIssuer(raw: Fields): string | undefined {
  const issuer = takeOptionalString(raw, 'issuer');
  const fault = issuer === undefined ? undefined : checkEndpoint(issuer);
  if (fault !== undefined) throw new Malformed(`"issuer" ${fault}`);
  return issuer;
}

function parseProviders(raw: Fields): Config['providers'] {
  const entries = Object.entries(asFields(raw['providers'] ?? {}, '"providers"'));
  const known = entries.flatMap(([name, value]) => {
    const provider = findProvider(name);
    return provider === undefined ? [] : [[name, parseParameters(provider, value, `providers.${name}`)] as const];
  });
  return Object.freeze(Object.fromEntries(known));
}

function parseProfiles(raw: Fields): Config['profiles'] {
  const entries = Object.entries(asFields(raw['profiles'] ?? {}, '"profiles"'));
  const known = entries.flatMap(([name, value]) => {
    const provider = findProvider(name);
    if (provider === undefined) return [];
    const profiles = Object.entries(asFields(value, `"profiles.${name}"`));
    return [[name, Object.fromEntries(profiles.map(([profile, parameters]) => [profile, parseParameters(provider, parameters, `profiles.${name}.${profile}`)]))] as const];
  });
  return Object.freeze(Object.fromEntries(known));
}

function parseParameters(provider: Provider, value: unknown, place: string): Parameters {
  const fields = asFields(value, `"${place}"`);
  const pairs = provider.parameters.flatMap((parameter) => {
    const text = parameter.isRequired ? takeString(fields, parameter.name) : takeOptionalString(fields, parameter.name);
    if (text === undefined) return [];
    const fault = parameter.check(text);
    if (fault !== undefined) throw new Malformed(`"${place}.${parameter.name}" ${fault}`);
    return [[parameter.name, text] as const];
  });
  return Object.freeze(Object.fromEntries(pairs));
}
