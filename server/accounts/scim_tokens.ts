import { createRandomValue, hashValue, isEqualInConstantTime } from '../crypto/digest.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import { Conflict, NotFound, Refused } from '../lib/errors.ts';
import { createUuid } from '../lib/identifier.ts';
import { Secret } from '../lib/secret.ts';
import type { ScimTokenRecord, ScimTokenStore } from '../storage/storage.ts';

/** `write` does not hold `read`: a token that changes what it may not see is named with both. */
export const SCIM_SCOPES = ['users:read', 'users:write', 'groups:read', 'groups:write'] as const;
export type ScimScope = (typeof SCIM_SCOPES)[number];

/** Without what a token is known by. */
export type ScimToken = Omit<ScimTokenRecord, 'tokenHash'>;

export interface NewScimToken {
  readonly name: string;
  readonly domains: readonly string[];
  readonly scopes: readonly ScimScope[];
  readonly expiresInDays: number;
  readonly createdBy: string;
}

/** What companies' directories show to provision accounts (RFC 7644 2). Each is for some of the company's own domains. */
export interface ScimTokens {
  list(): Promise<readonly ScimToken[]>;
  /** The token is given once; what is kept is its hash. Throws Refused for what will not do, Conflict when the name is taken. */
  add(token: NewScimToken): Promise<{ readonly token: Secret<string>; readonly record: ScimToken }>;
  /** It opens nothing from then on. Throws NotFound. */
  revoke(name: string): Promise<void>;
  /** Whose it is, of the domains that are still the company's own; undefined for one that is unknown, revoked or expired. */
  verify(token: string): Promise<ScimToken | undefined>;
}

/** An instant of last use is kept to this. */
const USE_SECONDS = 60;
/** The prefix is for those who look for secrets in what was published; the id finds the row. */
const FORM = /^vouch_scim_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$/;

export function createScimTokens({ store, ownDomains, clock }: { store: ScimTokenStore; ownDomains: readonly string[]; clock: Clock }): ScimTokens {
  return {
    list: async () => (await store.list()).map(withoutHash),
    add: async ({ name, domains, scopes, expiresInDays, createdBy }) => {
      if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) throw new Refused('invalid_name', 'The name of a SCIM token has 1-63 lower-case letters, digits, dots, dashes or underscores.');
      const chosen = chooseDomains(domains, ownDomains);
      const at = clock.now();
      const id = createUuid(at);
      const token = `vouch_scim_${id.replaceAll('-', '')}_${createRandomValue()}`;
      const record = { id, name, domains: chosen, scopes: [...new Set(scopes)], createdAt: at, createdBy, expiresAt: addSeconds(at, expiresInDays * 86_400) };
      await store.add({ ...record, tokenHash: hashValue(token) }).catch((cause: unknown) => {
        throw cause instanceof Conflict ? new Conflict(`there is a SCIM token "${name}" already`, { cause }) : cause;
      });
      return { token: new Secret(token), record };
    },
    revoke: async (name) => {
      if (!(await store.remove(name))) throw new NotFound(`there is no SCIM token "${name.slice(0, 63)}"`);
    },
    verify: async (token) => {
      const hex = FORM.exec(token)?.[1];
      if (hex === undefined) return undefined;
      const record = await store.find(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'));
      if (record === undefined || !isEqualInConstantTime(record.tokenHash, hashValue(token))) return undefined;
      const at = clock.now();
      if (record.expiresAt <= at) return undefined;
      await store.recordUse(record.id, at, addSeconds(at, -USE_SECONDS));
      return { ...withoutHash(record), domains: record.domains.filter((domain) => ownDomains.includes(domain)) };
    },
  };
}

/** Those that are named, or the only one that there is. Throws Refused. */
function chooseDomains(named: readonly string[], own: readonly string[]): readonly string[] {
  const list = own.join(', ');
  if (own.length === 0) throw new Refused('invalid_domain', 'The company has no domain of its own here. Set VOUCH_HOSTED_DOMAINS first.');
  const chosen = named.length === 0 && own.length === 1 ? own : [...new Set(named)];
  if (chosen.length === 0) throw new Refused('invalid_domain', `Say for which domains it is: ${list}.`);
  const stranger = chosen.find((domain) => !own.includes(domain));
  if (stranger !== undefined) throw new Refused('invalid_domain', `"${stranger.slice(0, 253)}" is none of the company’s domains here: ${list}.`);
  return chosen;
}

function withoutHash({ tokenHash: _, ...token }: ScimTokenRecord): ScimToken {
  return token;
}
