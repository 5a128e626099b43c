import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { fetchPublic, isPublicAddress } from '../../server/http/guarded_fetch.ts';

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
