// KEYFILE: what an unattended job holds in place of a sign-in. The private half is made here and never leaves.
import { createHash, generateKeyPairSync, type JsonWebKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CliError, readErrorCode } from '../errors.ts';
import { asFields, Malformed, parseJson, takeString, type Fields } from '../fields.ts';
import { checkEndpoint, normaliseUrl } from '../formats.ts';
import { closeToOthers } from '../home.ts';

export interface KeyFile {
  readonly issuer: string;
  readonly clientId: string;
  readonly subject: string;
  readonly kid: string;
  /** EC, P-256 (ES256), with `d`. */
  readonly privateJwk: JsonWebKey;
}

export interface NewKey {
  readonly kid: string;
  readonly privateJwk: JsonWebKey;
  /** All that the issuer is ever sent. */
  readonly publicJwk: Readonly<Record<string, string>>;
}

/** An ES256 key whose `kid` is its thumbprint (RFC 7638). */
export function generateKey(): NewKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { crv = '', d = '', kty = '', x = '', y = '' } = privateKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  const common = { kty, crv, x, y };
  return { kid, privateJwk: { ...common, d }, publicJwk: { ...common, kid, alg: 'ES256', use: 'sig' } };
}

export function renderKeyFile({ issuer, clientId, subject, kid, privateJwk }: KeyFile): string {
  return `${JSON.stringify({ issuer, client_id: clientId, subject, kid, private_jwk: privateJwk }, null, 2)}\n`;
}

/** Throws `CliError` (configuration) that names the file and what is wrong with it, and never what is in it. */
export async function readKeyFile(path: string): Promise<KeyFile> {
  const keyFile = await findKeyFile(path);
  if (keyFile !== undefined) return keyFile;
  throw new CliError('configuration', `there is no key file ${path}`, { hints: ['an admin makes one with `vouch service-accounts add`, or another key with `vouch service-accounts rotate-key`'] });
}

/** The same; undefined where there is no file. A key file that others could read is closed to them; any other file is left as it is. */
export async function findKeyFile(path: string): Promise<KeyFile | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (readErrorCode(error) === 'ENOENT') return undefined;
    throw new CliError('configuration', `could not read ${path} (${readErrorCode(error) ?? String(error)})`, { hints: ['check its owner and permissions'], cause: error });
  });
  if (text === undefined) return undefined;
  try {
    const keyFile = parse(asFields(parseJson(text), 'the file'));
    await closeToOthers(path);
    return keyFile;
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new CliError('configuration', `${path} is no key file: ${error.message}`, { hints: ['put it back, or let an admin run `vouch service-accounts rotate-key`'], cause: error });
  }
}

function parse(fields: Fields): KeyFile {
  const issuer = takeString(fields, 'issuer');
  const fault = checkEndpoint(issuer);
  if (fault !== undefined) throw new Malformed(`"issuer" ${fault}`);
  const jwk = asFields(fields['private_jwk'], '"private_jwk"');
  const [x, y, d] = ['x', 'y', 'd'].map((name) => takeString(jwk, name));
  if (jwk['kty'] !== 'EC' || jwk['crv'] !== 'P-256') throw new Malformed('"private_jwk" is no key of ES256 (EC, P-256)');
  return Object.freeze({
    issuer: normaliseUrl(issuer), clientId: takeString(fields, 'client_id'), subject: takeString(fields, 'subject'), kid: takeString(fields, 'kid'),
    privateJwk: { kty: 'EC', crv: 'P-256', x: x ?? '', y: y ?? '', d: d ?? '' },
  });
}
