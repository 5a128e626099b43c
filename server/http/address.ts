import type { IncomingMessage } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';

/**
 * The address of whoever asks. With `trustedProxies` proxies of ours in front, each appended what it saw to
 * X-Forwarded-For: the entry that the outermost of them wrote is the client's. What stands left of it anybody can invent.
 */
export function readAddress(request: IncomingMessage, trustedProxies: number): string | undefined {
  if (trustedProxies === 0) return request.socket.remoteAddress;
  return readForwarded(request).at(-trustedProxies) ?? request.socket.remoteAddress;
}

/** What stands in X-Forwarded-For, whoever wrote it: the nearest proxy's entry last. */
export function readForwarded({ headers }: Pick<IncomingMessage, 'headers'>): string[] {
  const header = headers['x-forwarded-for'];
  return (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').map((entry) => entry.trim()).filter((entry) => entry !== '');
}

/** How far two addresses are from each other, as far as addresses can say it. */
export type Distance = 'same_address' | 'same_network' | 'another_network' | 'unknown';

/** A network is an IPv4 /24 or an IPv6 /64: what one line or one office usually has. The machine itself has several addresses. */
export function compareAddresses(one: string | undefined, other: string | undefined): Distance {
  const [a, b] = [parseAddress(one), parseAddress(other)];
  if (a === undefined || b === undefined) return 'unknown';
  if (a.isLoopback && b.isLoopback) return 'same_address';
  if (a.isIPv4 !== b.isIPv4) return 'another_network';
  if (a.groups.join() === b.groups.join()) return 'same_address';
  const length = a.isIPv4 ? 3 : 4;
  return a.groups.slice(0, length).join() === b.groups.slice(0, length).join() ? 'same_network' : 'another_network';
}

/** Whom a limit counts: an IPv4 address, or an IPv6 /64, of which anybody has a whole one. */
export function nameCaller(address: string | undefined): string {
  const parsed = parseAddress(address);
  if (parsed === undefined) return 'unknown';
  return parsed.isIPv4 ? parsed.groups.join('.') : `${parsed.groups.slice(0, 4).map((group) => group.toString(16)).join(':')}::/64`;
}

interface Parsed {
  readonly isIPv4: boolean;
  /** Four bytes, or eight times 16 bits. */
  readonly groups: readonly number[];
  readonly isLoopback: boolean;
}

function parseAddress(text: string | undefined): Parsed | undefined {
  const address = text?.replace(/%.*$/, '') ?? '';
  if (isIPv4(address)) {
    const groups = address.split('.').map(Number);
    return { isIPv4: true, groups, isLoopback: groups[0] === 127 };
  }
  if (!isIPv6(address)) return undefined;
  const groups = parseIPv6(address);
  // IPv4 as a socket for both kinds shows it (RFC 4291 2.5.5.2).
  if (groups.slice(0, 6).join() === '0,0,0,0,0,65535') return parseAddress(groups.slice(6).flatMap((group) => [group >> 8, group & 255]).join('.'));
  return { isIPv4: false, groups, isLoopback: groups.join() === '0,0,0,0,0,0,0,1' };
}

/** Of what `isIPv6` has let through. */
function parseIPv6(address: string): number[] {
  // WHATWG URL writes the IPv4 tail, where there is one, as two groups.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const read = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const [left, right] = [read(head), read(tail ?? '')];
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}
