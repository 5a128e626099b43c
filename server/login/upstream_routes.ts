import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Identities, Identity } from '../accounts/accounts.ts';
import { hashValue } from '../crypto/digest.ts';
import type { Interaction } from '../issuer/issuer.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { WaysIn } from '../storage/storage.ts';
import type { AccountNotice, AccountOptions, Pages } from '../views/views.ts';
import type { Owner, Owners } from './account_owner.ts';
import type { Purpose, UpstreamAnswer, UpstreamVisits } from './upstream_visits.ts';
import { ACCOUNT_PATH, goTo, type Handler, type Wrappers } from './wrappers.ts';

export interface UpstreamRouteOptions {
  readonly issuer: string;
  readonly pages: Pages;
  readonly owners: Owners;
  readonly identities: Identities;
  readonly visits: UpstreamVisits;
  readonly ways: WaysIn;
  readonly findInteraction: (ctx: Parameters<Handler>[0]) => Promise<Interaction>;
  readonly events: {
    onAccountChanged(change: { accountId: string; what: AccountNotice }): void;
    onTrouble(trouble: { route: string; code: string; error: unknown }): void;
  };
}

const COOKIE_SECONDS = 600;

/** Where an upstream sends the browser back to. One for each, so that an answer says by its address whose it is. */
export function callbackPath(id: string): string {
  return `/login/upstream/${id}/callback`;
}

export function addUpstreamRoutes(router: Router, { page, form }: Wrappers, options: UpstreamRouteOptions): void {
  const { issuer, owners, identities, visits, ways, findInteraction, events } = options;
  const send = createSender(options);

  router.post('/login/:uid/upstream/:id', form(async (ctx) => {
    const { uid, wantsFreshSignIn } = await findInteraction(ctx);
    await send(ctx, { kind: 'sign_in', uid }, wantsFreshSignIn);
  }));

  router.post(`${ACCOUNT_PATH}/link/:id`, form(async (ctx) => {
    const { account, session } = await owners.requireFresh(ctx);
    await send(ctx, { kind: 'link', accountId: account.id, sessionUid: session.uid }, false);
  }));

  router.get(callbackPath(':id'), page(async (ctx) => {
    const { purpose, outcome } = await visits.finish(String(ctx.params.id), ctx.search, ctx.cookies.get(cookieName(issuer)));
    // Said here too, where its cause is known.
    if (outcome instanceof Refused) events.onTrouble({ route: String(ctx._matchedRoute), code: outcome.code, error: outcome });
    if (purpose.kind === 'link') {
      await finishLink(ctx, purpose, outcome);
      return;
    }
    // The sign-in goes on where its own cookie is seen: nobody else's browser can go on with it.
    await visits.keep(purpose.uid, outcome);
    goTo(ctx, `/login/${purpose.uid}`);
  }));

  const finishLink = async (ctx: Context, { accountId, sessionUid }: Purpose & { kind: 'link' }, outcome: UpstreamAnswer | Refused) => {
    if (outcome instanceof Refused) throw outcome;
    const { account, session } = await owners.requireFresh(ctx);
    if (account.id !== accountId || session.uid !== sessionUid) throw new NotFound('somebody else is signed in by now');
    await identities.link(accountId, outcome.person);
    events.onAccountChanged({ accountId, what: 'identity_linked' });
    goTo(ctx, `${ACCOUNT_PATH}?done=identity_linked`);
  };

  router.post(`${ACCOUNT_PATH}/identities/:key/unlink`, form(async (ctx) => {
    const { account } = await owners.requireFresh(ctx);
    const identity = (await identities.list(account.id)).find((candidate) => keyOf(candidate) === ctx.params.key);
    if (identity === undefined) throw new NotFound('the account has no such identity');
    await identities.unlink(account.id, identity.issuer, identity.subject, ways);
    events.onAccountChanged({ accountId: account.id, what: 'identity_unlinked' });
    goTo(ctx, `${ACCOUNT_PATH}?done=identity_unlinked`);
  }));
}

/** Sends a browser to the upstream that the address names, with a cookie by which it is known when it comes back. */
function createSender({ issuer, pages, visits }: UpstreamRouteOptions) {
  return async (ctx: Parameters<Handler>[0], purpose: Purpose, isFresh: boolean) => {
    const name = cookieName(issuer);
    const browserSecret = readSecret(ctx.cookies.get(name)) ?? visits.createBrowserSecret();
    const { url } = await visits.begin(String(ctx.params.id), purpose, { browserSecret, isFresh });
    // Written by hand: koa takes its view of `secure` from the connection, and the prefix is worth nothing without it.
    ctx.append('Set-Cookie', `${name}=${browserSecret}; Path=/; Max-Age=${COOKIE_SECONDS}; HttpOnly; SameSite=Lax${issuer.startsWith('https:') ? '; Secure' : ''}`);
    ctx.body = pages.renderContinuePage({ href: url });
  };
}

/** With `__Host-` no sister site can set it (RFC 6265bis 4.1.3.2). */
function cookieName(issuer: string): string {
  return issuer.startsWith('https:') ? '__Host-vouch_upstream' : 'vouch_upstream';
}

function readSecret(value: string | undefined): string | undefined {
  return value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : undefined;
}

/** What an account page says of upstreams. */
export function createIdentityDescriber({ identities, visits }: { identities: Identities; visits: UpstreamVisits }) {
  const names = new Map(visits.upstreams.map(({ config }) => [config.issuer, config.name]));
  return async ({ account }: Owner): Promise<Pick<AccountOptions, 'identities' | 'linkable'>> => {
    const own = await identities.list(account.id);
    return {
      identities: own.map((identity) => ({ key: keyOf(identity), upstream: names.get(identity.issuer) ?? identity.issuer, email: identity.email, linkedAt: identity.linkedAt, lastUsedAt: identity.lastUsedAt })),
      linkable: visits.upstreams.filter(({ config }) => !own.some(({ issuer }) => issuer === config.issuer)).map(({ config: { id, name } }) => ({ id, name })),
    };
  };
}

function keyOf({ issuer, subject }: Identity): string {
  return hashValue(`${issuer} ${subject}`);
}
