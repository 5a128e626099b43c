import { hkdfSync } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { calculateJwkThumbprint, EmbeddedJWK, errors as joseErrors, jwtVerify, type JWK } from 'jose';
import { errors } from 'oidc-provider';
import { hashValue, isEqualInConstantTime } from '../crypto/digest.ts';
import { addSeconds, toUnixSeconds, type Clock } from '../lib/clock.ts';
import type { ArtifactStore } from '../storage/storage.ts';
import { ROUTES } from './routes.ts';

/*
 * DPoP (RFC 9449): a request that carries a proof of a key. oidc-provider checks the proofs of the grants that it makes
 * itself; here are those of ours: the exchange, a repeated refresh, userinfo.
 */

/** A request with a proof: what the proof must have been made for. */
export interface ProvenRequest {
  /** The value of the `DPoP` header. */
  readonly proof: string;
  readonly method: string;
  /** Without query and fragment. */
  readonly url: string;
  /** The access token that is shown along with it, whose hash (`ath`) must be in it. */
  readonly accessToken?: string | undefined;
}

export interface ProofPolicy {
  /** Whether it must hold a nonce of ours; otherwise one will do as well as a clock that is right. */
  readonly needsNonce: boolean;
}

export interface Proofs {
  /** The thumbprint (RFC 7638) of the key that the request proves. Throws `invalid_dpop_proof` or `use_dpop_nonce`. */
  verify(request: ProvenRequest, policy: ProofPolicy): Promise<string>;
  /** What an answer to a request with a proof says in `DPoP-Nonce`. */
  nextNonce(): string;
}

/** Public-key algorithms that a proof may be signed with. */
export const PROOF_ALGORITHMS = ['ES256', 'RS256', 'Ed25519'] as const;

const STEP_SECONDS = 60;
/** Nonces of so many steps before and after the present one are taken, and proofs without one as far from now. */
const STEPS = 2;
const WINDOW_SECONDS = STEP_SECONDS * 5;

/** The secret from which every instance makes the same nonces. Other cookie keys mean other nonces: clients ask once more. */
export function deriveNonceSecret(cookieKeys: readonly string[]): Buffer {
  return Buffer.from(hkdfSync('sha256', cookieKeys[0] ?? '', '', 'vouch dpop nonces', 32));
}

export function createProofs({ nonceSecret, replays, clock }: { nonceSecret: Buffer; replays: Pick<ArtifactStore, 'add'>; clock: Clock }): Proofs {
  // As oidc-provider makes them, so that a client that goes between its grants and ours need not ask again each time. Where
  // they differed it would ask once more: a test says whether they do.
  const makeNonce = (step: number) => {
    const salt = Buffer.alloc(8);
    salt.writeBigUInt64BE(BigInt(step));
    return Buffer.from(hkdfSync('sha256', nonceSecret, salt, 'DPoP', 32)).toString('base64url');
  };
  const stepNow = () => Math.floor(toUnixSeconds(clock.now()) / STEP_SECONDS);
  const isNonce = (nonce: string) => Array.from({ length: 2 * STEPS + 1 }, (_, index) => makeNonce(stepNow() - STEPS + index)).some((known) => isEqualInConstantTime(known, nonce));

  return {
    nextNonce: () => makeNonce(stepNow() + 1),
    verify: async ({ proof, method, url, accessToken }, { needsNonce }) => {
      const { payload, jwk } = await verifySignature(proof);
      const { jti, iat, htm, htu, nonce, ath } = payload;
      if (typeof jti !== 'string' || jti === '' || typeof iat !== 'number') throw unusable('it has no jti or no iat');
      if (htm !== method) throw unusable('it is for another method');
      if (typeof htu !== 'string' || stripUrl(htu) !== url) throw unusable('it is for another address');
      if (accessToken !== undefined && ath !== hashValue(accessToken)) throw unusable('it is not for this access token');
      const now = clock.now();
      const hasNonce = typeof nonce === 'string' && isNonce(nonce);
      if (!hasNonce && (needsNonce || nonce !== undefined)) throw new errors.UseDpopNonce('put the nonce of the DPoP-Nonce header into the proof');
      if (!hasNonce && Math.abs(toUnixSeconds(now) - iat) > WINDOW_SECONDS) throw unusable('its iat is too far from now');
      const thumbprint = await calculateJwkThumbprint(jwk);
      // One proof serves one request (RFC 9449 11.1), for as long as it could be taken.
      if (!(await replays.add('ReplayDetection', hashValue(`dpop ${thumbprint} ${jti}`), { payload: {} }, addSeconds(now, 2 * WINDOW_SECONDS)))) {
        throw unusable('it was used before');
      }
      return thumbprint;
    },
  };
}

/** What checks the proof of a request to the token endpoint; undefined where it carries none. */
export function demandProof({ headers }: IncomingMessage, issuer: string, proofs: Proofs): (() => Promise<string>) | undefined {
  const { dpop: proof } = headers;
  if (typeof proof !== 'string') return undefined;
  return () => proofs.verify({ proof, method: 'POST', url: issuer + ROUTES.token }, { needsNonce: true });
}

async function verifySignature(proof: string) {
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { algorithms: [...PROOF_ALGORITHMS], typ: 'dpop+jwt' });
    // EmbeddedJWK has verified with it, so it is there and public.
    return { payload, jwk: protectedHeader.jwk as JWK };
  } catch (error) {
    if (error instanceof joseErrors.JOSEError || error instanceof TypeError) throw unusable('it is not a DPoP proof that verifies', error);
    throw error;
  }
}

function stripUrl(htu: string): string | undefined {
  const url = URL.parse(htu);
  if (url === null) return undefined;
  url.search = '';
  url.hash = '';
  return url.href;
}

function unusable(why: string, cause?: unknown): Error {
  return new errors.InvalidDpopProof(`the DPoP proof is unusable: ${why}`, cause === undefined ? undefined : { cause });
}
