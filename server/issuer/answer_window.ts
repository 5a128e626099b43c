import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Accounts } from '../accounts/accounts.ts';
import type { Clients } from '../clients/clients.ts';
import { hashValue } from '../crypto/digest.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import { GRANT_TYPE } from '../oauth2/vocabulary.ts';
import type { Artifact, DurableArtifactStore } from '../storage/storage.ts';
import { toProtocolError } from './failure.ts';
import { peekForm } from './peeked_form.ts';
import { demandProof, type Proofs } from './proof.ts';
import { ROUTES } from './routes.ts';

/*
 * Refresh tokens rotate, and one that comes a second time ends its session (RFC 9700 4.14.2); so does a device code.
 * Processes that share a session refresh at the same time, and answers get lost on the way: so for a short while whoever
 * shows the same value gets the answer that the first one got. The answer is kept sealed under a key that is made of the
 * value itself, of which only the hash is kept: nobody but its holder can open it.
 */

/** What is used once and gives tokens for it. An authorization code is not here: RFC 6749 4.1.2 has a second use refused. */
interface Kind {
  readonly name: 'refresh_token' | 'device_code';
  readonly grantType: string;
  readonly model: 'RefreshToken' | 'DeviceCode';
  /** Where answers are kept. */
  readonly answers: string;
  /** What this request has used, in the library's own record of it. */
  readonly used: 'RotatedRefreshToken' | 'DeviceCode';
}

const KINDS: readonly Kind[] = [
  { name: 'refresh_token', grantType: GRANT_TYPE.refreshToken, model: 'RefreshToken', answers: 'RefreshAnswer', used: 'RotatedRefreshToken' },
  { name: 'device_code', grantType: GRANT_TYPE.deviceCode, model: 'DeviceCode', answers: 'DeviceAnswer', used: 'DeviceCode' },
];

/** How long after its first use it still gets the same answer. */
export const ANSWER_WINDOW_SECONDS = 30;
/** How long the answer of another request is waited for, which is under way or died. */
const WAIT_MS = 5_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;

export interface AnswerWindowOptions {
  readonly durable: DurableArtifactStore;
  readonly clients: Pick<Clients, 'find'>;
  readonly accounts: Pick<Accounts, 'find'>;
  readonly issuer: string;
  readonly proofs: Proofs;
  readonly clock: Clock;
  /** Those that this process is answering now, by the hash of what is shown. */
  readonly underWay: Map<string, Promise<unknown>>;
  readonly noteRefusal: (ctx: KoaContextWithOIDC, refusal: { event: string; clientId: string | undefined; code: string; reason: string | undefined }) => void;
}

type Body = Record<string, unknown> & { expires_in?: number };
type Next = () => Promise<unknown>;

/** Whether what was used at `consumedAt` gets the same answer still. */
export function isInAnswerWindow(consumedAt: Date, clock: Clock): boolean {
  return addSeconds(consumedAt, ANSWER_WINDOW_SECONDS) > clock.now();
}

export function answerOnce(options: AnswerWindowOptions) {
  const { underWay } = options;
  return async (ctx: KoaContextWithOIDC, next: Next): Promise<void> => {
    const presented = ctx.path === ROUTES.token && ctx.method === 'POST' ? await peekUse(ctx) : undefined;
    if (presented === undefined) {
      await next();
      return;
    }
    // Of those in this process one asks; the others find what it left.
    while (underWay.has(presented.hash)) await underWay.get(presented.hash);
    const turn = answer(ctx, next, presented, options);
    const settled = turn.then(() => undefined, () => undefined);
    underWay.set(presented.hash, settled);
    try {
      await turn;
    } catch (error) {
      refuse(ctx, toProtocolError(error), presented, options);
    } finally {
      underWay.delete(presented.hash);
    }
  };
}

interface Presented {
  readonly kind: Kind;
  /** The refresh token, or the device code. */
  readonly value: string;
  readonly hash: string;
  readonly clientId: string | null;
}

/** Undefined for what is no plain request of a public client: that is the library's alone. */
async function peekUse({ req }: KoaContextWithOIDC): Promise<Presented | undefined> {
  const form = await peekForm(req, 'grant_type=');
  if (form === undefined) return undefined;
  form.giveBack();
  const parameters = new URLSearchParams(form.text);
  const kind = KINDS.find(({ grantType }) => grantType === parameters.get('grant_type'));
  const [value, ...more] = kind === undefined ? [] : parameters.getAll(kind.name);
  if (kind === undefined || value === undefined || value === '' || more.length > 0) return undefined;
  return { kind, value, hash: hashValue(value), clientId: parameters.get('client_id') };
}

