import type { IncomingHttpHeaders } from 'node:http';

/**
 * Whether a request that changes something comes from a page of this issuer. Browsers say so by Sec-Fetch-Site, older
 * ones by Origin; a request with neither is not from a browser's page, and a cookie would not help it anyway.
 */
export function isSameOrigin(headers: IncomingHttpHeaders, issuer: string): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin') return false;
  return headers.origin === undefined ? site !== undefined : headers.origin === issuer;
}
