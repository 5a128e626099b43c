// vouch keys list: each ring, its keys, and what happens to them next.
import type { AdminApi } from '../admin_api.ts';
import { printReport } from '../output.ts';
import { formatDuration, formatInstant } from '../time.ts';
import { isPublished, readOverview, readVerifiers, type Instance, type Key, type Overview, type Ring, type Verifier } from './answers.ts';
import { joinSome, renderTable } from '../table.ts';

/** Prints the rings and the instances; with `--json` the API's own answer, with its verifiers. */
export async function listKeys(api: AdminApi, isJson: boolean): Promise<void> {
  const overview = await api.get('/keys');
  const verifiers = await api.get('/keys/verifiers');
  if (isJson) await printReport(JSON.stringify({ ...overview, ...verifiers }, null, 2));
  else await printReport(describeKeys(readOverview(overview), readVerifiers(verifiers)));
}

function describeKeys(overview: Overview, verifiers: readonly Verifier[]): string {
  const outOfUse = overview.rings.flatMap(({ keys }) => keys).filter((key) => !isPublished(key)).length;
  return [
    `Version ${overview.version} at ${formatInstant(overview.now)}`,
    ...overview.rings.map((ring) => `${ring.ring}\n${describeRing(ring, overview, verifiers)}`),
    `Instances\n${describeInstances(overview)}`,
    ...(outOfUse === 0 ? [] : [`${outOfUse} out of use: see \`vouch keys history\``]),
  ].join('\n\n');
}

const ORDER = ['active', 'pending', 'retiring'];

function describeRing(ring: Ring, overview: Overview, verifiers: readonly Verifier[]): string {
  const keys = ring.keys.filter(isPublished).sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
  return renderTable(
    ['KID', 'STATE', 'AGE', 'NEXT', 'LACKED BY'],
    keys.map((key) => [key.kid, key.state, formatDuration(overview.now - key.publishedAt), describeNext(key, ring, overview), describeLacking(key, overview, verifiers)]),
  );
}

function describeNext(key: Key, ring: Ring, overview: Overview): string {
  if (key.state === 'pending') return describeActivation(ring, overview);
  if (key.state === 'active') return ring.keys.some(({ state }) => state === 'pending') ? 'signs until the standby takes over' : 'signs';
  const { retentionSeconds } = overview.policy;
  if (key.retiringAt === undefined || retentionSeconds === undefined) return 'leaves the JWKS when its retention is over';
  return `leaves the JWKS ${formatInstant(key.retiringAt + retentionSeconds * 1000)}`;
}

/** "activates 2026-12-24 10:00, after lead; waits for Go-http-client 10.1.2.0/24". */
function describeActivation({ next }: Ring, overview: Overview): string {
  const { dueAt, leadEndsAt, isRequested, isOpen } = next;
  if (dueAt === undefined || leadEndsAt === undefined) return 'activates when the ring begins';
  const waits = describeWaiting(next, overview);
  const why = leadEndsAt >= dueAt ? 'after lead' : isRequested ? 'as asked for' : 'by age';
  const at = Math.max(dueAt, leadEndsAt);
  if (at > overview.now) return `activates ${formatInstant(at)}, ${why}${waits === '' ? '' : `; waits for ${waits}`}`;
  return isOpen || waits === '' ? `activates now, ${why}` : `activates as soon as ${waits} ${next.lateInstances.length + next.lateVerifiers.length > 1 ? 'have' : 'has'} it`;
}

/** Who has yet to see the standby, by name; empty if nobody. */
export function describeWaiting({ lateInstances, lateVerifiers }: Ring['next'], { instances }: Overview): string {
  return joinSome([...lateInstances.map((id) => nameInstance(instances.find((instance) => instance.id === id), id)), ...lateVerifiers]);
}

function describeLacking(key: Key, { instances }: Overview, verifiers: readonly Verifier[]): string {
  const late = instances.filter(({ isLive, servedVersion }) => isLive && servedVersion < key.publishedVersion).map((instance) => nameInstance(instance, instance.id));
  const lacking = verifiers.filter(({ isKnown, lacks }) => isKnown && lacks.includes(key.kid)).map(({ family, network }) => `${family} ${network}`);
  return late.length + lacking.length === 0 ? '-' : joinSome([...late, ...lacking]);
}

function nameInstance(instance: Instance | undefined, id: string): string {
  return `instance ${instance === undefined ? '' : `${instance.host} `}${id.slice(0, 8)}`;
}

function describeInstances({ instances, now }: Overview): string {
  return renderTable(
    ['HOST', 'ID', 'VERSION', 'CLOCK', 'LAST HEARD', 'STATE'],
    instances.map(({ host, id, servedVersion, skewMs, seenAt, isLive }) =>
      [host, id.slice(0, 8), String(servedVersion), formatSkew(skewMs), `${formatDuration(now - seenAt)} ago`, isLive ? 'live' : 'silent']),
  );
}

function formatSkew(skewMs: number): string {
  const sign = skewMs < 0 ? '-' : '+';
  return Math.abs(skewMs) < 10_000 ? `${sign}${Math.abs(skewMs)} ms` : `${sign}${formatDuration(Math.abs(skewMs))}`;
}
