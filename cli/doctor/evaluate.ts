// A token against a provider and its rule, offline, clause by clause: the first that fails is the cause.
import { decodeJwt, type Claims } from '../jwt.ts';
import { describeDifference } from './difference.ts';
import type { ClaimCondition, Rule } from './rule.ts';
import type { Target } from './targets.ts';

/** Why a provider refuses, and what to type or change. */
export interface Cause {
  readonly sentence: string;
  readonly hints: readonly string[];
}

export interface Examined {
  readonly token: string;
  readonly target: Target;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Kids of the live JWKS; undefined if it was not fetched. */
  readonly kids: readonly string[] | undefined;
}

type Clause<T> = (input: T) => Cause | undefined;

/** Whatever is wrong with the token itself, before any rule. */
export function examineToken(input: Examined): Cause | undefined {
  const decoded = decodeJwt(input.token);
  if (decoded === undefined) return { sentence: 'this is no JWT: three parts of base64url with dots between', hints: [] };
  return findFirst(TOKEN_CLAUSES, { ...input, ...decoded });
}

type Token = Examined & { readonly header: Claims; readonly claims: Claims };

const TOKEN_CLAUSES: readonly Clause<Token>[] = [
  ({ header, target }) => (typeof header['alg'] === 'string' && target.algorithms.includes(header['alg']) ? undefined : {
    sentence: `the token is signed with ${show(header['alg'])}, and ${target.label} takes ${target.algorithms.join(', ')}`,
    hints: ['an admin of the issuer can have the audience signed with RS256, which every provider takes'],
  }),
  ({ header }) => (typeof header['kid'] === 'string' && header['kid'] !== '' ? undefined : { sentence: 'the header has no kid, so nobody can find the key', hints: ['it was not made by a Vouch issuer'] }),
  ({ header, kids }) => (kids === undefined || kids.includes(String(header['kid'])) ? undefined : {
    sentence: `the key ${show(header['kid'])} is not in the issuer's JWKS`,
    hints: ['if this token is older than the last change of keys, get another; else run `vouch keys list` as an admin'],
  }),
  ({ claims }) => {
    const missing = ['iss', 'sub', 'aud', 'iat', 'exp'].find((name) => claims[name] === undefined);
    return missing === undefined ? undefined : { sentence: `the claim ${missing} is missing`, hints: ['it was not made for a provider: see `vouch credential id-token`'] };
  },
  ({ claims }) => {
    const odd = ['iat', 'nbf', 'exp'].find((name) => claims[name] !== undefined && !Number.isSafeInteger(claims[name]));
    return odd === undefined ? undefined : { sentence: `the claim ${odd} is not a whole number`, hints: ['AWS refuses fractions of seconds'] };
  },
  examineTimes,
  ({ claims: { iat, exp }, target: { mostSeconds, label } }) => limitLifetime(Number(exp) - Number(iat), mostSeconds, label),
  ({ token, target: { mostTokenBytes: most, label } }) => (most === undefined || token.length <= most ? undefined : { sentence: `the token has ${token.length} bytes, and ${label} takes ${most}`, hints: [] }),
  ({ claims: { sub }, target: { mostSubjectBytes: most, label } }) => (most === undefined || Buffer.byteLength(String(sub)) <= most ? undefined : { sentence: `the subject has ${Buffer.byteLength(String(sub))} bytes, and ${label} takes ${most}`, hints: [] }),
  ({ claims: { aud, azp }, target }) => {
    if (target.name !== 'aws' || azp === undefined) return undefined;
    return { sentence: `the token has azp ${show(azp)}: AWS compares that with the client IDs, and not aud ${show(aud)}`, hints: ['a federation token of a Vouch issuer has no azp: use `vouch credential aws`, which mints one'] };
  },
  ({ claims: { aud }, target: { label } }) => (Array.isArray(aud) && aud.length !== 1 ? { sentence: `aud is a list of ${aud.length}, and ${label} may want exactly one`, hints: ['a federation token of a Vouch issuer has one text as aud'] } : undefined),
  ({ claims: { email_verified: verified }, target }) => (target.name === 'kubernetes' && verified !== undefined && verified !== true ? {
    sentence: `email_verified is ${show(verified)}: where the user name is the e-mail, Kubernetes wants the boolean true`, hints: ['map the user name from sub or vouch_uid instead'],
  } : undefined),
];

