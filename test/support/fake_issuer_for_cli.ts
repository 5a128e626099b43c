// A small issuer and two providers on one port, for the CLI's tests: real PKCE, real rotation of refresh tokens with
// reuse detection, single-use codes and assertions. What each request held is kept for the assertions.
import { createHash, createPublicKey, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, jwtVerify, SignJWT, type CryptoKey, type JWK } from 'jose';

export const EMAIL = 'dev@example.com';
const CLIENT_ID = 'vouch-cli';
const KID = 'fake-1';
const ID_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:id_token';
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';

/** What the next requests meet; tests change it while the server runs. */
export interface FakeBehaviour {
  accessTokenSeconds: number;
  sessionSeconds: number;
  /** How the authorization endpoint answers. */
  authorize: 'approve' | 'deny' | 'wrong-iss';
  /** How the polls of a device are answered, one after the other: an OAuth error, `503`, or `cut` for a connection that ends; then it is approved. */
  devicePolls: string[];
  /** Seconds between polls, as the device is told. */
  deviceInterval: number;
  deviceExpiresIn: number;
  /** Whether discovery says that there is a device login. */
  hasDeviceLogin: boolean;
  /** Lets the token endpoint fail before it looks at the request. */
  tokenFailure: { status: number; error: string } | undefined;
  /** Delay of each refresh, so that parallel processes really overlap. */
  refreshDelayMs: number;
  /** Audiences that may be had; the issuer itself always. */
  audiences: string[];
  /** Raw answer of both providers instead of their own; {ASSERTION} in it becomes the token that was sent. */
  providerAnswer: { status: number; headers?: Record<string, string>; body: string } | undefined;
  /** What the Anthropic rule expects; undefined: the issuer. */
  expectedAudience: string | undefined;
  /** Raw answers instead of the fake's own, by path. */
  answers: Record<string, { status: number; headers?: Record<string, string>; body: string }>;
  /** How far its clock is ahead, in seconds. */
  clockSeconds: number;
  /** Claims of federation tokens, over the fake's own. */
  claims: Record<string, unknown>;
  /** The issuer that discovery names; undefined: the true one. */
  discoveredIssuer: string | undefined;
}

interface FakeSession {
  readonly id: string;
  /** Whose it is: a person's e-mail, or the subject of a service account. */
  readonly subject: string;
  readonly isPerson: boolean;
  readonly endsAt: number;
  refreshToken: string;
  isRevoked: boolean;
}

interface PendingCode {
  readonly challenge: string;
  readonly nonce: string;
  readonly redirectUri: string;
}

export interface FakeIssuer {
  readonly issuer: string;
  readonly behaviour: FakeBehaviour;
  /** Successful refreshes, and refresh tokens that were used twice. */
  readonly counts: { refreshes: number; reuses: number; exchanges: number; revocations: number };
  /** Bodies and headers of the providers' token requests, in order. */
  readonly providerRequests: { path: string; headers: IncomingMessage['headers']; body: Record<string, unknown> }[];
  readonly exchangeRequests: URLSearchParams[];
  /** What devices said of themselves, and when each of them polled. */
  readonly deviceRequests: URLSearchParams[];
  readonly devicePolledAt: number[];
  /** Opens a session without the browser: the answer that a redeemed code gets, but for the ID token. */
  readonly openSession: () => Promise<Record<string, unknown>>;
  /** Ends every session, as an admin would. */
  readonly revokeAll: () => void;
  /** Registers a service account by its public key (ES256). */
  readonly addService: (clientId: string, service: FakeService) => void;
  /** Refuses every connection from now on, and takes them again at the same port. */
  readonly goDown: () => Promise<void>;
  readonly comeBack: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface FakeService {
  readonly subject: string;
  readonly publicJwk: Readonly<Record<string, string>>;
}

export async function startFakeIssuer(): Promise<FakeIssuer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const fake = new Fake(server, `http://localhost:${(server.address() as AddressInfo).port}`);
  await fake.prepareKeys();
  server.on('request', (request, response) => {
    fake.handle(request, response).catch((error: unknown) => {
      response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ error: 'server_error', error_description: String(error) }));
    });
  });
  return fake;
}

