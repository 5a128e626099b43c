import type { ServerResponse } from 'node:http';

/**
 * The headers of everything that a browser may render. No inline script or style, nothing from elsewhere, no frame, no
 * Referer (links hold invitation tokens). `formAction` names where forms may lead, redirects included.
 */
export function applyBrowserHeaders(response: ServerResponse, { formAction }: { formAction: string | undefined }): void {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    ...(formAction === undefined ? [] : [`form-action ${formAction}`]),
  ];
  response.setHeader('Content-Security-Policy', policy.join('; '));
  response.setHeader('Referrer-Policy', 'no-referrer');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('X-Frame-Options', 'DENY');
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cache-Control', 'no-store');
}
