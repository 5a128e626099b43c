// What the issuer is measured against: bare node:http servers that do the least that an answer of that kind can cost.
//
//   node bench/baseline.ts fixed BYTES CONTENT_TYPE     answers every request with that many bytes
//   node bench/baseline.ts exchange SUBJECT_ALG ALG     verifies one JWT and signs one, as a token exchange must
//
// Prints one line of JSON when it listens: { port } and, for an exchange, { port, body } with a body that it accepts.
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { generateKeyPairSync, randomUUID, sign, verify, type KeyObject } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';

type Algorithm = 'RS256' | 'ES256';

const TOKEN_SECONDS = 600;

interface Baseline {
  readonly listener: RequestListener;
  readonly ready: Readonly<Record<string, string>>;
}

export function createFixed(bytes: number, contentType: string): Baseline {
  const body = Buffer.alloc(bytes, 'x');
  const headers = { 'content-type': contentType, 'content-length': body.length };
  return {
    ready: {},
    listener: (_request, response) => {
      response.writeHead(200, headers).end(body);
    },
  };
}

/** Answers 400 to a token that does not verify, so that a wrong set-up cannot pass for a fast one. */
export function createExchange(subjectAlgorithm: Algorithm, algorithm: Algorithm): Baseline {
  const subjectKeys = createKeys(subjectAlgorithm);
  const keys = createKeys(algorithm);
  const now = Math.floor(Date.now() / 1000);
  const subject = { iss: 'http://localhost', sub: randomUUID(), aud: 'http://localhost', iat: now, exp: now + 86_400, jti: randomUUID() };
  return {
    ready: { body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: createJwt(subject, subjectKeys.privateKey) }).toString() },
    listener: (request, response) => {
      void readBody(request).then((form) => {
        const claims = readJwt(new URLSearchParams(form).get('subject_token') ?? '', subjectKeys.publicKey);
        if (claims === undefined) {
          response.writeHead(400).end();
          return;
        }
        const iat = Math.floor(Date.now() / 1000);
        const token = createJwt({ iss: claims.iss, sub: claims.sub, aud: claims.aud, iat, nbf: iat, exp: iat + TOKEN_SECONDS, jti: randomUUID() }, keys.privateKey);
        const body = JSON.stringify({ access_token: token, issued_token_type: 'urn:ietf:params:oauth:token-type:id_token', token_type: 'N_A', expires_in: TOKEN_SECONDS });
        response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store', 'content-length': Buffer.byteLength(body) }).end(body);
      });
    },
  };
}

function createKeys(algorithm: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  return algorithm === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

// A bare KeyObject, with DER around an ES256 signature where a JWT has raw numbers: options that would ask for the raw
// form make each call 13-23 us slower, and a baseline must be the fastest there is. The length differs by some 8 bytes.
function createJwt(claims: object, key: KeyObject): string {
  const input = `${encode({ alg: key.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256', typ: 'JWT' })}.${encode(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`;
}

function readJwt(token: string, key: KeyObject): Record<string, unknown> | undefined {
  const dot = token.lastIndexOf('.');
  const input = token.slice(0, Math.max(dot, 0));
  if (!verify('sha256', Buffer.from(input), key, Buffer.from(token.slice(dot + 1), 'base64url'))) return undefined;
  return JSON.parse(Buffer.from(input.slice(input.indexOf('.') + 1), 'base64url').toString()) as Record<string, unknown>;
}

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text)).once('end', () => {
      resolve(body);
    }).once('error', reject);
  });
}

function createBaseline([mode, ...rest]: readonly string[]): Baseline {
  const [first = '', second = ''] = rest;
  if (mode === 'fixed' && /^\d+$/.test(first)) return createFixed(Number(first), second);
  if (mode === 'exchange' && isAlgorithm(first) && isAlgorithm(second)) return createExchange(first, second);
  throw new TypeError('usage: node bench/baseline.ts fixed BYTES CONTENT_TYPE | exchange RS256|ES256 RS256|ES256');
}

const isAlgorithm = (text: string): text is Algorithm => text === 'RS256' || text === 'ES256';

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { listener, ready } = createBaseline(process.argv.slice(2));
  const server = createServer(listener).listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ port: (server.address() as AddressInfo).port, ...ready }));
  });
}
