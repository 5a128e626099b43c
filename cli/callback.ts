// The loopback address that the issuer sends the browser back to (RFC 8252 7.3).
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CliError } from './errors.ts';
import { PAGE_HEADERS, renderPage, type Page } from './page.ts';

const HOST = '127.0.0.1';
const PATH = '/callback';
const ANSWER_TIMEOUT_MS = 2000;

export interface Callback {
  readonly url: URL;
  /** Shows the page in the browser that came back; resolves once it is sent, or the browser has gone. */
  readonly answer: (page: Page) => Promise<void>;
}

export interface CallbackListener {
  readonly redirectUri: string;
  /** Waits for the browser to come back with this sign-in's state; throws `CliError` (other) after `timeoutMs`. */
  readonly receive: (timeoutMs: number) => Promise<Callback>;
  readonly close: () => void;
}

/** Listens on a free port of 127.0.0.1 only. Any other request is answered and changes nothing. */
export async function listenForCallback(state: string): Promise<CallbackListener> {
  const server = createServer();
  server.listen(0, HOST);
  await once(server, 'listening');
  const origin = `http://${HOST}:${(server.address() as AddressInfo).port}`;
  const arrival = acceptOne(server, origin, state);
  return {
    redirectUri: `${origin}${PATH}`,
    receive: (timeoutMs) => withTimeout(arrival, timeoutMs),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function acceptOne(server: Server, origin: string, state: string): Promise<Callback> {
  return new Promise((resolve) => {
    let isTaken = false;
    server.on('request', (request, response) => {
      const url = new URL(request.url ?? '/', origin);
      const refusal = findRefusal(request, url, origin, state) ?? (isTaken ? ALREADY_USED : undefined);
      if (refusal !== undefined) {
        void send(response, refusal);
        return;
      }
      isTaken = true;
      resolve({ url, answer: (page) => send(response, page) });
    });
  });
}

function findRefusal(request: IncomingMessage, url: URL, origin: string, state: string): Page | undefined {
  // Another host name that leads here is a page of somebody else that reaches for this port (DNS rebinding).
  if (request.headers.host !== new URL(origin).host || url.origin !== origin) return NOT_HERE;
  if (url.pathname !== PATH) return NOT_HERE;
  // Browsers look ahead with HEAD; that must not use up the one answer.
  if (request.method !== 'GET') return WRONG_METHOD;
  const states = url.searchParams.getAll('state');
  return states.length === 1 && states[0] === state ? undefined : WRONG_STATE;
}

async function send(response: ServerResponse, page: Page): Promise<void> {
  if (response.closed) return;
  // A browser that does not read its answer must not hold up the terminal.
  const isClosed = once(response, 'close', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }).catch(() => undefined);
  response.writeHead(page.status, PAGE_HEADERS);
  response.end(renderPage(page));
  await isClosed;
}

async function withTimeout(arrival: Promise<Callback>, timeoutMs: number): Promise<Callback> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => { reject(createTimeout(timeoutMs)); }, timeoutMs);
  });
  try {
    return await Promise.race([arrival, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function createTimeout(timeoutMs: number): CliError {
  return new CliError('other', `nobody signed in within ${Math.round(timeoutMs / 60_000)} minutes`, {
    hints: ['run the command again, and finish in the browser on this machine'],
  });
}

function createRefusalPage(status: number, title: string, ...paragraphs: string[]): Page {
  return Object.freeze({ status, title, paragraphs, isFailure: true });
}

const NOT_HERE = createRefusalPage(404, 'Nothing here', 'This address only takes the answer to a sign-in that vouch started.');
const WRONG_METHOD = createRefusalPage(405, 'Not that way', 'This address only takes the answer to a sign-in that vouch started.');
const WRONG_STATE = createRefusalPage(
  400,
  'This is not the sign-in that was started',
  'The answer belongs to another attempt, so it was not used. vouch is still waiting in the terminal.',
  'Go back to the page that it opened, or open the address that it printed.',
);
const ALREADY_USED = createRefusalPage(400, 'Already used', 'This answer was used a moment ago. Look at the terminal for the outcome.');
