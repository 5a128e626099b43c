// Failures of the network, told apart and said plainly.
import { CliError, readErrorCode } from './errors.ts';

/** How long one request to an issuer or a provider may take. */
export const REQUEST_TIMEOUT_SECONDS = 30;

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  UND_ERR_ABORTED: 'it was refused on the way',
  UND_ERR_SOCKET: 'the connection was cut',
  ENOTFOUND: 'its name cannot be resolved',
  EAI_AGAIN: 'its name cannot be resolved just now',
  ENETUNREACH: 'the network is unreachable',
  EHOSTUNREACH: 'the host is unreachable',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
  CERT_HAS_EXPIRED: 'its TLS certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its TLS certificate is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'its TLS certificate is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its TLS certificate is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its TLS certificate is not trusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its TLS certificate is for another host',
};
const CERTIFICATE_HINT = 'if your company inspects TLS, name its certificate with --ca-file or in NODE_EXTRA_CA_CERTS';

/** Whether an answer with this status may be different a little later. */
export function isPassing(status: number): boolean {
  return status === 429 || status >= 500;
}

/** Which kind of failure an answer is that may be different later: too many requests, or trouble of the peer's own. */
export function classifyPassing(status: number): 'rateLimited' | 'network' {
  return status === 429 ? 'rateLimited' : 'network';
}

/** Turns what `fetch` throws (on its way through `proxy`, if there is one) into a `CliError` (network), or undefined if it is something else. */
export function describeNetworkFailure(thrown: unknown, peer: string, proxy?: string): CliError | undefined {
  const code = findCode(thrown);
  if (code === undefined) return undefined;
  const reason = explainCode(code);
  const hints = [
    ...(reason.includes('certificate') ? [CERTIFICATE_HINT] : []),
    ...(proxy === undefined ? [] : [`the request went through the proxy ${proxy}: check it, or list the host in NO_PROXY`]),
  ];
  const way = proxy === undefined ? '' : ' through the proxy';
  return new CliError('network', `could not reach ${peer}${way}: ${reason}`, { hints, cause: thrown });
}

/** The same for the issuer, with where its address comes from. */
export function describeUnreachableIssuer(thrown: unknown, issuer: string, proxy: string | undefined): CliError | undefined {
  const failure = describeNetworkFailure(thrown, `the issuer ${issuer}`, proxy);
  if (failure === undefined) return undefined;
  const isLocal = new URL(issuer).protocol === 'http:';
  const hint = isLocal ? 'start the issuer with `npm start`, or name yours (--issuer, VOUCH_ISSUER)' : 'check the address of the issuer (--issuer, VOUCH_ISSUER)';
  return new CliError('network', failure.message, { hints: [...failure.hints, hint], cause: failure.cause });
}

/** Says when a refusal for being too busy invites another attempt (RFC 9110 10.2.3), in seconds or as a date. */
export function suggestRetry(headers: Headers): readonly string[] {
  const after = headers.get('retry-after');
  return after !== null && /^\d{1,5}$/.test(after) ? [`try again in ${after} s`] : ['try again a little later'];
}

/** What the code of a failed connection means, as the end of a sentence. */
export function explainCode(code: string): string {
  return REASONS[code] ?? (code.startsWith('ERR_SSL_') ? `what answers there does not speak TLS (${code})` : code);
}

function findCode(thrown: unknown): string | undefined {
  if (!isErrorLike(thrown)) return undefined;
  if (thrown.name === 'TimeoutError') return 'ETIMEDOUT';
  // `localhost` has two addresses; the code is then on the first of several errors.
  const nested: unknown = 'errors' in thrown && Array.isArray(thrown.errors) ? thrown.errors[0] : thrown.cause;
  const inner = findCode(nested);
  if (inner !== undefined) return inner;
  const code = readErrorCode(thrown);
  if (code !== undefined && isSystemCode(code)) return code;
  return thrown.name === 'TypeError' && thrown.message === 'fetch failed' ? 'the connection failed' : undefined;
}

/** Not `instanceof`: what comes out of the runtime may belong to another realm. */
function isErrorLike(thrown: unknown): thrown is Error {
  return typeof thrown === 'object' && thrown !== null && 'message' in thrown && 'name' in thrown;
}

/** `TypeError`s of wrong arguments carry a code too (ERR_INVALID_…); those are faults of vouch. */
function isSystemCode(code: string): boolean {
  return code in REASONS || /^(E[A-Z]+|UND_ERR_[A-Z_]+|HPE_[A-Z_]+|ERR_SSL_[A-Z0-9_]+)$/.test(code);
}
