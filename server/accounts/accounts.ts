/*
 * Owns: people and services, their life cycle, their passkeys and upstream identities, the invitations by which they come
 * in, what directories may see and touch of them, and which company a person belongs to.
 * Never: speaks WebAuthn, SCIM or HTTP; keeps an invitation's token, or a directory's.
 * Keeps true: an invitation brings in one account; an account is left a way in, and the issuer an admin; an e-mail never
 * finds an account that was ever used; `hd` is only ever a domain that the company has named its own.
 */
import { createRandomValue, hashValue } from '../crypto/digest.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import { Conflict, Refused } from '../lib/errors.ts';
import { createUuid } from '../lib/identifier.ts';
import { Secret } from '../lib/secret.ts';
import { isSubjectEmail } from '../oauth2/syntax.ts';
import type { AccountRecord, AccountStore, GroupedAccountRecord, GroupStore, InvitationRecord } from '../storage/storage.ts';
import { createGroups, type Groups } from './groups.ts';
import { toAccount, type Account, type OwnDomains } from './hosted_domain.ts';
import type { NewPasskey, Passkey } from './passkeys.ts';
import { createServices, type Services } from './services.ts';

export {
  createDirectory, type Directory, type DirectoryFilter, type DirectoryGroup, type DirectoryPerson, type GroupFieldChanges, type GroupFilter, type MemberChange, type PersonFieldChanges, type Realm, type Slice, Taken,
} from './directory.ts';
export type { Group, Groups } from './groups.ts';
export { findHostedDomain, type Account, type OwnDomains } from './hosted_domain.ts';
export { createIdentities, type EmailDispute, type Identities, type Identity, type UpstreamPerson } from './identities.ts';
export { createPasskeys, type NewPasskey, type Passkey, type Passkeys } from './passkeys.ts';
export { createPeople, type EndSessions, type People, type Person } from './people.ts';
export { createScimTokens, SCIM_SCOPES, type ScimScope, type ScimToken, type ScimTokens } from './scim_tokens.ts';
export type { NewService, Services } from './services.ts';
export { createSessions, type BrowserSignIn, type BrowserSignIns, type BrowserUse, type Sessions, type SessionUse } from './sessions.ts';

export type Invitation = InvitationRecord;

export interface Applicant {
  /** Chosen before the passkey is made, since the passkey carries it as its user handle. */
  readonly id: string;
  readonly email: string;
  readonly name: string;
}

/** Who shows a token, as things stand now. */
export interface Holder {
  /** Undefined when it is gone or suspended. */
  readonly account: Account | undefined;
  /** When the session ends, in Unix seconds, which may be past; undefined when it was ended, or none was asked for. */
  readonly sessionEndsAt: number | undefined;
}

export interface Accounts {
  /** The account if it exists and is not suspended. */
  find(id: string): Promise<Account | undefined>;
  /** The same account, and the session of a grant, in one question: a token that verifies says nothing of what ended since. */
  findHolder(id: string, grantId: string | undefined): Promise<Holder>;
  /** By its id or its e-mail (a service's subject), also a suspended one. */
  lookUp(idOrEmail: string): Promise<Account | undefined>;
  /** The first `limit` of a kind, by e-mail. */
  list(kind: AccountRecord['kind'], limit: number): Promise<readonly AccountRecord[]>;
  readonly services: Services;
  readonly groups: Groups;
  hasAdmin(): Promise<boolean>;
  findPasskey(id: string): Promise<Passkey | undefined>;
  recordPasskeyUse: AccountStore['recordPasskeyUse'];
  /**
   * A new single-use invitation; it ends every earlier one that nobody has accepted, of that address, or, for none, of that
   * role. Throws Refused for an e-mail that will not do, Conflict for one that is, or was, an account's: unless that account
   * waits for its owner, whom the invitation then brings in.
   */
  invite(role: AccountRecord['role'], more?: { readonly email?: string; readonly expiresInSeconds?: number }): Promise<{ token: Secret<string>; expiresAt: Date }>;
  /** The invitation behind a token, while it can be accepted. */
  findInvitation(token: string): Promise<Invitation | undefined>;
  /** Whom the invitation behind a token brought in, once it was accepted. */
  findInvitee(token: string): Promise<Account | undefined>;
  /** Checks what a person typed; where the invitation names the address, that is theirs. Throws Refused with a sentence for them. */
  prepare(invitation: Invitation, typed: { readonly email: string; readonly name: string }): Promise<Applicant>;
  /** Throws Refused when the invitation is over, is for another address, or the e-mail is taken. */
  accept(token: string, applicant: Applicant, passkey: NewPasskey): Promise<Account>;
}

export interface AccountsOptions {
  readonly store: AccountStore;
  readonly groups: GroupStore;
  readonly domains: OwnDomains;
  readonly clock: Clock;
}

const INVITATION_SECONDS = 24 * 3600;
const LONGEST_NAME = 100;

