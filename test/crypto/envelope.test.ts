import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { openEnvelope, sealEnvelope } from '../../server/crypto/envelope.ts';
import { parseKekRing } from '../../server/crypto/kek.ts';
import { createKekLine } from '../support/kek.ts';

const ring = (...lines: string[]) => parseKekRing(lines);
const [OLD, NEW, OTHER] = [createKekLine(), createKekLine(), createKekLine()];
const NOT_AUTHENTIC = /unable to authenticate data/;

/** version(1) | KEK id(8) | iv(12) | wrapped data key(32) | tag(16) | iv(12) | ciphertext | tag(16) */
const OVERHEAD_BYTES = 1 + 8 + 12 + 32 + 16 + 12 + 16;

describe('an envelope', () => {
  test('gives back what was sealed, whatever it was', () => {
    const keks = ring(NEW);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), fc.string(), (bytes, context) => {
        const plaintext = Buffer.from(bytes);
        expect(openEnvelope(sealEnvelope(plaintext, context, keks), context, keks).equals(plaintext)).toBe(true);
      }),
    );
  });

  test('shows nothing of the plaintext and is another one each time', () => {
    const plaintext = Buffer.alloc(64, 'secret');
    const [first, second] = [sealEnvelope(plaintext, 'c', ring(NEW)), sealEnvelope(plaintext, 'c', ring(NEW))];
    expect(first).toHaveLength(plaintext.length + OVERHEAD_BYTES);
    expect(first.includes('secret')).toBe(false);
    // What may repeat is the version and the KEK's id alone.
    expect(first.subarray(0, 9).equals(second.subarray(0, 9))).toBe(true);
    expect(first.subarray(9, 21).equals(second.subarray(9, 21))).toBe(false);
    expect(first.subarray(69).equals(second.subarray(69))).toBe(false);
  });

  test.each(['', 'a', 'record 2', 'record 1 ', 'Record 1'])('does not open with the context %j instead of its own', (context) => {
    const sealed = sealEnvelope(Buffer.from('secret'), 'record 1', ring(NEW));
    expect(() => openEnvelope(sealed, context, ring(NEW))).toThrow(NOT_AUTHENTIC);
  });

  test('does not open when any single byte of it was altered', () => {
    const keks = ring(NEW);
    const sealed = sealEnvelope(Buffer.from('secret'), 'context', keks);
    for (let at = 0; at < sealed.length; at += 1) {
      const altered = Buffer.from(sealed);
      altered[at]! ^= 1;
      const complaint = at === 0 ? 'the envelope is not of a form' : at <= 8 ? 'none of the key-encryption keys' : NOT_AUTHENTIC;
      expect(() => openEnvelope(altered, 'context', keks)).toThrow(complaint);
    }
  });

  test('does not open when bytes are missing or were added', () => {
    const keks = ring(NEW);
    const sealed = sealEnvelope(Buffer.from('secret'), 'context', keks);
    for (let length = 0; length < sealed.length; length += 1) {
      const complaint = length < OVERHEAD_BYTES ? 'the envelope is not of a form' : NOT_AUTHENTIC;
      expect(() => openEnvelope(sealed.subarray(0, length), 'context', keks)).toThrow(complaint);
    }
    expect(() => openEnvelope(Buffer.concat([sealed, Buffer.from([0])]), 'context', keks)).toThrow(NOT_AUTHENTIC);
  });

  test('does not open when the wrapped data key of another envelope was put in', () => {
    const keks = ring(NEW);
    const [first, second] = [sealEnvelope(Buffer.from('one'), 'context', keks), sealEnvelope(Buffer.from('two'), 'context', keks)];
    const mixed = Buffer.concat([first.subarray(0, 69), second.subarray(69)]);
    expect(() => openEnvelope(mixed, 'context', keks)).toThrow(NOT_AUTHENTIC);
  });
});

describe('a ring of key-encryption keys', () => {
  test('opens with any of its keys', () => {
    const sealed = sealEnvelope(Buffer.from('secret'), 'c', ring(OLD));
    expect(openEnvelope(sealed, 'c', ring(NEW, OTHER, OLD)).toString()).toBe('secret');
  });

  test('seals with its first key alone', () => {
    const sealed = sealEnvelope(Buffer.from('secret'), 'c', ring(NEW, OLD));
    expect(openEnvelope(sealed, 'c', ring(NEW)).toString()).toBe('secret');
    expect(() => openEnvelope(sealed, 'c', ring(OLD))).toThrow('none of the key-encryption keys at hand sealed this envelope');
  });

  test('says so when none of its keys sealed the envelope', () => {
    const sealed = sealEnvelope(Buffer.from('secret'), 'c', ring(OTHER));
    expect(() => openEnvelope(sealed, 'c', ring(NEW, OLD))).toThrow('none of the key-encryption keys at hand sealed this envelope');
  });
});
