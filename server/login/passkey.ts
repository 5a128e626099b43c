import {
  generateAuthenticationOptions, generateRegistrationOptions, verifyAuthenticationResponse, verifyRegistrationResponse,
  type AuthenticationResponseJSON, type AuthenticatorTransport, type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON, type RegistrationResponseJSON,
} from '@simplewebauthn/server';
import type { Applicant, NewPasskey, Passkey } from '../accounts/accounts.ts';
import { Refused } from '../lib/errors.ts';

/** WebAuthn Level 3 for one relying party: the issuer's host. User verification is always required. */
export interface Ceremonies {
  beginRegistration(applicant: Applicant): Promise<PublicKeyCredentialCreationOptionsJSON>;
  /** Throws Refused when the response is not by the challenge's browser and authenticator. */
  finishRegistration(response: unknown, challenge: string): Promise<NewPasskey>;
  beginAuthentication(): Promise<PublicKeyCredentialRequestOptionsJSON>;
  finishAuthentication(response: unknown, challenge: string, passkey: Passkey): Promise<{ counter: number; isBackedUp: boolean }>;
}

const PRODUCT_NAME = 'Vouch';

/** ES256, RS256: what platforms' authenticators have (Windows Hello needs the second). */
const ALGORITHMS = [-7, -257];

export function createCeremonies(issuer: string): Ceremonies {
  const rpID = new URL(issuer).hostname;
  return {
    beginRegistration: ({ id, email, name }) =>
      generateRegistrationOptions({
        rpName: PRODUCT_NAME, rpID, userName: email, userDisplayName: name, userID: new TextEncoder().encode(id),
        attestationType: 'none', supportedAlgorithmIDs: ALGORITHMS,
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      }),
    finishRegistration: async (response, challenge) => {
      const verified = await rejectAsRefused(() =>
        verifyRegistrationResponse({
          response: response as RegistrationResponseJSON, expectedChallenge: challenge, expectedOrigin: issuer, expectedRPID: rpID,
          requireUserVerification: true, supportedAlgorithmIDs: ALGORITHMS,
        }),
      );
      if (!verified.verified) throw rejected();
      const { credential, credentialDeviceType, credentialBackedUp, aaguid } = verified.registrationInfo;
      return {
        id: credential.id, publicKey: credential.publicKey, counter: credential.counter, transports: credential.transports ?? [],
        deviceType: credentialDeviceType, isBackedUp: credentialBackedUp, aaguid, name: 'Passkey',
      };
    },
    // No e-mail is typed and no credential is listed: the authenticator shows what it has for this host.
    beginAuthentication: () => generateAuthenticationOptions({ rpID, userVerification: 'required' }),
    finishAuthentication: async (response, challenge, { id, publicKey, counter, transports }) => {
      const { verified, authenticationInfo } = await rejectAsRefused(() =>
        verifyAuthenticationResponse({
          response: response as AuthenticationResponseJSON, expectedChallenge: challenge, expectedOrigin: issuer, expectedRPID: rpID,
          credential: { id, publicKey, counter, transports: transports as AuthenticatorTransport[] }, requireUserVerification: true,
        }),
      );
      if (!verified) throw rejected();
      return { counter: authenticationInfo.newCounter, isBackedUp: authenticationInfo.credentialBackedUp };
    },
  };
}

/** The credential that a response speaks of, before anything in it is believed. */
export function readCredentialId(response: unknown): string {
  const id = typeof response === 'object' && response !== null && 'id' in response ? response.id : undefined;
  if (typeof id !== 'string' || !/^[A-Za-z0-9_-]{1,1366}$/.test(id)) throw rejected(); // 1,023 bytes at most (WebAuthn 5.1)
  return id;
}

/** The library throws plain errors for whatever is wrong with a response, from a missing member to a false signature. */
async function rejectAsRefused<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify();
  } catch (cause) {
    throw rejected(cause);
  }
}

function rejected(cause?: unknown): Refused {
  return new Refused('passkey_rejected', 'The passkey’s answer could not be verified. Try again.', { cause });
}
