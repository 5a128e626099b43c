import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto';
import { KEK_BYTES, KEK_ID_BYTES, type Kek, type KekRing } from './kek.ts';

/*
 * An envelope: the plaintext under a data key of its own, the data key under a KEK, both AES-256-GCM (NIST SP 800-38D)
 * with the same associated data. A data key a record means that re-wrapping under a new KEK moves 32 bytes and not the
 * secret, and that no KEK ever meets GCM's limit on messages.
 *
 *   version(1) | KEK id(8) | iv(12) | wrapped data key(32) | tag(16) | iv(12) | ciphertext | tag(16)
 */
const VERSION = 1;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEK_ID_BYTES;
const WRAPPED_BYTES = IV_BYTES + KEK_BYTES + TAG_BYTES;

/** Seals `plaintext` under the first KEK. `context` must be given again, byte for byte, to open it. */
export function sealEnvelope(plaintext: Buffer, context: string, keks: KekRing): Buffer {
  const dataKey = randomBytes(KEK_BYTES);
  const [kek] = keks;
  const sealed = Buffer.concat([
    Buffer.from([VERSION]),
    kek.id,
    encrypt(dataKey, kek.key, context),
    encrypt(plaintext, dataKey, context),
  ]);
  dataKey.fill(0);
  return sealed;
}

/** Opens an envelope with whichever KEK sealed it. Throws when none did, or when it or its context was altered. */
export function openEnvelope(envelope: Buffer, context: string, keks: KekRing): Buffer {
  if (envelope.length < HEADER_BYTES + WRAPPED_BYTES + IV_BYTES + TAG_BYTES || envelope[0] !== VERSION) {
    throw new Error('the envelope is not of a form that this version knows');
  }
  const kek = findKek(envelope, keks);
  const dataKey = decrypt(envelope.subarray(HEADER_BYTES, HEADER_BYTES + WRAPPED_BYTES), kek.key, context);
  const plaintext = decrypt(envelope.subarray(HEADER_BYTES + WRAPPED_BYTES), dataKey, context);
  dataKey.fill(0);
  return plaintext;
}

function findKek(envelope: Buffer, keks: KekRing): Kek {
  const id = envelope.subarray(1, HEADER_BYTES);
  const kek = keks.find((candidate) => candidate.id.equals(id));
  if (kek === undefined) throw new Error('none of the key-encryption keys at hand sealed this envelope');
  return kek;
}

function encrypt(plaintext: Buffer, key: KeyObject | Buffer, context: string): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context));
  return Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(part: Buffer, key: KeyObject | Buffer, context: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, part.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(context)).setAuthTag(part.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(part.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
}
