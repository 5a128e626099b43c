// vouch credential …: prints one token.
import { readConfig } from './config.ts';
import { CliError } from './errors.ts';
import { checkAudience } from './formats.ts';
import { isSubjectRefused } from './issuer_refusal.ts';
import { printProduct } from './output.ts';
import { exchangeAssertion } from './providers/exchange.ts';
import type { AssertionClaims, Provider } from './providers/provider.ts';
import { requireFreshSession, type SessionUse } from './use_session.ts';

export interface AudienceOption {
  readonly audience?: string | undefined;
}

/** Prints the session's access token (RFC 9068). */
export async function printAccessToken(use: SessionUse): Promise<void> {
  const { accessToken } = await requireFreshSession(use);
  await printProduct(accessToken);
}

/** Prints a fresh federation ID token; without an audience the issuer's default holds. */
export async function printIdToken(use: SessionUse, { audience }: AudienceOption): Promise<void> {
  refuseBadAudience(audience);
  await printProduct(await mintIdToken(use, audience));
}

/** Prints a fresh access token of the provider; the audience is the option's, else the setup's, else the issuer's default. */
export async function printProviderToken(
  use: SessionUse,
  provider: Provider,
  { audience, anthropicBaseUrl }: AudienceOption & { readonly anthropicBaseUrl: string | undefined },
): Promise<void> {
  refuseBadAudience(audience);
  const parameters = (await readConfig(use.home)).providers[provider.name];
  if (parameters === undefined) {
    throw new CliError('configuration', `${provider.label} is not set up`, { hints: [`run \`vouch setup ${provider.name}\` (see --help for what it needs)`] });
  }
  const assertion = await mintIdToken(use, audience ?? parameters['audience']);
  await printProduct(await exchangeAssertion({ provider, parameters, assertion, anthropicBaseUrl, claims: readClaims(assertion) }));
}

/** A session ended at the issuer shows first when the access token is refused: a refresh then tells for certain. */
async function mintIdToken(use: SessionUse, audience: string | undefined): Promise<string> {
  const session = await requireFreshSession(use);
  const issuer = await use.connect(session.issuer);
  try {
    return await issuer.exchange(session.accessToken, audience);
  } catch (error) {
    if (!isSubjectRefused(error)) throw error;
  }
  const renewed = await requireFreshSession(use, session.accessToken);
  return (await use.connect(renewed.issuer)).exchange(renewed.accessToken, audience);
}

function refuseBadAudience(audience: string | undefined): void {
  const fault = audience === undefined ? undefined : checkAudience(audience);
  if (fault !== undefined) throw new CliError('usage', `--audience ${fault}`);
}

/** Reads the claims for hints only; whether the token is genuine is the provider's business. */
function readClaims(jwt: string): AssertionClaims {
  const claims = decodePayload(jwt);
  const read = (name: string): string => (typeof claims[name] === 'string' ? claims[name] : 'unknown');
  return { issuer: read('iss'), subject: read('sub'), audience: read('aud') };
}

function decodePayload(jwt: string): Record<string, unknown> {
  try {
    const payload: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return (payload ?? {}) as Record<string, unknown>;
  } catch {
    return {};
  }
}
