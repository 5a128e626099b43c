import { createServer, request as sendRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { renderDocument, serveDocument } from '../../server/http/document.ts';

const VALUE = { keys: [{ kid: 'ä' }] };
const CACHE_CONTROL = 'public, max-age=300';
const document = renderDocument(VALUE, CACHE_CONTROL);
let server: Server;
beforeAll(async () => {
  server = createServer((request, response) => {
    serveDocument(request, response, document);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** node:http and not fetch, which adds caching headers of its own to what a test sets. */
function send(method: string, headers: Record<string, string | string[]> = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { port } = server.address() as AddressInfo;
    sendRequest({ port, host: '127.0.0.1', method, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => {
        resolve({ status: response.statusCode!, headers: response.headers, body });
      });
    }).on('error', reject).end();
  });
}

const VALIDATORS = { etag: document.etag, 'cache-control': CACHE_CONTROL, 'access-control-allow-origin': '*', 'x-content-type-options': 'nosniff' };
const DESCRIPTION = { ...VALIDATORS, 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(JSON.stringify(VALUE))) };

test('GET gives the bytes, how long they may be kept, and a strong ETag', async () => {
  const { status, headers, body } = await send('GET');
  expect(status).toBe(200);
  expect(body).toBe(JSON.stringify(VALUE));
  expect(headers).toMatchObject(DESCRIPTION);
  expect(document.etag).toMatch(/^"[\w-]{27}"$/);
});

test('HEAD gives the same headers and no body', async () => {
  const { status, headers, body } = await send('HEAD');
  expect({ status, body }).toEqual({ status: 200, body: '' });
  expect(headers).toMatchObject(DESCRIPTION);
});

test('the ETag names the bytes: the same for the same, another for others', () => {
  expect(renderDocument({ ...VALUE }, 'no-cache').etag).toBe(document.etag);
  expect(renderDocument({ keys: [] }, CACHE_CONTROL).etag).not.toBe(document.etag);
});

describe.each(['GET', 'HEAD'])('a conditional %s', (method) => {
  const { etag } = document;
  test.each([
    ['exactly the ETag', etag],
    ['the ETag in a list', `"other", ${etag}`],
    ['the ETag first in a list without spaces', `${etag},"other"`],
    ['the weak form', `W/${etag}`],
    ['the weak form in a list', `W/"other" , W/${etag}`],
    ['any', '*'],
    ['white space about it', `  ${etag}\t`],
  ])('with %s is 304, with the validators and without a body', async (_what, value) => {
    const { status, headers, body } = await send(method, { 'If-None-Match': value });
    expect({ status, body }).toEqual({ status: 304, body: '' });
    expect(headers).toMatchObject(VALIDATORS);
    expect(headers).not.toHaveProperty('content-type');
  });

  test('with the ETag in the second of two header lines is 304', async () => {
    expect((await send(method, { 'If-None-Match': ['"other"', etag] })).status).toBe(304);
  });

  test.each([
    ['another ETag', '"other"'],
    ['the ETag without quotes', etag.slice(1, -1)],
    ['a part of the ETag', `${etag.slice(0, 10)}"`],
    ['the ETag in lower case', etag.toLowerCase()],
    ['a lower-case weak mark', `w/${etag}`],
    ['nothing', ''],
  ])('with %s is 200', async (_what, value) => {
    const { status, body } = await send(method, { 'If-None-Match': value });
    expect({ status, length: body.length > 0 }).toEqual({ status: 200, length: method === 'GET' });
  });
});

test('OPTIONS answers a CORS preflight', async () => {
  const { status, headers, body } = await send('OPTIONS', { Origin: 'https://app.example', 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'if-none-match' });
  expect({ status, body }).toEqual({ status: 204, body: '' });
  expect(headers).toMatchObject({
    allow: 'GET, HEAD, OPTIONS', 'access-control-allow-origin': '*', 'access-control-allow-methods': 'GET, HEAD',
    'access-control-allow-headers': 'If-None-Match', 'access-control-max-age': '86400',
  });
});

test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE'])('%s is 405 and says what is taken', async (method) => {
  const { status, headers, body } = await send(method);
  expect({ status, body, allow: headers.allow, cache: headers['cache-control'] }).toEqual({ status: 405, body: '', allow: 'GET, HEAD, OPTIONS', cache: 'no-store' });
});
