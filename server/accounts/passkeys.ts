import type { Clock } from '../lib/clock.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import type { AttestationBytes, PasskeyRecord, PasskeyStore, WaysIn } from '../storage/storage.ts';

export type Passkey = PasskeyRecord;

/** A passkey that was just made, before it is somebody's. */
export type NewPasskey = Omit<PasskeyRecord, 'accountId' | 'createdAt' | 'lastUsedAt'> & { readonly attestation?: AttestationBytes | undefined };

/** The passkeys of people who are signed in. */
export interface Passkeys {
  list(accountId: string): Promise<readonly Passkey[]>;
  /** Throws Refused when the passkey is known already, or the account has 20. */
  add(accountId: string, passkey: NewPasskey): Promise<void>;
  /** Throws NotFound when the account has no such passkey, Refused when the name will not do. */
  rename(accountId: string, id: string, typedName: string): Promise<void>;
  /** Throws NotFound when the account has no such passkey, Refused when nothing else would let its owner in. */
  remove(accountId: string, id: string, ways: WaysIn): Promise<void>;
}

/** More than anybody has devices; a bound on what a stolen session can leave behind, and on the account page. */
const MOST_PASSKEYS = 20;
const LONGEST_PASSKEY_NAME = 60;

export function createPasskeys({ store, clock }: { store: PasskeyStore; clock: Clock }): Passkeys {
  return {
    list: (accountId) => store.list(accountId),
    add: async (accountId, { attestation, ...passkey }) => {
      const isAdded = await store.add({ ...passkey, accountId, createdAt: clock.now() }, attestation, MOST_PASSKEYS).catch((error: unknown) => {
        throw error instanceof Conflict ? new Refused('passkey_taken', 'This passkey is known here already.') : error;
      });
      if (!isAdded) throw new Refused('too_many_passkeys', `An account has at most ${MOST_PASSKEYS} passkeys. Remove one first.`);
    },
    rename: async (accountId, id, typedName) => {
      if (!(await store.rename(accountId, id, checkPasskeyName(typedName)))) throw unknownPasskey();
    },
    remove: async (accountId, id, ways) => {
      const outcome = await store.remove(accountId, id, ways);
      if (outcome === 'not_found') throw unknownPasskey();
      if (outcome === 'last_way_in') throw lastWayIn();
    },
  };
}

function checkPasskeyName(typed: string): string {
  const name = typed.trim().normalize('NFC');
  if (name !== '' && name.length <= LONGEST_PASSKEY_NAME && !/\p{Cc}/u.test(name)) return name;
  throw new Refused('invalid_passkey_name', `Give the passkey a name of at most ${LONGEST_PASSKEY_NAME} characters.`);
}

const unknownPasskey = () => new NotFound('the account has no such passkey');

export const lastWayIn = () => new Refused('last_way_in', 'This is your last way to sign in. Add another passkey first.');
