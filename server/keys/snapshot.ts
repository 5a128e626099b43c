import { createPublicKey, type KeyObject } from 'node:crypto';
import { pickPublicMembers } from '../crypto/jwk.ts';
import { renderDocument, type Document } from '../http/document.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../oauth2/vocabulary.ts';
import type { KeyRecord, KeySet, KeyState } from '../storage/storage.ts';
import type { Custody, Sign } from './sealed_key.ts';
import { STATES } from './state.ts';

export interface Signer {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly publicKey: KeyObject;
  /** Its private half stays where it is kept (keys/sealed_key.ts). */
  readonly sign: Sign;
}

export interface Verifier {
  readonly alg: SigningAlgorithm;
  readonly publicKey: KeyObject;
}

/** Everything that signing, verifying and publishing need, of one version of the key set. Frozen: a change makes another. */
export interface KeySnapshot {
  readonly version: bigint;
  /** The active key of each ring. */
  readonly signers: ReadonlyMap<SigningAlgorithm, Signer>;
  /** By kid: the keys whose tokens are still believed. */
  readonly verifiers: ReadonlyMap<string, Verifier>;
  readonly jwks: Document;
  /** Keys that sign, or may come to, and that no KEK at hand opens: this instance cannot do what the set asks of it. */
  readonly unopened: readonly { readonly kid: string; readonly signs: boolean; readonly cause: unknown }[];
}

/** A day when we cannot be reached; otherwise as long as the rotation's thresholds count on. */
function describeCaching(maxAgeSeconds: number): string {
  return `public, max-age=${maxAgeSeconds}, stale-while-revalidate=60, stale-if-error=86400`;
}

/** Active first: whoever takes the first key that fits must not take a standby. */
const ORDER: Readonly<Record<KeyState, number>> = { active: 0, pending: 1, retiring: 2, retired: 3, revoked: 3 };

export function createSnapshot({ version, records }: KeySet, custody: Custody, jwksMaxAgeSeconds: number): KeySnapshot {
  const published = records
    .filter(({ state }) => STATES[state].isPublished)
    .sort((a, b) => ORDER[a.state] - ORDER[b.state] || SIGNING_ALGORITHMS.indexOf(a.ring) - SIGNING_ALGORITHMS.indexOf(b.ring) || a.createdAt.getTime() - b.createdAt.getTime());
  const signers = new Map<SigningAlgorithm, Signer>();
  const unopened: { kid: string; signs: boolean; cause: unknown }[] = [];
  for (const record of published.filter(({ sealed }) => sealed !== undefined)) {
    const { signs } = STATES[record.state];
    try {
      // A standby is opened too: an instance that could not sign with it must not be counted as having it.
      const signer = toSigner(record, custody);
      if (signs) signers.set(record.ring, signer);
    } catch (cause) {
      unopened.push({ kid: record.kid, signs, cause });
    }
  }
  return Object.freeze({
    version, signers, unopened,
    verifiers: new Map(published.filter(({ state }) => STATES[state].verifies).map((record) => [record.kid, toVerifier(record)])),
    jwks: renderDocument({ keys: published.map(({ publicJwk }) => pickPublicMembers(publicJwk)) }, describeCaching(jwksMaxAgeSeconds)),
  });
}

function toSigner(record: KeyRecord, custody: Custody): Signer {
  return { kid: record.kid, alg: record.ring, publicKey: toVerifier(record).publicKey, sign: custody.open(record) };
}

function toVerifier(record: KeyRecord): Verifier {
  return { alg: record.ring, publicKey: createPublicKey({ key: { ...pickPublicMembers(record.publicJwk) }, format: 'jwk' }) };
}
