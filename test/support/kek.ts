import { randomBytes } from 'node:crypto';

/** A key-encryption key as a line of a file. */
export function createKekLine(): string {
  return randomBytes(32).toString('base64url');
}
