import { ExternalSigningKey } from 'oidc-provider';
import type { KeySnapshot, Signer } from '../keys/keys.ts';

/** A key of ours as oidc-provider uses one: it asks for signatures, and never sees a private half. */
class SigningKey extends ExternalSigningKey {
  readonly #signer: Signer;
  constructor(signer: Signer) {
    super();
    this.#signer = signer;
  }
  override get kid(): string {
    return this.#signer.kid;
  }
  override get alg(): string {
    return this.#signer.alg;
  }
  override keyObject() {
    return this.#signer.publicKey;
  }
  override sign(data: Uint8Array) {
    return this.#signer.sign(Buffer.from(data));
  }
}

/** The active keys: what else the JWKS shows signs nothing. */
export function toSigningKeys({ signers }: KeySnapshot): ExternalSigningKey[] {
  return [...signers.values()].map((signer) => new SigningKey(signer));
}