class Fake implements FakeIssuer {
  readonly behaviour: FakeBehaviour = {
    accessTokenSeconds: 600,
    sessionSeconds: 8 * 3600,
    authorize: 'approve',
    devicePolls: [],
    deviceInterval: 0.05,
    deviceExpiresIn: 600,
    hasDeviceLogin: true,
    tokenFailure: undefined,
    refreshDelayMs: 0,
    audiences: [],
    providerAnswer: undefined,
    expectedAudience: undefined,
    discoveredIssuer: undefined,
    answers: {},
    clockSeconds: 0,
    claims: {},
  };
  readonly counts = { refreshes: 0, reuses: 0, exchanges: 0, revocations: 0 };
  readonly providerRequests: FakeIssuer['providerRequests'] = [];
  readonly exchangeRequests: URLSearchParams[] = [];
  readonly deviceRequests: URLSearchParams[] = [];
  readonly devicePolledAt: number[] = [];
  readonly issuer: string;
  readonly #server: Server;
  readonly #codes = new Map<string, PendingCode>();
  readonly #sessions = new Map<string, FakeSession>();
  readonly #spentRefreshTokens = new Map<string, FakeSession>();
  readonly #accessTokens = new Map<string, FakeSession>();
  readonly #spentAssertions = new Set<string>();
  readonly #services = new Map<string, FakeService>();
  #privateKey: CryptoKey | undefined;
  #publicKey: CryptoKey | undefined;
  #jwk: JWK = {};

  constructor(server: Server, issuer: string) {
    this.#server = server;
    this.issuer = issuer;
  }

  async prepareKeys(): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    [this.#privateKey, this.#publicKey] = [privateKey, publicKey];
    this.#jwk = { ...(await exportJWK(publicKey)), kid: KID, use: 'sig', alg: 'RS256' };
  }

  async openSession(): Promise<Record<string, unknown>> {
    return this.#issueTokens(this.#createSession());
  }

