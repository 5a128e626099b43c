// A company's network: a proxy, names that only it can resolve, and certificates that only the company trusts.
import { once } from 'node:events';
import { createServer as createHttpServer, request as requestHttp, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import 'reflect-metadata'; // x509 asks for it, first
import * as x509 from '@peculiar/x509';

export interface Certificates {
  /** PEM. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 };
const DAY_MS = 86_400_000;

/** A certificate for the host by an authority of its own; `daysLeft` below 0 is an expired one. */
export async function makeCertificates(host: string, daysLeft = 30): Promise<Certificates> {
  const [authority, server] = await Promise.all([crypto.subtle.generateKey(RSA, true, ['sign', 'verify']), crypto.subtle.generateKey(RSA, true, ['sign', 'verify'])]);
  const times = { notBefore: new Date(Date.now() - 60 * DAY_MS), notAfter: new Date(Date.now() + daysLeft * DAY_MS), signingAlgorithm: RSA };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...times, notAfter: new Date(Date.now() + 60 * DAY_MS), serialNumber: '01', name: 'CN=Company CA', keys: authority, extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  });
  const certificate = await x509.X509CertificateGenerator.create({
    ...times, serialNumber: '02', subject: `CN=${host}`, issuer: ca.subject, publicKey: server.publicKey, signingKey: authority.privateKey,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: host }])],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', server.privateKey), 'PRIVATE KEY');
  return { ca: ca.toString('pem'), certificate: certificate.toString('pem'), key };
}

export interface TlsFront {
  readonly port: number;
  /** Requests that came through, oldest first; live. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** Ends TLS and passes everything to a server that speaks http. */
export async function startTlsFront({ certificate, key }: Certificates, target: string): Promise<TlsFront> {
  const requests: string[] = [];
  const server = createHttpsServer({ cert: certificate, key }, (incoming, outgoing) => {
    requests.push(`${incoming.method ?? ''} ${incoming.url ?? ''}`);
    const passed = requestHttp(`${target}${incoming.url ?? ''}`, { method: incoming.method, headers: { ...incoming.headers, host: new URL(target).host } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(passed);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface TestProxy {
  readonly url: string;
  /** What was asked for, oldest first: `CONNECT host:port`, or a whole request; live. */
  readonly asked: readonly string[];
  /** What it does with CONNECT: lead there, refuse, or say yes and be a web page. */
  behaviour: 'lead' | 'refuse' | 'lie';
  close(): Promise<void>;
}

/** An HTTP proxy that leads every CONNECT to one port of this machine. */
export async function startTestProxy(port: number): Promise<TestProxy> {
  const asked: string[] = [];
  const server = createHttpServer((request, response) => {
    asked.push(`${request.method ?? ''} ${request.url ?? ''}`);
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>You are offline</html>');
  });
  const proxy = {
    asked, behaviour: 'lead' as TestProxy['behaviour'],
    close: async () => {
      server.closeAllConnections();
      // What was led through is no longer the server's.
      for (const tunnel of tunnels) tunnel.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const tunnels = new Set<Duplex>();
  server.on('connect', (request: IncomingMessage, client: Duplex) => {
    asked.push(`CONNECT ${request.url ?? ''}`);
    client.on('error', () => undefined);
    tunnels.add(client);
    if (proxy.behaviour === 'refuse') client.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    else if (proxy.behaviour === 'lie') client.end('HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>sign in</html>');
    else {
      const through = connect(port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        through.pipe(client).pipe(through);
      });
      tunnels.add(through);
      through.on('error', () => client.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(proxy, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
