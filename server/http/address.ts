import type { IncomingMessage } from 'node:http';

/**
 * The address of whoever asks. With `trustedProxies` proxies of ours in front, each appended what it saw to
 * X-Forwarded-For: the entry that the outermost of them wrote is the client's. What stands left of it anybody can invent.
 */
export function readAddress(request: IncomingMessage, trustedProxies: number): string | undefined {
  if (trustedProxies === 0) return request.socket.remoteAddress;
  const header = request.headers['x-forwarded-for'];
  const entries = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').map((entry) => entry.trim()).filter((entry) => entry !== '');
  return entries.at(-trustedProxies) ?? request.socket.remoteAddress;
}
