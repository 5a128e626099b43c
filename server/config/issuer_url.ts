const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

export function isLoopback(url: URL): boolean {
  return LOOPBACK.has(url.hostname);
}

/**
 * What is wrong with `value` as the issuer's URL, or undefined. Providers compare it byte for byte, so there is exactly
 * one way to write it: scheme and host, and nothing after.
 */
export function findIssuerFault(value: string): string | undefined {
  const url = URL.parse(value);
  if (url === null || !['https:', 'http:'].includes(url.protocol)) {
    return 'is not a URL; write it like https://vouch.example.com';
  }
  if (url.protocol === 'http:' && !isLoopback(url)) {
    return `must be https (http is for localhost only); write https://${url.host}`;
  }
  if (value.length > 255) return 'is longer than the 255 characters that AWS takes';
  if (value !== url.origin) {
    return `must be scheme and host alone, in lower case, with no trailing slash, path, query or fragment; write ${url.origin}`;
  }
  return undefined;
}

/** What only a public issuer must obey (PROVIDERS: Anthropic dials port 443 and refuses IP literals). */
export function findPublicIssuerFault(value: string): string | undefined {
  const url = URL.parse(value);
  if (url === null) return undefined;
  if (url.protocol !== 'https:') return 'must be https in production; providers fetch the keys from it over the internet';
  if (url.port !== '') return 'must not name a port in production; providers fetch from port 443 only';
  if (isLoopback(url) || /^[\d.]+$|^\[/.test(url.hostname) || !/[^.]\.[^.]/.test(url.hostname)) {
    return 'must be a public DNS name in production; providers refuse addresses and local names';
  }
  return undefined;
}
