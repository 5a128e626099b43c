import { domainOf } from '../oauth2/syntax.ts';
import type { AccountRecord } from '../storage/storage.ts';

export interface Account extends AccountRecord {
  /** The company's domain, where the account belongs to one. */
  readonly hostedDomain: string | undefined;
  readonly groups: readonly string[];
}

/** The domains that the company has named its own. */
export interface OwnDomains {
  /** By e-mail: an account in one of them has it as its hosted domain. */
  readonly hosted: readonly string[];
  /** Those that an upstream may state for an account of its own. */
  readonly upstream: readonly string[];
}

/**
 * What an upstream stated comes first; it counts only while the company still names that domain. A service's subject only
 * looks like an address: it is nobody's of the company.
 */
export function toAccount(record: AccountRecord & { readonly groups?: readonly string[] }, { hosted, upstream }: OwnDomains): Account {
  const { hostedDomain: stated, groups = [] } = record;
  if (record.kind === 'service') return { ...record, groups, hostedDomain: undefined };
  const hostedDomain = stated !== undefined && (hosted.includes(stated) || upstream.includes(stated)) ? stated : findHostedDomain(record.email, hosted);
  return { ...record, groups, hostedDomain };
}

/** The e-mail's domain, if the company has named it its own. Exact: a subdomain is another domain. */
export function findHostedDomain(email: string, hostedDomains: readonly string[]): string | undefined {
  const domain = domainOf(email);
  return hostedDomains.includes(domain) ? domain : undefined;
}
