import { randomBytes } from 'node:crypto';
import { mediaTypeOf, startHttpListener, type HttpAnswer, type HttpRequest } from './http_listener.ts';
import { createKeyCache, fetchIssuerKeys, type KeyCache } from './issuer_keys.ts';
import { Refusal } from './refusal.ts';
import { checkHeader, checkTimes, decodeSubjectJwt, matchesPattern, verifySignature, type Claims } from './subject_jwt.ts';

export interface StsRole {
  readonly arn: string;
  /** The issuer of the identity provider that the trust policy names. */
  readonly issuerUrl: string;
  /** `StringLike` on `<host>:sub`; absent: no such condition. */
  readonly subject?: string | undefined;
  /** Default 3600. */
  readonly maxSessionSeconds?: number | undefined;
}

export interface StsEmulatorOptions {
  /** IAM identity providers, each with its client IDs. */
  readonly providers: readonly { readonly issuerUrl: string; readonly clientIds: readonly string[] }[];
  readonly roles: readonly StsRole[];
  /** Unix seconds. Default: the system's. */
  readonly clock?: (() => number) | undefined;
}

export interface StsEmulator {
  readonly url: string;
  /** Forms that arrived, oldest first; live. */
  readonly requests: readonly URLSearchParams[];
  /** Refusals with the reason that the real service keeps to itself, oldest first; live. */
  readonly history: readonly { readonly code: string; readonly reason: string; readonly detail: string }[];
  close(): Promise<void>;
}

/** What the caller is told; the reason stays in the history. */
class StsRefusal extends Error {
  readonly code: string;
  readonly status: number;
  readonly reason: string;

  constructor(code: string, message: string, { status = 400, reason = code } = {}) {
    super(message);
    [this.code, this.status, this.reason] = [code, status, reason];
  }
}

// No PS, no EdDSA, no ES256K.
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'];
const LEEWAY_SECONDS = 300;
const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/';

/**
 * Plays `AssumeRoleWithWebIdentity` of AWS STS, as strictly as its documentation and what others have seen allow
 * (PROVIDERS.md 5.2): XML, five minutes of tolerance, `azp` before `aud` where there are several audiences.
 */
