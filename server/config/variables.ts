import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { isAudience } from '../oauth2/syntax.ts';
import { isSigningAlgorithm, type SigningAlgorithm } from '../oauth2/vocabulary.ts';
import { CONSUMER_DOMAINS, isDomainName } from './domains.ts';
import { findIssuerFault } from './issuer_url.ts';
import { upstreams } from './upstreams.ts';

/*
 * Every variable, once: its check, its default, and what the README's table says of it. A variable marked `isSecret` may
 * also be given as a file by NAME_FILE.
 */

interface About {
  readonly description: string;
  /** What the table shows as default, where that is not simply the value. */
  readonly defaultText?: string;
  readonly isSecret?: true;
  /** No secret, but too long for a variable: may also be given as a file. */
  readonly isLong?: true;
}

const ABOUT = new Map<z.ZodType, About>();

function variable<T extends z.ZodType>(schema: T, about: About): T {
  ABOUT.set(schema, about);
  return schema;
}

export function describeVariable(schema: z.ZodType): About {
  const about = ABOUT.get(schema);
  if (about === undefined) throw new TypeError('a variable has no description');
  return about;
}

const wholeNumber = (from: number, to: number) =>
  z
    .string()
    .refine((text) => /^\d{1,9}$/.test(text) && Number(text) >= from && Number(text) <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    })
    .transform(Number);

const splitList = (text: string) => text.split(/[\s,]+/).filter((item) => item !== '');

/** A list with every item that does not pass named in the fault. */
const list = (findFault: (item: string) => string | undefined) =>
  z.string().transform((text, context) => {
    const items = splitList(text);
    for (const item of items) {
      const fault = findFault(item);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: `holds "${item}", which ${fault}` });
    }
    return [...new Set(items)];
  });

const databaseUrl = z.string().refine((text) => /^postgres(ql)?:\/\/./.test(text), {
  error: 'must be a URL that begins with postgresql://',
});

const redisUrl = z.string().refine((text) => /^rediss?:\/\/./.test(text), {
  error: 'must be a URL that begins with redis:// or rediss://',
});

const readLines = (text: string) => text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));

/** What is wrong with the lines of a KEK file; the shape only, so that all faults of a configuration come at once. */
function findKekFault(lines: readonly string[]): string | undefined {
  if (lines.length === 0) return 'holds no key';
  const wrong = lines.findIndex((line) => !/^[A-Za-z0-9_+/=-]+$/.test(line) || Buffer.from(line, 'base64url').length !== 32);
  if (wrong !== -1) return `is unusable: key ${wrong + 1} is not 32 bytes in base64url; make one with: openssl rand 32 | basenc --base64url`;
  return new Set(lines.map((line) => Buffer.from(line, 'base64url').toString('hex'))).size < lines.length ? 'is unusable: it holds one key twice' : undefined;
}

const keks = z.string().transform((text, context) => {
  const lines = readLines(text);
  const fault = findKekFault(lines);
  if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
  return lines;
});

const cookieKeys = z.string().transform((text, context) => {
  const keys = readLines(text);
  if (keys.length === 0) context.addIssue({ code: 'custom', message: 'holds no key' });
  if (keys.some((key) => key.length < 32)) {
    context.addIssue({ code: 'custom', message: 'holds a key of fewer than 32 characters; make one with: openssl rand -base64 32' });
  }
  return keys;
});

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

const certificates = z.string().transform((text, context) => {
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0) context.addIssue({ code: 'custom', message: 'holds no certificate in PEM (-----BEGIN CERTIFICATE-----)' });
  found.forEach((pem, index) => {
    try {
      new X509Certificate(pem);
    } catch {
      context.addIssue({ code: 'custom', message: `holds a certificate that cannot be read, number ${index + 1}` });
    }
  });
  return found;
});

