/*
 * Owns: what a person's browser sees: enrolment by invitation, sign-in, consent, their account page.
 * Never: issues a token; believes a browser about who it is.
 * Keeps true: a challenge is used once; whatever changes something comes from a page of ours.
 */
import Router from '@koa/router';
import type { Context } from 'koa';
import type { Accounts, Identities, Passkeys, Sessions } from '../accounts/accounts.ts';
import type { Clients } from '../clients/clients.ts';
import type { UpstreamConfig } from '../config/config.ts';
import { readJsonBody } from '../http/body.ts';
import type { Limiter } from '../http/limiter.ts';
import type { BrowserSessions, Interaction, Interactions, Issuer } from '../issuer/issuer.ts';
import type { Clock } from '../lib/clock.ts';
import { NotFound, Refused } from '../lib/errors.ts';
import type { TransientStore } from '../storage/storage.ts';
import type { AccountNotice, Assets, Pages } from '../views/views.ts';
import { addAccountApi } from './account_api.ts';
import { createOwners } from './account_owner.ts';
import { addAccountRoutes } from './account_routes.ts';
import { createAttestationTrust } from './attestation.ts';
import { findDeviceFault } from './device_policy.ts';
import { createEnrolment, type Enrolment } from './enrolment.ts';
import { createFailedSignIns, type FailedSignIns } from './failed_sign_ins.ts';
import { decideNextStep } from './next_step.ts';
import { createCeremonies } from './passkey.ts';
import { createPasskeyAdding } from './passkey_adding.ts';
import { addSessionRoutes, createSessionDescriber } from './session_routes.ts';
import { createSignIns, type SignedIn, type SignIns } from './sign_in.ts';
import { createUpstream } from './upstream.ts';
import { addUpstreamRoutes, callbackPath, createIdentityDescriber } from './upstream_routes.ts';
import { createUpstreamVisits, type UpstreamVisits, type Visited } from './upstream_visits.ts';
import { createWrappers, goTo, type Handler, type Wrappers } from './wrappers.ts';

export interface LoginOptions {
  readonly issuer: string;
  readonly accounts: Accounts;
  readonly passkeys: Passkeys;
  readonly identities: Identities;
  readonly sessions: Sessions;
  readonly clients: Clients;
  readonly upstreams: readonly UpstreamConfig[];
  readonly sessionSeconds: number;
  readonly trustedProxies: number;
  /** Hosted domains whose people may not sign in a device; `*` is everybody. */
  readonly deviceLoginForbidden: readonly string[];
  readonly interactions: Interactions;
  readonly browserSessions: BrowserSessions;
  readonly verifyPerson: Issuer['verifyPerson'];
  /** Certificates, in PEM, of makers whose attestation is believed to show a key in hardware. */
  readonly attestationRoots: readonly string[];
  readonly transient: TransientStore;
  readonly limiter: Pick<Limiter, 'count' | 'findWait'>;
  readonly pages: Pages;
  readonly assets: Assets;
  readonly clock: Clock;
  readonly events: LoginEvents;
}

/** A device that was signed in, or not: its own words, and where it asked from. */
export interface DeviceNote {
  readonly name: string | null;
  readonly os: string | null;
  readonly ip: string | null;
}

export interface LoginEvents {
  /** `by`: `passkey`, or an upstream's id. */
  onSignedIn(who: { accountId: string; clientId: string; by: string; device?: DeviceNote }): void;
  /** Somebody may not sign in a device, by the policy of their domain. */
  onDeviceRefused(who: { accountId: string; clientId: string; reason: string; device: DeviceNote }): void;
  /** An upstream brought somebody new. */
  onProvisioned(who: { accountId: string; by: string }): void;
  onEnrolled(who: { accountId: string; role: string }): void;
  /** Somebody changed how they get in. */
  onAccountChanged(change: { accountId: string; what: AccountNotice }): void;
  /** A refusal or a failure; `error` is not for the browser. */
  onTrouble(trouble: { route: string; code: string; error: unknown }): void;
}

