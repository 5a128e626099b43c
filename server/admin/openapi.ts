import { z } from 'zod';
import type { Route } from './route.ts';

/** The admin API in OpenAPI 3.1, from the table that its router is made of: what it takes, and what each part needs. */
export function describeApi(issuer: string, prefix: string, routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = `${prefix}${route.path.replace(/:(\w+)/g, '{$1}')}`;
    paths[path] = { ...paths[path], [route.method]: describe(route) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Vouch admin API', version: '1', description: `Access tokens of this issuer, for the audience ${issuer}/admin, of an account that is an admin.` },
    servers: [{ url: issuer }],
    security: [{ admin: [] }],
    paths,
    components: {
      securitySchemes: { admin: { type: 'oauth2', flows: { authorizationCode: { authorizationUrl: `${issuer}/oauth/authorize`, tokenUrl: `${issuer}/oauth/token`, scopes: collectScopes(routes) } } } },
      schemas: { Error: { type: 'object', required: ['error', 'error_description'], properties: { error: { type: 'string' }, error_description: { type: 'string' } } } },
    },
  };
}

function describe({ name, summary, demand, path, body, query }: Route): object {
  const error = (description: string) => ({ description, content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } });
  return {
    operationId: name, summary, security: [{ admin: [demand.scope] }],
    ...(demand.maxAgeSeconds === undefined ? {} : { description: `Needs a sign-in of at most ${demand.maxAgeSeconds} s ago (RFC 9470).` }),
    parameters: [
      ...[...path.matchAll(/:(\w+)/g)].map(([, parameter]) => ({ name: parameter, in: 'path', required: true, schema: { type: 'string' } })),
      ...(query === undefined ? [] : describeQuery(query)),
    ],
    ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: toSchema(body) } } } }),
    responses: {
      200: { description: 'Done.' },
      400: error('Wrong, with what to change.'), 401: error('No token, or one that will not do.'), 403: error('Not an admin, or the scope is missing.'),
      404: error('There is no such thing.'), 409: error('Something else was faster, or is in the way.'), 503: error('Storage is out of reach, or the record could not be kept: nothing was changed.'),
    },
  };
}

function describeQuery(query: z.ZodType): object[] {
  const { properties = {}, required = [] } = toSchema(query) as { properties?: Record<string, object>; required?: string[] };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: required.includes(name), schema }));
}

function toSchema(schema: z.ZodType): object {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
}

function collectScopes(routes: readonly Route[]): Record<string, string> {
  return Object.fromEntries(routes.map(({ demand, summary }) => [demand.scope, summary]));
}
