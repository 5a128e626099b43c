import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { findViolations, FLOORS } from './support/architecture.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GENERATED = 'server/storage/generated/';

function readSources(...tops: string[]): Map<string, string> {
  const paths = tops.flatMap((top) => readdirSync(join(ROOT, top), { recursive: true, encoding: 'utf8' }).map((path) => `${top}/${path}`));
  return new Map(paths.filter((path) => path.endsWith('.ts') && !path.startsWith(GENERATED)).map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]));
}

describe('the house', () => {
  const sources = readSources('server', 'cli');

  test('obeys its rules', () => {
    expect(findViolations(sources)).toEqual([]);
  });

  test('was read whole', () => {
    const rooms = new Set([...sources.keys()].filter((path) => path.split('/').length === 3 && path.startsWith('server/')).map((path) => path.split('/')[1]!));
    for (const room of rooms) expect(Object.keys(FLOORS)).toContain(room);
    expect([...rooms]).toEqual(expect.arrayContaining(['login', 'issuer', 'keys', 'accounts', 'clients', 'audiences', 'storage', 'http', 'crypto', 'config', 'observability', 'views', 'lib', 'oauth2']));
    expect([...sources.keys()]).toEqual(expect.arrayContaining(['server/main.ts', 'server/app.ts', 'server/banner.ts', 'cli/main.ts']));
  });
});