function examineTimes({ claims, target: { skewSeconds, label }, now }: Token): Cause | undefined {
  const seconds = now / 1000;
  const clock = 'compare the clocks: `vouch doctor` says how far this machine is from the issuer';
  if (Number(claims['exp']) + skewSeconds <= seconds) return { sentence: `the token expired ${Math.round(seconds - Number(claims['exp']))} s ago`, hints: ['get another; if it is fresh, the clock of this machine is ahead', clock] };
  const early = ['iat', 'nbf'].find((name) => claims[name] !== undefined && Number(claims[name]) - skewSeconds > seconds);
  if (early === undefined) return undefined;
  return { sentence: `${early} lies ${Math.round(Number(claims[early]) - seconds)} s in the future, and ${label} allows ${skewSeconds} s`, hints: [clock] };
}

function limitLifetime(seconds: number, most: number | undefined, label: string): Cause | undefined {
  if (most === undefined || seconds <= most) return undefined;
  return { sentence: `the token lives ${seconds} s, and ${label} takes at most ${most} s (exp - iat)`, hints: ['an admin of the issuer can shorten the tokens of this audience, or an admin of the provider can raise the maximum token lifetime'] };
}

/** The first clause of the rule that refuses the token. The token has passed `examineToken`. */
export function evaluateRule(input: { readonly token: string; readonly target: Target; readonly rule: Rule }): Cause | undefined {
  const { header, claims } = decodeJwt(input.token) ?? { header: {}, claims: {} };
  return findFirst(RULE_CLAUSES, { ...input, header, claims });
}

type Ruled = { readonly target: Target; readonly rule: Rule; readonly header: Claims; readonly claims: Claims };

const RULE_CLAUSES: readonly Clause<Ruled>[] = [
  ({ rule, target }) => (rule.isArchived ? { sentence: 'the rule is archived or disabled', hints: [`enable it: ${target.console}`] } : undefined),
  matchIssuer,
  matchUploadedKeys,
  ({ rule, claims: { iat, exp }, target }) => limitLifetime(Number(exp) - Number(iat), rule.mostSeconds, target.label),
  matchAudience,
  matchSubject,
  ({ rule, claims, target }) => findFirst(rule.claims.map((condition) => (): Cause | undefined => matchClaim(condition, claims, target)), undefined),
];

function matchIssuer({ rule: { issuer: expected }, claims: { iss }, target }: Ruled): Cause | undefined {
  if (expected === undefined) return undefined;
  const strip = (text: string): string => (target.ignoresTrailingSlash ? text.replace(/\/$/, '') : text);
  const difference = describeDifference(strip(expected), strip(String(iss)));
  return difference === undefined ? undefined : mismatch(target, 'issuer', expected, iss, difference, [`set the issuer to exactly ${String(iss)}`]);
}

function matchUploadedKeys({ rule: { uploadedKids }, header: { kid }, claims: { iss }, target: { label, console } }: Ruled): Cause | undefined {
  if (uploadedKids === undefined || uploadedKids.includes(String(kid))) return undefined;
  return {
    sentence: `the token is signed with the key ${show(kid)}, and the JWKS uploaded at ${label} holds ${listKids(uploadedKids)}: uploaded keys do not follow the issuer's rotations`,
    hints: [`choose discovery there in place of the uploaded JWKS: ${console}`, `or upload ${String(iss)}/oauth/jwks anew, now and at each change of keys`],
  };
}

/** What is to be known of uploaded keys that fit today; undefined if there are none, or they are what the issuer serves. */
export function compareUploadedKeys({ uploadedKids }: Rule, served: readonly string[]): string | undefined {
  if (uploadedKids === undefined) return undefined;
  const [lacking, dropped] = [served.filter((kid) => !uploadedKids.includes(kid)), uploadedKids.filter((kid) => !served.includes(kid))];
  const parts = [
    ...(lacking.length === 0 ? [] : [`lacks ${listKids(lacking)}, which the issuer serves and will sign with`]),
    ...(dropped.length === 0 ? [] : [`still trusts ${listKids(dropped)}, which the issuer no longer serves`]),
  ];
  return `uploaded keys do not follow the issuer's rotations: choose discovery${parts.length === 0 ? '' : `; the uploaded JWKS ${parts.join(', and ')}`}`;
}

function listKids(kids: readonly string[]): string {
  return kids.length === 0 ? 'no key' : kids.map((kid) => show(kid)).join(', ');
}

