import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { readWhen } from '../../cli/audit/instants.ts';
import { startAdminCli, type AdminCli } from './admin_cli.ts';

/* Who held which token: by a real issuer, and by answers that no honest issuer gives. */

jest.setTimeout(240_000);

let cli: AdminCli;
beforeAll(async () => { cli = await startAdminCli(); });
afterAll(() => cli.close());

describe('how long ago', () => {
  test.each([
    ['15m', '2026-11-24T09:45:00.000Z'], ['2h', '2026-11-24T08:00:00.000Z'], ['7d', '2026-11-17T10:00:00.000Z'], ['90s', '2026-11-24T09:58:30.000Z'],
    ['2026-11-24T11:00:00+02:00', '2026-11-24T09:00:00.000Z'], ['2026-11-24T09:00Z', '2026-11-24T09:00:00.000Z'],
  ])('%s is %s', (text, instant) => {
    expect(readWhen('--since', text, Date.parse('2026-11-24T10:00:00Z'))).toBe(instant);
  });
});

describe('by the issuer', () => {
  test('a token is found by its jti, with all that is known of it, and by whose it was', async () => {
    await cli.run(['login']);
    const token = (await cli.run(['credential', 'id-token'])).stdout;
    const { jti } = decodeJwt(token);
    const found = await cli.run(['audit', 'find', '--jti', jti!]);
    expect(found.code).toBe(0);
    for (const line of [/^at +\d{4}-\S+Z\n/, /\nkind +token\n/, /\nevent +token_exchange\n/, /\nsubject +admin@example\.com\n/, /\nclient_id +vouch-cli\n/, new RegExp(`\nkid +${decodeProtectedHeader(token).kid}\n`), /\nclause +allow people\n/, /\nip +127\.0\.0\.1\n/]) expect(found.stdout).toMatch(line);
    expect(found.stdout).not.toContain(token.split('.')[2]);
    expect((await cli.run(['audit', 'find', '--account', 'admin@example.com', '--kind', 'token', '--since', '1h'])).stdout).toMatch(/^ {2}AT \(UTC\) +KIND +WHAT +WHOSE +AUDIENCE +CLIENT +OUTCOME +JTI\n(?:.*\n)* {2}\d{4}-\S+Z +token +token_exchange +admin@example\.com +http:\S+ +vouch-cli +allow people +\S{36}\n/);
    expect((await cli.runJson(['audit', 'find', '--jti', jti!])).rows).toMatchObject([{ jti, subject: 'admin@example.com', token_kind: 'id_token' }]);
    expect((await cli.run(['audit', 'find', '--jti', 'none'])).stdout).toBe('No row of the record is like that.\n');
    expect(await cli.run(['audit', 'find', '--account', 'nobody@example.com'])).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('there is no account "nobody@example.com"; look for its id') });
  });

  test('the record is exported whole, to the terminal or into a file for its owner alone', async () => {
    const printed = await cli.run(['audit', 'export']);
    const rows = printed.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { kind: string });
    expect(rows.map(({ kind }) => kind)).toContain('token');
    const path = join(cli.folder, 'record.jsonl');
    writeFileSync(path, 'the former', { mode: 0o644 });
    expect(await cli.run(['audit', 'export', '--output-file', path])).toMatchObject({ code: 0, stdout: '', stderr: expect.stringMatching(/^Wrote \d+ rows to \S+record\.jsonl\.\n$/) });
    expect(readFileSync(path, 'utf8').startsWith(printed.stdout)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('and verified', async () => {
    expect(await cli.run(['audit', 'verify'])).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^The record is as it was written: \d+ rows in \d+ chains?, \d+ signed checkpoints?\.\n$/) });
  });
});

