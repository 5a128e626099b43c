// vouch credential …: prints one token, or keeps one in a file.
import { readConfig } from './config.ts';
import { CliError } from './errors.ts';
import { checkAudience } from './formats.ts';
import type { Home } from './home.ts';
import { decodeClaims } from './jwt.ts';
import { printNote, printProduct } from './output.ts';
import { exchangeAssertion } from './providers/exchange.ts';
import type { AssertionClaims, Provider } from './providers/provider.ts';
import type { Clock } from './time.ts';
import type { TokenSource } from './token_source.ts';

export interface AudienceOption {
  readonly audience?: string | undefined;
}

/** Prints an access token of the issuer (RFC 9068). */
export async function printAccessToken(source: TokenSource): Promise<void> {
  await printProduct(await source.accessToken());
}

export interface IdTokenOptions extends AudienceOption {
  /** Undefined: standard output. */
  readonly path: string | undefined;
  /** Keeps the file current until a signal. */
  readonly isKept: boolean;
  readonly clock: Clock;
}

/** Prints a fresh federation ID token, or writes it into a file; without an audience the issuer's default holds. */
export async function provideIdToken(source: TokenSource, { audience, path, isKept, clock }: IdTokenOptions): Promise<void> {
  refuseBadAudience(audience);
  const mint = (): Promise<string> => source.idToken(audience);
  if (path === undefined) {
    if (isKept) throw new CliError('usage', '--refresh needs --output-file: the file that it keeps');
    return printProduct(await mint());
  }
  const { keepTokenFile, writeTokenFile } = await import('./refresh_file.ts');
  if (isKept) return keepTokenFile({ path, mint, clock });
  await writeTokenFile({ path, mint, clock });
  printNote(`Wrote a token to ${path}.`);
}

export interface ProviderOptions extends AudienceOption {
  readonly home: Home;
  readonly anthropicBaseUrl: string | undefined;
}

/** Prints a fresh access token of the provider; the audience is the option's, else the setup's, else the issuer's default. */
export async function printProviderToken(source: TokenSource, provider: Provider, { home, audience, anthropicBaseUrl }: ProviderOptions): Promise<void> {
  refuseBadAudience(audience);
  const parameters = (await readConfig(home)).providers[provider.name];
  if (parameters === undefined) {
    throw new CliError('configuration', `${provider.label} is not set up`, { hints: [`run \`vouch setup ${provider.name}\` (see --help for what it needs)`] });
  }
  const assertion = await source.idToken(audience ?? parameters['audience']);
  await printProduct(await exchangeAssertion({ provider, parameters, assertion, anthropicBaseUrl, claims: readClaims(assertion) }));
}

function refuseBadAudience(audience: string | undefined): void {
  const fault = audience === undefined ? undefined : checkAudience(audience);
  if (fault !== undefined) throw new CliError('usage', `--audience ${fault}`);
}

/** Reads the claims for hints only; whether the token is genuine is the provider's business. */
function readClaims(jwt: string): AssertionClaims {
  const claims = decodeClaims(jwt) ?? {};
  const read = (name: string): string => (typeof claims[name] === 'string' ? claims[name] : 'unknown');
  return { issuer: read('iss'), subject: read('sub'), audience: read('aud') };
}
