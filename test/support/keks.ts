import { randomBytes } from 'node:crypto';
import { parseKekRing, type KekRing } from '../../server/crypto/kek.ts';
import { Secret } from '../../server/lib/secret.ts';

/** A new key-encryption key, as a line for a KEK file. */
export function createKekLine(): string {
  return randomBytes(32).toString('base64url');
}

export function createKeks(...lines: string[]): Secret<KekRing> {
  return new Secret(parseKekRing(lines.length === 0 ? [createKekLine()] : lines));
}
