import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security: readonly { readonly admin: readonly string[] }[];
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: { readonly properties: Record<string, unknown> } } } };
}

let issuer: TestIssuer;
let paths: Record<string, Record<string, Operation>>;
beforeAll(async () => {
  issuer = await startTestIssuer();
  const answer = await fetch(`${issuer.url}/admin/api/openapi.json`);
  const document = (await answer.json()) as { openapi: string; servers: unknown; paths: typeof paths };
  expect(document).toMatchObject({ openapi: '3.1.0', servers: [{ url: issuer.url }] });
  ({ paths } = document);
});
afterAll(() => issuer.close());

const operations = () => Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));

test('every operation that it names is there, and asks for a token', async () => {
  expect(operations().length).toBeGreaterThan(25);
  for (const { path, method, operation } of operations()) {
    const answer = await fetch(issuer.url + path.replace(/\{\w+\}/g, 'x'), { method: method.toUpperCase() });
    expect({ path, status: answer.status, challenge: answer.headers.get('www-authenticate') }).toEqual({ path, status: 401, challenge: 'Bearer' });
    expect(operation.security[0]!.admin).toHaveLength(1);
    expect(operation.summary).toMatch(/^[A-Z]/);
  }
});

test('each has a name of its own, and says what it takes', () => {
  const names = operations().map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
  expect(Object.keys(paths['/admin/api/v1/audiences']!.post!.requestBody!.content['application/json'].schema.properties)).toEqual(expect.arrayContaining(['name', 'preset', 'allow', 'lifetime_seconds']));
  expect(paths['/admin/api/v1/audit']!.get!.parameters.map((parameter) => parameter.name)).toEqual(['jti', 'kid', 'account', 'audience', 'client', 'kind', 'limit', 'since', 'until']);
  expect(paths['/admin/api/v1/keys/{kid}/revoke']!.post!.parameters).toMatchObject([{ name: 'kid', in: 'path' }]);
});