export function createLogin(options: LoginOptions): Router {
  const ceremonies = createCeremonies(options.issuer, createAttestationTrust(options.attestationRoots));
  const enrolment = createEnrolment({ ...options, ceremonies });
  const failedSignIns = createFailedSignIns(options.limiter);
  const signIns = createSignIns({ ...options, ceremonies, failedSignIns });
  const router = new Router();
  const wrappers = createWrappers(options);
  const owners = createOwners(options);
  const upstreams = options.upstreams.map((config) => createUpstream(config, { redirectUri: options.issuer + callbackPath(config.id), clock: options.clock }));
  const visits = createUpstreamVisits({ ...options, upstreams });
  const ways = { issuers: options.upstreams.map(({ issuer }) => issuer) };
  const findInteraction = createInteractionFinder(options);
  const onChanged = (change: { accountId: string; what: AccountNotice }) => {
    options.events.onAccountChanged(change);
  };
  addAssetRoutes(router, options.assets);
  addEnrolmentRoutes(router, wrappers, options, enrolment);
  addAccountRoutes(router, wrappers, {
    ...options, owners, ways, adding: createPasskeyAdding({ ...options, ceremonies }), describeIdentities: createIdentityDescriber({ ...options, visits }),
    describeSessions: createSessionDescriber(options),
    onChanged,
  });
  addAccountApi(router, { ...options, ways, onChanged });
  addSessionRoutes(router, wrappers, { ...options, owners, onChanged });
  addUpstreamRoutes(router, wrappers, { ...options, owners, visits, ways, findInteraction });
  addSignInRoutes(router, wrappers, options, { signIns, failedSignIns, visits, findInteraction });
  return router;
}

function addAssetRoutes(router: Router, assets: Assets): void {
  router.get('/login/assets/:file', (ctx) => {
    const asset = assets.find(ctx.path);
    if (asset === undefined) return;
    // The path names the content, so it can be kept for ever.
    ctx.set({ 'Content-Type': asset.contentType, 'Cache-Control': 'public, max-age=31536000, immutable', ETag: asset.etag, 'X-Content-Type-Options': 'nosniff' });
    ctx.body = asset.body;
  });
}

const TOKEN = '/login/enrol/:token';

function addEnrolmentRoutes(router: Router, { page, action }: Pick<Wrappers, 'page' | 'action'>, { accounts, pages, issuer, events }: LoginOptions, enrolment: Enrolment): void {
  const tokenOf = (ctx: Parameters<Handler>[0]) => String(ctx.params.token);
  router.get(TOKEN, page(async (ctx) => {
    // Looking at the link does not use it: mail scanners look too.
    const token = tokenOf(ctx);
    const invitation = await accounts.findInvitation(token);
    if (invitation !== undefined) {
      ctx.body = pages.renderEnrolPage({ token, issuer, email: invitation.email });
      return;
    }
    ctx.status = 410;
    ctx.body = pages.renderInvitationUsedPage();
  }));
  router.post(`${TOKEN}/options`, action(async (ctx) => {
    const { email, name } = await readJsonBody(ctx.req);
    ctx.body = await enrolment.begin(tokenOf(ctx), { email: typeof email === 'string' ? email : '', name: typeof name === 'string' ? name : '' });
  }));
  router.post(`${TOKEN}/verify`, action(async (ctx) => {
    const { response } = await readJsonBody(ctx.req);
    const account = await enrolment.finish(tokenOf(ctx), response);
    events.onEnrolled({ accountId: account.id, role: account.role });
    ctx.body = { redirect: `/login/enrol/${encodeURIComponent(tokenOf(ctx))}/done` };
  }));
  router.get(`${TOKEN}/done`, page(async (ctx) => {
    const account = await accounts.findInvitee(tokenOf(ctx));
    if (account === undefined) throw new NotFound('nobody came in by this link');
    ctx.body = pages.renderEnrolledPage({ email: account.email, name: account.name, issuer });
  }));
}

const UID = '/login/:uid';

type FindInteraction = (ctx: Parameters<Handler>[0]) => Promise<Interaction>;

function createInteractionFinder({ interactions }: LoginOptions): FindInteraction {
  return async (ctx) => {
    const interaction = await interactions.find(ctx.req, ctx.res);
    if (interaction.uid !== ctx.params.uid) throw new NotFound('another sign-in is under way in this browser');
    return interaction;
  };
}

interface Steps {
  readonly signIns: SignIns;
  readonly failedSignIns: FailedSignIns;
  readonly visits: UpstreamVisits;
  readonly findInteraction: FindInteraction;
}

