import type { Accounts } from '../accounts/accounts.ts';
import type { Interaction } from '../issuer/issuer.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';
import type { TransientStore } from '../storage/storage.ts';
import type { FailedSignIns } from './failed_sign_ins.ts';
import { readCredentialId, type Ceremonies } from './passkey.ts';

const CEREMONY_SECONDS = 300;

export interface SignedIn {
  readonly accountId: string;
  readonly amr: readonly string[];
  readonly authTime: number;
}

export interface SignIns {
  begin(interaction: Interaction): Promise<{ options: object }>;
  finish(interaction: Interaction, response: unknown): Promise<SignedIn>;
}

export interface SignInDependencies {
  readonly accounts: Accounts;
  readonly ceremonies: Ceremonies;
  readonly transient: TransientStore;
  readonly failedSignIns: Pick<FailedSignIns, 'prove'>;
  readonly clock: Clock;
}

export function createSignIns({ accounts, ceremonies, transient, failedSignIns, clock }: SignInDependencies): SignIns {
  // The interaction is bound to the browser by its cookie, and so is the challenge.
  const keyOf = ({ uid }: Interaction) => `sign-in:${uid}`;
  return {
    begin: async (interaction) => {
      const options = await ceremonies.beginAuthentication();
      await transient.put(keyOf(interaction), { challenge: options.challenge }, CEREMONY_SECONDS);
      return { options };
    },
    finish: async (interaction, response) => {
      const ceremony = await transient.take(keyOf(interaction));
      if (ceremony === undefined) throw new Refused('ceremony_over', 'This took too long or was tried twice. Start again.');
      const passkey = await accounts.findPasskey(readCredentialId(response));
      if (passkey === undefined) throw new Refused('passkey_unknown', 'This passkey is not known here. Choose another, or ask for an invitation.');
      const { counter, isBackedUp, amr } = await failedSignIns.prove(passkey.accountId, () => ceremonies.finishAuthentication(response, ceremony.challenge as string, passkey));
      const account = await accounts.find(passkey.accountId);
      if (account === undefined) throw new Refused('account_closed', 'This account is closed. Ask an admin of your company.');
      const at = clock.now();
      if (!(await accounts.recordPasskeyUse(passkey.id, { from: passkey.counter, to: counter, isBackedUp, at }))) {
        throw new Refused('ceremony_over', 'This passkey was used elsewhere at the same moment. Try again.');
      }
      return { accountId: account.id, amr, authTime: toUnixSeconds(at) };
    },
  };
}
