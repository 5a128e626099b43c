import { randomBytes } from 'node:crypto';
import { parseKekRing, type KekRing } from '../../server/crypto/kek.ts';
import { Secret } from '../../server/lib/secret.ts';

/** A key-encryption key as a line of a file. */
export function createKekLine(): string {
  return randomBytes(32).toString('base64url');
}

/** The ring of these lines; of a new key when there are none. */
export function createKeks(...lines: string[]): Secret<KekRing> {
  return new Secret(parseKekRing(lines.length === 0 ? [createKekLine()] : lines));
}