function matchAudience({ rule, claims: { aud }, target }: Ruled): Cause | undefined {
  const found = (Array.isArray(aud) ? aud : [aud]).map(String);
  const fallback = target.defaultAudience;
  const expected = rule.audiences.length > 0 ? rule.audiences : fallback === undefined || !rule.isWhole ? [] : [fallback];
  if (expected.length === 0) {
    if (target.name !== 'vault' || !rule.isWhole) return undefined;
    return { sentence: `the token has the audience ${show(aud)}, and the role binds none: Vault refuses that`, hints: [`vault write auth/jwt/role/<role> bound_audiences=${found[0] ?? ''} ...`] };
  }
  if (found.some((one) => expected.includes(one))) return undefined;
  const [first = ''] = expected;
  const difference = describeDifference(first, found[0] ?? '') ?? '';
  if (rule.audiences.length > 0 || fallback === undefined) {
    return mismatch(target, 'audience', expected.join('" or "'), found[0], difference, [`have the rule expect exactly ${found[0] ?? ''}`, `or record the rule's: vouch setup ${target.name} --audience ${first} --force (with the other values)`]);
  }
  const where = rule.condition === undefined ? 'the rule names no audience' : 'in CEL mode the audience field is hidden';
  return {
    sentence: `${where}, so ${target.label} expects "${fallback}", and the token has ${show(found[0])}`,
    hints: [`mint for that audience: vouch setup ${target.name} --audience ${fallback} --force (with the other values), once an admin of the issuer has registered it`, `or, in Pattern match mode, set Expected audience to ${found[0] ?? ''}`],
  };
}

function matchSubject({ rule: { subject: pattern }, claims, target }: Ruled): Cause | undefined {
  if (pattern === undefined) return undefined;
  const sub = String(claims['sub']);
  if (target.wildcard === 'anywhere' ? isLike(sub, pattern) : target.wildcard === 'trailing' && pattern.endsWith('*') ? sub.startsWith(pattern.slice(0, -1)) : sub === pattern) return undefined;
  const hints = [`set the subject to exactly ${sub}`, ...(typeof claims['hd'] === 'string' ? [`for everybody of ${claims['hd']}: leave the subject out and demand the claim hd = ${claims['hd']}`] : [])];
  if (pattern.startsWith('*') && target.wildcard !== 'anywhere') {
    return { sentence: `the subject pattern ${show(pattern)} does not match ${show(sub)}: ${target.wildcard === 'trailing' ? 'only a * at the end stands for anything' : 'a * has no meaning here'}, so this is not "ends with"`, hints: hints.toReversed() };
  }
  const isPrefix = target.wildcard === 'trailing' && pattern.endsWith('*');
  const difference = describeDifference(isPrefix ? pattern.slice(0, -1) : pattern, isPrefix ? sub.slice(0, pattern.length - 1) : sub) ?? '';
  return mismatch(target, 'subject', pattern, sub, difference, hints);
}

function matchClaim({ name, expected, operator }: ClaimCondition, claims: Claims, target: Target): Cause | undefined {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  if (value === undefined) {
    return { sentence: `the rule demands the claim ${name} = "${expected}", and the token has no ${name}`, hints: name === 'hd' ? ["hd is there only for accounts of a hosted domain: the issuer's VOUCH_HOSTED_DOMAINS must list yours"] : [`the token has: ${Object.keys(claims).join(', ')}`] };
  }
  if (typeof value === 'object') return { sentence: `the claim ${name} is a list or an object, and ${target.label} compares texts only`, hints: ['choose another claim'] };
  const found = typeof value === 'string' ? value : JSON.stringify(value);
  if (typeof value !== 'string' && target.otherClaims === 'never') {
    const sentence = `the claim ${name} is the ${typeof value} ${found}, and ${target.label} compares claims as texts: "${expected}" never equals it`;
    return { sentence, hints: [target.name === 'anthropic' ? `leave it out, or use CEL expression mode (claims.${name} == ${found}) and mint for ${target.defaultAudience ?? ''}` : 'leave it out'] };
  }
  if (operator === 'like' ? isLike(found, expected) : found === expected) return undefined;
  return mismatch(target, `claim ${name}`, expected, found, describeDifference(expected, found) ?? '', [`demand exactly ${found}`]);
}

/** IAM's StringLike: `*` is any text, `?` any one character. */
function isLike(text: string, pattern: string): boolean {
  const source = Array.from(pattern, (character) => (character === '*' ? '.*' : character === '?' ? '.' : character.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))).join('');
  return new RegExp(`^${source}$`, 'su').test(text);
}

function mismatch(target: Target, what: string, expected: string, found: unknown, difference: string, hints: readonly string[]): Cause {
  return { sentence: `the rule expects the ${what} "${expected}", and the token has ${show(found)}: ${difference}`, hints: [...hints, `where: ${target.console}`] };
}

function show(value: unknown): string {
  return value === undefined ? 'none' : JSON.stringify(value);
}

function findFirst<T>(clauses: readonly Clause<T>[], input: T): Cause | undefined {
  for (const clause of clauses) {
    const cause = clause(input);
    if (cause !== undefined) return cause;
  }
  return undefined;
}
