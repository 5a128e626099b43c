// session.json: who is signed in, and the tokens that prove it to the issuer.
import { CliError } from './errors.ts';
import { asFields, Malformed, parseJson, takeInstant, takeOptionalString, takeString, type Fields } from './fields.ts';
import { readPrivateFile, removePrivateFile, writePrivateFile, type Home } from './home.ts';

const VERSION = 1;
const BY_DEVICE = 'device';

/** An EC key on P-256, as a JWK (RFC 7517). It never leaves this machine. */
export interface ProofKey {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly d: string;
}

export interface Session {
  /** Tells this sign-in from every other one, here only: what was cached for another is not for this. Empty in an old file. */
  readonly id: string;
  readonly issuer: string;
  readonly email: string;
  readonly accessToken: string;
  /** Milliseconds since 1970. */
  readonly accessTokenExpiresAt: number;
  readonly refreshToken: string;
  /** The private key (JWK) that the refresh token is bound to (RFC 9449); undefined where the issuer binds none. */
  readonly proofKey: ProofKey | undefined;
  /** Milliseconds since 1970; undefined if the issuer does not say when the session ends. */
  readonly endsAt: number | undefined;
  /** Whether it began with a code (`login --device`): there is no browser here, for the next sign-in either. */
  readonly isByDevice: boolean;
}

/** Reads session.json, undefined if there is none; throws `CliError` (configuration) if it is broken. */
export async function readSession(home: Home): Promise<Session | undefined> {
  const text = await readPrivateFile(home.sessionPath);
  if (text === undefined) return undefined;
  try {
    return parseSession(asFields(parseJson(text), 'the file'));
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new CliError('configuration', `${home.sessionPath} is broken: ${error.message}`, {
      hints: ['run `vouch login`, which replaces it'],
      cause: error,
    });
  }
}

/** Replaces session.json. The caller holds the lock of that file. */
export async function writeSession(home: Home, session: Session): Promise<void> {
  const fields = {
    version: VERSION,
    ...(session.id === '' ? {} : { id: session.id }),
    issuer: session.issuer,
    email: session.email,
    access_token: session.accessToken,
    access_token_expires_at: new Date(session.accessTokenExpiresAt).toISOString(),
    refresh_token: session.refreshToken,
    ...(session.proofKey === undefined ? {} : { proof_key: session.proofKey }),
    ...(session.endsAt === undefined ? {} : { session_ends_at: new Date(session.endsAt).toISOString() }),
    ...(session.isByDevice ? { signed_in_by: BY_DEVICE } : {}),
  };
  await writePrivateFile(home.sessionPath, `${JSON.stringify(fields, null, 2)}\n`);
}

/** Removes session.json; it need not exist. The caller holds the lock of that file. */
export async function removeSession(home: Home): Promise<void> {
  await removePrivateFile(home.sessionPath);
}

function parseSession(fields: Fields): Session {
  if (fields['version'] !== VERSION) throw new Malformed('it was written by another version of vouch');
  return Object.freeze({
    id: takeOptionalString(fields, 'id') ?? '',
    issuer: takeString(fields, 'issuer'),
    email: takeString(fields, 'email'),
    accessToken: takeString(fields, 'access_token'),
    accessTokenExpiresAt: takeInstant(fields, 'access_token_expires_at'),
    refreshToken: takeString(fields, 'refresh_token'),
    proofKey: fields['proof_key'] === undefined ? undefined : parseProofKey(asFields(fields['proof_key'], 'proof_key')),
    endsAt: takeOptionalString(fields, 'session_ends_at') === undefined ? undefined : takeInstant(fields, 'session_ends_at'),
    // An old file does not say.
    isByDevice: fields['signed_in_by'] === BY_DEVICE,
  });
}

function parseProofKey(fields: Fields): ProofKey {
  if (fields['kty'] !== 'EC' || fields['crv'] !== 'P-256') throw new Malformed('proof_key is not a key on P-256');
  return Object.freeze({ kty: 'EC', crv: 'P-256', x: takeString(fields, 'x'), y: takeString(fields, 'y'), d: takeString(fields, 'd') });
}
