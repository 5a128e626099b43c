// ~/.vouch/cache/: tokens of providers, so that fifty commands in a row make one exchange. Losing it costs an exchange each.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { CliError } from './errors.ts';
import { asFields, Malformed, parseJson, takeInstant, takeString, type Fields } from './fields.ts';
import { listFolder, readPrivateFile, removePrivateFile, withFileLockUnless, writePrivateFile, type Home } from './home.ts';
import type { Credential } from './providers/provider.ts';
import { readSession } from './session.ts';
import type { Clock } from './time.ts';
import type { Identity } from './token_source.ts';

const VERSION = 1;
/** A token is served until this long before it expires, so that whoever gets it can use it. */
const MARGIN_MS = 60_000;

/** All that decides which token comes out of an exchange: a difference in any of it is another token. */
export interface CacheKey {
  readonly identity: Identity;
  readonly provider: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Where the exchange is made. */
  readonly url: string;
  /** Undefined: the issuer's default. */
  readonly audience: string | undefined;
}

export interface CacheUse {
  readonly home: Home;
  readonly clock: Clock;
  /** Hears why a token could not be kept; it is printed all the same. */
  readonly warn: (sentence: string) => void;
  /** False obtains in any case; other processes still wait for it and take it. */
  readonly usesCache: boolean;
}

/** Returns a kept token that is good for another minute; a file that cannot be read is as good as none. */
export async function findCached({ home, clock }: Pick<CacheUse, 'home' | 'clock'>, key: CacheKey): Promise<Credential | undefined> {
  const kept = await readEntry(locate(home, key));
  if (kept === undefined) return undefined;
  const now = clock();
  // Kept in the future: the clock was wrong then, and so is the expiry.
  const isUsable = kept.obtainedAt <= now && kept.credential.expiresAt - now > MARGIN_MS;
  return isUsable ? kept.credential : undefined;
}

/**
 * Returns the kept token, else what `obtain` gives, and keeps that. Of many processes that ask at once for the same
 * token one obtains it. A cache that cannot be written is said to `warn` and costs no more than the exchange.
 */
export async function obtainThroughCache(use: CacheUse, key: CacheKey, obtain: () => Promise<Credential>): Promise<Credential> {
  // Before all else: what is kept can be read where nothing can be written.
  const kept = use.usesCache ? await findCached(use, key) : undefined;
  if (kept !== undefined) return kept;
  const path = locate(use.home, key);
  const progress = { hasBegun: false };
  try {
    return await withFileLockUnless(path, async () => (use.usesCache ? findCached(use, key) : undefined), async () => {
      progress.hasBegun = true;
      const obtainedAt = use.clock();
      const credential = await obtain();
      await keep(use, key, credential, obtainedAt);
      return credential;
    });
  } catch (error) {
    if (progress.hasBegun || !(error instanceof CliError) || error.kind !== 'configuration') throw error;
    use.warn(`the token is not cached: ${error.message}`);
    return obtain();
  }
}

/** Forgets the tokens of one provider, or of all. Throws `CliError` (configuration) if a file cannot be removed. */
export async function purgeCache({ cachePath }: Home, provider?: string): Promise<void> {
  const names = await listFolder(cachePath).catch(() => []);
  const doomed = names.filter((name) => isEntry(name) && (provider === undefined || name.startsWith(`${provider}-`)));
  for (const name of doomed) await removePrivateFile(join(cachePath, name));
}

async function keep({ home, clock, warn }: Pick<CacheUse, 'home' | 'clock' | 'warn'>, key: CacheKey, credential: Credential, obtainedAt: number): Promise<void> {
  const { expiresAt } = credential;
  if (expiresAt === undefined || expiresAt - clock() <= MARGIN_MS) return;
  const path = locate(home, key);
  const fields = {
    version: VERSION, provider: key.provider, secrets: credential.secrets,
    obtained_at: new Date(obtainedAt).toISOString(), expires_at: new Date(expiresAt).toISOString(),
  };
  try {
    await writePrivateFile(path, `${JSON.stringify(fields, null, 2)}\n`);
    await removeExpired(home, clock());
    // Signed out, or in as somebody else, while the exchange was under way: nothing may be left behind.
    if (!(await isStillIn(home, key.identity))) await removePrivateFile(path);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    warn(`the token is not cached: ${error.message}`);
  }
}

/** A service account is not signed in: its key file is read anew each time. */
async function isStillIn(home: Home, identity: Identity): Promise<boolean> {
  if (identity.kind === 'service') return true;
  const session = await readSession(home).catch(() => undefined);
  return session?.id === identity.id && session.email === identity.email;
}

async function removeExpired({ cachePath }: Home, now: number): Promise<void> {
  for (const name of (await listFolder(cachePath)).filter(isEntry)) {
    const path = join(cachePath, name);
    const entry = await readEntry(path);
    if (entry === undefined || entry.credential.expiresAt <= now) await removePrivateFile(path);
  }
}

/** An entry, or what is left of one: `<provider>-<hash>.json`, perhaps with the number of a write that was cut off. */
function isEntry(name: string): boolean {
  return /^[a-z]+-[0-9a-f]{64}\.json(\.\d+)?$/.test(name);
}

function locate({ cachePath }: Home, { identity, provider, parameters, url, audience }: CacheKey): string {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([VERSION, ...nameIdentity(identity), provider, sorted, url, audience ?? null]);
  return join(cachePath, `${provider}-${createHash('sha256').update(text).digest('hex')}.json`);
}

function nameIdentity(identity: Identity): readonly string[] {
  return identity.kind === 'session' ? [identity.kind, identity.issuer, identity.email, identity.id] : [identity.kind, identity.issuer, identity.clientId];
}

interface Entry {
  readonly credential: Credential & { readonly expiresAt: number };
  readonly obtainedAt: number;
}

async function readEntry(path: string): Promise<Entry | undefined> {
  try {
    const text = await readPrivateFile(path);
    return text === undefined ? undefined : parseEntry(asFields(parseJson(text), 'the file'));
  } catch (error) {
    // Cut off, edited, or not ours to read: an exchange gives another.
    if (error instanceof Malformed || error instanceof CliError) return undefined;
    throw error;
  }
}

function parseEntry(fields: Fields): Entry {
  if (fields['version'] !== VERSION) throw new Malformed('it was written by another version of vouch');
  const secrets = asFields(fields['secrets'], '"secrets"');
  const texts = Object.keys(secrets).map((name) => [name, takeString(secrets, name)] as const);
  return { credential: { secrets: Object.fromEntries(texts), expiresAt: takeInstant(fields, 'expires_at') }, obtainedAt: takeInstant(fields, 'obtained_at') };
}
