import type Router from '@koa/router';
import { z } from 'zod';
import type { Passkey, Passkeys } from '../accounts/accounts.ts';
import { CLI_CLIENT_ID } from '../clients/clients.ts';
import { readJsonBody } from '../http/body.ts';
import type { Bearer, Issuer } from '../issuer/issuer.ts';
import { toUnixSeconds, type Clock } from '../lib/clock.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { WaysIn } from '../storage/storage.ts';
import type { AccountNotice } from '../views/views.ts';
import { FRESH_SECONDS } from './account_owner.ts';
import { describeFailure } from './failure.ts';
import { findModel } from './models.ts';
import { isCredentialId } from './passkey.ts';
import { ACCOUNT_PATH, type Handler } from './wrappers.ts';

export interface AccountApiOptions {
  readonly verifyPerson: Issuer['verifyPerson'];
  readonly passkeys: Passkeys;
  readonly ways: WaysIn;
  readonly clock: Clock;
  readonly onChanged: (change: { accountId: string; what: AccountNotice }) => void;
  readonly events: { onTrouble(trouble: { route: string; code: string; error: unknown }): void };
}

type Owned = (ctx: Parameters<Handler>[0], owner: Bearer) => Promise<object>;

const PASSKEYS = `${ACCOUNT_PATH}/api/v1/passkeys`;

const passkey = z.string({ error: 'passkey is required: the id of one that is listed' }).refine(isCredentialId, { error: 'passkey is the id of one that is listed' });
const passkeyBody = z.strictObject({ passkey });
const renameBody = passkeyBody.extend({ name: z.string({ error: 'name is required' }) });

/**
 * A person's passkeys from their terminal: with the access token of our own command line's session, and, where it changes how
 * one gets in, of a sign-in of the last ten minutes, as on the account page. No other client's token will do: it was not given
 * for that.
 */
export function addAccountApi(router: Router, options: AccountApiOptions): void {
  const { passkeys, ways, onChanged } = options;
  router.get(PASSKEYS, answer(options, { isFresh: false }, async (_ctx, { account }) => ({ passkeys: (await passkeys.list(account.id)).map(present) })));
  router.post(`${PASSKEYS}/rename`, answer(options, { isFresh: true }, async (ctx, { account }) => {
    const body = check(renameBody, await readJsonBody(ctx.req));
    await passkeys.rename(account.id, body.passkey, body.name);
    onChanged({ accountId: account.id, what: 'passkey_renamed' });
    return { renamed: body.passkey };
  }));
  router.post(`${PASSKEYS}/remove`, answer(options, { isFresh: true }, async (ctx, { account }) => {
    const body = check(passkeyBody, await readJsonBody(ctx.req));
    await passkeys.remove(account.id, body.passkey, ways);
    onChanged({ accountId: account.id, what: 'passkey_removed' });
    return { removed: body.passkey };
  }));
}

/** Whoever asks is known before anything is read; trouble becomes JSON. */
function answer({ verifyPerson, clock, events }: AccountApiOptions, { isFresh }: { isFresh: boolean }, handle: Owned): Handler {
  return async (ctx) => {
    ctx.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    const refuse = (status: number, error: string, description: string, challenge = `Bearer error="${error}", error_description="${description}"`) => {
      if (status === 401) ctx.set('WWW-Authenticate', challenge);
      if (status === 503) ctx.set('Retry-After', '1');
      ctx.status = status;
      ctx.body = { error, error_description: description };
    };
    try {
      const owner = await verifyPerson(ctx.headers.authorization);
      if (owner === undefined) refuse(401, 'invalid_request', 'send the access token of a session of vouch as: Authorization: Bearer <token>', 'Bearer');
      else if (typeof owner === 'string') refuse(401, 'invalid_token', owner);
      else if (owner.subject.clientId !== CLI_CLIENT_ID) refuse(403, 'access_denied', 'the access token was given to another client, which may not see or change passkeys');
      else if (isFresh && toUnixSeconds(clock.now()) - (owner.subject.authTime ?? 0) >= FRESH_SECONDS) {
        const description = `this needs a sign-in of at most ${FRESH_SECONDS} s ago; sign in again`;
        refuse(401, 'insufficient_user_authentication', description, `Bearer error="insufficient_user_authentication", error_description="${description}", max_age="${FRESH_SECONDS}"`);
      } else ctx.body = await handle(ctx, owner);
    } catch (error) {
      const { status, code, message } = error instanceof NotFound ? { status: 404, code: 'not_found', message: error.message } : describeFailure(error);
      events.onTrouble({ route: String(ctx._matchedRoute ?? ctx.path), code, error });
      refuse(status, code, message);
    }
  };
}

function check<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Refused('invalid_request', parsed.error.issues.map(({ message }) => message).join('; '));
}

function present({ id, name, aaguid, keyStorage, isBackedUp, createdAt, lastUsedAt }: Passkey) {
  return { id, name, model: findModel(aaguid).name ?? null, key_storage: keyStorage, is_backed_up: isBackedUp, created_at: createdAt.toISOString(), last_used_at: lastUsedAt?.toISOString() ?? null };
}