export const environmentSchema = z.object({
  NODE_ENV: variable(z.enum(['production', 'development', 'test'], { error: 'must be production, development or test' }).default('development'), {
    description: '`production` refuses embedded storage, an http issuer and secrets made up at start.',
  }),
  VOUCH_ISSUER: variable(
    z.string().superRefine((text, context) => {
      const fault = findIssuerFault(text);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
    }).optional(),
    {
      description: 'The issuer, byte for byte as it stands in every token: scheme and host, no trailing slash.',
      defaultText: '`http://localhost:3000`, or with `VOUCH_PORT`’s number',
    },
  ),
  VOUCH_HOST: variable(z.string().min(1).default('127.0.0.1'), {
    description: 'The address to listen on; `0.0.0.0` or `::` in a container.',
  }),
  VOUCH_PORT: variable(wholeNumber(0, 65_535).default(3000), { description: 'The port to listen on.' }),
  VOUCH_OPS_PORT: variable(wholeNumber(0, 65_535).optional(), {
    description: 'A port of its own for `/metrics`, `/healthz` and `/readyz`.', defaultText: 'none: no metrics are served',
  }),
  VOUCH_DATA_DIR: variable(z.string().min(1).default('.vouch'), {
    description: 'Where embedded storage and the secrets made for it lie.',
  }),
  DATABASE_URL: variable(databaseUrl.optional(), {
    description: 'PostgreSQL 15 or newer, `postgresql://user:password@host/database`.', defaultText: 'embedded, in `VOUCH_DATA_DIR`', isSecret: true,
  }),
  REDIS_URL: variable(redisUrl.optional(), {
    description: 'Redis 7 or newer, `redis://…` or `rediss://…`.', defaultText: 'embedded, in memory', isSecret: true,
  }),
  VOUCH_KEK: variable(keks.optional(), {
    description: 'Key-encryption keys that seal the signing keys: one a line, base64url of 32 bytes; the first seals, all open.',
    defaultText: 'embedded: made in `VOUCH_DATA_DIR`', isSecret: true,
  }),
  VOUCH_COOKIE_KEYS: variable(cookieKeys.optional(), {
    description: 'Keys that sign browser cookies: one a line, at least 32 characters; the first signs, all verify.',
    defaultText: 'embedded: made in `VOUCH_DATA_DIR`', isSecret: true,
  }),
  VOUCH_AUDIENCES: variable(
    list((item) => (isAudience(item) ? undefined : 'is not 1-256 visible ASCII characters')).default([]),
    {
      description: 'Audiences that every person may have, as they may the issuer itself, separated by spaces or commas; `vouch audiences` registers others, and says who may have which. Any other is refused.',
      defaultText: 'none',
    },
  ),
  VOUCH_HOSTED_DOMAINS: variable(
    list((item) => {
      if (CONSUMER_DOMAINS.has(item)) return 'is a consumer domain, where anybody can have an address; a hosted domain is your company’s own';
      return isDomainName(item) ? undefined : 'is not a domain name in lower case';
    }).default([]),
    { description: 'The company’s own e-mail domains: accounts in them get `hd`.', defaultText: 'none' },
  ),
  VOUCH_DEVICE_LOGIN_FORBIDDEN: variable(
    list((item) => (item === '*' || isDomainName(item) ? undefined : 'is neither a domain name in lower case nor *')).default([]),
    { description: 'Hosted domains whose people may not sign in with `vouch login --device`, separated by spaces or commas; `*` is everybody.', defaultText: 'none: everybody may' },
  ),
  VOUCH_UPSTREAMS: variable(upstreams.default([]), {
    description: 'The issuers that people sign in with beside passkeys (Google Workspace, Entra, Okta, any OIDC issuer), as a JSON list of `id`, `name`, `issuer`, `clientId`, `clientSecret`, `domains`, and `statesHostedDomain` for one that states `hd` as Google does. Register `<issuer>/login/upstream/<id>/callback` there.',
    defaultText: 'none', isSecret: true,
  }),
  VOUCH_ATTESTATION_ROOTS: variable(certificates.default([]), {
    description: 'Certificates, in PEM, of makers of security keys and TPMs whose attestation is believed: their passkeys get `hwk` in `amr`.',
    defaultText: 'Apple’s alone', isLong: true,
  }),
  VOUCH_SESSION_SECONDS: variable(wholeNumber(300, 86_400).default(28_800), {
    description: 'How long a sign-in lasts at the most; no token outlives it.',
  }),
  // More than the life of an access token, after which a command line that is at work comes again.
  VOUCH_SESSION_IDLE_SECONDS: variable(wholeNumber(900, 86_400).optional(), {
    description: 'After how long without use a sign-in is over: of a command line that was not refreshed, of a browser that was not seen; 900 at least.', defaultText: 'none: `VOUCH_SESSION_SECONDS` ends it',
  }),
  VOUCH_LONGEST_TOKEN_SECONDS: variable(wholeNumber(5, 3_600).default(3_600), {
    description: 'No token lives longer, whatever its audience says.',
  }),
  VOUCH_KEY_ALGORITHMS: variable(
    list((item) => (isSigningAlgorithm(item) ? undefined : 'is not RS256 or ES256')).transform((items) => items as SigningAlgorithm[]).default(['RS256', 'ES256']),
    { description: 'The rings of signing keys. One that is added begins with a published standby; one that is taken away is drained.', defaultText: '`RS256 ES256`' },
  ),
  VOUCH_KEY_ROTATION_SECONDS: variable(wholeNumber(1, 31_536_000).default(2_592_000), {
    description: 'How long a key signs before its standby takes over.',
  }),
  VOUCH_KEY_LEAD_SECONDS: variable(wholeNumber(1, 31_536_000).default(86_400), {
    description: 'How long a key is published before it may sign; 1200 at least in production.',
  }),
  VOUCH_KEY_RETENTION_SECONDS: variable(wholeNumber(1, 31_536_000).default(86_400), {
    description: 'How long a key stays published after it stopped signing.',
  }),
  VOUCH_KEY_VERIFIER_WAIT_SECONDS: variable(wholeNumber(0, 31_536_000).default(86_400), {
    description: 'How long beyond the lead a known verifier that has not fetched the new key is waited for.',
  }),
  VOUCH_KEY_VERIFIER_WINDOW_SECONDS: variable(wholeNumber(1, 31_536_000).default(604_800), {
    description: 'A verifier that has fetched within this time is a known one; more than the lead.',
  }),
  VOUCH_KEY_STALE_SECONDS: variable(wholeNumber(1, 86_400).default(300), {
    description: 'An instance that could not read the key set for this long stops signing; it goes on publishing.',
  }),
  VOUCH_KEY_JWKS_MAX_AGE_SECONDS: variable(wholeNumber(1, 86_400).default(300), {
    description: '`max-age` of the JWKS.',
  }),
  VOUCH_KEY_POLL_SECONDS: variable(wholeNumber(1, 60).default(5), {
    description: 'How often an instance asks for the version of the key set.',
  }),
  VOUCH_KEY_TICK_SECONDS: variable(wholeNumber(1, 3_600).default(15), {
    description: 'How often an instance asks what should change, give or take a third.',
  }),
  VOUCH_AUDIT_RETENTION_DAYS: variable(wholeNumber(31, 36_500).default(400), {
    description: 'How long the issuance record is kept, in days; a month is dropped once all of it is older.',
  }),
  VOUCH_AUDIT_CHECKPOINT_SECONDS: variable(wholeNumber(1, 86_400).default(60), {
    description: 'How often the issuance record is sealed with a signature, in seconds.',
  }),
  VOUCH_RATE_LIMIT_SCALE: variable(
    z.string().refine((text) => /^\d{1,7}(\.\d{1,3})?$/.test(text) && Number(text) >= 0.1 && Number(text) <= 1_000_000, { error: 'must be a number from 0.1 to 1000000' }).transform(Number).default(1),
    { description: 'Multiplies every rate limit but those of device login. Raise it where many people share one address; discovery and the JWKS are never limited.' },
  ),
  VOUCH_TRUSTED_PROXIES: variable(wholeNumber(0, 10).default(0), {
    description: 'How many proxies of yours stand in front, each of which adds to `X-Forwarded-For`; 0 reads the connection’s own address.',
  }),
  VOUCH_LOG_LEVEL: variable(z.enum(['debug', 'info', 'warn', 'error'], { error: 'must be debug, info, warn or error' }).default('info'), {
    description: 'What goes to the log on standard error.',
  }),
});

export type Environment = z.output<typeof environmentSchema>;
