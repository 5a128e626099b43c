import { beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseKekRing } from '../../server/crypto/kek.ts';
import { createDiskSnapshot, type KeptDocument } from '../../server/keys/disk_snapshot.ts';
import { Secret } from '../../server/lib/secret.ts';

const ISSUER = 'https://vouch.example.com';
const DOCUMENTS: readonly KeptDocument[] = [
  { path: '/oauth/jwks', body: '{"keys":[{"kid":"ü1"}]}', cacheControl: 'public, max-age=300' },
  { path: '/.well-known/openid-configuration', body: '{"issuer":"https://vouch.example.com"}', cacheControl: 'public, max-age=3600' },
];
const WRITTEN_AT = new Date('2030-01-01T00:00:00Z');
const later = (seconds: number) => new Date(WRITTEN_AT.getTime() + seconds * 1000);
const [KEK, OTHER_KEK] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64url')) as [string, string];

let folder: string;
let file: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'vouch-disk-')), 'data');
  file = join(folder, 'published.json');
});
const open = ({ issuer = ISSUER, keks = [KEK] } = {}) => createDiskSnapshot(folder, issuer, new Secret(parseKekRing(keks)));
const write = () => {
  open().write(7n, DOCUMENTS, WRITTEN_AT);
};

test('gives back what was written, from a file that only its owner reads, with nothing left beside it', () => {
  write();
  expect(open().read(later(60))).toEqual({ documents: DOCUMENTS, ageSeconds: expect.any(Number) });
  expect([statSync(folder).mode & 0o777, statSync(file).mode & 0o777]).toEqual([0o700, 0o600]);
  expect(readdirSync(folder)).toEqual(['published.json']);
});

test('a later snapshot takes the place of an earlier one', () => {
  write();
  open().write(8n, DOCUMENTS.slice(1), later(10));
  expect(open().read(later(60))).toEqual({ documents: DOCUMENTS.slice(1), ageSeconds: expect.any(Number) });
});

test('says that there is none', () => {
  expect(open().read(WRITTEN_AT)).toBe(`there is none at ${file}`);
});

test('a byte that was changed anywhere never makes it give anything else than what was written', () => {
  write();
  const whole = readFileSync(file);
  let refused = 0;
  for (let index = 0; index < whole.length; index += 1) {
    for (const flip of [1, 0x20]) {
      const tampered = Buffer.from(whole);
      tampered[index]! ^= flip;
      writeFileSync(file, tampered);
      const read = open().read(later(60));
      if (typeof read !== 'string') expect(read.documents).toEqual(DOCUMENTS);
      else refused += 1;
    }
  }
  // What is taken nevertheless lies in the bits of the last base64url letter that stand for nothing.
  expect(whole.length * 2 - refused).toBeLessThanOrEqual(2);
});

test('a file that was cut off anywhere is refused', () => {
  write();
  const whole = readFileSync(file);
  for (let length = 0; length < whole.length; length += 1) {
    writeFileSync(file, whole.subarray(0, length));
    expect(open().read(later(60))).toBe(`${file} was altered, is cut off, or was made under another key-encryption key`);
  }
});

test.each(['null', '[]', '{}', '{"payload":1,"mac":2}', '{"payload":"{}","mac":""}', 'not JSON'])('a file that holds %s is refused', (text) => {
  write();
  writeFileSync(file, text);
  expect(open().read(later(60))).toMatch(/was altered/);
});

test('a snapshot of another issuer is refused by name', () => {
  write();
  expect(open({ issuer: 'https://other.example.com' }).read(later(60))).toBe(`${file} is of another issuer, ${ISSUER}`);
});

test('a snapshot under another key-encryption key is refused', () => {
  write();
  expect(open({ keks: [OTHER_KEK] }).read(later(60))).toMatch(/another key-encryption key$/);
});

test('a snapshot from before the key-encryption key was rotated is taken while the old one still opens, and written anew under the first', () => {
  write();
  const rotated = open({ keks: [OTHER_KEK, KEK] });
  expect(rotated.read(later(60))).toEqual({ documents: DOCUMENTS, ageSeconds: expect.any(Number) });
  rotated.write(8n, DOCUMENTS, later(60));
  expect(open({ keks: [OTHER_KEK] }).read(later(90))).toEqual({ documents: DOCUMENTS, ageSeconds: expect.any(Number) });
  expect(open().read(later(90))).toMatch(/another key-encryption key$/);
});

test('a snapshot is used for a week and no longer', () => {
  write();
  expect(open().read(later(7 * 86_400 - 1))).toEqual({ documents: DOCUMENTS, ageSeconds: 7 * 86_400 - 1 });
  expect(open().read(later(7 * 86_400))).toBe(`${file} is older than 7 days`);
});

test('a folder that cannot be written throws, and what lay there before stays', () => {
  // A file where the folder should be: also root, as whom containers run, cannot write there.
  writeFileSync(folder, 'in the way');
  expect(write).toThrow(/EEXIST|ENOTDIR/);
  expect(readFileSync(folder, 'utf8')).toBe('in the way');
});
