import { createServer, request as send, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { pathOf } from '../../server/http/front.ts';

/** What an instance answered, as the proxy passed it on. */
export interface Relayed {
  readonly path: string;
  readonly instance: number;
  readonly askedAt: number;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Proxy {
  /** As if the cable were pulled: the proxy does not reach this instance until it is healed. */
  cut(instance: number): void;
  heal(instance: number): void;
  close(): Promise<void>;
}

export interface ProxyOptions {
  readonly port: number;
  /** The instances' ports. */
  readonly instances: readonly number[];
  readonly onAnswer: (answer: Relayed) => void;
}

export const SERVED_BY = 'x-served-by';

/** An instance that does not answer in this time is given up, and its neighbours are asked first for a while. */
const DOCUMENT_MS = 1_000;
const OTHER_MS = 6_000;
const AVOIDED_MS = 500;

/**
 * One address in front of several instances, in turn, as dumb as a balancer may be: it asks nobody for their health. A
 * public document is asked of the next instance when one refuses, hangs or hangs up. All else may not be sent twice (a
 * page may spend an interaction), so it goes on only when it was not sent at all; otherwise its client is cut off.
 */
export async function startProxy({ port, instances, onAnswer }: ProxyOptions): Promise<Proxy> {
  const severed = new Set<number>();
  const avoidedUntil = instances.map(() => 0);
  let turn = 0;

  const orderOf = () => {
    turn += 1;
    const order = instances.map((_, index) => (turn + index) % instances.length);
    const now = Date.now();
    return [...order.filter((index) => avoidedUntil[index]! <= now), ...order.filter((index) => avoidedUntil[index]! > now)];
  };

  const relay = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const body = await readAll(incoming);
    const path = pathOf(incoming);
    const isDocument = incoming.method === 'GET' && (path === '/oauth/jwks' || path.startsWith('/.well-known/'));
    for (const instance of orderOf()) {
      if (severed.has(instance)) continue;
      const askedAt = Date.now();
      const answer = await ask(incoming, body, instances[instance]!, isDocument ? DOCUMENT_MS : OTHER_MS);
      if (answer === 'refused' || answer === 'lost') avoidedUntil[instance] = Date.now() + AVOIDED_MS;
      if (answer === 'refused' || (answer === 'lost' && isDocument)) continue;
      if (answer === 'lost') break;
      onAnswer({ path, instance, askedAt, status: answer.status, headers: answer.headers, body: answer.body });
      const { connection: _c, 'transfer-encoding': _t, 'keep-alive': _k, ...headers } = answer.headers;
      outgoing.writeHead(answer.status, { ...headers, [SERVED_BY]: String(instance) }).end(answer.body);
      return;
    }
    incoming.socket.destroy();
  };

  const server = createServer((incoming, outgoing) => {
    relay(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    cut: (instance) => severed.add(instance),
    heal: (instance) => severed.delete(instance),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One request on a connection of its own: `refused` when it was never sent, `lost` when no whole answer came in time. */
function ask({ method, url, headers }: IncomingMessage, body: Buffer, port: number, limitMs: number): Promise<Answer | 'refused' | 'lost'> {
  return new Promise((resolve) => {
    const asked = send({ host: '127.0.0.1', port, agent: false, method, path: url, headers: { ...headers, connection: 'close' } }, (response) => {
      readAll(response).then(
        (bytes) => { settle({ status: response.statusCode!, headers: response.headers, body: bytes }); },
        () => { settle('lost'); },
      );
    });
    const limit = setTimeout(() => { settle('lost'); }, limitMs);
    const settle = (result: Answer | 'refused' | 'lost') => {
      clearTimeout(limit);
      resolve(result);
      asked.destroy();
    };
    asked.on('error', (error: NodeJS.ErrnoException) => { settle(error.code === 'ECONNREFUSED' ? 'refused' : 'lost'); });
    asked.end(body);
  });
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
