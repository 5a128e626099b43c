import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The body as text, or null when it is larger than 1 MiB. */
  readonly body: string | null;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string is sent as it is, anything else as JSON. */
  readonly body: unknown;
}

export interface HttpListener {
  /** Base URL without a trailing slash. */
  readonly url: string;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;

async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // The rest is read and dropped, so that the client gets its answer instead of a reset connection.
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size > MAX_BODY_BYTES ? null : Buffer.concat(chunks).toString('utf8');
}

/** Serves `answer` on 127.0.0.1; port 0 (the default) takes a free one. */
export async function startHttpListener(
  answer: (request: HttpRequest) => Promise<HttpAnswer>,
  port = 0,
): Promise<HttpListener> {
  const server = createServer((request, response) => {
    const respond = async (): Promise<HttpAnswer> => {
      const path = new URL(request.url ?? '/', 'http://listener').pathname;
      return answer({ method: request.method ?? '', path, headers: request.headers, body: await readBody(request) });
    };
    respond()
      // A bug in a fake must not look like a refusal of the provider it plays.
      .catch((error: unknown): HttpAnswer => ({ status: 500, body: { bug: String(error) } }))
      .then(({ status, headers, body }) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      })
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => { resolve(); });
        server.closeAllConnections();
      });
    },
  };
}

/** Tells whether the request says that its body is JSON (RFC 8259), parameters aside. */
export function isJsonRequest(request: HttpRequest): boolean {
  return mediaTypeOf(request.headers['content-type'] ?? '') === 'application/json';
}

/** The media type in lower case without its parameters (RFC 9110, section 8.3.1). */
export function mediaTypeOf(contentType: string): string {
  return (contentType.split(';')[0] ?? '').trim().toLowerCase();
}

/** Parses a JSON object; anything else, text that is no JSON included, is undefined. */
export function parseJsonObject(text: string): Record<string, unknown> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** The token of an `Authorization: Bearer` header (RFC 6750, section 2.1). */
export function readBearerToken(request: HttpRequest): string | undefined {
  return /^Bearer ([A-Za-z0-9._~+/-]+=*)$/.exec(request.headers.authorization ?? '')?.[1];
}