export async function startStsEmulator(options: StsEmulatorOptions): Promise<StsEmulator> {
  const clock = options.clock ?? (() => Math.floor(Date.now() / 1000));
  const requests: URLSearchParams[] = [];
  const history: StsEmulator['history'][number][] = [];
  const caches = new Map(options.providers.map(({ issuerUrl }) => [issuerUrl, createKeyCache({ load: () => fetchIssuerKeys({ issuerUrl }), clock, maxAgeSeconds: 60 })]));

  async function answer(request: HttpRequest): Promise<HttpAnswer> {
    try {
      const form = readForm(request);
      requests.push(form);
      return respond(200, await assumeRole(form));
    } catch (error) {
      if (!(error instanceof StsRefusal)) throw error;
      history.push({ code: error.code, reason: error.reason, detail: error.message });
      return respond(error.status, renderError(error));
    }
  }

  async function assumeRole(form: URLSearchParams): Promise<string> {
    const { roleArn, sessionName, duration, token } = readParameters(form);
    const { claims, provider, audience } = await verify(token);
    const role = options.roles.find(({ arn }) => arn === roleArn);
    const deny = (reason: string): StsRefusal => new StsRefusal('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', { status: 403, reason });
    if (role?.issuerUrl !== provider) throw deny('no such role, or its trust policy names another provider');
    if (role.subject !== undefined && !matchesPattern(String(claims['sub']), role.subject)) throw deny(`sub ${String(claims['sub'])} is not like ${role.subject}`);
    if (duration > (role.maxSessionSeconds ?? 3600)) throw new StsRefusal('ValidationError', 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.');
    return renderCredentials({ roleArn, sessionName, subject: String(claims['sub']), audience, expiresAt: clock() + duration, provider });
  }

  async function verify(token: string): Promise<{ claims: Claims; provider: string; audience: string }> {
    try {
      const jwt = checkHeader(decodeSubjectJwt(token), ALGORITHMS);
      const provider = options.providers.find(({ issuerUrl }) => issuerUrl === jwt.unverifiedClaims['iss']);
      if (provider === undefined) throw new StsRefusal('InvalidIdentityToken', 'No OpenIDConnect provider found in your account for the token', { reason: 'iss' });
      const key = await findKey(caches.get(provider.issuerUrl), jwt.kid);
      const claims = await verifySignature(jwt, key);
      checkTimes(claims, clock(), LEEWAY_SECONDS);
      return { claims, provider: provider.issuerUrl, audience: checkAudience(claims, provider.clientIds) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.reason === 'x_exp_passed') throw new StsRefusal('ExpiredTokenException', 'Token expired: current date/time must be before the expiration date/time', { reason: error.reason });
      throw new StsRefusal('InvalidIdentityToken', error.reason.startsWith('x_discovery') || error.reason.startsWith('x_jwks') || error.reason.startsWith('x_jwk_')
        ? "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements"
        : 'The ID Token provided is not a valid JWT.', { reason: error.reason });
    }
  }

  const listener = await startHttpListener(answer);
  return { url: `${listener.url}/`, requests, history, close: () => listener.close() };
}

async function findKey(keys: KeyCache | undefined, kid: string): Promise<NonNullable<Awaited<ReturnType<KeyCache['find']>>>> {
  const key = (await keys?.find(kid)) ?? (await keys?.refetch(kid));
  if (key === undefined) throw new Refusal('x_kid_unknown', `no key ${kid}`);
  return key;
}

/** More than one audience asks for `azp`, which then decides alone. */
function checkAudience(claims: Claims, clientIds: readonly string[]): string {
  const { aud, azp } = claims;
  const all = Array.isArray(aud) ? (aud as unknown[]) : [aud];
  const decisive = typeof azp === 'string' ? azp : all.length === 1 ? all[0] : undefined;
  if (typeof decisive === 'string' && clientIds.includes(decisive)) return decisive;
  throw new StsRefusal('InvalidIdentityToken', 'Incorrect token audience', { reason: `aud ${JSON.stringify(aud)} azp ${JSON.stringify(azp)}` });
}

function readForm(request: HttpRequest): URLSearchParams {
  if (request.method !== 'POST' || request.path !== '/') throw new StsRefusal('InvalidAction', 'Could not find operation', { status: 404 });
  if (mediaTypeOf(request.headers['content-type'] ?? '') !== 'application/x-www-form-urlencoded') throw new StsRefusal('InvalidAction', 'The body is not a form');
  if (request.headers.authorization !== undefined) throw new StsRefusal('IncompleteSignature', 'Authorization must not be sent');
  return new URLSearchParams(request.body ?? '');
}

function readParameters(form: URLSearchParams): { roleArn: string; sessionName: string; duration: number; token: string } {
  const refuse = (message: string): never => { throw new StsRefusal('ValidationError', message); };
  const read = (name: string): string => form.get(name) ?? refuse(`1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null`);
  if (form.get('Action') !== 'AssumeRoleWithWebIdentity' || form.get('Version') !== '2011-06-15') throw new StsRefusal('InvalidAction', 'Could not find operation for version');
  const [roleArn, sessionName, token] = [read('RoleArn'), read('RoleSessionName'), read('WebIdentityToken')];
  const duration = Number(form.get('DurationSeconds') ?? '3600');
  if (!/^arn:aws:iam::\d{12}:role\/.+$/.test(roleArn)) refuse(`${roleArn} is invalid`);
  if (!/^[\w+=,.@-]{2,64}$/.test(sessionName)) refuse("Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*");
  if (!Number.isInteger(duration) || duration < 900 || duration > 43_200) refuse("Value at 'durationSeconds' failed to satisfy constraint");
  if (token.length < 4 || token.length > 20_000) refuse("Value at 'webIdentityToken' failed to satisfy constraint");
  return { roleArn, sessionName, duration, token };
}

interface Granted {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly subject: string;
  readonly audience: string;
  readonly provider: string;
  readonly expiresAt: number;
}

const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function renderCredentials({ roleArn, sessionName, subject, audience, provider, expiresAt }: Granted): string {
  return `<AssumeRoleWithWebIdentityResponse xmlns="${NAMESPACE}">
  <AssumeRoleWithWebIdentityResult>
    <Audience>${escapeXml(audience)}</Audience>
    <AssumedRoleUser>
      <AssumedRoleId>AROA${randomBytes(8).toString('hex').toUpperCase()}:${escapeXml(sessionName)}</AssumedRoleId>
      <Arn>${escapeXml(roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/'))}/${escapeXml(sessionName)}</Arn>
    </AssumedRoleUser>
    <Provider>${escapeXml(provider)}</Provider>
    <Credentials>
      <AccessKeyId>ASIA${randomBytes(8).toString('hex').toUpperCase()}</AccessKeyId>
      <SecretAccessKey>${escapeXml(randomBytes(30).toString('base64'))}</SecretAccessKey>
      <SessionToken>${escapeXml(randomBytes(120).toString('base64'))}</SessionToken>
      <Expiration>${new Date(expiresAt * 1000).toISOString().replace('.000Z', 'Z')}</Expiration>
    </Credentials>
    <SubjectFromWebIdentityToken>${escapeXml(subject)}</SubjectFromWebIdentityToken>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>${crypto.randomUUID()}</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
`;
}

function renderError({ code, message }: StsRefusal): string {
  return `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message></Error><RequestId>${crypto.randomUUID()}</RequestId></ErrorResponse>`;
}

function respond(status: number, body: string): HttpAnswer {
  return { status, headers: { 'content-type': 'text/xml' }, body };
}
