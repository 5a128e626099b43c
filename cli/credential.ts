// vouch credential …: prints one token.
import { decodeClaims } from './jwt.ts';
import { printProduct, printReport } from './output.ts';
import { mintIdToken, obtainCredential, refuseBadAudience, type ProviderUse, type Wanted } from './provider_credential.ts';
import { requireFreshSession, type SessionUse } from './use_session.ts';

export interface TokenOptions {
  readonly audience?: string | undefined;
  /** JSON with the expiry instead of the bare token. */
  readonly isJson: boolean;
}

/** Prints the session's access token (RFC 9068). */
export async function printAccessToken(use: SessionUse, isJson: boolean): Promise<void> {
  const { accessToken, accessTokenExpiresAt } = await requireFreshSession(use);
  if (isJson) await printJson({ token: accessToken, expires_at: formatExpiry(accessTokenExpiresAt) });
  else await printProduct(accessToken);
}

/** Prints a fresh federation ID token; without an audience the issuer's default holds. */
export async function printIdToken(use: SessionUse, { audience, isJson }: TokenOptions): Promise<void> {
  refuseBadAudience(audience);
  const token = await mintIdToken(use, audience);
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
