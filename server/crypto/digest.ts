import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** SHA-256 of `value` in base64url: what is kept instead of a value that its holder must show again. */
export function hashValue(value: string): string {
  return createHash('sha256').update(value).digest('base64url');
}

/** Equality in time that does not depend on where two strings differ. */
export function isEqualInConstantTime(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

/** `bytes` random bytes in base64url; 32 by default, which nobody guesses. */
export function createRandomValue(bytes = 32): string {
  return randomBytes(bytes).toString('base64url');
}
