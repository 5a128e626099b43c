import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Passkey, Passkeys } from '../accounts/accounts.ts';
import { ACCOUNT_CLIENT_ID, ACCOUNT_RETURN_PATH } from '../clients/clients.ts';
import { createRandomValue, hashValue } from '../crypto/digest.ts';
import { readFormBody, readJsonBody } from '../http/body.ts';
import { ROUTES } from '../issuer/issuer.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { WaysIn } from '../storage/storage.ts';
import { isAccountNotice, type AccountNotice, type AccountOptions, type Pages, type PasskeyRow } from '../views/views.ts';
import type { Owner, Owners } from './account_owner.ts';
import { findModel } from './models.ts';
import { isCredentialId } from './passkey.ts';
import type { PasskeyAdding } from './passkey_adding.ts';
import { ACCOUNT_PATH, goTo, type Handler, type Wrappers } from './wrappers.ts';

export interface AccountRouteOptions {
  readonly issuer: string;
  readonly pages: Pages;
  readonly owners: Owners;
  readonly passkeys: Passkeys;
  readonly adding: PasskeyAdding;
  readonly ways: WaysIn;
  /** What the page says of upstreams. */
  readonly describeIdentities: (owner: Owner) => Promise<Pick<AccountOptions, 'identities' | 'linkable'>>;
  readonly describeSessions: (owner: Owner, request: IncomingMessage) => Promise<Pick<AccountOptions, 'sessions' | 'ended'>>;
  readonly onChanged: (change: { accountId: string; what: AccountNotice }) => void;
}

const PASSKEYS = `${ACCOUNT_PATH}/passkeys`;

/** /login/account: who you are, and how you get in. Everything here is for the browser's own session. */
export function addAccountRoutes(router: Router, wrappers: Wrappers, options: AccountRouteOptions): void {
  addVisitRoutes(router, wrappers, options);
  addPasskeyRoutes(router, wrappers, options);
}

function addVisitRoutes(router: Router, { page }: Wrappers, { issuer, pages, owners, passkeys, describeIdentities, describeSessions }: AccountRouteOptions): void {
  router.get(ACCOUNT_PATH, page(async (ctx) => {
    const owner = await owners.find(ctx);
    if (owner === undefined) {
      goTo(ctx, describeSignIn(issuer, {}));
      return;
    }
    const { account, isFresh } = owner;
    const { done } = ctx.query;
    ctx.body = pages.renderAccountPage({
      issuer, isFresh, name: account.name, email: account.email, notice: isAccountNotice(done) ? done : undefined,
      passkeys: (await passkeys.list(account.id)).map(describePasskey), ...(await describeIdentities(owner)), ...(await describeSessions(owner, ctx.req)),
    });
  }));
  router.get(`${ACCOUNT_PATH}/again`, page(async (ctx) => {
    goTo(ctx, describeSignIn(issuer, { prompt: 'login' }));
  }));
  // The code is left to expire: what is wanted is the session that the browser has now.
  router.get(ACCOUNT_RETURN_PATH, page(async (ctx) => {
    if (ctx.query.error === undefined) goTo(ctx, ACCOUNT_PATH);
    else ctx.body = pages.renderNotSignedInPage();
  }));
}

function addPasskeyRoutes(router: Router, { page, action, form }: Wrappers, { issuer, pages, owners, passkeys, adding, ways, onChanged }: AccountRouteOptions): void {
  const finish = ({ account }: Owner, what: AccountNotice) => {
    onChanged({ accountId: account.id, what });
    return `${ACCOUNT_PATH}?done=${what}`;
  };
  router.post(`${PASSKEYS}/options`, action(async (ctx) => {
    const { account, session } = await owners.requireFresh(ctx);
    ctx.body = await adding.begin(account, session);
  }));
  router.post(`${PASSKEYS}/verify`, action(async (ctx) => {
    const owner = await owners.requireFresh(ctx);
    const { response } = await readJsonBody(ctx.req);
    await adding.finish(owner.account, owner.session, response);
    ctx.body = { redirect: finish(owner, 'passkey_added') };
  }));
  router.get(`${PASSKEYS}/:id`, page(async (ctx) => {
    const owner = await owners.find(ctx);
    if (owner === undefined) {
      goTo(ctx, describeSignIn(issuer, {}));
      return;
    }
    const id = idOf(ctx);
    const passkey = (await passkeys.list(owner.account.id)).find((candidate) => candidate.id === id);
    if (passkey === undefined) throw new NotFound('the account has no such passkey');
    ctx.body = pages.renderPasskeyPage({ issuer, isFresh: owner.isFresh, passkey: describePasskey(passkey) });
  }));
  router.post(`${PASSKEYS}/:id/rename`, form(async (ctx) => {
    const owner = await owners.requireFresh(ctx);
    const fields = await readFormBody(ctx.req);
    await passkeys.rename(owner.account.id, idOf(ctx), fields.get('name') ?? '');
    goTo(ctx, finish(owner, 'passkey_renamed'));
  }));
  router.post(`${PASSKEYS}/:id/remove`, form(async (ctx) => {
    const owner = await owners.requireFresh(ctx);
    await passkeys.remove(owner.account.id, idOf(ctx), ways);
    goTo(ctx, finish(owner, 'passkey_removed'));
  }));
}

function idOf(ctx: Parameters<Handler>[0]): string {
  const { id } = ctx.params;
  if (id === undefined || !isCredentialId(id)) throw new Refused('invalid_request', 'There is no such passkey.');
  return id;
}

/** An authorization request of the account page's own. Its PKCE verifier is dropped, so that its code is worth nothing. */
function describeSignIn(issuer: string, { prompt }: { prompt?: 'login' }): string {
  const url = new URL(ROUTES.authorization, issuer);
  const parameters = {
    client_id: ACCOUNT_CLIENT_ID, response_type: 'code', scope: 'openid', redirect_uri: issuer + ACCOUNT_RETURN_PATH,
    code_challenge: hashValue(createRandomValue()), code_challenge_method: 'S256', ...(prompt === undefined ? {} : { prompt }),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

function describePasskey({ id, name, aaguid, keyStorage, deviceType, isBackedUp, attestationFormat, createdAt, lastUsedAt }: Passkey): PasskeyRow {
  const { name: model } = findModel(aaguid);
  return { id, name, model, aaguid, keyStorage, isSyncable: deviceType === 'multiDevice', isBackedUp, attestationFormat, createdAt, lastUsedAt };
}
