import type { Audit, AuditEntry } from '../audit/audit.ts';
import { composeJws } from '../crypto/jws.ts';
import type { KeySnapshot } from '../keys/keys.ts';
import { Unavailable } from '../lib/errors.ts';
import { ACCESS_TOKEN_TYP } from '../oauth2/vocabulary.ts';
import type { Audience } from '../audiences/audiences.ts';
import { lintAccessClaims, lintFederationClaims, type AccessClaims, type FederationClaims } from './claims.ts';

export interface Minted {
  readonly token: string;
  readonly kid: string;
}

export interface MintDependencies {
  readonly issuer: string;
  readonly keys: KeySnapshot;
  readonly audit: Pick<Audit, 'record'>;
}

/** Everything of the issuance record that the token itself does not say. */
export type Circumstances = Omit<AuditEntry, 'kind' | 'jti' | 'kid' | 'alg' | 'tokenKind' | 'expiresAt'>;

/**
 * Signs an ID token for a provider, once its claims have passed their last check and while its record is written: neither
 * waits for the other, and the token leaves only with both. Throws Unavailable when the audience's ring has no signer or
 * the record cannot be made durable; a TypeError when the claims would break what tokens of ours are.
 */
export async function mintFederationToken(claims: FederationClaims, audience: Audience, circumstances: Circumstances, { issuer, keys, audit }: MintDependencies): Promise<Minted> {
  const faults = lintFederationClaims({ ...claims }, audience, issuer);
  if (faults.length > 0) throw new TypeError(`a federation token was not signed: ${faults.join('; ')}`);
  return sign('JWT', 'id_token', claims, audience, circumstances, { keys, audit });
}

/** The same for an access token (RFC 9068). */
export async function mintAccessToken(claims: AccessClaims, audience: Audience, circumstances: Circumstances, { issuer, keys, audit }: MintDependencies): Promise<Minted> {
  const faults = lintAccessClaims({ ...claims }, audience, issuer);
  if (faults.length > 0) throw new TypeError(`an access token was not signed: ${faults.join('; ')}`);
  return sign(ACCESS_TOKEN_TYP, 'access_token', claims, audience, circumstances, { keys, audit });
}

async function sign(typ: string, tokenKind: 'id_token' | 'access_token', claims: FederationClaims | AccessClaims, { algorithm }: Audience, circumstances: Circumstances, { keys, audit }: Omit<MintDependencies, 'issuer'>): Promise<Minted> {
  const signer = keys.signers.get(algorithm);
  if (signer === undefined) throw new Unavailable(`no active ${algorithm} key`);
  const { kid, alg } = signer;
  const record = audit.record([{ ...circumstances, kind: 'token', jti: claims.jti, kid, alg, tokenKind, expiresAt: new Date(claims.exp * 1000) }]);
  const [token] = await Promise.all([composeJws({ alg, kid, typ }, claims, signer.sign), record]);
  return { token, kid };
}
