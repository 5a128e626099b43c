import type { ServerResponse } from 'node:http';

/** A JSON answer that nobody may keep. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  // As a string: Node then sends head and body in one write.
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(text);
}
