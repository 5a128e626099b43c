import type { KeyState } from '../storage/storage.ts';

/*
 *  (none) -> pending -> active -> retiring -> retired
 *               |          |          |
 *               +----------+----------+---------------> revoked
 */
interface StateRow {
  /** Whether the JWKS shows the key. */
  readonly isPublished: boolean;
  /** Whether the key signs: exactly one of a ring does. */
  readonly signs: boolean;
  /** Whether a token that it signed is still believed by us. */
  readonly verifies: boolean;
  readonly next: readonly KeyState[];
}

export const STATES: Readonly<Record<KeyState, StateRow>> = {
  // Believed already: another instance may have begun to sign with it a moment before this one hears of that.
  pending: { isPublished: true, signs: false, verifies: true, next: ['active', 'revoked'] },
  active: { isPublished: true, signs: true, verifies: true, next: ['retiring', 'revoked'] },
  retiring: { isPublished: true, signs: false, verifies: true, next: ['retired', 'revoked'] },
  retired: { isPublished: false, signs: false, verifies: false, next: [] },
  revoked: { isPublished: false, signs: false, verifies: false, next: [] },
};
