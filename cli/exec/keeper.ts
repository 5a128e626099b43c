// Credentials that stay fresh while a command runs: in a private folder, replaced whole before they expire. An ID token
// buys one exchange only, so a command never gets one that another may have used.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError } from '../errors.ts';
import { decodeClaims } from '../jwt.ts';
import { listFolder, writePrivateFile } from '../home.ts';
import { printNote } from '../output.ts';
import { obtainCredential, type ProviderUse } from '../provider_credential.ts';
import { takeToken, type Credential, type Variables } from '../providers/provider.ts';
import type { TokenSource } from '../token_source.ts';
import type { ObtainedType } from '../types.ts';
import { arrange, type Arrangement } from './arrangements.ts';

/** A credential is renewed this long before it expires, or sooner than half of a short life: Anthropic's SDK looks for a new one 120 s before. */
const RENEWAL_MARGIN_MS = 150_000;
const TICK_MS = 1000;
const PAUSE_AFTER_FAILURE_MS = 15_000;

export interface Keeper {
  /** What each type sets now: files that are kept, in place of tokens that are not. */
  readonly types: readonly { readonly name: string; readonly variables: Variables }[];
  /** Stops and removes the folder. */
  readonly stop: () => Promise<void>;
}

/** Writes the files and renews them from now on; a person is asked to sign in, if at all, only for the first. Throws what the first writing throws. */
export async function keepFresh(use: ProviderUse, all: readonly ObtainedType[]): Promise<Keeper> {
  const folder = join(use.home.path, 'run', `${process.pid}-${randomBytes(6).toString('hex')}`);
  await removeAbandoned(join(use.home.path, 'run'));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const stop = async (): Promise<void> => { await rm(folder, { recursive: true, force: true }); };
  try {
    const kept = await Promise.all(all.map((type) => keepType(use, type, join(folder, type.name.replace(':', '-')))));
    const stopTicking = startTicking(kept);
    return {
      types: kept.map(({ name, variables }) => ({ name, variables })),
      stop: async () => {
        await stopTicking();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Kept {
  readonly name: string;
  readonly variables: Variables;
  readonly renewIfDue: () => Promise<void>;
}

async function keepType(use: ProviderUse, type: ObtainedType, folder: string): Promise<Kept> {
  const arrangement = arrange(type, folder, use);
  for (const [path, text] of Object.entries(arrangement.files)) await writePrivateFile(path, text);
  const unattended = { ...use, source: use.source.unattended() };
  const credential = arrangement.credential === undefined ? undefined : await keepCredential(unattended, type, arrangement.credential);
  const idToken = arrangement.idToken === undefined ? undefined : await keepIdToken(use, type, arrangement.idToken, credential);
  return {
    name: type.name,
    variables: arrangement.variables,
    renewIfDue: async () => {
      await credential?.renewIfDue();
      await idToken?.renewIfDue();
    },
  };
}

interface KeptCredential {
  readonly renewIfDue: () => Promise<void>;
  /** What another program has put in the file since the last look; undefined if nobody has. */
  readonly findForeign: () => Promise<string | undefined>;
}

async function keepCredential(use: ProviderUse, type: ObtainedType, { path, render }: NonNullable<Arrangement['credential']>): Promise<KeptCredential> {
  let current: Credential = type.credential;
  let dueAt = chooseRenewal(current, use.clock());
  let seen = '';
  const write = async (): Promise<void> => {
    seen = render(current);
    await writePrivateFile(path, seen);
  };
  await write();
  return {
    renewIfDue: async () => {
      if (use.clock() < dueAt) return;
      // Another process may have renewed it already; only what is as old as ours needs an exchange.
      const cached = (await obtainCredential(use, { ...type, usesCache: true })).credential;
      current = takeToken(cached) === takeToken(current) ? (await obtainCredential(use, { ...type, usesCache: false })).credential : cached;
      dueAt = chooseRenewal(current, use.clock());
      await write();
    },
    findForeign: async () => {
      const text = await readFile(path, 'utf8').catch(() => seen);
      if (text === seen) return undefined;
      seen = text;
      return text;
    },
  };
}

function chooseRenewal({ expiresAt }: Credential, now: number): number {
  if (expiresAt === undefined) return Infinity;
  return expiresAt - Math.min(RENEWAL_MARGIN_MS, (expiresAt - now) * 0.6);
}

/** Renewed at half of its life, and at once when an SDK has made an exchange with it, which shows in the credential's file. */
async function keepIdToken(use: ProviderUse, { audience }: ObtainedType, { path }: NonNullable<Arrangement['idToken']>, credential: KeptCredential | undefined): Promise<{ renewIfDue: () => Promise<void> }> {
  const mint = async (source: TokenSource): Promise<number> => {
    const askedAt = use.clock();
    const token = await source.withFreshSignIn(() => source.idToken(audience));
    await writePrivateFile(path, token);
    const { exp } = decodeClaims(token) ?? {};
    return askedAt + Math.max(30_000, (typeof exp === 'number' ? exp * 1000 - askedAt : 0) / 2);
  };
  let dueAt = await mint(use.source);
  const unattended = use.source.unattended();
  return {
    renewIfDue: async () => {
      const isUsed = (await credential?.findForeign()) !== undefined;
      if (isUsed) dueAt = 0;
      if (use.clock() >= dueAt) dueAt = await mint(unattended);
    },
  };
}

/** Returns what ends it, once a renewal that is under way has come to its end: it must not write into a folder that is gone. */
function startTicking(kept: readonly Kept[]): () => Promise<void> {
  const pausedUntil = new Map<Kept, number>();
  const said = new Set<string>();
  let running: Promise<void> | undefined;
  const tick = async (): Promise<void> => {
    for (const one of kept) {
      if ((pausedUntil.get(one) ?? 0) > performance.now()) continue;
      try {
        await one.renewIfDue();
        said.clear();
      } catch (error) {
        pausedUntil.set(one, performance.now() + PAUSE_AFTER_FAILURE_MS);
        const sentence = error instanceof CliError ? [error.message, ...error.hints.slice(0, 1)].join('; ') : String(error);
        // Once for each reason: the command's own output is under it.
        if (!said.has(sentence)) printNote(`note: the credential of ${one.name} could not be renewed: ${sentence}`);
        said.add(sentence);
      }
    }
  };
  const timer = setInterval(() => {
    running ??= tick().finally(() => { running = undefined; });
  }, TICK_MS).unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}

/** What a vouch that was killed left behind. */
async function removeAbandoned(run: string): Promise<void> {
  for (const name of await listFolder(run)) {
    const pid = Number(/^(\d+)-/.exec(name)?.[1]);
    if (Number.isInteger(pid) && !isAlive(pid)) await rm(join(run, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
