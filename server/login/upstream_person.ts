import type { UpstreamPerson } from '../accounts/accounts.ts';
import { isConsumerDomain, type UpstreamConfig } from '../config/config.ts';
import { Refused } from '../lib/errors.ts';
import { domainOf, isSubjectEmail } from '../oauth2/syntax.ts';
import type { UpstreamClaims } from './upstream.ts';

/**
 * Whom verified claims speak of, once it is established that the company lets them in: by Google's own `hd`, by Entra's
 * tenant, or by a verified e-mail. Throws Refused, with a sentence for the person. Pure.
 */
export function judgePerson(claims: UpstreamClaims, config: UpstreamConfig): UpstreamPerson {
  const email = readEmail(claims, config);
  const isEmailVerified = isVerified(claims, config);
  return {
    issuer: config.issuer, subject: claims.sub, email, name: readName(claims, email), isEmailVerified, hostedDomain: establishCompany(claims, email, config),
    // What an upstream says of an address in a domain of somebody else's leads to no account that waits for its owner.
    isEmailOfUpstream: isEmailVerified && config.domains.includes(domainOf(email)),
  };
}

function readEmail({ email }: UpstreamClaims, { name }: UpstreamConfig): string {
  if (typeof email !== 'string' || email === '') throw new Refused('upstream_no_email', `${name} did not tell your e-mail address, which you are known by here. Ask an admin to let it be told.`);
  const lower = email.toLowerCase();
  if (!isSubjectEmail(lower)) throw new Refused('upstream_bad_email', `${name} told an e-mail address that cannot be used here: of plain letters, digits and the usual signs, at most 127 characters.`);
  return lower;
}

function readName({ name }: UpstreamClaims, email: string): string {
  const told = typeof name === 'string' ? name.normalize('NFC').replace(/\p{Cc}/gu, '').trim() : '';
  return (told === '' ? email.slice(0, email.indexOf('@')) : told).slice(0, 100);
}

/** As the upstream says it. Entra says it by `xms_edov`: that the domain's owner is who gave out the address. */
function isVerified({ email_verified: isEmailVerified, xms_edov: edov }: UpstreamClaims, { kind }: UpstreamConfig): boolean {
  return isEmailVerified === true || (kind.name === 'entra' && [true, 1, '1', 'true'].some((yes) => yes === edov));
}

const GOOGLE_CONSUMER_DOMAINS = ['gmail.com', 'googlemail.com'];

/** The hosted domain that the upstream itself states, if it does. Throws Refused for who belongs to none of the domains. */
function establishCompany(claims: UpstreamClaims, email: string, config: UpstreamConfig): string | undefined {
  const { kind, domains } = config;
  const domain = domainOf(email);
  switch (kind.name) {
    case 'states_hd': {
      requireVerified(claims, config);
      const hd = typeof claims.hd === 'string' ? claims.hd.toLowerCase() : undefined;
      // Without `hd` it is a personal account, whatever its e-mail: its own domains are Google's.
      const isOurs = hd === undefined ? kind.isGoogle && GOOGLE_CONSUMER_DOMAINS.includes(domain) && domains.includes(domain) : domains.includes(hd);
      if (!isOurs || (hd !== undefined && isConsumerDomain(hd))) throw stranger(config);
      return hd;
    }
    case 'entra':
      // A guest is of another tenant, or of none, and `idp` says which.
      if (claims.tid !== kind.tenant || (claims.idp !== undefined && claims.idp !== config.issuer) || !domains.includes(domain)) throw stranger(config);
      return kind.hostedDomain;
    case 'other':
      requireVerified(claims, config);
      if (!domains.includes(domain)) throw stranger(config);
      return undefined;
  }
}

/** An address that nobody has verified says nothing about a company: some issuers let people write what they like. */
function requireVerified({ email_verified: isEmailVerified }: UpstreamClaims, { name }: UpstreamConfig): void {
  if (isEmailVerified !== true) throw new Refused('upstream_email_unverified', `${name} has not verified your e-mail address. Verify it there, then try again.`);
}

const stranger = ({ name }: UpstreamConfig) =>
  new Refused('upstream_not_allowed', `Your ${name} account is not of a company that may sign in here. Choose your work account, or ask an admin.`);

/** RFC 8176 2: the methods that an upstream may tell of; others mean something only there. */
const METHODS = new Set(['face', 'fpt', 'geo', 'hwk', 'iris', 'kba', 'mca', 'mfa', 'otp', 'pin', 'pop', 'pwd', 'rba', 'retina', 'sc', 'sms', 'swk', 'tel', 'user', 'vbm', 'wia']);

export interface Witness {
  /** Unix seconds. When the person signed in there, or when the upstream spoke, where it does not say more. */
  readonly authTime: number;
  /** Whether the upstream says when the person signed in there. Where it does not, nothing shows that it was just now. */
  readonly saysWhen: boolean;
  readonly amr: readonly string[];
}

/** How and when the person signed in there, as far as the upstream says it; never in the future. */
export function readWitness({ auth_time: authTime, iat, amr }: UpstreamClaims, now: number): Witness {
  const methods: unknown[] = Array.isArray(amr) ? amr : [];
  const said = typeof authTime === 'number' && Number.isInteger(authTime) ? authTime : undefined;
  return {
    authTime: Math.min(said ?? iat, now),
    saysWhen: said !== undefined,
    amr: [...new Set(methods.filter((method) => typeof method === 'string').filter((method) => METHODS.has(method)))],
  };
}
