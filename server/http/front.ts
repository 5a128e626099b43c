import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { LARGEST_BODY_BYTES } from './body.ts';
import { sendJson } from './reply.ts';
import { applyBrowserHeaders } from './security_headers.ts';

/** Answers a request, or says by `false` that it is not its to answer. */
export type Group = (request: IncomingMessage, response: ServerResponse, path: string) => boolean;

export interface FrontOptions {
  readonly issuer: string;
  /** Asked before anything is checked: what must be answered whatever else is wrong. */
  readonly open: readonly Group[];
  /** Asked after the limits, with the host pinned. */
  readonly guarded: readonly Group[];
  /** The page for a path that is nobody's. */
  readonly renderLost: () => string;
}

/** The public listener: groups in order, the first that answers does. */
export function createFront({ issuer, open, guarded, renderLost }: FrontOptions): RequestListener {
  const pin = createPin(issuer);
  return (request, response) => {
    const path = pathOf(request);
    if (open.some((group) => group(request, response, path))) return;
    if (Number(request.headers['content-length'] ?? 0) > LARGEST_BODY_BYTES) {
      response.setHeader('Connection', 'close'); // the rest is not read
      sendJson(response, 413, { error: 'invalid_request', error_description: `the request is larger than ${LARGEST_BODY_BYTES} bytes` });
      return;
    }
    pin(request);
    if (guarded.some((group) => group(request, response, path))) return;
    sendLost(request, response, renderLost);
  };
}

/** The path alone, with no copy of the URL where there is no query. */
export function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}

/**
 * oidc-provider derives every URL that it emits from the request. Whatever a client or a proxy says, the request is for
 * the issuer.
 */
function createPin(issuer: string): (request: IncomingMessage) => void {
  const { host, protocol } = new URL(issuer);
  const scheme = protocol.slice(0, -1);
  return ({ headers }) => {
    headers.host = host;
    headers['x-forwarded-proto'] = scheme;
    delete headers['x-forwarded-host'];
  };
}

function sendLost(request: IncomingMessage, response: ServerResponse, renderLost: () => string): void {
  if (!(request.headers.accept ?? '').includes('text/html')) {
    sendJson(response, 404, { error: 'not_found', error_description: 'there is nothing at this path' });
    return;
  }
  applyBrowserHeaders(response, { formAction: "'none'" });
  response.writeHead(404, { 'Content-Type': 'text/html; charset=utf-8' });
  response.end(renderLost());
}
