// vouch keys history, verifiers and rewrap.
import type { AdminApi } from '../admin_api.ts';
import { printNote, printReport } from '../output.ts';
import { formatDuration, formatInstant } from '../time.ts';
import { readCount, readEvents, readOverview, readUnproved, readVerifiers } from './answers.ts';
import { joinSome, renderTable } from '../table.ts';

/** Prints the last `limit` changes, newest first. */
export async function showHistory(api: AdminApi, { limit, isJson }: { limit: number; isJson: boolean }): Promise<void> {
  const answer = await api.get('/keys/events');
  const events = readEvents(answer);
  if (isJson) {
    await printReport(JSON.stringify({ events: (answer['events'] as readonly unknown[]).slice(0, limit) }, null, 2));
    return;
  }
  const rows = events.slice(0, limit).map(({ at, version, ring, kind, kid, actor, reason }) => [formatInstant(at), String(version), ring, kind, kid, actor, reason]);
  await printReport(renderTable(['AT', 'VERSION', 'RING', 'WHAT', 'KID', 'BY', 'WHY'], rows));
}

/** Prints who fetches the JWKS, how often, and which keys they cannot have yet. */
export async function showVerifiers(api: AdminApi, isJson: boolean): Promise<void> {
  const answer = await api.get('/keys/verifiers');
  const verifiers = readVerifiers(answer);
  if (isJson) {
    await printReport(JSON.stringify(answer, null, 2));
    return;
  }
  const { now } = readOverview(await api.get('/keys'));
  const rows = verifiers.map(({ family, network, lastFetchAt, meanIntervalSeconds, lastVersion, fetches, notModified, isKnown, lacks }) =>
    [family, network, `${formatDuration(now - lastFetchAt)} ago`, meanIntervalSeconds === undefined ? '-' : formatDuration(meanIntervalSeconds * 1000), String(lastVersion), `${fetches} (${notModified} unchanged)`, isKnown ? 'yes' : 'no', lacks.length === 0 ? '-' : joinSome(lacks)]);
  const table = renderTable(['FAMILY', 'NETWORK', 'LAST FETCH', 'MEAN INTERVAL', 'VERSION', 'FETCHES', 'WAITED FOR', 'LACKS'], rows);
  await printReport(verifiers.length === 0 ? 'Nobody has fetched the JWKS yet.' : table);
}

/** Seals every private half again under the first key-encryption key. */
export async function rewrapKeys(api: AdminApi, isJson: boolean): Promise<void> {
  const answer = await api.post('/keys/rewrap');
  const count = readCount(answer, 'rewrapped');
  await printReport(isJson ? JSON.stringify(answer, null, 2) : `${count} private ${count === 1 ? 'half is' : 'halves are'} sealed again under the first key of VOUCH_KEK.`);
  for (const kid of readUnproved(answer)) printNote(`note: no key of VOUCH_KEK shows that ${kid} is this issuer's: what it sealed in the record is not believed (deploy/README.md, "Change the key-encryption key")`);
}
