import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, importJWK, SignJWT, type JWK, type JWTPayload } from 'jose';
import { Provider, type Adapter, type AdapterPayload, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import { findFreePort } from './free_port.ts';

export interface UpstreamPersonOfTest {
  readonly sub: string;
  readonly [claim: string]: unknown;
}

/** An issuer that people sign in with: oidc-provider, whose sign-in page lets in whoever `person` says, without asking. */
export interface UpstreamIssuer {
  readonly url: string;
  /** Who signs in next; undefined says no. */
  person: UpstreamPersonOfTest | undefined;
  /** Bends the ID token that it gives; it stays signed by the issuer's own key. */
  bend: ((claims: JWTPayload) => JWTPayload) | undefined;
  /** Changes the text of the ID token, signature and all. */
  tamper: ((token: string) => string) | undefined;
  /** Takes the parameters of each authorization request, in order. */
  readonly asked: Record<string, string>[];
  /** How often each path was asked for. */
  readonly hits: Map<string, number>;
  /** What it answers while it is down: no answer at all, or 503. */
  outage: 'silent' | 'error' | undefined;
  close(): Promise<void>;
}

export interface UpstreamIssuerOptions {
  readonly redirectUri: string;
  /** Whether its ID tokens hold the claims, or userinfo alone. */
  readonly tellsInIdToken?: boolean;
  readonly port?: number;
}

export const UPSTREAM_CLIENT = { clientId: 'vouch', clientSecret: 'upstream-secret-upstream-secret' };

export async function startUpstreamIssuer({ redirectUri, tellsInIdToken = true, port }: UpstreamIssuerOptions): Promise<UpstreamIssuer> {
  const url = `http://localhost:${port ?? (await findFreePort())}`;
  const key: JWK = { ...(await exportJWK((await generateKeyPair('RS256', { extractable: true })).privateKey)), kid: 'upstream', alg: 'RS256', use: 'sig' };
  const state: UpstreamIssuer = { url, person: undefined, bend: undefined, tamper: undefined, asked: [], hits: new Map(), outage: undefined, close: async () => undefined };
  const people = new Map<string, UpstreamPersonOfTest>();
  const provider = new Provider(url, configure({ redirectUri, key, people, tellsInIdToken }));
  provider.use(bendIdToken(state, key));
  const answer = provider.callback();
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', url).pathname;
    state.hits.set(path, (state.hits.get(path) ?? 0) + 1);
    if (state.outage === 'silent') return;
    if (state.outage === 'error') response.writeHead(503).end();
    else if (path.startsWith('/interaction/')) void settle(provider, state, people, request, response);
    else {
      if (path === '/auth') state.asked.push(Object.fromEntries(new URL(request.url ?? '/', url).searchParams));
      void answer(request, response);
    }
  });
  await new Promise<void>((resolve) => server.listen(Number(new URL(url).port), 'localhost', resolve));
  return Object.assign(state, {
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function configure({ redirectUri, key, people, tellsInIdToken }: { redirectUri: string; key: JWK; people: ReadonlyMap<string, UpstreamPersonOfTest>; tellsInIdToken: boolean }): Configuration {
  return {
    clients: [{ client_id: UPSTREAM_CLIENT.clientId, client_secret: UPSTREAM_CLIENT.clientSecret, redirect_uris: [redirectUri] }],
    jwks: { keys: [key] },
    claims: { openid: ['sub', 'hd', 'tid', 'amr'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: !tellsInIdToken,
    responseTypes: ['code'],
    cookies: { keys: ['upstream-cookie-key'], names: { session: 'up_session', interaction: 'up_interaction', resume: 'up_resume' } },
    pkce: { required: () => true },
    adapter: createMemoryAdapter(),
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600 },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => people.get(sub) ?? { sub } }),
  };
}

/** In memory, for one test file: what the library would otherwise warn of having of its own. */
function createMemoryAdapter(): (model: string) => Adapter {
  const stored = new Map<string, AdapterPayload>();
  return (model) => {
    const keyOf = (id: string) => `${model} ${id}`;
    const find = async (id: string) => structuredClone(stored.get(keyOf(id)));
    return {
      find,
      upsert: async (id, payload) => void stored.set(keyOf(id), structuredClone(payload)),
      consume: async (id) => {
        const payload = stored.get(keyOf(id));
        if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000);
      },
      destroy: async (id) => void stored.delete(keyOf(id)),
      revokeByGrantId: async (grantId) => {
        for (const [key, { grantId: held }] of stored) if (held === grantId) stored.delete(key);
      },
      findByUid: async (uid) => structuredClone([...stored.values()].find((payload) => payload.uid === uid)),
      findByUserCode: async () => undefined,
    };
  };
}

async function settle(provider: Provider, { person }: UpstreamIssuer, people: Map<string, UpstreamPersonOfTest>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (person === undefined) {
    await provider.interactionFinished(request, response, { error: 'access_denied' });
    return;
  }
  people.set(person.sub, person);
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId: person.sub, clientId: String(params.client_id) });
  grant.addOIDCScope('openid email profile');
  await provider.interactionFinished(request, response, { login: { accountId: person.sub, ...(Array.isArray(person.amr) ? { amr: person.amr as string[] } : {}) }, consent: { grantId: await grant.save() } });
}

function bendIdToken(state: UpstreamIssuer, key: JWK) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<unknown>) => {
    await next();
    const body = ctx.body as Record<string, unknown> | undefined;
    if (typeof body?.id_token !== 'string') return;
    if (state.tamper !== undefined) body.id_token = state.tamper(body.id_token);
    if (state.bend === undefined) return;
    const { alg = 'RS256', kid = '' } = decodeProtectedHeader(String(body.id_token));
    body.id_token = await new SignJWT(state.bend(decodeJwt(String(body.id_token)))).setProtectedHeader({ alg, kid }).sign(await importJWK(key));
  };
}