export function createAccounts({ store, groups, domains, clock }: AccountsOptions): Accounts {
  const toOpenAccount = (record: GroupedAccountRecord | undefined) => (record?.status === 'active' ? toAccount(record, domains) : undefined);
  return {
    find: async (id) => toOpenAccount(await store.find(id)),
    findHolder: async (id, grantId) => {
      const { account, grantEndsAt } = await store.findHolder(id, grantId === undefined ? undefined : hashValue(grantId));
      return { account: toOpenAccount(account), sessionEndsAt: grantEndsAt };
    },
    lookUp: async (idOrEmail) => {
      if (!isPlain(idOrEmail)) return undefined;
      const id = idOrEmail.includes('@') ? (await store.findByEmail(idOrEmail))?.id : idOrEmail;
      const record = id === undefined ? undefined : await store.find(id);
      return record === undefined ? undefined : toAccount(record, domains);
    },
    list: (kind, limit) => store.list(kind, limit),
    services: createServices({ store, clock }),
    groups: createGroups({ store: groups, clock }),
    hasAdmin: () => store.hasAdmin(),
    findPasskey: (id) => store.findPasskey(id),
    recordPasskeyUse: (id, use) => store.recordPasskeyUse(id, use),
    invite: async (role, { email: given, expiresInSeconds = INVITATION_SECONDS } = {}) => {
      const email = given === undefined ? undefined : checkEmail(given);
      if (email !== undefined) await requireFree(email, store);
      const token = new Secret(createRandomValue());
      const createdAt = clock.now();
      const expiresAt = addSeconds(createdAt, expiresInSeconds);
      await store.replaceInvitations({ tokenHash: hashValue(token.reveal()), role, createdAt, expiresAt, email });
      return { token, expiresAt };
    },
    findInvitation: (token) => store.findOpenInvitation(hashValue(token), clock.now()),
    findInvitee: async (token) => {
      const record = await store.findInvitee(hashValue(token));
      return record === undefined ? undefined : toAccount(record, domains);
    },
    prepare: async (invitation, typed) => {
      const email = invitation.email ?? checkEmail(typed.email);
      const name = checkName(typed.name);
      const holder = await store.findByEmail(email);
      if (holder === undefined) return { id: createUuid(clock.now()), email, name };
      if (invitation.email === undefined || !isWaiting(holder)) throw emailTaken();
      return { id: holder.id, email, name };
    },
    accept: async (token, applicant, { attestation, ...passkey }) => {
      const at = clock.now();
      const invitation = await store.findOpenInvitation(hashValue(token), at);
      if (invitation === undefined || (invitation.email ?? applicant.email) !== applicant.email) throw invitationOver();
      // Nobody has shown that mail to this address arrives: the token says so (`email_verified`: false).
      const record: AccountRecord = { ...applicant, kind: 'person', isEmailVerified: false, role: invitation.role, status: 'active', createdAt: at };
      const isAccepted = await store
        .acceptInvitation(invitation.tokenHash, record, { ...passkey, accountId: record.id, createdAt: at }, at, attestation)
        .catch((error: unknown) => {
          throw error instanceof Conflict ? emailTaken() : error;
        });
      if (!isAccepted) throw invitationOver();
      return toAccount(record, domains);
    },
  };
}

/** An account that a directory made for somebody who has not come yet. */
function isWaiting({ awaitsOwner, status }: AccountRecord): boolean {
  return awaitsOwner === true && status === 'active';
}

/** Throws Conflict. */
async function requireFree(email: string, store: AccountStore): Promise<void> {
  const holder = await store.findByEmail(email);
  if (holder !== undefined && !isWaiting(holder)) throw new Conflict(`"${email}" has an account already${holder.status === 'active' ? '' : ', which is suspended'}`);
  if (holder === undefined && (await store.isBuried(email))) throw new Conflict(`"${email}" was another account’s; if it is somebody else’s now, free it first: vouch admin disputes free`);
}

function checkEmail(typed: string): string {
  const email = typed.trim().toLowerCase();
  if (isSubjectEmail(email)) return email;
  throw new Refused('invalid_email', 'Enter an e-mail address of plain letters, digits and the usual signs, of at most 127 characters.');
}

function checkName(typed: string): string {
  const name = typed.trim().normalize('NFC');
  if (name !== '' && name.length <= LONGEST_NAME && !/\p{Cc}/u.test(name)) return name;
  throw new Refused('invalid_name', `Enter your name, of at most ${LONGEST_NAME} characters.`);
}

const emailTaken = () => new Refused('email_taken', 'This e-mail address has an account already. Sign in with its passkey.');

const invitationOver = () => new Refused('invitation_over', 'This link was used or has expired. Ask for a new one.');

/** No database takes U+0000, and no name here holds a control character. */
function isPlain(text: string): boolean {
  return !/\p{Cc}/u.test(text);
}
