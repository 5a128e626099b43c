import type { Account, Passkeys } from '../accounts/accounts.ts';
import type { BrowserSession } from '../issuer/issuer.ts';
import type { Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';
import type { TransientStore } from '../storage/storage.ts';
import type { Ceremonies } from './passkey.ts';

const CEREMONY_SECONDS = 300;

/** Another passkey for somebody who is signed in. */
export interface PasskeyAdding {
  begin(account: Account, session: BrowserSession): Promise<{ options: object }>;
  finish(account: Account, session: BrowserSession, response: unknown): Promise<void>;
}

export interface PasskeyAddingDependencies {
  readonly passkeys: Passkeys;
  readonly ceremonies: Ceremonies;
  readonly transient: TransientStore;
  readonly clock: Clock;
}

export function createPasskeyAdding({ passkeys, ceremonies, transient, clock }: PasskeyAddingDependencies): PasskeyAdding {
  // A session is one account's for as long as it lasts.
  const keyOf = ({ uid }: BrowserSession) => `add-passkey:${uid}`;
  return {
    begin: async (account, session) => {
      const options = await ceremonies.beginRegistration(account, await passkeys.list(account.id));
      await transient.put(keyOf(session), { challenge: options.challenge }, CEREMONY_SECONDS);
      return { options };
    },
    finish: async (account, session, response) => {
      const ceremony = await transient.take(keyOf(session));
      if (ceremony === undefined) throw new Refused('ceremony_over', 'This took too long or was tried twice. Start again.');
      await passkeys.add(account.id, await ceremonies.finishRegistration(response, ceremony.challenge as string, clock.now()));
    },
  };
}