describe('the checker', () => {
  const DOOR = '/*\n * Owns: a thing.\n * Never: another.\n * Keeps true: a third.\n */\n';
  const check = (files: Record<string, string>) => findViolations(new Map(Object.entries(files)));

  test.each([
    ['a lower room through its door', 'server/keys/keys.ts', `${DOOR}import { a } from '../storage/storage.ts';`],
    ['a tool box by any of its files', 'server/issuer/federation_token.ts', "import { a } from '../crypto/jws.ts';\nimport { b } from '../lib/clock.ts';"],
    ['a file of the same room', 'server/keys/snapshot.ts', "import { a } from './state.ts';"],
    ['oidc-provider in issuer/', 'server/issuer/provider.ts', "import { Provider } from 'oidc-provider';"],
    ['the Prisma client in storage/', 'server/storage/database.ts', "import { a } from './generated/prisma/client.ts';"],
    ['process.env in config/', 'server/config/config.ts', `${DOOR}export const a = process.env.A;`],
    ['a Date of a given instant', 'server/keys/plan.ts', 'export const a = new Date(0); // Date.now() in a comment'],
    ["types of the server in the CLI", 'cli/login.ts', "import type { A } from '../server/oauth2/vocabulary.ts';"],
    ['app.ts, any door', 'server/app.ts', `${DOOR}import { a } from './login/login.ts';\nimport { b } from './crypto/jwk.ts';`],
    ['main.ts, the banner', 'server/main.ts', "import { a } from './banner.ts';\nimport { b } from './app.ts';"],
    ['a door with line comments', 'server/views/views.ts', '// Owns: a.\n// Never does: b.\n// Keeps true: c.\nexport {};'],
  ])('lets through %s', (_what, path, text) => {
    expect(check({ [path]: text })).toEqual([]);
  });

  test.each([
    ['a higher room', 'server/storage/keys_sql.ts', "import { a } from '../keys/keys.ts';", 'it imports server/keys/keys.ts: storage (floor 2) lies below keys (floor 4)'],
    ['a higher room, for its types', 'server/storage/keys_sql.ts', "import type { A } from '../keys/keys.ts';", 'it imports server/keys/keys.ts: storage (floor 2) lies below keys (floor 4)'],
    ['a higher room, by import()', 'server/storage/keys_sql.ts', "await import('../keys/keys.ts');", 'it imports server/keys/keys.ts: storage (floor 2) lies below keys (floor 4)'],
    ['a higher room, by a re-export', 'server/http/reply.ts', "export * from '../issuer/issuer.ts';", 'it imports server/issuer/issuer.ts: http (floor 2) lies below issuer (floor 5)'],
    ['a higher room, in a type', 'server/http/reply.ts', "export type A = import('../issuer/issuer.ts').A;", 'it imports server/issuer/issuer.ts: http (floor 2) lies below issuer (floor 5)'],
    ['a room of the same floor', 'server/keys/plan.ts', "import { a } from '../accounts/accounts.ts';", 'it imports server/accounts/accounts.ts: keys and accounts are of one floor'],
    ['lib, another room', 'server/lib/clock.ts', "import { a } from '../oauth2/syntax.ts';", 'it imports server/oauth2/syntax.ts: lib and oauth2 are of one floor'],
    ['a room past its door', 'server/issuer/provider.ts', "import { a } from '../keys/snapshot.ts';", 'it imports server/keys/snapshot.ts, which is not the door of keys'],
    ['storage past its door', 'server/keys/plan.ts', "import { a } from '../storage/keys_sql.ts';", 'it imports server/storage/keys_sql.ts, which is not the door of storage'],
    ['views past their door', 'server/login/next_step.ts', "import { a } from '../views/html.ts';", 'it imports server/views/html.ts, which is not the door of views'],
    ['app.ts', 'server/login/next_step.ts', "import { a } from '../app.ts';", 'it imports server/app.ts: login (floor 6) lies below app (floor 7)'],
    ['what is in no room', 'server/login/next_step.ts', "import { a } from '../../test/support/browser.ts';", 'it imports test/support/browser.ts, which is in no room'],
    ['the CLI', 'server/login/next_step.ts', "import { a } from '../../cli/time.ts';", 'it imports cli/time.ts of the CLI'],
    ['the server, from the CLI', 'cli/login.ts', "import { a } from '../server/oauth2/vocabulary.ts';", 'it imports server/oauth2/vocabulary.ts; the CLI takes only types of the server'],
    ['the server in part, from the CLI', 'cli/login.ts', "import { a, type B } from '../server/oauth2/vocabulary.ts';", 'it imports server/oauth2/vocabulary.ts; the CLI takes only types of the server'],
    ['oidc-provider elsewhere', 'server/app.ts', `${DOOR}import type { A } from 'oidc-provider';`, 'it imports oidc-provider'],
    ['the inside of oidc-provider', 'server/issuer/provider.ts', "import a from 'oidc-provider/lib/helpers/errors.js';", 'it imports oidc-provider/lib/helpers/errors.js, the inside of oidc-provider'],
    ['the Prisma client elsewhere', 'server/app.ts', `${DOOR}import { a } from './storage/generated/prisma/client.ts';`, 'it imports the Prisma client'],
    ['process.env', 'server/app.ts', `${DOOR}export const a = process.env.A;`, 'it reads process.env'],
    ['process.env by another spelling', 'server/app.ts', `${DOOR}const { env } = process;`, 'it reads process.env'],
    ['process.env by import', 'server/app.ts', `${DOOR}import { env as e } from 'node:process';`, 'it reads process.env'],
    ['Date.now()', 'cli/login.ts', 'export const a = Date.now();', 'it reads the clock'],
    ['new Date()', 'server/keys/plan.ts', 'export const a = new Date();', 'it reads the clock'],
    ['Date.now, not called', 'server/keys/plan.ts', 'export const a = Date.now;', 'it reads the clock'],
    ['index.ts', 'server/keys/index.ts', '', '"index" says nothing of what is in it'],
    ['utils.ts', 'cli/utils.ts', '', '"utils" says nothing of what is in it'],
    ['a folder of helpers', 'server/keys/helpers/sort.ts', '', '"helpers" says nothing of what is in it'],
    ['camelCase', 'server/keys/sealedKey.ts', '', '"sealedKey" is neither one word nor snake_case'],
    ['kebab-case', 'cli/use-session.ts', '', '"use-session" is neither one word nor snake_case'],
    ['a room that has no floor', 'server/attic/attic.ts', DOOR, 'it is in no room that has a floor'],
    ['a loose file', 'server/other.ts', '', 'it is in no room that has a floor'],
    ['a door without its comment', 'server/keys/keys.ts', 'export {};', 'this door does not begin with "Owns:", "Never:" and "Keeps true:"'],
    ['a door with a part of its comment', 'server/keys/keys.ts', '/*\n * Owns: a.\n * Keeps true: b.\n */', 'this door does not begin with "Owns:", "Never:" and "Keeps true:"'],
    ['a door whose comment comes later', 'server/keys/keys.ts', `export {};\n${DOOR}`, 'this door does not begin with "Owns:", "Never:" and "Keeps true:"'],
  ])('flags %s', (_what, path, text, sentence) => {
    expect(check({ [path]: text })).toEqual([`${path}: ${sentence}`]);
  });

  test('flags an import cycle, once', () => {
    const files = {
      'server/keys/a.ts': "import { b } from './b.ts';", 'server/keys/b.ts': "export { c } from './c.ts';",
      'server/keys/c.ts': "import { a } from './a.ts';", 'server/keys/d.ts': "import { a } from './a.ts';",
    };
    expect(check(files)).toEqual(['import cycle: server/keys/a.ts -> server/keys/b.ts -> server/keys/c.ts -> server/keys/a.ts']);
    expect(check({ ...files, 'server/keys/c.ts': "import type { a } from './a.ts';" })).toEqual([]);
  });
});
