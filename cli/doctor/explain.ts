// vouch explain: what a token says, for people. It is never believed: an address in it is not fetched.
import { createPublicKey, verify } from 'node:crypto';
import { CliError } from '../errors.ts';
import type { Fields } from '../fields.ts';
import { decodeJwt, type Claims, type DecodedJwt } from '../jwt.ts';
import { printReport } from '../output.ts';
import { makePrintable } from '../redact.ts';
import { formatDuration, formatInstant } from '../time.ts';
import { checkDiscovery, fetchDocument, Found } from './documents.ts';

export interface ExplainRequest {
  readonly token: string;
  /** The issuer that this person uses: only its keys are fetched. */
  readonly issuer: string;
  readonly isOffline: boolean;
  readonly isJson: boolean;
  readonly clock: () => number;
}

interface KeyState {
  readonly state: 'published' | 'unknown' | 'not fetched';
  readonly signature: 'valid' | 'wrong' | 'not checked';
  readonly why: string;
}

/** Prints what the token says. Throws `CliError` (usage) for what is no JWT. */
export async function explainToken(request: ExplainRequest): Promise<void> {
  const token = request.token.trim().replace(/^Bearer\s+/i, '');
  const decoded = decodeJwt(token);
  if (decoded === undefined) throw describeOpaque(token);
  const key = await findKeyState(request, token, decoded);
  if (request.isJson) await printReport(JSON.stringify(describeAsJson(token, decoded, key, request), null, 2));
  else await printReport(describe(token, decoded, key, request));
}

const OPAQUE: readonly [RegExp, string][] = [
  [/^sk-ant-oat01-/, "a short-lived access token of Anthropic's, which only Anthropic can read"],
  [/^sk-ant-api/, 'a static API key of Anthropic: the kind of secret that vouch replaces'],
  [/^sk-or-/, 'a key of OpenRouter, which only OpenRouter can read'],
  [/^sk-/, 'a static API key: the kind of secret that vouch replaces'],
  [/^A(SI|KI)A/, 'an access key ID of AWS, not a token'],
  [/^$/, 'empty'],
];

function describeOpaque(token: string): CliError {
  const known = OPAQUE.find(([pattern]) => pattern.test(token))?.[1];
  return new CliError('usage', `this is no JWT${known === undefined ? '' : `: it is ${known}`}`, { hints: ['try `vouch credential id-token | vouch explain -`'] });
}

async function findKeyState({ issuer, isOffline, clock }: ExplainRequest, token: string, { header, claims }: DecodedJwt): Promise<KeyState> {
  const skip = (why: string): KeyState => ({ state: 'not fetched', signature: 'not checked', why });
  if (isOffline) return skip('--offline');
  if (claims['iss'] !== issuer) return skip(`its issuer is not yours (${issuer}), and what a token names is not fetched`);
  try {
    const jwksUri = checkDiscovery((await fetchDocument(`${issuer}/.well-known/openid-configuration`, clock)).fields, issuer);
    const { fields } = await fetchDocument(jwksUri, clock);
    const keys = Array.isArray(fields['keys']) ? (fields['keys'] as Fields[]) : [];
    const jwk = keys.find(({ kid }) => kid === header['kid']);
    if (jwk === undefined) return { state: 'unknown', signature: 'not checked', why: `none of the ${keys.length} published keys has this kid: it was rotated out, revoked, or never the issuer's` };
    return { state: 'published', signature: hasValidSignature(token, header, jwk) ? 'valid' : 'wrong', why: 'in the JWKS now' };
  } catch (error) {
    if (error instanceof Found) return skip(error.message);
    throw error;
  }
}

const DIGESTS: Readonly<Record<string, string>> = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512', ES256: 'sha256', ES384: 'sha384', ES512: 'sha512' };

function hasValidSignature(token: string, { alg }: Claims, jwk: Fields): boolean {
  const digest = typeof alg === 'string' && (jwk['alg'] === undefined || jwk['alg'] === alg) ? DIGESTS[alg] : undefined;
  const at = token.lastIndexOf('.');
  if (digest === undefined) return false;
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return verify(digest, Buffer.from(token.slice(0, at)), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(token.slice(at + 1), 'base64url'));
  } catch {
    return false;
  }
}

function describeAsJson(token: string, { header, claims }: DecodedJwt, key: KeyState, request: ExplainRequest): unknown {
  const now = request.clock();
  return { header, claims, bytes: token.length, key: { state: key.state, signature: key.signature, detail: key.why }, times: Object.fromEntries(TIMES.map((name) => [name, readTime(claims, name, now)])), record: findRecord(claims, key, request) ?? null };
}

const TIMES = ['iat', 'nbf', 'exp'] as const;

function readTime(claims: Claims, name: string, now: number): { at: string; seconds_from_now: number } | null {
  const value = claims[name];
  if (typeof value !== 'number' || Math.abs(value) > 8.64e12) return null;
  return { at: new Date(value * 1000).toISOString(), seconds_from_now: Math.round(value - now / 1000) };
}