async function answer(ctx: KoaContextWithOIDC, next: Next, presented: Presented, options: AnswerWindowOptions): Promise<void> {
  const { durable, clock } = options;
  const { kind: { model }, hash } = presented;
  const proven = await readProof(ctx, options);
  const kept = await durable.find(model, hash);
  if (kept?.consumedAt !== undefined && isInAnswerWindow(kept.consumedAt, clock)) {
    if (!isDenied(kept) && (await repeat(ctx, presented, kept, proven, options))) return;
    // Whoever used it has given no answer and never will, or said no: it is as good as new.
    await durable.release(model, hash, kept.consumedAt);
  }
  await answerFirst(ctx, next, presented, proven, options);
}

/** Whether it is a device code that a person has said no to: there is nothing to give, and no harm in saying so again. */
function isDenied({ payload }: Artifact): boolean {
  return payload.error !== undefined;
}

/** Lets the library answer, and keeps what it says for those who come with the same value. */
async function answerFirst(ctx: KoaContextWithOIDC, next: Next, presented: Presented, proven: string | undefined, options: AnswerWindowOptions): Promise<void> {
  const { durable, clock } = options;
  const { kind: { model }, hash } = presented;
  let isAnswered = false;
  try {
    await next();
    isAnswered = ctx.status === 200 && typeof (ctx.body as Body | undefined)?.access_token === 'string';
    if (isAnswered) await keepAnswer(ctx, presented, proven, options);
  } catch (error) {
    isAnswered = false;
    throw error;
  } finally {
    // It was used and its holder gets nothing for it (a record that could not be written): they come again.
    if (!isAnswered && hasUsed(ctx, presented)) {
      const used = await durable.find(model, hash).catch(() => undefined);
      if (used?.consumedAt !== undefined) await durable.release(model, hash, used.consumedAt).catch(() => false);
    }
  }
  if (isAnswered || hasUsed(ctx, presented) || (ctx.body as Body | undefined)?.error !== 'invalid_grant') return;
  // Another instance was faster, between this one's look and the library's.
  const used = await durable.find(model, hash);
  if (used?.consumedAt === undefined || !isInAnswerWindow(used.consumedAt, clock) || isDenied(used)) return;
  if (!(await repeat(ctx, presented, used, proven, options))) throw retryLater();
}

/** Whether this very request used it. */
function hasUsed({ oidc }: { oidc?: KoaContextWithOIDC['oidc'] }, { kind: { used } }: Presented): boolean {
  return oidc?.entities[used] !== undefined;
}

async function keepAnswer(ctx: KoaContextWithOIDC, { kind: { answers }, value, hash }: Presented, proven: string | undefined, { durable, clock }: AnswerWindowOptions): Promise<void> {
  const now = clock.now();
  const sealed = seal(value, hash, { at: now.getTime(), body: ctx.body as Body });
  const payload = { sealed, ...(proven === undefined ? {} : { jkt: proven }) };
  if (await durable.add(answers, hash, { payload, grantId: ctx.oidc.entities.Grant?.jti }, addSeconds(now, ANSWER_WINDOW_SECONDS))) return;
  // Another instance took this one for dead and answered in its place: all get what it said.
  const other = await durable.find(answers, hash);
  if (other !== undefined) ctx.body = open(value, hash, other, clock);
}

/** Gives the answer that the first one got, once it is there. False when it does not come. */
async function repeat(ctx: KoaContextWithOIDC, presented: Presented, { payload }: Artifact, proven: string | undefined, options: AnswerWindowOptions): Promise<boolean> {
  const { durable, clients, accounts, clock } = options;
  const { kind, value, hash } = presented;
  const { clientId, grantId, accountId, jkt } = payload as Partial<Record<string, string>>; // as oidc-provider wrote it
  const client = clientId !== undefined && clientId === presented.clientId ? await clients.find(clientId) : undefined;
  // One that authenticates is alone with its token: it has no need of this, and the library refuses it in its own words.
  if (client?.token_endpoint_auth_method !== 'none') throw new errors.InvalidGrant(`the ${nameIn(kind)} was used before, or is of another client`);
  if (jkt !== undefined) checkBinding(ctx, kind, jkt, proven, options);
  const requireSession = async () => {
    const [grant, account] = await Promise.all([durable.find('Grant', hashValue(grantId ?? '')), accounts.find(accountId ?? '')]);
    if (grant === undefined || account === undefined) throw new errors.InvalidGrant('the session has ended');
  };
  // Before, since nobody waits for what will not come; and after, since it may end meanwhile.
  await requireSession();
  const answered = await waitForAnswer(kind.answers, hash, durable);
  if (answered === undefined) return false;
  // A device code itself is bound to no key; what it gave is, to the key that was proven with its first use.
  if (typeof answered.payload.jkt === 'string') checkBinding(ctx, kind, answered.payload.jkt, proven, options);
  await requireSession();
  send(ctx, 200, open(value, hash, answered, clock));
  return true;
}

