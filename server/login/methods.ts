import { AMR } from '../oauth2/vocabulary.ts';

/** What one use of a passkey showed. That somebody was there, and that the authenticator verified them, always is. */
export interface Shown {
  readonly keyStorage: 'hardware' | 'software' | 'unknown';
  /** Whether the key may leave the device that made it. */
  readonly isSyncable: boolean;
  /** The authenticator's own word, under its signature, of how it verified its user: `uvm` flags of the FIDO registry. */
  readonly verifications: readonly number[];
}

const PASSCODES = 0x00000004 | 0x00000800;

/**
 * `amr` (RFC 8176 2) of a sign-in by passkey: no more than was shown. `hwk` takes an attested key that cannot leave its
 * hardware, `swk` a model known to be software, and else only `pop` can be said. `pin` takes the authenticator's word.
 */
export function describeMethods({ keyStorage, isSyncable, verifications }: Shown): readonly string[] {
  const possession = keyStorage === 'hardware' && !isSyncable ? AMR.hardwareKey : keyStorage === 'software' ? AMR.softwareKey : AMR.possession;
  const isByPasscode = verifications.some((flags) => (flags & PASSCODES) !== 0);
  return [possession, AMR.userPresence, ...(isByPasscode ? [AMR.pin] : []), AMR.multipleFactors];
}
