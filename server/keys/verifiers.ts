import type { VerifierCount } from '../storage/storage.ts';

/** Counts who fetches the JWKS, in memory, so that answering it costs no wait. */
export interface FetchCounter {
  /** `network` is the prefix of the address; `version` what the answer held, or what the verifier was told is unchanged. */
  readonly count: (fetch: { userAgent: string | undefined; address: string | undefined; version: bigint; isNotModified: boolean }) => void;
  /** What was counted since the last call. */
  take(): VerifierCount[];
  /** Puts back what could not be written. */
  restore(counts: readonly VerifierCount[]): void;
}

/** Classes beyond this are one class together: whoever invents user agents must not fill the table. */
const MOST_CLASSES = 500;
const OTHERS = { family: 'others', network: 'others' };

export function createFetchCounter(): FetchCounter {
  const counts = new Map<string, { -readonly [K in keyof VerifierCount]: VerifierCount[K] }>();
  const add = ({ id, family, network, lastVersion, fetches, notModified }: VerifierCount) => {
    const known = counts.get(id);
    if (known === undefined) {
      counts.set(id, { id, family, network, lastVersion, fetches, notModified });
      return;
    }
    known.fetches += fetches;
    known.notModified += notModified;
    if (lastVersion > known.lastVersion) known.lastVersion = lastVersion;
  };
  return {
    count: ({ userAgent, address, version, isNotModified }) => {
      let [family, network] = [familyOf(userAgent), prefixOf(address)];
      if (counts.size >= MOST_CLASSES && !counts.has(`${family} ${network}`)) ({ family, network } = OTHERS);
      add({ id: `${family} ${network}`, family, network, lastVersion: version, fetches: 1, notModified: isNotModified ? 1 : 0 });
    },
    take: () => {
      const taken = [...counts.values()];
      counts.clear();
      return taken;
    },
    restore: (taken) => {
      for (const count of taken) add(counts.size < MOST_CLASSES || counts.has(count.id) ? count : { ...count, ...OTHERS, id: `${OTHERS.family} ${OTHERS.network}` });
    },
  };
}

const families = new Map<string, string>();

/** The product's name without its version or comment: `Go-http-client/2.0` is `Go-http-client`. At most 40 characters. */
export function familyOf(userAgent: string | undefined): string {
  if (userAgent === undefined || userAgent === '') return 'unnamed';
  const known = families.get(userAgent);
  if (known !== undefined) return known;
  const family = (/^[A-Za-z0-9._-]{1,40}/.exec(userAgent)?.[0] ?? 'unnamed').replace(/[-_.]?\d[\d._-]*$/, '') || 'unnamed';
  if (families.size < 2_000) families.set(userAgent, family);
  return family;
}

/** The network that an address lies in: /24 of IPv4, /48 of IPv6. It names a data centre and not a machine. */
export function prefixOf(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  const v4 = /^(?:::ffff:)?(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/i.exec(address)?.[1];
  if (v4 !== undefined) return `${v4}.0/24`;
  if (!address.includes(':')) return 'unknown';
  const [head = ''] = address.split('%');
  const [left = '', right] = head.split('::');
  const groups = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : Math.max(0, 8 - groups.length - tail.length);
  return `${[...groups, ...Array<string>(zeros).fill('0'), ...tail].slice(0, 3).join(':')}::/48`;
}