function describe(token: string, { header, claims }: DecodedJwt, key: KeyState, request: ExplainRequest): string {
  const now = request.clock();
  const record = findRecord(claims, key, request);
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['Kind', nameKind(header, claims)],
    ['Signed', `${show(header['alg'])} with key ${show(header['kid'])}`],
    ['Key', key.state === 'not fetched' ? `not looked up: ${key.why}` : key.why],
    ['Signature', key.signature],
    ['Issuer', show(claims['iss'])],
    ['Audience', describeAudience(claims)],
    ['Subject', show(claims['sub'])],
    ['Account', describeAccount(claims)],
    ['Issued', describeTime(claims['iat'], now)],
    ['Not before', claims['nbf'] === undefined || claims['nbf'] === claims['iat'] ? undefined : describeTime(claims['nbf'], now)],
    ['Expires', describeTime(claims['exp'], now)],
    ['Lives', typeof claims['iat'] === 'number' && typeof claims['exp'] === 'number' ? `${claims['exp'] - claims['iat']} s (Anthropic takes at most 3600 by default)` : undefined],
    ['jti', claims['jti'] === undefined ? 'none' : `${show(claims['jti'])} (good for one exchange at Anthropic)`],
    ['Exchange', record === undefined ? undefined : `an admin sees which one it came from with \`${record}\``],
    ['Signed in', claims['auth_time'] === undefined ? undefined : `${describeTime(claims['auth_time'], now)}${claims['amr'] === undefined ? '' : `, by ${show(claims['amr'])}`}`],
    ['Also', describeOthers(claims)],
    ['Size', `${token.length} bytes`],
  ];
  const shown = rows.filter((row): row is [string, string] => row[1] !== undefined);
  return [...shown.map(([name, text]) => `${name.padEnd(11)} ${makePrintable(text)}`), ...findRemarks(claims, now).map((remark) => `\nNote: ${makePrintable(remark)}`)].join('\n');
}

/** The command that shows the exchange which gave it; undefined for what is not of this person's issuer, as far as can be seen. */
function findRecord({ iss, jti }: Claims, { signature }: KeyState, { issuer }: ExplainRequest): string | undefined {
  // It will be typed into a shell.
  if (iss !== issuer || signature === 'wrong' || typeof jti !== 'string' || !/^[\w-]{1,64}$/.test(jti)) return undefined;
  return `vouch audit find --jti ${jti}`;
}

function nameKind({ typ }: Claims, { azp, nonce, client_id: client }: Claims): string {
  if (typ === 'at+jwt') return 'access token (RFC 9068): for APIs of the issuer, not for providers';
  if (nonce !== undefined || azp !== undefined) return 'ID token of a sign-in, for the client in its audience';
  return client === undefined ? 'ID token for federation' : 'JWT';
}

function describeAudience({ aud, azp }: Claims): string {
  const kind = Array.isArray(aud) ? `a list of ${aud.length}` : 'one text';
  return `${show(aud)} (${kind})${azp === undefined ? '' : `; azp ${show(azp)}, which AWS compares instead`}`;
}

function describeAccount({ email, email_verified: verified, hd, vouch_uid: uid }: Claims): string | undefined {
  const parts = [
    email === undefined ? undefined : `e-mail ${show(email)}${verified === undefined ? '' : verified === true ? ', verified' : ', not verified'}`,
    hd === undefined ? undefined : `domain (hd) ${show(hd)}`, uid === undefined ? undefined : `vouch_uid ${show(uid)}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join('; ');
}

/** "2026-11-24 18:00:05, 3 min ago". */
function describeTime(value: unknown, now: number): string {
  if (typeof value !== 'number' || Math.abs(value) > 8.64e12) return value === undefined ? 'not said' : `${show(value)}, which is no time`;
  const at = value * 1000;
  const seconds = String(new Date(at).getSeconds()).padStart(2, '0');
  const distance = at <= now ? `${formatDuration(now - at)} ago` : `in ${formatDuration(at - now)}`;
  return `${formatInstant(at)}:${seconds}, ${distance}${Number.isInteger(value) ? '' : ' (not a whole number: AWS refuses that)'}`;
}

const NAMED = ['iss', 'aud', 'azp', 'sub', 'email', 'email_verified', 'hd', 'vouch_uid', 'iat', 'nbf', 'exp', 'jti', 'auth_time', 'amr'];

function describeOthers(claims: Claims): string | undefined {
  const others = Object.entries(claims).filter(([name]) => !NAMED.includes(name));
  return others.length === 0 ? undefined : others.map(([name, value]) => `${name} = ${show(value)}`).join(', ');
}

function findRemarks({ exp, iat, sub }: Claims, now: number): readonly string[] {
  const seconds = now / 1000;
  return [
    ...(typeof exp === 'number' && exp <= seconds ? [exp + 30 > seconds ? 'it has expired, within the 30 s that Anthropic tolerates' : 'it has expired: every provider refuses it'] : []),
    ...(typeof iat === 'number' && iat - 5 > seconds ? [`it was issued ${Math.round(iat - seconds)} s in the future by this machine's clock; Anthropic tolerates 30 s, AWS 300 s`] : []),
    ...(typeof sub === 'string' && Buffer.byteLength(sub) > 127 ? ['its subject is longer than the 127 bytes that Google takes'] : []),
  ];
}

function show(value: unknown): string {
  if (value === undefined) return 'none';
  return typeof value === 'string' && value !== '' ? value : JSON.stringify(value);
}
