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

/** Replaces what was recorded for one provider. */
export async function saveProvider(home: Home, provider: Provider, parameters: Parameters): Promise<void> {
  await updateConfig(home, (raw) => ({
    ...raw,
    providers: { ...asFields(raw['providers'] ?? {}, '"providers"'), [provider.name]: parameters },
  }));
}

async function updateConfig(home: Home, change: (raw: Fields) => Fields): Promise<void> {
  await withFileLock(home, home.configPath, async () => {
    const { raw } = await readStored(home);
    const changed = JSON.stringify(change(raw), null, 2);
    if (changed !== JSON.stringify(raw, null, 2)) await writePrivateFile(home, home.configPath, `${changed}\n`);
  });
}

async function readStored(home: Home): Promise<StoredConfig> {
  const text = await readPrivateFile(home.configPath);
  try {
    const raw = text === undefined ? {} : asFields(parseJson(text), 'the file');
    return { raw, config: Object.freeze({ issuer: parseIssuer(raw), providers: parseProviders(raw) }) };
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
    return provider === undefined ? [] : [[name, parseParameters(provider, value)] as const];
  });
  return Object.freeze(Object.fromEntries(known));
}

function parseParameters(provider: Provider, value: unknown): Parameters {
  const fields = asFields(value, `"providers.${provider.name}"`);
  const pairs = provider.parameters.flatMap((parameter) => {
    const text = parameter.isRequired ? takeString(fields, parameter.name) : takeOptionalString(fields, parameter.name);
    if (text === undefined) return [];
    const fault = parameter.check(text);
    if (fault !== undefined) throw new Malformed(`"providers.${provider.name}.${parameter.name}" ${fault}`);
    return [[parameter.name, text] as const];
  });
  return Object.freeze(Object.fromEntries(pairs));
}