function addSignInRoutes(router: Router, { page, action, form }: Wrappers, options: LoginOptions, { signIns, failedSignIns, visits, findInteraction }: Steps): void {
  const { interactions, pages } = options;
  // Not a redirect: Chromium would apply this page's form-action to all that follow, and those end at the client.
  const goOn = (ctx: Context, href: string) => {
    ctx.body = pages.renderContinuePage({ href });
  };
  router.get(UID, page(async (ctx) => {
    const interaction = await findInteraction(ctx);
    await takeStep(ctx, interaction, await visits.take(interaction.uid), { ...options, failedSignIns });
  }));
  router.post(`${UID}/options`, action(async (ctx) => {
    ctx.body = await signIns.begin(await findInteraction(ctx));
  }));
  router.post(`${UID}/verify`, action(async (ctx) => {
    const interaction = await findInteraction(ctx);
    const { response } = await readJsonBody(ctx.req);
    const signedIn = await signIns.finish(interaction, response);
    ctx.body = { redirect: await finishSignIn(ctx, interaction, signedIn, 'passkey', options) };
  }));
  router.post(`${UID}/consent`, form(async (ctx) => {
    await findInteraction(ctx);
    goOn(ctx, await interactions.finishConsent(ctx.req, ctx.res));
  }));
  router.post(`${UID}/abort`, form(async (ctx) => {
    await findInteraction(ctx);
    goOn(ctx, await interactions.abort(ctx.req, ctx.res));
  }));
}

interface StepOptions extends LoginOptions {
  readonly failedSignIns: FailedSignIns;
}

async function takeStep(ctx: Context, interaction: Interaction, visited: Visited['outcome'] | undefined, options: StepOptions): Promise<void> {
  const { accounts, pages, issuer, upstreams } = options;
  const { uid, client, prompt, scopes, redirectUri, accountId } = interaction;
  const account = accountId === undefined ? undefined : await accounts.find(accountId);
  switch (decideNextStep({ prompt, isSignedIn: account !== undefined, hasVisited: visited !== undefined })) {
    case 'ask_who':
      ctx.body = pages.renderSignInPage({ uid, clientName: client.name, isCli: client.isNative, isOwn: client.isOwn, asksToAdminister: interaction.asksToAdminister, issuer, upstreams, device: interaction.device });
      return;
    case 'hear_upstream':
      await hearUpstream(ctx, interaction, visited, options);
      return;
    case 'ask_consent':
      ctx.body = pages.renderConsentPage({ uid, clientName: client.name, email: account?.email ?? '', scopes, redirectHost: redirectUri === undefined ? '' : new URL(redirectUri).host });
      return;
    case 'refuse':
      throw new Refused('unsupported_prompt', 'The application asked for something that this issuer does not do.');
  }
}

async function hearUpstream(ctx: Context, interaction: Interaction, visited: Visited['outcome'] | undefined, options: StepOptions): Promise<void> {
  if (visited === undefined || visited instanceof Refused) throw visited ?? new NotFound('the answer of the upstream is gone');
  const { upstreamId: by, person, witness } = visited;
  const { account, isNew } = await options.failedSignIns.admit(person, () => options.identities.signIn(person));
  if (isNew) options.events.onProvisioned({ accountId: account.id, by });
  goTo(ctx, await finishSignIn(ctx, interaction, { accountId: account.id, ...witness }, by, options));
}

/** Gives where the browser goes on: with a sign-in, or with the refusal of a device that this person may not sign in. */
async function finishSignIn({ req, res }: Context, { client, device: asker }: Interaction, signedIn: SignedIn, by: string, { accounts, deviceLoginForbidden, interactions, events }: LoginOptions): Promise<string> {
  const { accountId } = signedIn;
  if (asker === undefined) {
    events.onSignedIn({ accountId, clientId: client.id, by });
    return interactions.finishSignIn(req, res, signedIn);
  }
  const device = { name: asker.name ?? null, os: asker.os ?? null, ip: asker.address ?? null };
  const reason = findDeviceFault((await accounts.find(accountId))?.hostedDomain, deviceLoginForbidden);
  if (reason !== undefined) {
    events.onDeviceRefused({ accountId, clientId: client.id, reason, device });
    return interactions.refuse(req, res, reason);
  }
  events.onSignedIn({ accountId, clientId: client.id, by, device });
  return interactions.finishSignIn(req, res, signedIn);
}
