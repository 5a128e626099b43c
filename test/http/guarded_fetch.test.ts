import { createServer } from 'node:http';
import { createServer as createHttpsServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPublicFetch, fetchPublic, isPublicAddress, type PublicFetch } from '../../server/http/guarded_fetch.ts';
import { makeCertificates } from '../support/tls_world.ts';

describe('a public address', () => {
  test.each(['8.8.8.8', '1.1.1.1', '93.184.216.34', '2606:4700:4700::1111', '2a00:1450:4001:81c::200e'])('is %s', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  test.each([
    '127.0.0.1', '127.255.255.254', '0.0.0.0', '10.1.2.3', '100.64.0.1', '169.254.169.254', '172.16.0.1', '172.31.255.255', '192.168.1.1', '198.18.0.1', '203.0.113.5', '224.0.0.1', '255.255.255.255',
    '::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '64:ff9b::7f00:1', 'fc00::1', 'fd12::1', 'fe80::1', 'ff02::1', '2001:db8::1', '2002:7f00:1::', '100::1', 'localhost', '', '1.2.3',
  ])('is not %s', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});

test.each([
  ['http', 'http://example.com/jwks', 'it is not https'],
  ['a loopback address', 'https://127.0.0.1/jwks', 'it is an address and no name'],
  ['a number for an address', 'https://2130706433/jwks', 'it is an address and no name'],
  ['an IPv6 address', 'https://[::1]/jwks', 'it is an address and no name'],
])('nothing is fetched from %s', async (_what, url, why) => {
  await expect(fetchPublic(url, {}, { largestBytes: 1000, timeoutMs: 1000 })).rejects.toThrow(why);
});

test('a name that leads to this machine is not connected to', async () => {
  let connections = 0;
  const server = createServer().on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await expect(fetchPublic(`https://localhost:${port}/jwks`, {}, { largestBytes: 1000, timeoutMs: 1000 })).rejects.toThrow('localhost leads to an address that is not public');
  expect(connections).toBe(0);
  server.close();
});

describe('a host that may be asked', () => {
  const LIMITS = { largestBytes: 100, timeoutMs: 500 };
  let server: Server;
  let url: string;
  let fetchKeys: PublicFetch;
  let trusting: PublicFetch;

  beforeAll(async () => {
    const { ca, certificate, key } = await makeCertificates('keys.example');
    server = createHttpsServer({ cert: certificate, key }, (request, response) => {
      if (request.url === '/moved') response.writeHead(302, { location: '/good' }).end();
      else if (request.url === '/broken') response.writeHead(500).end('{"keys":[]}');
      else if (request.url === '/large') response.end('x'.repeat(101));
      else if (request.url === '/half') response.write('{');
      else if (request.url === '/cut') response.writeHead(200, { 'content-length': '50' }).write('{', () => response.destroy());
      else if (request.url === '/good') response.setHeader('content-type', 'application/json').end(`{"asked":"${request.headers['accept'] ?? ''}"}`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://keys.example:${(server.address() as AddressInfo).port}`;
    const lookUp = (_name: string, options: { all?: boolean | undefined }, callback: (error: null, address: never, family: number) => void) => {
      callback(null, (options.all === true ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1') as never, 4);
    };
    fetchKeys = createPublicFetch({ lookUp, ca });
    trusting = createPublicFetch({ lookUp });
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  test('is, with the headers, and its answer comes whole', async () => {
    const answer = await fetchKeys(`${url}/good`, { accept: 'application/jwk-set+json' }, LIMITS);
    expect({ status: answer.status, type: answer.headers.get('content-type'), body: await answer.json() }).toEqual({ status: 200, type: 'application/json', body: { asked: 'application/jwk-set+json' } });
  });

  test.each([['/moved', 'it redirects'], ['/broken', 'it answers 500'], ['/large', 'its answer is larger than 100 bytes'], ['/half', 'it takes too long'], ['/silent', 'it takes too long'], ['/cut', 'aborted']])(
    'and is not heard where it answers with %s', async (path, why) => {
      await expect(fetchKeys(url + path, {}, LIMITS)).rejects.toThrow(why);
    },
  );

  test('is not, under a certificate that nobody vouches for', async () => {
    await expect(trusting(`${url}/good`, {}, LIMITS)).rejects.toThrow(/certificate/);
  });
});
