import { createRequire } from 'node:module';

/** What is known of a model of authenticator by its AAGUID (WebAuthn Level 3 6.5.1). */
export interface Model {
  /** Undefined where the model is not known, or does not say. */
  readonly name: string | undefined;
  /** Whether it is a program that keeps private keys itself. */
  readonly isSoftware: boolean;
}

/**
 * Password managers and browsers that keep a passkey's private key where their own program can read it. An AAGUID without
 * an attestation is only a claim, but nobody gains by claiming to be one of these. Platform vaults that may use secure
 * hardware (Apple, Google, Windows) are not among them: of those nothing is known.
 */
const SOFTWARE = new Set([
  'bada5566-a7aa-401f-bd96-45619a55120d', // 1Password
  'd548826e-79b4-db40-a3d8-11116f7e8349', // Bitwarden
  '531126d6-e717-415c-9320-3d9aa6981239', // Dashlane
  'b84e4048-15dc-4dd0-8640-f4f60813c8af', // NordPass
  '0ea242b4-43c4-4a1b-8b17-dd6d0b6baec6', // Keeper
  'f3809540-7f14-49c1-a8b3-8f813b225541', // Enpass
  '50726f74-6f6e-5061-7373-50726f746f6e', // Proton Pass
  'fdb141b2-5d84-443e-8a35-4698c205a502', // KeePassXC
  'eaecdef2-1c31-5634-8639-f1cbd9c00a08', // KeePassDX
  'b78a0a55-6ef8-d246-a042-ba0f6d55050c', // LastPass
  'a11a5faa-9f32-4b8c-8c5d-2f7d13e8c942', // AliasVault
  'b35a26b2-8f6e-4697-ab1d-d44db4da28c6', // Zoho Vault
  'd350af52-0351-4ba2-acd3-dfeeadc3f764', // pwSafe
]);

// By require: its types describe another kind of module than it is.
const NAMES = new Map(Object.entries(createRequire(import.meta.url)('aaguids') as Record<string, string>));

export function findModel(aaguid: string): Model {
  return { name: NAMES.get(aaguid), isSoftware: SOFTWARE.has(aaguid) };
}
