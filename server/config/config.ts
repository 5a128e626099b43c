/*
 * Owns: what the process is told by its environment, checked once and frozen.
 * Never: reads a variable later, prints a secret, fills a hole in production.
 * Keeps true: a Config that exists can be started with; all faults are reported at once, each with its fix.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ZodType } from 'zod';
import { Secret } from '../lib/secret.ts';
import { findPublicIssuerFault, isLoopback } from './issuer_url.ts';
import type { UpstreamConfig } from './upstreams.ts';
import { describeVariable, environmentSchema, type Environment } from './variables.ts';

export interface Config {
  readonly isProduction: boolean;
  readonly issuer: string;
  readonly host: string;
  readonly port: number;
  readonly opsPort: number | undefined;
  readonly dataDir: string;
  readonly databaseUrl: Secret<string> | undefined;
  readonly redisUrl: Secret<string> | undefined;
  /** Lines of base64url, each 32 bytes. Undefined: embedded mode makes its own (config/embedded_secrets.ts). */
  readonly keks: Secret<readonly string[]> | undefined;
  readonly cookieKeys: Secret<readonly string[]> | undefined;
  readonly audiences: readonly string[];
  readonly hostedDomains: readonly string[];
  /** Hosted domains whose people may not sign in by device code; `*` is everybody. */
  readonly deviceLoginForbidden: readonly string[];
  readonly upstreams: readonly UpstreamConfig[];
  /** PEM. */
  readonly attestationRoots: readonly string[];
  readonly sessionSeconds: number;
  /** After how long without use a sign-in is over. */
  readonly sessionIdleSeconds: number;
  readonly longestTokenSeconds: number;
  readonly keys: KeyConfig;
  /** How long the issuance record is kept. */
  readonly auditRetentionDays: number;
  readonly auditCheckpointSeconds: number;
  /** How many proxies in front are believed about the client's address. */
  readonly trustedProxies: number;
  readonly rateLimitScale: number;
  readonly logLevel: Environment['VOUCH_LOG_LEVEL'];
}

/** The thresholds of the key life cycle, in seconds; keys/policy.ts says whether they go together. */
export interface KeyConfig {
  readonly rings: Environment['VOUCH_KEY_ALGORITHMS'];
  readonly rotationSeconds: number;
  readonly leadSeconds: number;
  readonly retentionSeconds: number;
  readonly verifierWaitSeconds: number;
  readonly verifierWindowSeconds: number;
  readonly staleSeconds: number;
  readonly jwksMaxAgeSeconds: number;
  readonly pollSeconds: number;
  readonly tickSeconds: number;
}

export interface Fault {
  readonly variable: string;
  readonly message: string;
}

/** Carries every fault; its message is fit for a terminal. */
export class ConfigError extends Error {
  readonly faults: readonly Fault[];
  constructor(faults: readonly Fault[]) {
    super(['The configuration has faults:', ...faults.map(({ variable, message }) => `  ${variable} ${message}`)].join('\n'));
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

export { isLoopback };
export { isConsumerDomain } from './domains.ts';
export { ensureEmbeddedSecrets, findEmbeddedKeks, type Secrets } from './embedded_secrets.ts';
export { renderConfigTable } from './table.ts';
export type { UpstreamConfig, UpstreamKind } from './upstreams.ts';

export interface LoadOptions {
  /** For a command that works with the database alone, in an emergency: what else the issuer needs in production may be missing or lost. */
  readonly needsDatabaseOnly?: boolean;
}

/** Reads the whole configuration. Throws a ConfigError that names every fault, never a value of a secret. */
export function loadConfig(env: Readonly<Record<string, string | undefined>> = process.env, { needsDatabaseOnly = false }: LoadOptions = {}): Config {
  const read = readSecretFiles(env);
  const { values } = read;
  const isForgiven = ({ variable }: Fault) => needsDatabaseOnly && Object.keys(REQUIRED_IN_PRODUCTION).some((name) => name !== 'DATABASE_URL' && (variable === `${name}_FILE` || (variable === name && values[name] === undefined)));
  const faults = read.faults.filter((fault) => !isForgiven(fault));
  const parsed = environmentSchema.safeParse(values);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) faults.push({ variable: String(issue.path[0]), message: issue.message });
  }
  for (const fault of findProductionFaults(values).filter((found) => !isForgiven(found))) {
    if (!faults.some(({ variable }) => variable === fault.variable || variable === `${fault.variable}_FILE`)) faults.push(fault);
  }
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(toConfig(parsed.data));
}

