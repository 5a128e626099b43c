// vouch credential …: prints one token, or keeps one in a file.
import { CliError } from './errors.ts';
import { decodeClaims } from './jwt.ts';
import { printNote, printProduct, printReport } from './output.ts';
import { obtainCredential, refuseBadAudience, type ProviderUse, type Wanted } from './provider_credential.ts';
import type { Clock } from './time.ts';
import type { TokenSource } from './token_source.ts';

/** Prints an access token of the issuer (RFC 9068), or JSON with its expiry. */
export async function printAccessToken(source: TokenSource, isJson: boolean): Promise<void> {
  const { token, expiresAt } = await source.accessToken();
  if (isJson) await printJson({ token, expires_at: formatExpiry(expiresAt) });
  else await printProduct(token);
}

export interface IdTokenOptions {
  /** Undefined: the issuer's default. */
  readonly audience: string | undefined;
  /** JSON with the expiry instead of the bare token. */
  readonly isJson: boolean;
  /** Undefined: standard output. */
  readonly path: string | undefined;
  /** Keeps the file current until a signal. */
  readonly isKept: boolean;
  readonly clock: Clock;
}

/** Prints a fresh federation ID token, or writes it into a file. Throws `CliError`: usage, and what the source throws. */
export async function provideIdToken(source: TokenSource, { audience, isJson, path, isKept, clock }: IdTokenOptions): Promise<void> {
  refuseBadAudience(audience);
  if (path === undefined && isKept) throw new CliError('usage', '--refresh needs --output-file: the file that it keeps');
  if (path !== undefined && isJson) throw new CliError('usage', '--json and --output-file exclude each other: the file holds the bare token, as SDKs read it');
  const mint = (): Promise<string> => source.withFreshSignIn(() => source.idToken(audience));
  if (path === undefined) return printIdToken(await mint(), isJson);
  const { keepTokenFile, writeTokenFile } = await import('./refresh_file.ts');
  if (isKept) return keepTokenFile({ path, mint, clock });
  await writeTokenFile({ path, mint, clock });
  printNote(`Wrote a token to ${path}.`);
}

async function printIdToken(token: string, isJson: boolean): Promise<void> {
  if (!isJson) return printProduct(token);
  const { exp, aud, sub } = decodeClaims(token) ?? {};
  await printJson({ token, expires_at: formatExpiry(typeof exp === 'number' ? exp * 1000 : undefined), audience: aud, subject: sub });
}

/** Prints the provider's credential, as its own tools take it, or as JSON with its expiry. */
export async function printProviderCredential(use: ProviderUse, wanted: Wanted, isJson: boolean): Promise<void> {
  const { credential, audience } = await obtainCredential(use, wanted);
  if (!isJson) return printProduct(wanted.provider.print(credential));
  await printJson({ provider: wanted.provider.name, ...credential.secrets, expires_at: formatExpiry(credential.expiresAt), audience: audience ?? null });
}

function formatExpiry(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString();
}

async function printJson(value: object): Promise<void> {
  await printReport(JSON.stringify(value, null, 2));
}
