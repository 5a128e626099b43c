// Where a provider would, and would not, fetch an issuer's keys from.
import { BlockList, isIP } from 'node:net';
import { isLoopback } from '../formats.ts';

// RFC 6890 and its kin: what is not reachable from the internet.
const PRIVATE: readonly [string, number][] = [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24], ['192.0.2.0', 24],
  ['192.168.0.0', 16], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
  ['::', 128], ['::1', 128], ['64:ff9b:1::', 48], ['100::', 64], ['2001:db8::', 32], ['fc00::', 7], ['fe80::', 10], ['ff00::', 8],
];

const blocked = new BlockList();
for (const [network, prefix] of PRIVATE) blocked.addSubnet(network, prefix, network.includes(':') ? 'ipv6' : 'ipv4');

/** Whether an IP address belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  const family = isIP(plain);
  return family !== 0 && !blocked.check(plain, family === 6 ? 'ipv6' : 'ipv4');
}

/** What providers have against an issuer's address, before anything is fetched; undefined if nothing. */
export function findAddressFault(issuer: string): string | undefined {
  const url = new URL(issuer);
  if (isLoopback(url)) return 'can be reached from this machine only, so no provider can fetch its keys';
  if (url.protocol !== 'https:') return 'is not https';
  if (url.port !== '') return 'has a port, and providers take 443 only';
  if (url.search !== '' || url.hash !== '') return 'has a query or a fragment';
  if (isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0) return 'is an IP address, and providers want a name';
  if (!url.hostname.includes('.')) return 'has a name without a dot, which public DNS does not know';
  if (issuer.length > 255) return 'is longer than 255 characters';
  return undefined;
}