function toConfig(env: Environment): Config {
  return {
    isProduction: env.NODE_ENV === 'production',
    issuer: env.VOUCH_ISSUER ?? new URL(`http://localhost:${env.VOUCH_PORT}`).origin,
    host: env.VOUCH_HOST,
    port: env.VOUCH_PORT,
    opsPort: env.VOUCH_OPS_PORT,
    dataDir: resolve(env.VOUCH_DATA_DIR),
    databaseUrl: env.DATABASE_URL === undefined ? undefined : new Secret(env.DATABASE_URL),
    redisUrl: env.REDIS_URL === undefined ? undefined : new Secret(env.REDIS_URL),
    keks: env.VOUCH_KEK === undefined ? undefined : new Secret(env.VOUCH_KEK),
    cookieKeys: env.VOUCH_COOKIE_KEYS === undefined ? undefined : new Secret(env.VOUCH_COOKIE_KEYS),
    audiences: env.VOUCH_AUDIENCES,
    hostedDomains: env.VOUCH_HOSTED_DOMAINS,
    deviceLoginForbidden: env.VOUCH_DEVICE_LOGIN_FORBIDDEN,
    upstreams: env.VOUCH_UPSTREAMS,
    attestationRoots: env.VOUCH_ATTESTATION_ROOTS,
    sessionSeconds: env.VOUCH_SESSION_SECONDS,
    sessionIdleSeconds: env.VOUCH_SESSION_IDLE_SECONDS ?? env.VOUCH_SESSION_SECONDS,
    longestTokenSeconds: env.VOUCH_LONGEST_TOKEN_SECONDS,
    keys: Object.freeze({
      rings: env.VOUCH_KEY_ALGORITHMS,
      rotationSeconds: env.VOUCH_KEY_ROTATION_SECONDS,
      leadSeconds: env.VOUCH_KEY_LEAD_SECONDS,
      retentionSeconds: env.VOUCH_KEY_RETENTION_SECONDS,
      verifierWaitSeconds: env.VOUCH_KEY_VERIFIER_WAIT_SECONDS,
      verifierWindowSeconds: env.VOUCH_KEY_VERIFIER_WINDOW_SECONDS,
      staleSeconds: env.VOUCH_KEY_STALE_SECONDS,
      jwksMaxAgeSeconds: env.VOUCH_KEY_JWKS_MAX_AGE_SECONDS,
      pollSeconds: env.VOUCH_KEY_POLL_SECONDS,
      tickSeconds: env.VOUCH_KEY_TICK_SECONDS,
    }),
    auditRetentionDays: env.VOUCH_AUDIT_RETENTION_DAYS,
    auditCheckpointSeconds: env.VOUCH_AUDIT_CHECKPOINT_SECONDS,
    trustedProxies: env.VOUCH_TRUSTED_PROXIES,
    rateLimitScale: env.VOUCH_RATE_LIMIT_SCALE,
    logLevel: env.VOUCH_LOG_LEVEL,
  };
}

interface Read {
  readonly values: Record<string, string>;
  readonly faults: Fault[];
}

/** Takes each known variable, a secret or a long one also from the file that NAME_FILE names. An empty value counts as not set. */
function readSecretFiles(env: Readonly<Record<string, string | undefined>>): Read {
  const values: Record<string, string> = {};
  const faults: Fault[] = [];
  for (const [name, schema] of Object.entries<ZodType>(environmentSchema.shape)) {
    const direct = env[name];
    if (direct !== undefined && direct !== '') values[name] = direct;
    const file = env[`${name}_FILE`];
    const { isSecret, isLong } = describeVariable(schema);
    if (!(isSecret || isLong) || file === undefined || file === '') continue;
    if (values[name] !== undefined) {
      faults.push({ variable: name, message: `is set twice, as ${name} and as ${name}_FILE; unset one` });
      continue;
    }
    try {
      const text = readFileSync(file, 'utf8').trim();
      if (text === '') faults.push({ variable: `${name}_FILE`, message: `names ${file}, which is empty` });
      else values[name] = text;
    } catch (cause) {
      faults.push({ variable: `${name}_FILE`, message: `names ${file}, which cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'error'})` });
    }
  }
  return { values, faults };
}

/** What is fine on a laptop and unsafe in public. Looks at what was given, so that it speaks up beside other faults. */
function findProductionFaults(values: Readonly<Record<string, string>>): Fault[] {
  if (values.NODE_ENV !== 'production') return [];
  const { VOUCH_ISSUER: issuer } = values;
  const issuerFault = issuer === undefined ? 'must be set in production, like https://vouch.example.com' : findPublicIssuerFault(issuer);
  const missing = Object.entries(REQUIRED_IN_PRODUCTION).flatMap(([variable, message]) =>
    values[variable] === undefined ? [{ variable, message: `must be set in production, as it is or as ${variable}_FILE; ${message}` }] : [],
  );
  if (/"http:/.test(values.VOUCH_UPSTREAMS ?? '')) missing.push({ variable: 'VOUCH_UPSTREAMS', message: 'names an http issuer; in production an upstream must be https' });
  return [...(issuerFault === undefined ? [] : [{ variable: 'VOUCH_ISSUER', message: issuerFault }]), ...missing];
}

const REQUIRED_IN_PRODUCTION: Readonly<Record<string, string>> = {
  DATABASE_URL: 'the embedded store is for one process on one machine',
  REDIS_URL: 'memory is not shared between instances',
  VOUCH_KEK: 'make one with: openssl rand 32 | basenc --base64url > kek',
  VOUCH_COOKIE_KEYS: 'make one with: openssl rand -base64 32 > cookie_keys',
};
