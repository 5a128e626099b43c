import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test } from '@jest/globals';
import { proveJwks } from '../../cli/keys/prove.ts';

let connections = 0;
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"keys":[{"kid":"another"}]}');
}).on('connection', () => { connections += 1; });
afterAll(() => { server.close(); });

// A balancer leads all that comes by one connection to one backend.
test('each fetch of the proof has a connection of its own', async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proof = await proveJwks(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'revoked', 10);
  expect(proof).toMatchObject({ isProved: true });
  expect(connections).toBe(10);
});
