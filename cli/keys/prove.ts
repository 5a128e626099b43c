// Proof that a revoked key is gone: by what every instance says of itself, and by what the public address serves.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AdminApi } from '../admin_api.ts';
import { formatDuration } from '../time.ts';
import { request } from '../wire.ts';
import { readOverview, type Instance, type Overview } from './answers.ts';

const PAUSE_MS = 500;
/** In a row, so that several instances behind one address are met. */
const FETCHES = 10;
const FETCH_TIMEOUT_MS = 5_000;
/** One that was silent for longer is taken to be gone. */
const REMEMBERED_MS = 86_400_000;

export interface Proof {
  readonly what: 'jwks' | 'instance';
  readonly subject: string;
  readonly isProved: boolean;
  readonly sentence: string;
}

/** The public JWKS, asked past every cache that respects a query. Resolves within `waitSeconds` and a fetch. */
export async function proveJwks(issuer: string, kid: string, waitSeconds: number): Promise<Proof> {
  const url = `${issuer}/oauth/jwks`;
  const end = performance.now() + waitSeconds * 1000;
  let [inRow, fault] = [0, 'it was not asked'];
  while (inRow < FETCHES && performance.now() < end) {
    const found = await findFault(url, kid);
    if (found === undefined) inRow += 1;
    else {
      [inRow, fault] = [0, found];
      await sleep(PAUSE_MS);
    }
  }
  const isProved = inRow === FETCHES;
  const sentence = isProved ? `${url} answered ${FETCHES} times in a row without ${kid}` : `${url} does not yet answer without ${kid} each time: ${fault}`;
  return { what: 'jwks', subject: url, isProved, sentence };
}

async function findFault(url: string, kid: string): Promise<string | undefined> {
  try {
    const response = await request(`${url}?nocache=${randomBytes(8).toString('hex')}`, {
      // Not a verifier: its family must be told apart from those that a rotation waits for. On a connection of its own, since
      // a balancer leads all that comes by one to one instance.
      headers: { 'user-agent': 'vouch-proof', 'cache-control': 'no-cache', connection: 'close' },
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
    if (response.status !== 200) return `it answered ${response.status}`;
    const { keys } = (await response.json()) as { keys: readonly { kid?: unknown }[] };
    if (keys.length === 0) return 'it holds no key';
    return keys.some((key) => key.kid === kid) ? 'it still holds the key' : undefined;
  } catch {
    return 'it could not be fetched';
  }
}

/**
 * Every instance that was heard of within a day, against the version that the revocation made. Those that live are waited
 * for, within `waitSeconds`, not counting a sign-in; one that is silent cannot be asked, and goes on publishing if it runs.
 */
export async function proveInstances(api: AdminApi, waitSeconds: number): Promise<readonly Proof[]> {
  const first = readOverview(await api.get('/keys'));
  const end = performance.now() + waitSeconds * 1000;
  for (let overview = first; ; overview = readOverview(await api.get('/keys'))) {
    const { instances, now } = overview;
    const live = instances.filter(({ isLive }) => isLive).map((instance) => describeInstance(instance, first.version, overview));
    const isDone = live.length > 0 && live.every(({ isProved }) => isProved);
    if (isDone || performance.now() >= end) {
      const silent = instances.filter(({ isLive, seenAt, servedVersion }) => !isLive && now - seenAt <= REMEMBERED_MS && servedVersion < first.version);
      return [...(live.length > 0 ? live : [NOBODY]), ...silent.map((instance) => describeSilent(instance, overview))];
    }
    await sleep(PAUSE_MS);
  }
}

const NOBODY: Proof = { what: 'instance', subject: 'none', isProved: false, sentence: 'no instance says that it lives' };

function describeInstance({ host, id, servedVersion, seenAt }: Instance, version: bigint, { now }: Overview): Proof {
  const name = nameInstance({ host, id });
  if (servedVersion >= version) return { what: 'instance', subject: id, isProved: true, sentence: `${name} serves version ${servedVersion}` };
  const sentence = `${name} last said ${formatDuration(now - seenAt)} ago that it serves version ${servedVersion}, and ${version} is needed; if it still runs, it publishes the key: stop it`;
  return { what: 'instance', subject: id, isProved: false, sentence };
}

function describeSilent({ host, id, seenAt }: Instance, { now }: Overview): Proof {
  return { what: 'instance', subject: id, isProved: false, sentence: `${nameInstance({ host, id })} was last heard of ${formatDuration(now - seenAt)} ago: if it still runs, it publishes the key; stop it` };
}

/** The host and the beginning of the id, as `vouch keys list` shows them. */
function nameInstance({ host, id }: Pick<Instance, 'host' | 'id'>): string {
  return `instance ${host} ${id.slice(0, 8)}`;
}
