import type { Clock } from '../lib/clock.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import { createUuid } from '../lib/identifier.ts';
import { isSubjectEmail } from '../oauth2/syntax.ts';
import type { AccountRecord, AccountStore } from '../storage/storage.ts';

export interface NewService {
  /** What stands as `sub` in its federation tokens: written like an e-mail address, since rules are. */
  readonly subject: string;
  readonly name: string;
  /** The person who answers for it. */
  readonly ownerId: string;
}

/** Machine identities. Each is an account of its own, with a subject that no person can take. */
export interface Services {
  list(): Promise<readonly AccountRecord[]>;
  /** By its id or its subject. Throws NotFound. */
  get(idOrSubject: string): Promise<AccountRecord>;
  /** Throws Refused for a subject or a name that will not do, Conflict when somebody has the subject, or had it and it is not freed. */
  add(service: NewService): Promise<AccountRecord>;
  /** Suspended, it gets no token from then on. Whether it was otherwise before. Throws NotFound. */
  setStatus(idOrSubject: string, status: AccountRecord['status']): Promise<boolean>;
}

const MOST_LISTED = 10_000;

export function createServices({ store, clock }: { store: AccountStore; clock: Clock }): Services {
  const get = async (idOrSubject: string) => {
    const record = idOrSubject.includes('@') ? await store.findByEmail(idOrSubject) : await store.find(idOrSubject);
    if (record?.kind !== 'service') throw new NotFound(`there is no service account "${idOrSubject.slice(0, 128)}"`);
    return record;
  };
  return {
    list: () => store.list('service', MOST_LISTED),
    get,
    add: async ({ subject, name, ownerId }) => {
      if (!isSubjectEmail(subject)) throw new Refused('invalid_subject', 'The subject is written like an e-mail address: lower-case ASCII, at most 127 characters, without spaces, * and ?.');
      if (name.trim() === '' || name.length > 100 || /\p{Cc}/u.test(name)) throw new Refused('invalid_name', 'The name has 1-100 characters.');
      const at = clock.now();
      const record: AccountRecord = { id: createUuid(at), kind: 'service', email: subject, isEmailVerified: false, name: name.trim(), role: 'member', status: 'active', createdAt: at, ownerId };
      await store.addService(record).catch((cause: unknown) => {
        throw cause instanceof Conflict ? new Conflict(`"${subject}" is, or was, the subject of another account`, { cause }) : cause;
      });
      return record;
    },
    setStatus: async (idOrSubject, status) => store.setStatus((await get(idOrSubject)).id, status),
  };
}
