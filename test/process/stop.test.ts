import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestDatabase } from '../support/services.ts';
import { createDataDir, get, run, startIssuer, type RunningIssuer } from './running_issuer.ts';

const BODY = 'grant_type=authorization_code&client_id=nobody';
let env: Record<string, string>;
let issuer: RunningIssuer | undefined;
beforeAll(async () => {
  env = { DATABASE_URL: await createTestDatabase(), VOUCH_DATA_DIR: createDataDir() };
});
afterEach(async () => {
  await issuer?.stop('SIGKILL');
});

interface HalfRequest {
  /** Sends the rest and gives the status line and all that follows. */
  finish(): Promise<string>;
}

/** A request whose second half has not been sent: it is in flight for as long as a test wants. */
async function sendHalf(port: number, connection: 'close' | 'keep-alive'): Promise<HalfRequest> {
  const socket: Socket = connect(port, '127.0.0.1');
  let answer = '';
  const answered = new Promise<string>((resolve, reject) => {
    socket.setEncoding('utf8').on('error', reject).on('close', () => {
      resolve(answer);
    }).on('data', (text: string) => {
      answer += text;
      if (/\r\n\r\n./.test(answer)) resolve(answer);
    });
  });
  socket.write(`POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY.slice(0, 10)}`);
  await get(port, '/healthz'); // which came later, so that the half has arrived too
  return {
    finish: () => {
      socket.write(BODY.slice(10));
      return answered;
    },
  };
}

/** Until nobody is let in any more. */
async function waitUntilClosed(port: number): Promise<void> {
  while (await get(port, '/healthz').then(() => true, () => false)) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test.each(['close', 'keep-alive'] as const)('lets a request in flight (Connection: %s) end, lets nobody in, and the process exits with 0 soon after', async (connection) => {
    issuer = await startIssuer(env);
    const half = await sendHalf(issuer.port, connection);
    const stopping = issuer.stop(signal);
    await waitUntilClosed(issuer.port);
    expect(await half.finish()).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n[^]*"error":"invalid_client"/);
    const answeredAt = performance.now();
    expect(await stopping).toMatchObject({ code: 0, signal: null });
    expect(performance.now() - answeredAt).toBeLessThan(5_000); // far below the 10 s after which it would be cut off
  });
});

test('twice at once, as from a terminal and npm, is one signal', async () => {
  issuer = await startIssuer(env);
  const half = await sendHalf(issuer.port, 'close');
  const stopping = issuer.stop('SIGINT');
  issuer.child.kill('SIGTERM');
  await waitUntilClosed(issuer.port);
  expect(await half.finish()).toContain('HTTP/1.1 401 ');
  expect(await stopping).toMatchObject({ code: 0, signal: null });
});

test('again after a while means at once', async () => {
  issuer = await startIssuer(env);
  await sendHalf(issuer.port, 'close');
  const stopping = issuer.stop('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  issuer.child.kill('SIGINT');
  expect(await stopping).toMatchObject({ code: 130, signal: null });
});

test('while it starts, ends it in good order', async () => {
  const { VOUCH_PORT } = { VOUCH_PORT: '0' };
  const ended = run({ ...env, DATABASE_URL: await createTestDatabase(), VOUCH_PORT, VOUCH_ISSUER: 'http://localhost' });
  issuer = undefined;
  expect(await Promise.race([ended.then(() => 'ended'), new Promise((resolve) => setTimeout(resolve, 50, 'running'))])).toBe('running');
});

test.each(['VOUCH_PORT', 'VOUCH_OPS_PORT'])('a %s that is in use is told in one line, and the process exits with 1', async (variable) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const ended = await run({ VOUCH_PORT: '0', VOUCH_ISSUER: 'http://localhost', ...env, [variable]: String(port) });
  expect(ended).toEqual({ code: 1, signal: null, stdout: '', stderr: `error: port ${port} is in use; stop what listens there, or set ${variable}\n` });
  other.close();
});

test('a database that is away is told in one line without its password, and the process exits with 1', async () => {
  const ended = await run({ ...env, DATABASE_URL: 'postgresql://vouch:the-password@127.0.0.1:1/vouch' });
  expect(ended).toEqual({ code: 1, signal: null, stdout: '', stderr: 'error: cannot connect to the database: connect ECONNREFUSED 127.0.0.1:1\n' });
});

test('key-encryption keys that open nothing are told in one line that names the variable, and the process exits with 1', async () => {
  issuer = await startIssuer({ ...env, DATABASE_URL: await createTestDatabase() });
  await issuer.stop();
  const { code, stdout, stderr } = await run({ ...env, VOUCH_DATA_DIR: createDataDir(), DATABASE_URL: env.DATABASE_URL! });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^error: .*signing key [\w-]{43} cannot be opened with the key-encryption keys of VOUCH_KEK_FILE.*\n$/);
});