function nameIn({ name }: Kind): string {
  return name.replace('_', ' ');
}

/** The thumbprint of the key that the request proves; undefined where it carries no proof, or one without a nonce of ours, which the library asks for. */
async function readProof(ctx: KoaContextWithOIDC, { proofs, issuer }: AnswerWindowOptions): Promise<string | undefined> {
  try {
    return await demandProof(ctx.req, issuer, proofs)?.();
  } catch (error) {
    if (error instanceof errors.UseDpopNonce) return undefined;
    throw error;
  }
}

function checkBinding(ctx: KoaContextWithOIDC, kind: Kind, jkt: string, proven: string | undefined, { proofs }: AnswerWindowOptions): void {
  if (proven === jkt) return;
  if (proven !== undefined) throw new errors.InvalidGrant(`the ${nameIn(kind)} is bound to another key (DPoP)`);
  if (ctx.get('DPoP') === '') throw new errors.InvalidGrant(`the ${nameIn(kind)} is bound to a key (DPoP), of which there is no proof`);
  ctx.set('DPoP-Nonce', proofs.nextNonce());
  throw new errors.UseDpopNonce('put the nonce of the DPoP-Nonce header into the proof');
}

async function waitForAnswer(answers: string, hash: string, durable: DurableArtifactStore): Promise<Artifact | undefined> {
  const endsAt = performance.now() + WAIT_MS;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    const found = await durable.find(answers, hash);
    if (found !== undefined || performance.now() > endsAt) return found;
    await sleep(pauseMs);
  }
}

function retryLater(): Error {
  return Object.assign(new errors.CustomOIDCProviderError('temporarily_unavailable', 'Another request is getting the answer to this one. Try again in a moment.'), { status: 503, statusCode: 503, expose: true });
}

/** Here and not where the library refuses: koa's own answer to an error would be a page. */
function refuse(ctx: KoaContextWithOIDC, error: unknown, { kind, clientId }: Presented, { noteRefusal }: AnswerWindowOptions): void {
  if (!(error instanceof errors.OIDCProviderError)) throw error;
  const { error: code, error_detail: detail, error_description: description } = error;
  noteRefusal(ctx, { event: kind.name, clientId: clientId ?? undefined, code, reason: detail ?? description });
  send(ctx, error.statusCode, { error: code, error_description: detail ?? description });
}

function send(ctx: KoaContextWithOIDC, status: number, body: Body): void {
  ctx.status = status;
  ctx.set('Cache-Control', 'no-store');
  ctx.body = body;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;

function deriveKey(token: string): Buffer {
  return Buffer.from(hkdfSync('sha256', token, '', 'vouch refresh answer', 32));
}

function seal(token: string, hash: string, answered: { at: number; body: Body }): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', deriveKey(token), iv).setAAD(Buffer.from(hash));
  return Buffer.concat([iv, cipher.update(JSON.stringify(answered)), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** What was answered, its lifetimes counted from now. */
function open(token: string, hash: string, { payload }: Artifact, clock: Clock): Body {
  const sealed = Buffer.from(payload.sealed as string, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', deriveKey(token), sealed.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(hash)).setAuthTag(sealed.subarray(-TAG_BYTES));
  const text = Buffer.concat([decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString();
  const { at, body } = JSON.parse(text) as { at: number; body: Body };
  const passed = Math.max(0, Math.ceil((clock.now().getTime() - at) / 1000));
  const shorten = (name: string) => (typeof body[name] === 'number' ? { [name]: Math.max(0, body[name] - passed) } : {});
  return { ...body, ...shorten('expires_in'), ...shorten('refresh_token_expires_in') };
}
