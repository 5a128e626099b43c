import { createPublicKey } from 'node:crypto';
import { pickPublicMembers } from '../crypto/jwk.ts';
import { composeJws, parseJws, verifyJws } from '../crypto/jws.ts';
import { Unavailable } from '../lib/errors.ts';
import type { KeyStore } from '../storage/storage.ts';
import type { Custody } from './sealed_key.ts';
import type { KeySnapshot } from './snapshot.ts';

/** What the issuer says and signs that is no token: its type is in the header, and it has none of a token's claims. */
export interface Statements {
  /** Signed by the active key of the first ring. Throws Unavailable when there is none. */
  sign(typ: string, payload: object): Promise<string>;
  /**
   * The payload, if a key that this issuer made has signed it: undefined otherwise. Also by one that is long retired. What
   * the database says of its keys is not enough for that: whoever may write there could put in one of theirs.
   */
  verify(typ: string, jws: string): Promise<Readonly<Record<string, unknown>> | undefined>;
}

/** A year of checkpoints by a key that is not believed asks half a million times: not the database each time. */
const MISS_MS = 50;

export function createStatements(current: () => KeySnapshot, store: Pick<KeyStore, 'load'>, { isOurs }: Pick<Custody, 'isOurs'>): Statements {
  const known = new Map<string, ReturnType<typeof createPublicKey>>();
  // By kid: one that has just been made must not be taken for one that was just looked for in vain.
  const missedAt = new Map<string, number>();
  const findKey = async (kid: string) => {
    if (!known.has(kid) && performance.now() - (missedAt.get(kid) ?? Number.NEGATIVE_INFINITY) > MISS_MS) {
      const { records } = await store.load();
      for (const record of records.filter(isOurs)) known.set(record.kid, createPublicKey({ key: { ...pickPublicMembers(record.publicJwk) }, format: 'jwk' }));
      if (!known.has(kid)) missedAt.set(kid, performance.now());
    }
    return known.get(kid);
  };
  return {
    sign: (typ, payload) => {
      const [signer] = current().signers.values();
      if (signer === undefined) throw new Unavailable('no signing key is active');
      return composeJws({ alg: signer.alg, kid: signer.kid, typ }, payload, signer.sign);
    },
    verify: async (typ, text) => {
      const jws = parseJws(text);
      if (jws?.header.typ !== typ) return undefined;
      const key = await findKey(jws.header.kid);
      if (key === undefined || (key.asymmetricKeyType === 'rsa') !== (jws.header.alg === 'RS256')) return undefined;
      return verifyJws(jws, key) ? jws.claims : undefined;
    },
  };
}
