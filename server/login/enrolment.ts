import type { Account, Accounts, Applicant } from '../accounts/accounts.ts';
import { hashValue } from '../crypto/digest.ts';
import type { Clock } from '../lib/clock.ts';
import { Refused } from '../lib/errors.ts';
import type { TransientStore } from '../storage/storage.ts';
import type { Ceremonies } from './passkey.ts';

const CEREMONY_SECONDS = 300;

/** Enrolment by invitation: who they are, then a passkey; the account exists once the passkey does, and not before. */
export interface Enrolment {
  begin(token: string, typed: { email: string; name: string }): Promise<{ options: object }>;
  finish(token: string, response: unknown): Promise<Account>;
}

export interface EnrolmentDependencies {
  readonly accounts: Accounts;
  readonly ceremonies: Ceremonies;
  readonly transient: TransientStore;
  readonly clock: Clock;
}

export function createEnrolment({ accounts, ceremonies, transient, clock }: EnrolmentDependencies): Enrolment {
  const keyOf = (token: string) => `enrolment:${hashValue(token)}`;
  return {
    begin: async (token, { email, name }) => {
      const invitation = await accounts.findInvitation(token);
      if (invitation === undefined) throw over();
      const applicant = await accounts.prepare(invitation, { email, name });
      const options = await ceremonies.beginRegistration(applicant, []);
      await transient.put(keyOf(token), { challenge: options.challenge, applicant: { ...applicant } }, CEREMONY_SECONDS);
      return { options };
    },
    finish: async (token, response) => {
      const ceremony = await transient.take(keyOf(token));
      if (ceremony === undefined) throw new Refused('ceremony_over', 'This took too long or was tried twice. Start again.');
      const passkey = await ceremonies.finishRegistration(response, ceremony.challenge as string, clock.now());
      return accounts.accept(token, ceremony.applicant as unknown as Applicant, passkey);
    },
  };
}

const over = () => new Refused('invitation_over', 'This link was used or has expired. Ask for a new one.');
