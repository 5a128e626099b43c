import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Stands between a client and its server, and fails as networks do. */
export interface TcpProxy {
  readonly port: number;
  /** The same URL, by way of the proxy. */
  through(url: string): string;
  /** Every connection is closed and new ones are refused: the server is gone. */
  cut(): Promise<void>;
  /** Connections are kept and taken, and nothing comes back: the server is frozen. */
  freeze(): void;
  /** All is well again. What was frozen is closed, as after a failover. */
  restore(): Promise<void>;
  close(): Promise<void>;
}

export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port: targetPort } = new URL(target);
  const sockets = new Set<Socket>();
  let isFrozen = false;
  let server = createServer(accept);
  const listen = (port: number) => new Promise<void>((resolve, reject) => {
    server = createServer(accept).once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  const stop = async () => {
    const stopped = new Promise((resolve) => server.close(resolve));
    drop();
    await stopped;
  };

  function accept(client: Socket): void {
    track(client);
    if (isFrozen) return;
    const upstream = track(connect(Number(targetPort), hostname));
    client.on('data', (chunk) => {
      if (!isFrozen) upstream.write(chunk);
    }).on('close', () => upstream.destroy());
    upstream.on('data', (chunk) => {
      if (!isFrozen) client.write(chunk);
    }).on('close', () => client.destroy());
  }

  function track(socket: Socket): Socket {
    sockets.add(socket);
    // Failing is what this proxy is for.
    return socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  }

  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    through: (url) => {
      const proxied = new URL(url);
      proxied.host = `127.0.0.1:${port}`;
      return proxied.href;
    },
    cut: stop,
    freeze: () => {
      isFrozen = true;
    },
    restore: async () => {
      if (isFrozen) drop();
      isFrozen = false;
      if (!server.listening) await listen(port);
    },
    close: async () => {
      if (server.listening) await stop();
    },
  };
}
