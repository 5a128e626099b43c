import { z } from 'zod';
import { Secret } from '../lib/secret.ts';
import { CONSUMER_DOMAINS, isDomainName } from './domains.ts';
import { isLoopback } from './issuer_url.ts';

/** An OIDC issuer that people of the company sign in with. */
export interface UpstreamConfig {
  /** Stands in addresses: `<issuer>/login/upstream/<id>/callback` is what is registered at the upstream. */
  readonly id: string;
  /** What the button says. */
  readonly name: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: Secret<string> | undefined;
  /** Whose e-mail, Google Workspace or Entra tenant is in none of them does not get in. */
  readonly domains: readonly string[];
  readonly kind: UpstreamKind;
}

/** How an upstream says to which company somebody belongs. */
export type UpstreamKind =
  /** By its own `hd`, as Google does for Workspace. `isGoogle`: without one it is a personal account. */
  | { readonly name: 'states_hd'; readonly isGoogle: boolean }
  /** `hostedDomain`: what the tenant is called in `hd`. */
  | { readonly name: 'entra'; readonly tenant: string; readonly hostedDomain: string }
  | { readonly name: 'other' };

const GOOGLE = 'https://accounts.google.com';
const ENTRA = 'https://login.microsoftonline.com';
const GOOGLE_CONSUMER_DOMAINS = ['gmail.com', 'googlemail.com'];
/** The tenant that personal Microsoft accounts are in. */
const PERSONAL_TENANT = '9188040d-6c67-4c5b-b112-36a304b66dad';

const entrySchema = z.strictObject({
  id: z.string({ error: 'must be a short name for addresses, like "google"' }).regex(/^[a-z0-9-]{1,32}$/, { error: 'must be 1-32 small letters, digits and dashes, like "google"' }),
  name: z.string({ error: 'must be what the button says, like "Google"' }).min(1, { error: 'is empty' }).max(40, { error: 'is longer than 40 characters' }),
  issuer: z.string({ error: 'must be the upstream’s issuer, like "https://accounts.google.com"' }),
  clientId: z.string({ error: 'must be the client id that the upstream gave' }).min(1, { error: 'is empty' }),
  clientSecret: z.string({ error: 'must be a string' }).min(1, { error: 'is empty; leave it out for a public client' }).optional(),
  statesHostedDomain: z.boolean({ error: 'must be true or false' }).default(false),
  domains: z.array(z.string({ error: 'must be a string' }), { error: 'must be a list of e-mail domains, like ["example.com"]' }).min(1, { error: 'is empty: nobody could sign in' }),
});

type Entry = z.output<typeof entrySchema>;

/** Reads the JSON text of VOUCH_UPSTREAMS. Every fault at once, each with the place it is at; a secret's value in none. */
export const upstreams = z.string().transform((text, context): readonly UpstreamConfig[] => {
  const fault = (message: string) => {
    context.addIssue({ code: 'custom', message });
  };
  const json = parseJson(text);
  if (!Array.isArray(json)) {
    fault('must be a JSON list, like [{"id": "google", "name": "Google", "issuer": "https://accounts.google.com", "clientId": "…", "clientSecret": "…", "domains": ["example.com"]}]');
    return [];
  }
  const read = json.flatMap((item: unknown, index) => {
    const parsed = entrySchema.safeParse(item);
    if (parsed.success) {
      for (const message of findFaults(parsed.data)) fault(`[${index}].${message}`);
      return [parsed.data];
    }
    for (const issue of parsed.error.issues) fault(`[${index}]${issue.path.map((step) => `.${String(step)}`).join('')} ${describe(issue)}`);
    return [];
  });
  for (const member of ['id', 'issuer'] as const) {
    for (const value of findRepeated(read.map((entry) => entry[member]))) fault(`names the ${member} "${value}" twice; each upstream has one of its own`);
  }
  return read.map(toConfig);
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the parser's own words would quote the text
  }
}

function describe(issue: z.core.$ZodIssue): string {
  return issue.code === 'unrecognized_keys' ? `has no member ${issue.keys.map((key) => `"${key}"`).join(', ')}; remove it` : issue.message;
}

function* findFaults({ issuer, domains }: Entry): Iterable<string> {
  const url = URL.parse(issuer);
  if (url === null || !['https:', 'http:'].includes(url.protocol)) yield 'issuer is not a URL; copy it from the upstream’s metadata, byte for byte';
  else if (url.protocol === 'http:' && !isLoopback(url)) yield 'issuer must be https (http is for localhost only)';
  else if (url.search !== '' || url.hash !== '') yield 'issuer must have no query and no fragment';
  else if (url.origin === ENTRA) yield* findTenantFaults(issuer);
  for (const domain of domains) {
    if (!isDomainName(domain)) yield `domains holds "${domain}", which is not a domain name in lower case`;
    else if (CONSUMER_DOMAINS.has(domain) && !(issuer === GOOGLE && GOOGLE_CONSUMER_DOMAINS.includes(domain))) yield `domains holds "${domain}", a consumer domain, where anybody can have an address; name your company’s own`;
  }
}

function* findTenantFaults(issuer: string): Iterable<string> {
  const tenant = readTenant(issuer);
  if (tenant === undefined) yield `issuer must name one tenant by its id, like ${ENTRA}/00000000-0000-0000-0000-000000000000/v2.0; for several, add an upstream for each`;
  else if (tenant === PERSONAL_TENANT) yield 'issuer is that of personal Microsoft accounts, which belong to no company; use your tenant’s';
}

function readTenant(issuer: string): string | undefined {
  return /^https:\/\/login\.microsoftonline\.com\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/v2\.0$/.exec(issuer)?.[1];
}

function findRepeated(values: readonly string[]): readonly string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}

function toConfig({ clientSecret, issuer, domains, statesHostedDomain, ...entry }: Entry): UpstreamConfig {
  const kind = findKind(issuer, domains, statesHostedDomain);
  return Object.freeze({ ...entry, issuer, domains, kind, clientSecret: clientSecret === undefined ? undefined : new Secret(clientSecret) });
}

function findKind(issuer: string, [firstDomain = '']: readonly string[], statesHostedDomain: boolean): UpstreamKind {
  const tenant = readTenant(issuer);
  if (tenant !== undefined) return { name: 'entra', tenant, hostedDomain: firstDomain };
  return issuer === GOOGLE || statesHostedDomain ? { name: 'states_hd', isGoogle: issuer === GOOGLE } : { name: 'other' };
}
