import {
  generateAuthenticationOptions, generateRegistrationOptions, verifyAuthenticationResponse, verifyRegistrationResponse,
  type AuthenticationExtensionsClientInputs, type AuthenticationResponseJSON, type AuthenticatorTransport,
  type PublicKeyCredentialCreationOptionsJSON, type PublicKeyCredentialRequestOptionsJSON, type RegistrationResponseJSON,
} from '@simplewebauthn/server';
import type { Applicant, NewPasskey, Passkey } from '../accounts/accounts.ts';
import { Refused } from '../lib/errors.ts';
import { HARDWARE_FORMATS, type AttestationTrust } from './attestation.ts';
import { describeMethods } from './methods.ts';
import { findModel } from './models.ts';

/** WebAuthn Level 3 for one relying party: the issuer's host. User verification is always required. */
export interface Ceremonies {
  /** `existing`: the account's passkeys, so that no authenticator makes a second one. */
  beginRegistration(applicant: Applicant, existing: readonly Passkey[]): Promise<PublicKeyCredentialCreationOptionsJSON>;
  /** Throws Refused when the response is not by the challenge's browser and authenticator. */
  finishRegistration(response: unknown, challenge: string, at: Date): Promise<NewPasskey>;
  beginAuthentication(): Promise<PublicKeyCredentialRequestOptionsJSON>;
  /** Throws Refused as above, and when the passkey's counter shows that there may be a copy of it. */
  finishAuthentication(response: unknown, challenge: string, passkey: Passkey): Promise<{ counter: number; isBackedUp: boolean; amr: readonly string[] }>;
}

const PRODUCT_NAME = 'Vouch';

/** ES256, RS256: what platforms' authenticators have (Windows Hello needs the second). */
const ALGORITHMS = [-7, -257];

export function createCeremonies(issuer: string, trust: AttestationTrust): Ceremonies {
  const rpID = new URL(issuer).hostname;
  return {
    beginRegistration: async ({ id, email, name }, existing) => {
      const options = await generateRegistrationOptions({
        rpName: PRODUCT_NAME, rpID, userName: email, userDisplayName: name, userID: new TextEncoder().encode(id),
        // Asked for and not insisted on: whoever has none, or declines, has a passkey of which less can be said.
        attestationType: 'direct', supportedAlgorithmIDs: ALGORITHMS,
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        excludeCredentials: existing.map((passkey) => ({ id: passkey.id, transports: passkey.transports as AuthenticatorTransport[] })),
      });
      return { ...options, attestationFormats: [...HARDWARE_FORMATS] };
    },
    finishRegistration: (response, challenge, at) =>
      rejectAsRefused(async () => {
        const verified = await verifyRegistrationResponse({
          response: response as RegistrationResponseJSON, expectedChallenge: challenge, expectedOrigin: issuer, expectedRPID: rpID,
          requireUserVerification: true, supportedAlgorithmIDs: ALGORITHMS,
        });
        if (!verified.verified) throw rejected();
        return describePasskey(verified.registrationInfo, response as RegistrationResponseJSON, trust, at);
      }),
    // No e-mail is typed and no credential is listed: the authenticator shows what it has for this host.
    beginAuthentication: () =>
      generateAuthenticationOptions({ rpID, userVerification: 'required', extensions: { uvm: true } as AuthenticationExtensionsClientInputs }),
    finishAuthentication: async (response, challenge, passkey) => {
      const { authenticationInfo: info } = await rejectAsRefused(async () => {
        checkUserHandle(response as AuthenticationResponseJSON, passkey);
        const verified = await verifyAuthenticationResponse({
          response: response as AuthenticationResponseJSON, expectedChallenge: challenge, expectedOrigin: issuer, expectedRPID: rpID,
          // The counter is compared below: going back is not the same trouble as a signature that is false.
          credential: { id: passkey.id, publicKey: passkey.publicKey, counter: 0, transports: passkey.transports as AuthenticatorTransport[] },
          requireUserVerification: true,
        });
        // Whether it may be backed up is fixed when it is made (WebAuthn Level 3 7.2, step 19).
        if (!verified.verified || verified.authenticationInfo.credentialDeviceType !== passkey.deviceType) throw rejected();
        return verified;
      });
      checkCounter(passkey.counter, info.newCounter);
      const amr = describeMethods({
        keyStorage: passkey.keyStorage, isSyncable: passkey.deviceType === 'multiDevice', verifications: readVerifications(info.authenticatorExtensionResults),
      });
      return { counter: info.newCounter, isBackedUp: info.credentialBackedUp, amr };
    },
  };
}

type RegistrationInfo = NonNullable<Awaited<ReturnType<typeof verifyRegistrationResponse>>['registrationInfo']>;

function describePasskey(info: RegistrationInfo, { response }: RegistrationResponseJSON, trust: AttestationTrust, at: Date): NewPasskey {
  const { credential, credentialDeviceType, credentialBackedUp, aaguid, fmt, attestationObject } = info;
  const model = findModel(aaguid);
  const keyStorage = trust.isTrusted(attestationObject, at) ? 'hardware' : model.isSoftware ? 'software' : 'unknown';
  const attestation = { object: attestationObject, clientData: new Uint8Array(Buffer.from(response.clientDataJSON, 'base64url')) };
  return {
    id: credential.id, publicKey: credential.publicKey, counter: credential.counter, transports: credential.transports ?? [],
    deviceType: credentialDeviceType, isBackedUp: credentialBackedUp, aaguid, name: model.name ?? 'Passkey', keyStorage,
    attestationFormat: fmt, attestation: fmt === 'none' ? undefined : attestation,
  };
}

/** With no e-mail typed, the authenticator says whose passkey it is; it must be the owner's (WebAuthn Level 3 7.2, step 6). */
function checkUserHandle({ response }: AuthenticationResponseJSON, { accountId }: Passkey): void {
  if (response.userHandle !== Buffer.from(accountId).toString('base64url')) throw rejected();
}

/** WebAuthn Level 3 7.2, step 22: an authenticator that counts, counts up. One that never does stays at nought. */
function checkCounter(kept: number, shown: number): void {
  if ((kept > 0 || shown > 0) && shown <= kept) {
    throw new Refused('passkey_copied', 'This passkey’s counter went back, as that of a copy would. Use another way to sign in, then remove this passkey on your account page, or ask an admin.');
  }
}

/** The `uvm` extension's signed output: [method, key protection, matcher protection] for each. */
function readVerifications(results: unknown): number[] {
  const uvm: unknown = typeof results === 'object' && results !== null && 'uvm' in results ? results.uvm : undefined;
  const entries: unknown[] = Array.isArray(uvm) ? uvm : [];
  return entries.map((entry: unknown): unknown => (Array.isArray(entry) ? entry[0] : undefined)).filter((flags) => typeof flags === 'number');
}

/** The credential that a response speaks of, before anything in it is believed. */
export function readCredentialId(response: unknown): string {
  const id = typeof response === 'object' && response !== null && 'id' in response ? response.id : undefined;
  if (typeof id !== 'string' || !isCredentialId(id)) throw rejected();
  return id;
}

/** 1,023 bytes at most (WebAuthn 5.1). */
export function isCredentialId(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,1366}$/.test(text);
}

/** The library throws plain errors for whatever is wrong with a response, from a missing member to a false signature. */
async function rejectAsRefused<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (cause) {
    throw cause instanceof Refused ? cause : rejected(cause);
  }
}

function rejected(cause?: unknown): Refused {
  return new Refused('passkey_rejected', 'The passkey’s answer could not be verified. Try again.', { cause });
}
