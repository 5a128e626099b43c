// How an exchange is written on the wire: OAuth as JSON, OAuth as a form, and the query API of AWS with its XML.
import { isBearerToken } from '../formats.ts';
import type { Credential, DialectName } from './provider.ts';

// Ten years: whoever says more does not mean it, and a Date could not hold it.
const LONGEST_SECONDS = 10 * 365 * 86_400;

export interface Failure {
  /** The provider's own code, or empty. */
  readonly code: string;
  readonly message: string;
}

export interface Dialect {
  readonly contentType: string;
  readonly accept: string;
  readonly write: (fields: Readonly<Record<string, string>>) => string;
  /** Reads a 200; a text says what is wrong with it, as the rest of a sentence that begins with the answer. */
  readonly readCredential: (text: string, askedAt: number) => Promise<Credential | string>;
  readonly readFailure: (text: string) => Promise<Failure>;
}

const JSON_DIALECT: Dialect = {
  contentType: 'application/json',
  accept: 'application/json',
  write: (fields) => JSON.stringify(fields),
  readCredential: async (text, askedAt) => readToken(text, askedAt),
  readFailure: async (text) => readOauthFailure(text),
};

const FORM_DIALECT: Dialect = {
  ...JSON_DIALECT,
  contentType: 'application/x-www-form-urlencoded',
  write: (fields) => new URLSearchParams(fields).toString(),
};

const STS_DIALECT: Dialect = {
  ...FORM_DIALECT,
  accept: 'application/xml',
  readCredential: readRoleCredentials,
  readFailure: readStsFailure,
};

export const DIALECTS: Readonly<Record<DialectName, Dialect>> = { json: JSON_DIALECT, form: FORM_DIALECT, sts: STS_DIALECT };

/** Counts the lifetime from before the request was sent, so that a slow answer never makes a token look fresher. */
function readToken(text: string, askedAt: number): Credential | string {
  const answer = asObject(parseLeniently(text));
  const { access_token: token, token_type: type, expires_in: expiresIn } = answer;
  if (typeof token !== 'string' || !isBearerToken(token)) return 'holds no access token';
  if (type !== undefined && asText(type).toLowerCase() !== 'bearer') return 'holds a token that is not a bearer token';
  const isLifetime = typeof expiresIn === 'number' && expiresIn > 0 && expiresIn <= LONGEST_SECONDS;
  return { secrets: { token }, expiresAt: isLifetime ? askedAt + expiresIn * 1000 : undefined };
}

/** Reads OAuth's `{ error, error_description }` and the APIs' `{ error: { type or code, message } }`. */
function readOauthFailure(text: string): Failure {
  const { error, error_description: description } = asObject(parseLeniently(text));
  if (typeof error === 'string') return { code: error, message: asText(description) };
  const { type, code, message } = asObject(error);
  return { code: asText(type) || asText(code), message: asText(message) };
}

async function readRoleCredentials(text: string): Promise<Credential | string> {
  const find = await parseXml(text, 'AssumeRoleWithWebIdentityResponse');
  const read = (name: string): string => find?.(['AssumeRoleWithWebIdentityResult', 'Credentials', name]) ?? '';
  const secrets = { access_key_id: read('AccessKeyId'), secret_access_key: read('SecretAccessKey'), session_token: read('SessionToken') };
  const expiresAt = Date.parse(read('Expiration'));
  if (!Object.values(secrets).every(isBearerToken) || Number.isNaN(expiresAt)) return 'holds no credentials';
  return { secrets, expiresAt };
}

async function readStsFailure(text: string): Promise<Failure> {
  const find = await parseXml(text, 'ErrorResponse');
  return { code: find?.(['Error', 'Code']) ?? '', message: find?.(['Error', 'Message']) ?? '' };
}

/** Finds texts by the names of the elements that lead to them, under a root of this name; undefined if there is none. */
async function parseXml(text: string, root: string): Promise<((path: readonly string[]) => string | undefined) | undefined> {
  const { parseXml: parse, XmlElement } = await import('@rgrove/parse-xml');
  try {
    const top = parse(text).root;
    if (top?.name !== root) return undefined;
    return (path) => path.reduce<InstanceType<typeof XmlElement> | undefined>(
      (parent, name) => parent?.children.find((child) => child instanceof XmlElement && child.name === name) as InstanceType<typeof XmlElement> | undefined,
      top,
    )?.text.trim();
  } catch {
    return undefined;
  }
}

function parseLeniently(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
