import type { Clock } from '../lib/clock.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import { createUuid } from '../lib/identifier.ts';
import type { AccountRecord, DisputeRecord, IdentityRecord, IdentityStore, IdentityUse, WaysIn } from '../storage/storage.ts';
import { toAccount, type Account, type OwnDomains } from './hosted_domain.ts';
import { lastWayIn } from './passkeys.ts';
import type { People } from './people.ts';

export type Identity = IdentityRecord;
export type EmailDispute = DisputeRecord;

/** Whom an upstream says has signed in, once it is established that the company lets such people in. */
export interface UpstreamPerson {
  readonly issuer: string;
  readonly subject: string;
  /** Lower case, fit to be the `sub` of a federation token. */
  readonly email: string;
  /** As the upstream says it. */
  readonly isEmailVerified: boolean;
  readonly name: string;
  /** Where the upstream itself states it. */
  readonly hostedDomain: string | undefined;
  /** Whether the upstream has verified the e-mail, and its domain is one that the company signs in at this upstream with. */
  readonly isEmailOfUpstream: boolean;
}

/**
 * Accounts by way of an upstream. An identity is (issuer, subject): an e-mail never finds an account that was ever used,
 * since it can change hands. Who comes with an e-mail that is or was another account's is refused, until an admin says who
 * is who. An account that a directory made, and nobody has come in by, is its owner's who comes first with its e-mail from
 * the upstream of that domain: the directory and the upstream are then the same company's word.
 */
export interface Identities {
  /** The account of an identity that is known, or a new one. Throws Refused, with a sentence for the person. */
  signIn(person: UpstreamPerson): Promise<{ account: Account; isNew: boolean }>;
  list(accountId: string): Promise<readonly Identity[]>;
  /** Throws Refused when it is another account's. Who asks has just shown that they are the account's owner. */
  link(accountId: string, person: UpstreamPerson): Promise<void>;
  /** Throws NotFound, or Refused when nothing else would let its owner in. */
  unlink(accountId: string, issuer: string, subject: string, ways: WaysIn): Promise<void>;
  /** E-mails that somebody was refused for. */
  listDisputes(): Promise<readonly EmailDispute[]>;
  /** An admin says that the e-mail has changed hands: the account that has it is closed, and the newcomer gets one of their own. Throws NotFound, or Conflict for the last admin's. */
  releaseEmail(disputeId: string, by: string): Promise<EmailDispute>;
  /** The same by the e-mail, disputed or not. Throws NotFound when nobody has it or keeps others from it, Conflict for the last admin's. */
  freeEmail(email: string, by: string): Promise<void>;
  /** An admin says that both are one person: the identity becomes one of the account's. Throws NotFound, or Conflict when the account is gone or the identity is another's by now. */
  linkDisputed(disputeId: string, by: string): Promise<EmailDispute>;
}

export interface IdentitiesDependencies {
  readonly store: IdentityStore;
  readonly domains: OwnDomains;
  readonly people: Pick<People, 'prepareToClose'>;
  readonly clock: Clock;
}

