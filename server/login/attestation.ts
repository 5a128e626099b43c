import { X509Certificate } from 'node:crypto';
import { SettingsService } from '@simplewebauthn/server';
import { decodeAttestationObject } from '@simplewebauthn/server/helpers';

/**
 * Formats whose certificates can show where a key is kept (WebAuthn Level 3 8). Not `android-key`, which Google's hardware
 * roots also give to keys in software, nor `fido-u2f`, whose authenticators do not verify their user.
 */
export const HARDWARE_FORMATS = ['packed', 'tpm', 'apple'] as const;

export interface AttestationTrust {
  /** Whether the statement's certificates lead to a root that vouches for hardware. The statement's own signature is checked elsewhere. */
  isTrusted(attestationObject: Uint8Array, at: Date): boolean;
}

/**
 * The makers' roots that are believed: Apple's, which comes with the library, and `roots`, PEM. The library itself is told
 * of none: with one it fetches whatever address a certificate names for its revocation list.
 */
export function createAttestationTrust(roots: readonly string[]): AttestationTrust {
  const anchors = [...BUILT_IN, ...roots].map((pem) => new X509Certificate(pem));
  return {
    isTrusted: (attestationObject, at) => {
      const object = decodeAttestationObject(new Uint8Array(attestationObject));
      if (!HARDWARE_FORMATS.some((format) => format === object.get('fmt'))) return false;
      const chain = (object.get('attStmt').get('x5c') ?? []).map((bytes) => new X509Certificate(Buffer.from(bytes)));
      return leadsTo(anchors, chain, at);
    },
  };
}

/** Emptied as they are read: see above. */
function takeBuiltInRoots(): readonly string[] {
  const apple = SettingsService.getRootCertificates({ identifier: 'apple' });
  for (const identifier of ['apple', 'android-key', 'android-safetynet'] as const) SettingsService.setRootCertificates({ identifier, certificates: [] });
  return apple;
}

const BUILT_IN = takeBuiltInRoots();

/** Each certificate is issued by the next, in its time and, beyond the first, as a CA's; the last by an anchor, or is one. */
function leadsTo(anchors: readonly X509Certificate[], chain: readonly X509Certificate[], at: Date): boolean {
  const last = chain.at(-1);
  if (last === undefined || chain.length > 6 || !chain.every((certificate) => isInTime(certificate, at))) return false;
  const isLinked = chain.every((certificate, index) => {
    const issuer = chain[index + 1];
    return issuer === undefined || (issuer.ca && isIssuedBy(certificate, issuer));
  });
  return isLinked && anchors.some((anchor) => isInTime(anchor, at) && (anchor.raw.equals(last.raw) || isIssuedBy(last, anchor)));
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function isInTime({ validFromDate, validToDate }: X509Certificate, at: Date): boolean {
  return validFromDate <= at && at <= validToDate;
}
