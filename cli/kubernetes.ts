// vouch credential kubernetes: what kubectl and every other client-go program take from an exec plugin.
import { obtainThroughCache, type CacheKey } from './cache.ts';
import { CliError } from './errors.ts';
import { decodeClaims } from './jwt.ts';
import { printNote, printProduct } from './output.ts';
import { refuseBadAudience, type ProviderUse } from './provider_credential.ts';
import { takeToken, type Credential } from './providers/provider.ts';

export interface ClusterTokenOptions {
  readonly audience: string;
  /** False mints in any case; what comes of it is kept all the same. */
  readonly usesCache: boolean;
  /** KUBERNETES_EXEC_INFO, by which the caller says which version of the format it takes; undefined at a terminal. */
  readonly execInfo: string | undefined;
}

/**
 * Prints an ID token as an ExecCredential (client.authentication.k8s.io/v1 or v1beta1). The API server checks the token
 * itself, as often as it is shown, so that one serves until a minute before it expires. Throws `CliError`: usage,
 * configuration (the caller takes another version), and what the source throws.
 */
export async function printExecCredential(use: ProviderUse, options: ClusterTokenOptions): Promise<void> {
  refuseBadAudience(options.audience);
  const apiVersion = chooseVersion(options.execInfo);
  const credential = await use.source.withFreshSignIn(() => obtainToken(use, options));
  const { expiresAt } = credential;
  const status = { token: takeToken(credential), ...(expiresAt === undefined ? {} : { expirationTimestamp: new Date(expiresAt).toISOString() }) };
  await printProduct(JSON.stringify({ apiVersion, kind: 'ExecCredential', status }));
}

const GROUP = 'client.authentication.k8s.io';
const VERSIONS: readonly unknown[] = [`${GROUP}/v1`, `${GROUP}/v1beta1`];

/** The answer must be of the version that was asked for. */
function chooseVersion(execInfo: string | undefined): unknown {
  if (execInfo === undefined) return VERSIONS[0];
  const asked = readVersion(execInfo);
  if (VERSIONS.includes(asked)) return asked;
  throw new CliError('configuration', `the caller asks for no version of ${GROUP} that vouch speaks`, { hints: [`write \`apiVersion: ${GROUP}/v1\` below \`exec:\` in the kubeconfig`] });
}

function readVersion(execInfo: string): unknown {
  try {
    return (JSON.parse(execInfo) as { apiVersion?: unknown } | null)?.apiVersion;
  } catch {
    return undefined;
  }
}

async function obtainToken(use: ProviderUse, { audience, usesCache }: ClusterTokenOptions): Promise<Credential> {
  const identity = await use.source.identify();
  const key: CacheKey = { identity, provider: 'kubernetes', parameters: {}, url: identity.issuer, audience };
  const warn = (sentence: string): void => { printNote(`note: ${sentence}`); };
  return obtainThroughCache({ ...use, warn, usesCache }, key, async () => {
    const token = await use.source.idToken(audience);
    const { exp } = decodeClaims(token) ?? {};
    return { secrets: { token }, expiresAt: typeof exp === 'number' ? exp * 1000 : undefined };
  });
}
