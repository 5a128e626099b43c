import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { parseKekRing } from '../../server/crypto/kek.ts';
import { createKekLine } from '../support/kek.ts';

const KEY = createKekLine();
const bytesOf = (line: string) => Buffer.from(line, 'base64url');

describe('a ring of key-encryption keys', () => {
  test.each([
    ['base64url', KEY],
    ['base64 with padding', bytesOf(KEY).toString('base64')],
  ])('takes a key in %s', (_what, line) => {
    const keks = parseKekRing([line]);
    expect(keks).toHaveLength(1);
    expect(keks[0].key.export().equals(bytesOf(KEY))).toBe(true);
  });

  test('keeps the order of its keys, since the first seals', () => {
    const lines = [createKekLine(), createKekLine(), createKekLine()];
    expect(parseKekRing(lines).map(({ key }) => key.export().toString('base64url'))).toEqual(lines);
  });

  test('gives a key the same id in every process, and different keys different ones', () => {
    // (printf 'vouch kek id\0'; head -c 32 /dev/zero) | sha256sum
    expect(parseKekRing(['A'.repeat(43)])[0].id.toString('hex')).toBe('f4145fda1fceff19');
    expect(parseKekRing([KEY])[0].id.equals(parseKekRing([createKekLine()])[0].id)).toBe(false);
  });

  test.each([
    ['no key', [], 'it holds no key'],
    ['a key of 31 bytes', [Buffer.alloc(31, 1).toString('base64url')], 'key 1 is not 32 bytes in base64url'],
    ['a key of 33 bytes', [Buffer.alloc(33, 1).toString('base64url')], 'key 1 is not 32 bytes in base64url'],
    ['an empty second key', [KEY, ''], 'key 2 is not 32 bytes in base64url'],
    ['a key in hex', [Buffer.alloc(32, 1).toString('hex')], 'key 1 is not 32 bytes in base64url'],
    ['white space inside a key', [`${KEY.slice(0, 20)} ${KEY.slice(20)}`], 'key 1 is not 32 bytes in base64url'],
    ['a character that is not of base64', [`${KEY.slice(0, 42)}!${KEY.slice(42)}`], 'key 1 is not 32 bytes in base64url'],
    ['one key twice', [KEY, KEY], 'it holds one key twice'],
    ['one key twice, in two spellings', [KEY, bytesOf(KEY).toString('base64')], 'it holds one key twice'],
  ])('is refused with %s', (_what, lines, message) => {
    expect(() => parseKekRing(lines)).toThrow(new TypeError(message));
  });

  test('is not repeated in what a refusal says', () => {
    const refuse = () => parseKekRing([`${KEY}x`]);
    expect(refuse).toThrow(TypeError);
    expect(refuse).not.toThrow(KEY);
  });

  test('does not print its keys when it is inspected', () => {
    const printed = inspect(parseKekRing([KEY]), { depth: 10, showHidden: true });
    for (const encoding of ['base64url', 'base64', 'hex', 'latin1'] as const) expect(printed).not.toContain(bytesOf(KEY).toString(encoding));
    expect(printed).not.toContain(bytesOf(KEY).toString('hex').replaceAll(/..(?=.)/g, '$& '));
  });
});
