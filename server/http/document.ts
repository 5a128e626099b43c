import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A public JSON answer whose bytes are rendered once and served many times. */
export interface Document {
  readonly cacheControl: string;
  readonly body: Buffer;
  /** The same as Node writes it fastest: a string of one byte a character goes out with the head, in one write. */
  readonly text: string;
  readonly etag: string;
  readonly headers: Readonly<Record<string, string | number>>;
}

export function renderDocument(value: unknown, cacheControl: string): Document {
  return documentOf(JSON.stringify(value), cacheControl);
}

/** The same from JSON that is there already. */
export function documentOf(json: string, cacheControl: string): Document {
  const body = Buffer.from(json);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
  return {
    body,
    text: body.toString('latin1'),
    etag,
    cacheControl,
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': body.length,
      'Cache-Control': cacheControl,
      ETag: etag,
      'Access-Control-Allow-Origin': '*',
      'X-Content-Type-Options': 'nosniff',
    },
  };
}

/**
 * Answers GET, HEAD, a conditional GET (RFC 9110 13.1.2) and a CORS preflight with `document`; anything else is 405.
 * Nothing is awaited: a verifier is answered even while every store is away. Gives the status that was answered.
 */
export function serveDocument(request: IncomingMessage, response: ServerResponse, document: Document): number {
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      if (isNotModified(request.headers['if-none-match'], document.etag)) {
        const { 'Content-Type': _type, 'Content-Length': _length, ...validators } = document.headers;
        response.writeHead(304, validators).end();
        return 304;
      }
      response.writeHead(200, document.headers);
      if (request.method === 'HEAD') response.end();
      else response.end(document.text, 'latin1');
      return 200;
    case 'OPTIONS':
      response.writeHead(204, {
        Allow: 'GET, HEAD, OPTIONS', 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Methods': 'GET, HEAD',
        'Access-Control-Allow-Headers': 'If-None-Match', 'Access-Control-Max-Age': '86400',
      }).end();
      return 204;
    case undefined:
    default:
      response.writeHead(405, { Allow: 'GET, HEAD, OPTIONS', 'Content-Length': 0, 'Cache-Control': 'no-store' }).end();
      return 405;
  }
}

/** Weak comparison (RFC 9110 8.8.3.2), as If-None-Match asks. */
function isNotModified(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header === etag) return true;
  return header.split(',').some((candidate) => {
    const trimmed = candidate.trim();
    return trimmed === '*' || trimmed === etag || trimmed === `W/${etag}`;
  });
}
