import type { AuditFields, JsonObject, JsonValue } from '../storage/storage.ts';

export type AuditKind = 'token' | 'refusal' | 'admin' | 'sign_in';

export interface AuditEntry {
  readonly kind: AuditKind;
  /** What it was: a grant type's short name ('token_exchange', 'authorization_code', ...), 'audience.set', ... */
  readonly event: string;
  /** Of the years 1970 to 9998; kept to the millisecond. */
  readonly at: Date;
  readonly jti?: string | undefined;
  readonly kid?: string | undefined;
  readonly alg?: string | undefined;
  readonly tokenKind?: 'id_token' | 'access_token' | 'refresh_token' | undefined;
  /** The account's UUID. */
  readonly accountId?: string | undefined;
  /** The `sub` as it was then. */
  readonly subject?: string | undefined;
  readonly clientId?: string | undefined;
  readonly audience?: string | undefined;
  readonly subjectJti?: string | undefined;
  readonly act?: JsonObject | undefined;
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly expiresAt?: Date | undefined;
  /** The policy clause that decided. */
  readonly clause?: string | undefined;
  /** Of a refusal: the code and the sentence. */
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  readonly detail?: JsonObject | undefined;
}

/** Longest values, in UTF-16 units. What is indexed stays under 2,700 bytes, which is what a B-tree takes. */
const SHORT = 256;
const LONG = 512;
const LONGEST_REASON = 2_048;
const LONGEST_JSON = 4_096;

/**
 * The entry as it is kept. A client chooses some of these texts and must not make a write fail or fill the disk: they are
 * cut ("…" at the end says so), and control characters, which the line format uses, and halves of surrogate pairs, which
 * UTF-8 cannot hold, become U+FFFD. Throws TypeError when `at` is not an instant of the years 1970 to 9998.
 */
export function toFields(entry: AuditEntry): AuditFields {
  if (!isInstant(entry.at)) throw new TypeError('an audit entry has no time');
  return {
    kind: entry.kind,
    event: cleanText(entry.event, SHORT),
    at: entry.at,
    jti: clean(entry.jti, SHORT),
    kid: clean(entry.kid, SHORT),
    alg: clean(entry.alg, SHORT),
    tokenKind: entry.tokenKind,
    accountId: clean(entry.accountId, SHORT),
    subject: clean(entry.subject, SHORT),
    clientId: clean(entry.clientId, LONG),
    audience: clean(entry.audience, LONG),
    subjectJti: clean(entry.subjectJti, SHORT),
    act: toJsonText(entry.act),
    ip: clean(entry.ip, SHORT),
    userAgent: clean(entry.userAgent, LONG),
    expiresAt: entry.expiresAt !== undefined && isInstant(entry.expiresAt) ? entry.expiresAt : undefined,
    clause: clean(entry.clause, LONG),
    code: clean(entry.code, SHORT),
    reason: clean(entry.reason, LONGEST_REASON),
    detail: toJsonText(entry.detail),
  };
}

/** The reverse, for who reads. A text that is not JSON was put there by hand: it is shown as it is. */
export function toEntry(fields: AuditFields): AuditEntry {
  const { kind, tokenKind, act, detail, ...rest } = fields;
  return {
    ...rest,
    kind: kind as AuditKind,
    tokenKind: tokenKind as AuditEntry['tokenKind'],
    act: act === undefined ? undefined : readJsonText(act),
    detail: detail === undefined ? undefined : readJsonText(detail),
  };
}

/** What a value that is looked for was kept as. */
export const asKept = {
  jti: (value: string | undefined) => clean(value, SHORT),
  kid: (value: string | undefined) => clean(value, SHORT),
  accountId: (value: string | undefined) => clean(value, SHORT),
  audience: (value: string | undefined) => clean(value, LONG),
  clientId: (value: string | undefined) => clean(value, LONG),
} as const;

function clean(value: string | undefined, longest: number): string | undefined {
  return value === undefined ? undefined : cleanText(value, longest);
}

// eslint-disable-next-line no-control-regex -- they are what it looks for
const UNUSUAL = /[\u0000-\u001f\ud800-\udfff]/;
// eslint-disable-next-line no-control-regex -- as above
const CONTROL = /[\u0000-\u001f]/g;

function cleanText(value: string, longest: number): string {
  const cut = value.length <= longest ? value : `${value.slice(0, longest - 1)}…`;
  // By way of UTF-8, which has no half of a pair: Node writes U+FFFD.
  return UNUSUAL.test(cut) ? Buffer.from(cut.replaceAll(CONTROL, '\ufffd')).toString() : cut;
}

/** JSON escapes control characters and halves of pairs itself. */
function toJsonText(value: JsonObject | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = JSON.stringify(value);
  return text.length <= LONGEST_JSON ? text : JSON.stringify({ cut: text.slice(0, LONGEST_JSON / 4) });
}

function readJsonText(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as JsonValue;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // below
  }
  return { unreadable: text };
}

/** ISO 8601 and Postgres part ways at the year 10000, which is where the last month of 9999 ends. */
const END_OF_YEARS = Date.UTC(9_999, 0, 1);

function isInstant(at: Date): boolean {
  const time = at.getTime();
  return time >= 0 && time < END_OF_YEARS;
}
