import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../server/config/config.ts';
import { createKekLine } from '../support/kek.ts';
import { findFaults } from './faults.ts';

const folder = mkdtempSync(join(tmpdir(), 'vouch-config-'));
let count = 0;
function write(text: string): string {
  const file = join(folder, `file${count++}`);
  writeFileSync(file, text);
  return file;
}

const KEK = createKekLine();
const SECRETS = { DATABASE_URL: 'postgresql://u:p@db/vouch', REDIS_URL: 'redis://cache', VOUCH_KEK: KEK, VOUCH_COOKIE_KEYS: 'k'.repeat(32) };

describe.each(Object.entries(SECRETS))('%s', (name, value) => {
  test('may come from the file that its _FILE names, with a line break at the end', () => {
    const config = loadConfig({ [`${name}_FILE`]: write(`${value}\n`) });
    expect(config).not.toEqual(loadConfig({}));
    expect(JSON.stringify(config)).toContain('[redacted]');
  });

  test('is refused when it is set in both ways', () => {
    expect(findFaults({ [name]: value, [`${name}_FILE`]: write(value) })).toEqual([`${name} is set twice, as ${name} and as ${name}_FILE; unset one`]);
  });

  test('is refused when its file is missing', () => {
    const file = join(folder, 'missing');
    expect(findFaults({ [`${name}_FILE`]: file })).toEqual([`${name}_FILE names ${file}, which cannot be read (ENOENT)`]);
  });

  test('is refused, once, when its file is empty', () => {
    const file = write(' \n');
    expect(findFaults({ [`${name}_FILE`]: file })).toEqual([`${name}_FILE names ${file}, which is empty`]);
  });

  test('is refused when its file is a folder', () => {
    expect(findFaults({ [`${name}_FILE`]: folder })).toEqual([`${name}_FILE names ${folder}, which cannot be read (EISDIR)`]);
  });
});

test('the secrets of files arrive whole', () => {
  const second = createKekLine();
  const config = loadConfig({ DATABASE_URL_FILE: write(`${SECRETS.DATABASE_URL}\n`), VOUCH_KEK_FILE: write(`# new\r\n  ${KEK}\t\r\n\r\n# old\n${second}\n`) });
  expect(config.databaseUrl?.reveal()).toBe(SECRETS.DATABASE_URL);
  expect(config.keks?.reveal()).toEqual([KEK, second]);
});

test('a file that must not be read is a fault', () => {
  const file = write(KEK);
  chmodSync(file, 0);
  const faults = findFaults({ VOUCH_KEK_FILE: file });
  // Root reads everything.
  expect(faults).toEqual(process.getuid?.() === 0 ? [] : [`VOUCH_KEK_FILE names ${file}, which cannot be read (EACCES)`]);
});

test('in production a missing file is told once, not also as a variable that is not set', () => {
  const file = join(folder, 'missing');
  const env = { NODE_ENV: 'production', VOUCH_ISSUER: 'https://vouch.example.com', ...SECRETS, VOUCH_KEK: '', VOUCH_KEK_FILE: file };
  expect(findFaults(env)).toEqual([`VOUCH_KEK_FILE names ${file}, which cannot be read (ENOENT)`]);
});

test('what a file holds is checked as the variable is, and not shown', () => {
  const faults = findFaults({ VOUCH_KEK_FILE: write('a-secret-of-the-wrong-form'), DATABASE_URL_FILE: write('mysql://u:the-password@db') });
  expect(faults.sort()).toEqual([
    'DATABASE_URL must be a URL that begins with postgresql://',
    'VOUCH_KEK is unusable: key 1 is not 32 bytes in base64url; make one with: openssl rand 32 | basenc --base64url',
  ]);
});