  revokeAll(): void {
    for (const session of this.#sessions.values()) session.isRevoked = true;
  }

  addService(clientId: string, service: FakeService): void {
    this.#services.set(clientId, service);
  }

  async goDown(): Promise<void> {
    await this.close();
  }

  async comeBack(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(Number(new URL(this.issuer).port), '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.issuer);
    // By the clock of the tests, which may stand still.
    response.setHeader('date', new Date().toUTCString());
    const body = await readBody(request);
    const told = this.behaviour.answers[url.pathname];
    if (told !== undefined) {
      response.writeHead(told.status, { 'content-type': 'application/json', ...told.headers }).end(told.body);
      return;
    }
    switch (`${request.method ?? ''} ${url.pathname}`) {
      case 'GET /.well-known/openid-configuration': sendJson(response, 200, this.#describe()); return;
      case 'GET /oauth/jwks': sendJson(response, 200, { keys: [this.#jwk] }); return;
      case 'GET /oauth/authorize': this.#authorize(url.searchParams, response); return;
      case 'POST /oauth/token': await this.#answerToken(new URLSearchParams(body), response); return;
      case 'POST /oauth/device': this.#beginDevice(new URLSearchParams(body), response); return;
      case 'POST /oauth/revoke': this.#revoke(new URLSearchParams(body), response); return;
      case 'POST /v1/oauth/token': await this.#answerAnthropic(request, body, response); return;
      case 'POST /openai/token': await this.#answerOpenai(request, body, response); return;
      default: response.writeHead(404).end('not found');
    }
  }

  #describe(): unknown {
    return {
      issuer: this.behaviour.discoveredIssuer ?? this.issuer,
      authorization_endpoint: `${this.issuer}/oauth/authorize`,
      token_endpoint: `${this.issuer}/oauth/token`,
      revocation_endpoint: `${this.issuer}/oauth/revoke`,
      ...(this.behaviour.hasDeviceLogin ? { device_authorization_endpoint: `${this.issuer}/oauth/device` } : {}),
      jwks_uri: `${this.issuer}/oauth/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
      authorization_response_iss_parameter_supported: true,
    };
  }

  #authorize(query: URLSearchParams, response: ServerResponse): void {
    const redirectUri = query.get('redirect_uri') ?? '';
    const isRight = query.get('client_id') === CLIENT_ID && query.get('response_type') === 'code'
      && query.get('code_challenge_method') === 'S256' && query.get('scope') === 'openid email'
      && /^http:\/\/127\.0\.0\.1:\d+\/callback$/.test(redirectUri) && (query.get('nonce') ?? '').length >= 20;
    if (!isRight) {
      response.writeHead(400).end('bad authorization request');
      return;
    }
    const target = new URL(redirectUri);
    target.searchParams.set('state', query.get('state') ?? '');
    target.searchParams.set('iss', this.behaviour.authorize === 'wrong-iss' ? 'https://elsewhere.example' : this.issuer);
    if (this.behaviour.authorize === 'deny') {
      target.searchParams.set('error', 'access_denied');
      target.searchParams.set('error_description', 'The <b>person</b> declined');
    } else {
      const code = randomUUID();
      this.#codes.set(code, { challenge: query.get('code_challenge') ?? '', nonce: query.get('nonce') ?? '', redirectUri });
      target.searchParams.set('code', code);
    }
    response.writeHead(303, { location: target.href }).end();
  }

  async #answerToken(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const { tokenFailure } = this.behaviour;
    if (tokenFailure !== undefined) {
      sendJson(response, tokenFailure.status, { error: tokenFailure.error, error_description: 'as the test asked' });
      return;
    }
    const service = await this.#authenticateService(form);
    if (service === undefined && form.get('client_id') !== CLIENT_ID) {
      sendError(response, 'invalid_client');
      return;
    }
    switch (form.get('grant_type') ?? '') {
      case 'client_credentials': await this.#answerService(service, response); return;
      case 'authorization_code': await this.#redeemCode(form, response); return;
      case 'refresh_token': await this.#refresh(form, response); return;
      case 'urn:ietf:params:oauth:grant-type:device_code': await this.#answerDevice(form, response); return;
      case 'urn:ietf:params:oauth:grant-type:token-exchange': await this.#exchange(form, response); return;
      default: sendError(response, 'unsupported_grant_type');
    }
  }

  async #redeemCode(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const pending = this.#codes.get(form.get('code') ?? '');
    this.#codes.delete(form.get('code') ?? '');
    const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
    if (pending?.challenge !== challenge || form.get('redirect_uri') !== pending.redirectUri) {
      sendError(response, 'invalid_grant');
      return;
    }
    const session = this.#createSession();
    const idToken = await this.#sign({ sub: session.id, aud: CLIENT_ID, nonce: pending.nonce, email: EMAIL, email_verified: true }, 'JWT');
    sendJson(response, 200, { ...(await this.#issueTokens(session)), id_token: idToken });
  }

  #beginDevice(form: URLSearchParams, response: ServerResponse): void {
    this.deviceRequests.push(form);
    sendJson(response, 200, {
      device_code: 'device-1', user_code: 'BCDFG-HJKLM', verification_uri: `${this.issuer}/device`,
      expires_in: this.behaviour.deviceExpiresIn, interval: this.behaviour.deviceInterval,
    });
  }

  async #answerDevice(form: URLSearchParams, response: ServerResponse): Promise<void> {
    this.devicePolledAt.push(Date.now());
    const told = this.behaviour.devicePolls.shift();
    if (told === 'cut') response.destroy();
    else if (told === '503') sendJson(response, 503, { error: 'temporarily_unavailable', error_description: 'as the test asked' });
    else if (told !== undefined) sendError(response, told);
    else if (form.get('device_code') !== 'device-1') sendError(response, 'invalid_grant');
    else {
      const session = this.#createSession();
      const idToken = await this.#sign({ sub: session.id, aud: CLIENT_ID, email: EMAIL, email_verified: true }, 'JWT');
      sendJson(response, 200, { ...(await this.#issueTokens(session)), id_token: idToken });
    }
  }

  /** RFC 7523 2.2: an assertion of the service's own key, for this issuer, once. */
  async #authenticateService(form: URLSearchParams): Promise<FakeService | undefined> {
    const assertion = form.get('client_assertion');
    const service = this.#services.get(form.get('client_id') ?? '');
    if (assertion === null || service === undefined) return undefined;
    try {
      const key = createPublicKey({ key: service.publicJwk, format: 'jwk' });
      const { payload } = await jwtVerify(assertion, key, { audience: this.issuer, issuer: form.get('client_id') ?? '', algorithms: ['ES256'] });
      if (this.#spentAssertions.has(payload.jti ?? '')) return undefined;
      this.#spentAssertions.add(payload.jti ?? '');
      return service;
    } catch {
      return undefined;
    }
  }

  async #answerService(service: FakeService | undefined, response: ServerResponse): Promise<void> {
    if (service === undefined) {
      sendError(response, 'unauthorized_client');
      return;
    }
    const { access_token, token_type, expires_in } = await this.#issueTokens(this.#createSession(service.subject, false));
    sendJson(response, 200, { access_token, token_type, expires_in });
  }

  #createSession(subject = EMAIL, isPerson = true): FakeSession {
    const session: FakeSession = { id: randomUUID(), subject, isPerson, endsAt: Date.now() + this.behaviour.sessionSeconds * 1000, refreshToken: '', isRevoked: false };
    this.#sessions.set(session.id, session);
    return session;
  }

  async #refresh(form: URLSearchParams, response: ServerResponse): Promise<void> {
    const token = form.get('refresh_token') ?? '';
    const reused = this.#spentRefreshTokens.get(token);
    if (reused !== undefined) {
      this.counts.reuses += 1;
      reused.isRevoked = true;
    }
    const session = [...this.#sessions.values()].find((candidate) => candidate.refreshToken === token);
    if (session === undefined || session.isRevoked || session.endsAt <= Date.now()) {
      sendError(response, 'invalid_grant');
      return;
    }
    this.counts.refreshes += 1;
    this.#spentRefreshTokens.set(token, session);
    session.refreshToken = '';
    await new Promise((resolve) => setTimeout(resolve, this.behaviour.refreshDelayMs));
    sendJson(response, 200, await this.#issueTokens(session));
  }

  async #issueTokens(session: FakeSession): Promise<Record<string, unknown>> {
    session.refreshToken = `refresh-${randomUUID()}`;
    const accessToken = await this.#sign({ sub: session.id, aud: this.issuer, client_id: CLIENT_ID }, 'at+jwt');
    this.#accessTokens.set(accessToken, session);
    return {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: this.behaviour.accessTokenSeconds,
      refresh_token: session.refreshToken,
      refresh_token_expires_in: Math.floor((session.endsAt - Date.now()) / 1000),
    };
  }

  async #exchange(form: URLSearchParams, response: ServerResponse): Promise<void> {
    this.exchangeRequests.push(form);
    const session = this.#accessTokens.get(form.get('subject_token') ?? '');
    if (session === undefined || session.isRevoked || form.get('subject_token_type') !== ACCESS_TOKEN_TYPE || form.get('requested_token_type') !== ID_TOKEN_TYPE) {
      sendError(response, 'invalid_request');
      return;
    }
    const audience = form.get('audience') ?? this.issuer;
    if (audience !== this.issuer && !this.behaviour.audiences.includes(audience)) {
      sendError(response, 'invalid_target');
      return;
    }
    this.counts.exchanges += 1;
    const idToken = await this.#sign({ sub: session.subject, aud: audience, ...(session.isPerson ? { email: session.subject, email_verified: true } : {}), ...this.behaviour.claims }, 'JWT');
    sendJson(response, 200, { access_token: idToken, issued_token_type: ID_TOKEN_TYPE, token_type: 'N_A', expires_in: 600 });
  }

  #revoke(form: URLSearchParams, response: ServerResponse): void {
    this.counts.revocations += 1;
    for (const session of this.#sessions.values()) if (session.refreshToken === form.get('token')) session.isRevoked = true;
    response.writeHead(200).end();
  }

  async #answerAnthropic(request: IncomingMessage, text: string, response: ServerResponse): Promise<void> {
    const body = this.#record(request, text);
    if (this.#answerAsTold(response)) return;
    if (request.headers['content-type'] !== 'application/json' || body['grant_type'] !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') {
      sendAnthropicError(response, 400, 'invalid_request_error', 'grant_type: unsupported');
      return;
    }
    const isAccepted = await this.#acceptAssertion(body['assertion'], this.behaviour.expectedAudience ?? this.issuer);
    if (isAccepted) sendJson(response, 200, { access_token: `sk-ant-oat01-${randomUUID()}`, token_type: 'Bearer', expires_in: 600, scope: 'workspace:developer' });
    else sendAnthropicError(response, 401, 'authentication_error', 'Authentication failed');
  }

  async #answerOpenai(request: IncomingMessage, text: string, response: ServerResponse): Promise<void> {
    const body = this.#record(request, text);
    if (this.#answerAsTold(response)) return;
    const isAccepted = await this.#acceptAssertion(body['subject_token'], this.behaviour.expectedAudience ?? this.issuer);
    if (!isAccepted) sendJson(response, 400, { error: 'invalid_subject_token', error_description: 'audience mismatch' });
    else sendJson(response, 200, { access_token: `openai-${randomUUID()}`, issued_token_type: ACCESS_TOKEN_TYPE, token_type: 'Bearer', expires_in: 600 });
  }

  #record(request: IncomingMessage, text: string): Record<string, unknown> {
    const body = JSON.parse(text) as Record<string, unknown>;
    this.providerRequests.push({ path: request.url ?? '', headers: request.headers, body });
    return body;
  }

  #answerAsTold(response: ServerResponse): boolean {
    const told = this.behaviour.providerAnswer;
    if (told === undefined) return false;
    const { assertion, subject_token: subjectToken } = this.providerRequests.at(-1)?.body ?? {};
    response.writeHead(told.status, { 'content-type': 'application/json', ...told.headers }).end(told.body.replace('{ASSERTION}', String(assertion ?? subjectToken)));
    return true;
  }

  async #acceptAssertion(assertion: unknown, audience: string): Promise<boolean> {
    if (typeof assertion !== 'string' || this.#publicKey === undefined) return false;
    try {
      const { payload } = await jwtVerify(assertion, this.#publicKey, { issuer: this.issuer, audience });
      const isNew = !this.#spentAssertions.has(payload.jti ?? '');
      this.#spentAssertions.add(payload.jti ?? '');
      return isNew;
    } catch {
      return false;
    }
  }

  async #sign(claims: Record<string, unknown>, typ: string): Promise<string> {
    if (this.#privateKey === undefined) throw new TypeError('keys are not prepared');
    const now = Math.floor(Date.now() / 1000) + this.behaviour.clockSeconds;
    return new SignJWT({ ...claims, jti: randomUUID() })
      .setProtectedHeader({ alg: 'RS256', kid: KID, typ })
      .setIssuer(this.issuer)
      .setIssuedAt(now)
      .setExpirationTime(now + this.behaviour.accessTokenSeconds)
      .sign(this.#privateKey);
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(body));
}

function sendError(response: ServerResponse, error: string): void {
  sendJson(response, 400, { error, error_description: `fake issuer: ${error}` });
}

function sendAnthropicError(response: ServerResponse, status: number, type: string, message: string): void {
  sendJson(response, status, { type: 'error', error: { type, message }, request_id: 'req_fake' });
}
