// Tokens for an unattended job: the key file in place of a session (RFC 7523 2.2, RFC 6749 4.4), then the exchange.
import { resolve } from 'node:path';
import * as oauth from 'openid-client';
import { CliError } from '../errors.ts';
import { normaliseUrl } from '../formats.ts';
import { checkToken, createAttempt, discover, exchange, readExpiry, type Attempt } from '../issuer.ts';
import { IssuerRefusal } from '../issuer_refusal.ts';
import type { Clock } from '../time.ts';
import type { AccessToken, TokenSource } from '../token_source.ts';
import { readKeyFile, type KeyFile } from './key_file.ts';

export interface ServiceSourceInput {
  /** KEYFILE, read anew for every token: it may be rotated meanwhile. */
  readonly path: string;
  /** VOUCH_ISSUER, if set: a key file of another issuer is then not the one that is meant. */
  readonly expectedIssuer: string | undefined;
  readonly clock: Clock;
}

/** Throws `CliError` from its methods: configuration (the key file), network, rateLimited, refused. */
export function createServiceSource(input: ServiceSourceInput): TokenSource {
  const withService = async <T>(audience: string | undefined, work: (service: Service) => Promise<T>): Promise<T> => {
    const keyFile = await readExpected(input);
    try {
      return await work(await connect(keyFile, input.path));
    } catch (error) {
      throw describeServiceRefusal(error, keyFile, input.path, audience);
    }
  };
  const source: TokenSource = {
    commandOptions: ['--service-account', resolve(input.path)],
    identify: async () => {
      const { issuer, clientId, subject } = await readExpected(input);
      return { kind: 'service', issuer, clientId, subject };
    },
    accessToken: () => withService(undefined, (service) => requestAccessToken(service, input.clock)),
    idToken: (audience) => withService(audience, async (service) => {
      const { token } = await requestAccessToken(service, input.clock);
      return service.attempt(() => exchange(service.config, token, audience));
    }),
    // Nobody could sign in.
    withFreshSignIn: (work) => work(),
    unattended: () => source,
  };
  return source;
}

interface Service {
  readonly config: oauth.Configuration;
  readonly attempt: Attempt;
}

async function readExpected({ path, expectedIssuer }: ServiceSourceInput): Promise<KeyFile> {
  const keyFile = await readKeyFile(path);
  if (expectedIssuer === undefined || normaliseUrl(expectedIssuer) === keyFile.issuer) return keyFile;
  throw new CliError('configuration', `${path} is a key file of ${keyFile.issuer}, and VOUCH_ISSUER names ${expectedIssuer}`, { hints: ['unset VOUCH_ISSUER, or name the key file of that issuer'] });
}

/** Each request is proved by an assertion of its own: for this issuer, for a minute, with a fresh jti. */
async function connect({ issuer, clientId, kid, privateJwk }: KeyFile, path: string): Promise<Service> {
  const key = await importKey(privateJwk, path);
  return { config: await discover(issuer, clientId, oauth.PrivateKeyJwt({ key, kid })), attempt: createAttempt(issuer) };
}

async function importKey(jwk: KeyFile['privateJwk'], path: string): Promise<oauth.CryptoKey> {
  try {
    return await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  } catch (cause) {
    throw new CliError('configuration', `${path} is broken: "private_jwk" is no key of ES256`, { hints: ['put it back, or let an admin run `vouch service-accounts rotate-key`'], cause });
  }
}

async function requestAccessToken({ config, attempt }: Service, clock: Clock): Promise<AccessToken> {
  const askedAt = clock();
  const answer = await attempt(() => oauth.clientCredentialsGrant(config));
  return { token: checkToken(answer.access_token), expiresAt: readExpiry(answer, askedAt) };
}

/** The same codes as for people, with what helps a machine: "sign in" never does. */
function describeServiceRefusal(error: unknown, { subject }: KeyFile, path: string, audience: string | undefined): unknown {
  if (error instanceof CliError && error.kind === 'freshSignIn') {
    return new CliError('refused', `${error.message}; a service account cannot sign in`, { hints: [`ask an admin of the issuer whether ${subject} is meant to have this`], cause: error });
  }
  if (!(error instanceof IssuerRefusal)) return error;
  const hints = HINTS[error.code]?.(subject, path, audience);
  return hints === undefined ? error : new IssuerRefusal(error.code, error.message, { hints, cause: error });
}

const HINTS: Readonly<Record<string, (subject: string, path: string, audience: string | undefined) => readonly string[]>> = {
  invalid_client: (subject, path) => [
    `the key in ${path} is none that the issuer knows for ${subject}: it was rotated, or the account is gone`,
    `an admin puts another in place with \`vouch service-accounts rotate-key ${subject}\``,
    'check the clock of this machine: the proof is good for a minute',
  ],
  unauthorized_client: (subject) => [`an admin may have disabled ${subject}: see \`vouch service-accounts list\``],
  access_denied: (subject) => [`ask an admin of the issuer what ${subject} may have`],
  invalid_target: (subject, _path, audience) => [
    `an admin lets it in with \`vouch audiences set ${audience ?? 'AUDIENCE'} --add-allow service:${subject}\``,
    `\`vouch audiences test ${audience ?? 'AUDIENCE'} --account ${subject}\` says which clause decides`,
  ],
};
