import { lookup as resolve, type LookupAddress } from 'node:dns';
import { request } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/*
 * Fetching an address that somebody else chose (a client's jwks_uri): never from this host or the network around it, never
 * by way of a redirect, bounded in size and time. The address that was checked is the one that is connected to, so that a
 * name cannot lead elsewhere in between.
 */

/** Special-use addresses (RFC 6890 and its registries). */
const SPECIAL = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24], ['192.0.2.0', 24], ['192.88.99.0', 24],
  ['192.168.0.0', 16], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
] as const) SPECIAL.addSubnet(network, prefix, 'ipv4');
/** In IPv6 all of 2000::/3 is public but these. */
for (const [network, prefix] of [['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20]] as const) SPECIAL.addSubnet(network, prefix, 'ipv6');
const GLOBAL_IPV6 = new BlockList();
GLOBAL_IPV6.addSubnet('2000::', 3, 'ipv6');

export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !SPECIAL.check(address, 'ipv4');
  return family === 6 && GLOBAL_IPV6.check(address, 'ipv6') && !SPECIAL.check(address, 'ipv6');
}

export interface FetchLimits {
  readonly largestBytes: number;
  readonly timeoutMs: number;
}

/** GET over https. Rejects with a TypeError for any other address, a redirect, an answer that is too large or too late. */
export type PublicFetch = (url: string, headers: Readonly<Record<string, string>>, limits: FetchLimits) => Promise<Response>;

export interface PublicFetchOptions {
  /** Gives only addresses that may be connected to. */
  readonly lookUp?: LookupFunction;
  /** PEM of the authorities to trust; undefined: those that Node trusts. */
  readonly ca?: string;
}

export function createPublicFetch({ lookUp = lookUpPublic, ca }: PublicFetchOptions = {}): PublicFetch {
  return (url, headers, { largestBytes, timeoutMs }) => {
    const { protocol, hostname } = new URL(url);
    const fail = (why: string) => new TypeError(`${hostname} was not fetched from: ${why}`);
    if (protocol !== 'https:') return Promise.reject(fail('it is not https'));
    if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) return Promise.reject(fail('it is an address and no name'));
    return new Promise((resolvePromise, reject) => {
      const asking = request(url, { lookup: lookUp, ca, headers, timeout: timeoutMs, signal: AbortSignal.timeout(timeoutMs) }, (answer) => {
        const status = answer.statusCode ?? 0;
        if (status < 200 || status >= 300) {
          asking.destroy();
          reject(fail(status >= 300 && status < 400 ? 'it redirects' : `it answers ${status}`));
          return;
        }
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size <= largestBytes) chunks.push(chunk);
          else {
            // An answer that is all here already ends in spite of this, with nobody to hear it.
            reject(fail(`its answer is larger than ${largestBytes} bytes`));
            asking.destroy();
          }
        });
        answer.on('error', reject);
        answer.on('end', () => {
          resolvePromise(new Response(Buffer.concat(chunks), { status, headers: { 'content-type': answer.headers['content-type'] ?? '' } }));
        });
      });
      asking.on('timeout', () => asking.destroy(fail('it takes too long')));
      asking.on('error', (error) => {
        reject(error.name === 'AbortError' ? fail('it takes too long') : error);
      });
      asking.end();
    });
  };
}

/** As dns.lookup, and an error where any of the name's addresses is not public. */
const lookUpPublic: LookupFunction = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error !== null) {
      callback(error, '', 0);
      return;
    }
    const [first] = addresses;
    const inner = addresses.find(({ address }) => !isPublicAddress(address));
    if (first === undefined || inner !== undefined) callback(Object.assign(new Error(`${hostname} leads to an address that is not public`), { code: 'EACCES' }), '', 0);
    else if (options.all === true) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
};

export const fetchPublic = createPublicFetch();
