// A credential of a provider: out of the cache, else minted and exchanged. What only an exchange needs is loaded only then.
import { obtainThroughCache, type CacheKey } from './cache.ts';
import { readConfig } from './config.ts';
import { CliError } from './errors.ts';
import { checkAudience } from './formats.ts';
import type { Home } from './home.ts';
import { decodeClaims } from './jwt.ts';
import { printNote } from './output.ts';
import type { AssertionClaims, Credential, Parameters, PlaceVariables, Provider } from './providers/provider.ts';
import type { Clock } from './time.ts';
import type { TokenSource } from './token_source.ts';

export interface ProviderUse {
  readonly home: Home;
  readonly clock: Clock;
  readonly places: PlaceVariables;
  /** Whose ID tokens are exchanged. */
  readonly source: TokenSource;
}

export interface Wanted {
  readonly provider: Provider;
  /** Undefined: the one that was set up without a name. */
  readonly profile: string | undefined;
  /** Before the setup's; undefined: the setup's, else the issuer's default. */
  readonly audience: string | undefined;
  /** False makes an exchange in any case; what it gives is kept all the same. */
  readonly usesCache: boolean;
}

export interface Obtained {
  readonly credential: Credential;
  readonly parameters: Parameters;
  /** Undefined: the issuer's default. */
  readonly audience: string | undefined;
}

/** Throws `CliError`: usage, configuration (not set up), and what the source, the issuer and the exchange throw. */
export async function obtainCredential(use: ProviderUse, wanted: Wanted): Promise<Obtained> {
  refuseBadAudience(wanted.audience);
  // As a whole: after another sign-in it is another session's, and no lock is held while a person looks for the passkey.
  return use.source.withFreshSignIn(() => obtainOnce(use, wanted));
}

async function obtainOnce(use: ProviderUse, { provider, profile, audience: asked, usesCache }: Wanted): Promise<Obtained> {
  const parameters = await requireParameters(use, provider, profile);
  const audience = asked ?? parameters['audience'];
  const key: CacheKey = { identity: await use.source.identify(), provider: provider.name, parameters, url: provider.locate(parameters, use.places), audience };
  const obtain = (): Promise<Credential> => mintAndExchange(use, { provider, parameters, url: key.url, audience });
  const warn = (sentence: string): void => { printNote(`note: ${sentence}`); };
  const credential = await obtainThroughCache({ ...use, warn, usesCache }, key, obtain);
  return { credential, parameters, audience };
}

/** Throws `CliError` (configuration) that names the command where the provider, or this profile of it, is not set up. */
export async function requireParameters({ home }: Pick<ProviderUse, 'home'>, { name, label }: Provider, profile: string | undefined): Promise<Parameters> {
  const { providers, profiles } = await readConfig(home);
  const parameters = profile === undefined ? providers[name] : profiles[name]?.[profile];
  if (parameters !== undefined) return parameters;
  if (profile === undefined) throw new CliError('configuration', `${label} is not set up`, { hints: [`run \`vouch setup ${name}\` (see --help for what it needs)`] });
  const known = Object.keys(profiles[name] ?? {});
  const hint = known.length === 0 ? `run \`vouch setup ${name} --profile ${profile}\`` : `set up are: ${known.join(', ')}`;
  throw new CliError('configuration', `${label} has no profile "${profile}"`, { hints: [hint] });
}

export interface ExchangePlan {
  readonly provider: Provider;
  readonly parameters: Parameters;
  readonly url: string;
  readonly audience: string | undefined;
}

/** One ID token, one exchange, no cache. */
export async function mintAndExchange({ source, clock }: Pick<ProviderUse, 'source' | 'clock'>, plan: ExchangePlan): Promise<Credential> {
  const [{ exchangeAssertion }, { withSpinner }] = await Promise.all([import('./providers/exchange.ts'), import('./spinner.ts')]);
  return withSpinner(`asking ${plan.provider.label}`, async () => {
    const assertion = await source.idToken(plan.audience);
    return exchangeAssertion({ ...plan, assertion, claims: readClaims(assertion), clock });
  });
}

/** Throws `CliError` (usage). */
export function refuseBadAudience(audience: string | undefined): void {
  const fault = audience === undefined ? undefined : checkAudience(audience);
  if (fault !== undefined) throw new CliError('usage', `--audience ${fault}`);
}

/** Reads the claims for hints and names only; whether the token is genuine is the provider's business. */
function readClaims(jwt: string): AssertionClaims {
  const claims = decodeClaims(jwt) ?? {};
  const read = (name: string): string => (typeof claims[name] === 'string' ? claims[name] : 'unknown');
  return { issuer: read('iss'), subject: read('sub'), audience: read('aud') };
}