export function createIdentities({ store, domains, people, clock }: IdentitiesDependencies): Identities {
  /** Whoever has the e-mail is closed out: their sessions first. */
  const closeOut = async (email: string) => {
    const holder = await store.findHolder(email);
    if (holder !== undefined) await people.prepareToClose(holder);
  };
  const refuseEmail = async ({ issuer, subject, email }: UpstreamPerson, accountId: string, at: Date) => {
    await store.recordDispute({ id: createUuid(at), email, issuer, subject, accountId }, at);
    return new Refused('email_held', 'This e-mail address belongs, or belonged, to another account. If that account is yours, sign in with its passkey and link this sign-in on your account page. If not, ask an admin of your company to release the address.');
  };

  const useKnown = async (person: UpstreamPerson, { identity, account }: { identity: IdentityRecord; account: AccountRecord }, at: Date) => {
    if (account.status !== 'active') throw new Refused('account_closed', 'This account is closed. Ask an admin of your company.');
    const changes = findChanges(person, identity, account);
    try {
      await store.recordUse(account.id, { identity: person, account: changes, at });
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      throw await refuseEmail(person, (await store.findHolder(person.email)) ?? account.id, at);
    }
    return { ...account, ...changes };
  };

  /** Undefined when it lost against another first sign-in of the same person. */
  const provision = async (person: UpstreamPerson, at: Date): Promise<AccountRecord | undefined> => {
    const { issuer, subject, email, isEmailVerified, name, hostedDomain } = person;
    const account: AccountRecord = { id: createUuid(at), kind: 'person', email, isEmailVerified, name, role: 'member', status: 'active', createdAt: at, hostedDomain };
    try {
      await store.provision(account, { issuer, subject, accountId: account.id, email, linkedAt: at, lastUsedAt: at });
      return account;
    } catch (error) {
      if (error instanceof Conflict) return undefined;
      throw error;
    }
  };

  /** The account that waits for this person; undefined when none does. */
  const claim = async (person: UpstreamPerson, accountId: string, at: Date): Promise<AccountRecord | undefined> => {
    if (!person.isEmailOfUpstream) return undefined;
    const { issuer, subject, email, isEmailVerified, hostedDomain } = person;
    const identity = { issuer, subject, accountId, email, linkedAt: at, lastUsedAt: at };
    const isClaimed = await store.claim(identity, { isEmailVerified, ...(hostedDomain === undefined ? {} : { hostedDomain }) }).catch((error: unknown) => {
      if (error instanceof Conflict) return false; // another first sign-in of the same person won
      throw error;
    });
    return isClaimed ? (await store.find(issuer, subject))?.account : undefined;
  };

  return {
    signIn: async (person) => {
      const at = clock.now();
      for (let attempt = 0; attempt < 3; attempt += 1) {
        const known = await store.find(person.issuer, person.subject);
        if (known !== undefined) return { account: toAccount(await useKnown(person, known, at), domains), isNew: false };
        const holder = await store.findHolder(person.email);
        if (holder !== undefined) {
          const claimed = await claim(person, holder, at);
          if (claimed !== undefined) return { account: toAccount(claimed, domains), isNew: true };
          // Of two first sign-ins of one person at once, the other may have won since we looked.
          if ((await store.find(person.issuer, person.subject)) !== undefined) continue;
          throw await refuseEmail(person, holder, at);
        }
        const account = await provision(person, at);
        if (account !== undefined) return { account: toAccount(account, domains), isNew: true };
      }
      throw new Conflict('an account could not be made: others are being made at the same moment');
    },
    list: (accountId) => store.list(accountId),
    link: async (accountId, { issuer, subject, email }) => {
      const known = await store.find(issuer, subject);
      if (known?.identity.accountId === accountId) return;
      try {
        await store.link({ issuer, subject, accountId, email, linkedAt: clock.now() });
      } catch (error) {
        throw error instanceof Conflict ? new Refused('identity_taken', 'This sign-in belongs to another account. Sign out there and choose another, or ask an admin.') : error;
      }
    },
    unlink: async (accountId, issuer, subject, ways) => {
      const outcome = await store.unlink(accountId, issuer, subject, ways);
      if (outcome === 'not_found') throw new NotFound('the account has no such identity');
      if (outcome === 'last_way_in') throw lastWayIn();
    },
    listDisputes: () => store.listDisputes(),
    releaseEmail: async (disputeId, by) => {
      const dispute = (await store.listDisputes()).find(({ id }) => id === disputeId);
      if (dispute !== undefined) await closeOut(dispute.email);
      return orOver(await store.releaseEmail(disputeId, by, clock.now()));
    },
    freeEmail: async (email, by) => {
      await closeOut(email);
      if (!(await store.freeEmail(email, by, clock.now()))) throw new NotFound('nobody has that e-mail');
    },
    linkDisputed: async (disputeId, by) => orOver(await store.linkDisputed(disputeId, by, clock.now())),
  };
}

/**
 * What of the account follows its identity. The e-mail does where it came from this identity; that of an identity which
 * was linked under another address is not the account's.
 */
function findChanges(person: UpstreamPerson, identity: IdentityRecord, account: AccountRecord): IdentityUse['account'] {
  const hasMoved = person.email !== account.email && identity.email === account.email;
  if (hasMoved) return { email: person.email, isEmailVerified: person.isEmailVerified, hostedDomain: person.hostedDomain };
  if (person.email !== account.email) return {};
  return { isEmailVerified: person.isEmailVerified, ...(person.hostedDomain === undefined ? {} : { hostedDomain: person.hostedDomain }) };
}

function orOver(dispute: EmailDispute | undefined): EmailDispute {
  if (dispute === undefined) throw new NotFound('there is no such dispute, or it is resolved');
  return dispute;
}