describe('by an issuer that', () => {
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let requests: { url: string; authorization: string | undefined }[];
  let url: string;
  let home: string;
  const server = createServer((request, response) => {
    requests.push({ url: request.url ?? '', authorization: request.headers.authorization });
    answer(request, response);
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    home = join(cli.folder, 'fake-home');
    mkdirSync(home);
    writeFileSync(join(home, 'admin.json'), JSON.stringify({ issuer: url, access_token: 'an-admin-token', expires_at: new Date(Date.now() + 3_600_000).toISOString() }));
  });
  afterAll(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  beforeEach(() => { requests = []; });
  afterEach(() => { expect(readdirSync(cli.folder).filter((name) => name.endsWith('.new'))).toEqual([]); });

  const run = (...args: string[]) => cli.run(['audit', ...args], { VOUCH_ISSUER: url, VOUCH_HOME: home });
  const sendLines = (lines: readonly string[]) => (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/jsonl' }).end(lines.join(''));
  };
  /** Two whole lines and a half, and then the connection is gone. */
  const cutOff = (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/jsonl' }).write('{"seq":"1"}\n{"seq":"2"}\n{"se');
    setTimeout(() => response.destroy(), 100);
  };

  test('cuts its answer off is a failure, and a file stays as it was', async () => {
    answer = cutOff;
    const printed = await run('export', '--since', '2026-11-24T10:00:00Z');
    expect(printed).toMatchObject({ code: 4, stdout: '{"seq":"1"}\n{"seq":"2"}\n' });
    expect(printed.stderr).toBe(`error: the answer of the issuer ${url} was cut off after 2 lines: it is not complete\nhint: try again; what came so far is not all there is\n`);
    expect(requests).toEqual([{ url: '/admin/api/v1/audit/export?since=2026-11-24T10%3A00%3A00.000Z', authorization: 'Bearer an-admin-token' }]);
    const path = join(cli.folder, 'cut.jsonl');
    expect(await run('export', '--output-file', path)).toMatchObject({ code: 4, stdout: '' });
    expect(existsSync(path)).toBe(false);
    // The end came in order, and in the middle of a line.
    answer = sendLines(['{"seq":"1"}\n', '{"se']);
    expect(await run('export')).toMatchObject({ code: 4, stdout: '{"seq":"1"}\n', stderr: expect.stringContaining('was cut off after 1 line:') });
  });

  test('ends without a verdict is a failure', async () => {
    answer = sendLines(['{"rows":10}\n', '{"rows":20}\n']);
    expect(await run('verify')).toMatchObject({ code: 4, stdout: '', stderr: expect.stringMatching(/^error: the issuer \S+ ended its answer without a verdict\n/) });
  });

  test('was tampered with: 5, every fault by name, and no progress where there is no terminal', async () => {
    const faults = [{ kind: 'changed', says: 'row 7 of chain a is not as it was\u001b[2J' }, { kind: 'missing', says: 'row 9 of chain a is gone' }];
    answer = sendLines(['{"rows":10}\n', `${JSON.stringify({ verdict: { rows: 20, chains: 1, checkpoints: 3, faults } })}\n`]);
    const found = await run('verify');
    expect(found).toMatchObject({ code: 5, stdout: 'changed: row 7 of chain a is not as it was [2J\nmissing: row 9 of chain a is gone\n' });
    expect(found.stderr).toMatch(/^error: the record is not as it was written: 2 faults \(20 rows in 1 chain, 3 signed checkpoints\)\nhint: /);
    const asJson = await run('verify', '--json');
    expect({ code: asJson.code, verdict: JSON.parse(asJson.stdout) as unknown }).toEqual({ code: 5, verdict: { rows: 20, chains: 1, checkpoints: 3, faults } });
  });

  test('sends elsewhere: the token does not follow', async () => {
    answer = (request, response) => {
      if (request.url?.startsWith('/elsewhere') === true) response.end('{"seq":"1"}\n');
      else response.writeHead(307, { location: `${url}/elsewhere` }).end();
    };
    expect(await run('export')).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining('gave an answer (307) that its admin API does not give') });
    expect(requests.map((request) => request.url)).toEqual(['/admin/api/v1/audit/export']);
  });

  test('answers with a page, or not at all, is a failure of its own kind', async () => {
    answer = sendLines(['<html>\n']);
    expect(await run('export')).toMatchObject({ code: 5, stdout: '', stderr: expect.stringContaining("the issuer's answer cannot be read: it is not valid JSON") });
    answer = (_, response) => { response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '7' }).end('{"error":"temporarily_unavailable","error_description":"Storage is away."}'); };
    expect(await run('verify')).toMatchObject({ code: 4, stderr: expect.stringMatching(/cannot answer just now \(503\): Storage is away\.\nhint: try again in 7 s\n/) });
  });

  test('asks for more scopes than an older sign-in had: another sign-in is asked for', async () => {
    answer = (request, response) => {
      if (request.url?.includes('openid-configuration') === true) response.writeHead(404).end();
      else response.writeHead(403, { 'content-type': 'application/json' }).end('{"error":"insufficient_scope","error_description":"the token lacks the scope audit:read"}');
    };
    expect((await run('find')).stderr).toMatch(/^This needs your passkey: the last admin sign-in does not reach as far as this command\.\n/);
  });
});
