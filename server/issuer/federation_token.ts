import type { Account } from '../accounts/accounts.ts';
import type { Audience } from '../audiences/audiences.ts';
import { signJws } from '../crypto/jws.ts';
import { createUuid } from '../lib/identifier.ts';
import { toUnixSeconds } from '../lib/clock.ts';
import { Unavailable } from '../lib/errors.ts';
import type { KeySnapshot } from '../keys/keys.ts';

/** What was checked, and therefore what may be signed. */
export interface Issuance {
  readonly issuer: string;
  readonly account: Account;
  readonly audience: Audience;
  readonly authTime: number | undefined;
  readonly amr: readonly string[] | undefined;
  /** The request's arrival: every time in the token comes from it. */
  readonly arrivedAt: Date;
  /** Unix seconds; no token outlives it. */
  readonly sessionEndsAt: number;
}

export interface FederationToken {
  readonly token: string;
  readonly jti: string;
  readonly kid: string;
  /** Seconds from `arrivedAt` to `exp`. */
  readonly expiresIn: number;
}

/**
 * Mints the ID token that a provider exchanges. `aud` is one string (PyPI refuses an array), there is no `azp` (AWS would
 * match it in place of `aud`), `sub` is the e-mail that rules are written for, and `vouch_uid` the identity that does not
 * change hands. Throws Unavailable when the audience's ring has no signer.
 */
export async function mintFederationToken(issuance: Issuance, keys: KeySnapshot): Promise<FederationToken> {
  const { audience } = issuance;
  const signer = keys.signers.get(audience.algorithm);
  if (signer === undefined) throw new Unavailable(`no active ${audience.algorithm} key`);
  const claims = describe(issuance);
  const token = await signJws({ alg: signer.alg, kid: signer.kid, typ: 'JWT' }, claims, signer.privateKey);
  return { token, jti: claims.jti, kid: signer.kid, expiresIn: claims.exp - claims.iat };
}

function describe({ issuer, account, audience, authTime, amr, arrivedAt, sessionEndsAt }: Issuance) {
  const iat = toUnixSeconds(arrivedAt);
  return {
    iss: issuer,
    sub: account.email,
    aud: audience.name,
    iat,
    nbf: iat,
    exp: Math.min(iat + audience.lifetimeSeconds, sessionEndsAt),
    jti: createUuid(arrivedAt),
    email: account.email,
    email_verified: account.isEmailVerified,
    ...(account.hostedDomain === undefined ? {} : { hd: account.hostedDomain }),
    ...(authTime === undefined ? {} : { auth_time: authTime }),
    ...(amr === undefined ? {} : { amr }),
    vouch_uid: account.id,
  };
}
