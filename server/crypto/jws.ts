import { sign, verify, type KeyObject } from 'node:crypto';
import { isSigningAlgorithm, type SigningAlgorithm } from '../oauth2/vocabulary.ts';

/*
 * Compact JWS (RFC 7515) over node:crypto. On the minting path jose's SignJWT costs three to four times as much for ES256,
 * and an options object passed to crypto.sign costs 13-23 us a call on Node 24: so the bare KeyObject is passed and the
 * signature's form is converted here.
 */

export interface JwsHeader {
  readonly alg: SigningAlgorithm;
  readonly kid: string;
  /** Empty where a token has none. */
  readonly typ: string;
}

export interface ParsedJws {
  readonly header: JwsHeader;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signingInput: string;
  readonly signature: Buffer;
}

/** Signs `claims` with a key at hand. */
export function signJws(header: JwsHeader, claims: object, key: KeyObject): Promise<string> {
  return composeJws(header, claims, (data) => signBytes(header.alg, data, key));
}

/** Signs `claims` by whatever makes signatures of the header's algorithm, in the form of RFC 7518 3. */
export async function composeJws(header: JwsHeader, claims: object, signData: (data: Buffer) => Promise<Buffer> | Buffer): Promise<string> {
  const signingInput = `${encode(header)}.${encode(claims)}`;
  const signature = await signData(Buffer.from(signingInput));
  return `${signingInput}.${signature.toString('base64url')}`;
}

/** RSA goes to the thread pool (a quarter of a millisecond would hold the event loop); P-256 is done at once. */
export function signBytes(alg: SigningAlgorithm, data: Buffer, key: KeyObject): Promise<Buffer> | Buffer {
  return alg === 'RS256' ? signInPool(data, key) : derToRaw(sign('sha256', data, key));
}

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** Takes a compact JWS apart without trusting it. Gives undefined for anything but three parts with a header of ours. */
export function parseJws(token: string): ParsedJws | undefined {
  const [, head, body, signature] = COMPACT.exec(token) ?? [];
  if (head === undefined || body === undefined || signature === undefined) return undefined;
  const header = decode(head);
  const claims = decode(body);
  if (header === undefined || claims === undefined) return undefined;
  const { alg, kid, typ = '', crit, b64 } = header;
  // No extension is understood here, so a header that demands one must be refused (RFC 7515 4.1.11).
  if (!isSigningAlgorithm(alg) || typeof kid !== 'string' || typeof typ !== 'string' || crit !== undefined || b64 !== undefined) {
    return undefined;
  }
  return { header: { alg, kid, typ }, claims, signingInput: `${head}.${body}`, signature: Buffer.from(signature, 'base64url') };
}

/** Whether the signature is by `key`, whose algorithm the caller has matched with the header's. */
export function verifyJws(jws: ParsedJws, key: KeyObject): boolean {
  const signature = jws.header.alg === 'RS256' ? jws.signature : rawToDer(jws.signature);
  return signature !== undefined && verify('sha256', Buffer.from(jws.signingInput), key, signature);
}

function signInPool(data: Buffer, key: KeyObject): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign('sha256', data, key, (error, signature) => {
      if (error) reject(error);
      else resolve(signature);
    });
  });
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

function decode(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

const COORDINATE_BYTES = 32;

/** ECDSA-Sig-Value (RFC 3279 2.2.3) to the R || S of RFC 7518 3.4, for P-256. */
export function derToRaw(der: Buffer): Buffer {
  const raw = Buffer.alloc(2 * COORDINATE_BYTES);
  let at = 2; // SEQUENCE and its length: at most 72 bytes here, so the short form
  for (const end of [COORDINATE_BYTES, 2 * COORDINATE_BYTES]) {
    const length = der[at + 1] ?? 0;
    const integer = der.subarray(at + 2, at + 2 + length);
    const digits = integer[0] === 0 ? integer.subarray(1) : integer;
    digits.copy(raw, end - digits.length);
    at += 2 + length;
  }
  return raw;
}

/** The reverse; undefined when `raw` is not 64 bytes. */
export function rawToDer(raw: Buffer): Buffer | undefined {
  if (raw.length !== 2 * COORDINATE_BYTES) return undefined;
  const integers = [raw.subarray(0, COORDINATE_BYTES), raw.subarray(COORDINATE_BYTES)].map(toDerInteger);
  const body = Buffer.concat(integers);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

function toDerInteger(digits: Buffer): Buffer {
  let first = 0;
  while (first < digits.length - 1 && digits[first] === 0) first += 1;
  const trimmed = digits.subarray(first);
  const isNegative = (trimmed[0] ?? 0) >= 0x80;
  const value = isNegative ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed;
  return Buffer.concat([Buffer.from([0x02, value.length]), value]);
}
