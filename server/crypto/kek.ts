import { createHash, createSecretKey, type KeyObject } from 'node:crypto';

/** A key-encryption key. `id` names it inside an envelope and gives nothing of it away. */
export interface Kek {
  readonly id: Buffer;
  readonly key: KeyObject;
}

/** The keys that open envelopes; the first one also seals. */
export type KekRing = readonly [Kek, ...Kek[]];

export const KEK_BYTES = 32;
export const KEK_ID_BYTES = 8;

/** Reads keys, each base64url (or base64) of 32 bytes. Throws a TypeError for none, one twice, or one of another length. */
export function parseKekRing(lines: readonly string[]): KekRing {
  const keys = lines.map(parseKek);
  const [first, ...others] = keys;
  if (first === undefined) throw new TypeError('it holds no key');
  if (new Set(keys.map((kek) => kek.id.toString('hex'))).size < keys.length) throw new TypeError('it holds one key twice');
  return [first, ...others];
}

function parseKek(line: string, index: number): Kek {
  const bytes = Buffer.from(line, 'base64url');
  if (!/^[A-Za-z0-9_+/=-]+$/.test(line) || bytes.length !== KEK_BYTES) {
    throw new TypeError(`key ${index + 1} is not ${KEK_BYTES} bytes in base64url`);
  }
  const id = createHash('sha256').update('vouch kek id\0').update(bytes).digest().subarray(0, KEK_ID_BYTES);
  return { id, key: createSecretKey(bytes) };
}
