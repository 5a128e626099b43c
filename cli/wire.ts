// Every request of vouch leaves through here: through the proxy and with the certificates that were named, never after
// a redirect, and on record with --verbose (never with a header, a query or a body).
import { readFileSync } from 'node:fs';
import type * as http from 'node:http';
import type * as tls from 'node:tls';
import { CliError, readErrorCode } from './errors.ts';
import { REQUEST_TIMEOUT_SECONDS } from './network.ts';

export interface WireChoice {
  /** PEM certificates to trust besides those of Node. */
  readonly caFile: string | undefined;
  readonly proxies: Proxies;
  /** Hears one line about each request. */
  readonly log: ((line: string) => void) | undefined;
}

/** The variables of proxies; undefined where not set. */
export interface Proxies {
  readonly http: string | undefined;
  readonly https: string | undefined;
  readonly none: string | undefined;
}

// What stays on this machine never goes through another.
const LOCAL = 'localhost,127.0.0.1,[::1],::1';

let choice: WireChoice = { caFile: undefined, proxies: { http: undefined, https: undefined, none: undefined }, log: undefined };
let isPrepared = false;

/** Says how requests leave from now on; takes effect with the first of them. */
export function configureWire(given: WireChoice): void {
  choice = given;
  isPrepared = false;
  leaveProxies?.();
  leaveProxies = undefined;
}

/**
 * Sends one request and follows no redirect: what is sent is for that host alone. Throws what `fetch` throws, after 30 s
 * too, and `CliError` (configuration) if the proxy or the certificates cannot be used.
 */
export async function request(url: string | URL, init: RequestInit = {}): Promise<Response> {
  prepare();
  const { log } = choice;
  const startedAt = performance.now();
  const name = `${init.method ?? 'GET'} ${describePlace(url)}`;
  const tell = (outcome: string): void => { log?.(`${name}: ${outcome} (${Math.round(performance.now() - startedAt)} ms)`); };
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_SECONDS * 1000), ...init, redirect: 'manual' });
    tell(String(response.status));
    return response;
  } catch (error) {
    tell(`failed${readErrorCode((error as Error).cause) === undefined ? '' : `, ${String(readErrorCode((error as Error).cause))}`}`);
    throw error;
  }
}

/** The proxy that a request to this place goes through, for the sentence that says why it failed. */
export function findProxy(url: string): string | undefined {
  const { protocol, hostname } = new URL(url);
  const { proxies } = choice;
  const proxy = protocol === 'https:' ? proxies.https : proxies.http;
  const isExempt = `${proxies.none ?? ''},${LOCAL}`.split(/[\s,]+/).some((name) => name === '*' || name === hostname || (name !== '' && hostname.endsWith(`.${name.replace(/^\./, '')}`)));
  return proxy === undefined || isExempt ? undefined : describePlace(proxy);
}

function prepare(): void {
  if (isPrepared) return;
  if (choice.caFile !== undefined) trustFile(choice.caFile);
  useProxies(choice.proxies);
  isPrepared = true;
}

function trustFile(path: string): void {
  const pem = readCertificates(path);
  const { getCACertificates, setDefaultCACertificates } = process.getBuiltinModule('node:tls') as Partial<typeof tls>;
  if (getCACertificates === undefined || setDefaultCACertificates === undefined) throw createTooOld('--ca-file', 'name the file in NODE_EXTRA_CA_CERTS instead');
  setDefaultCACertificates([...getCACertificates('default'), pem]);
}

function readCertificates(path: string): string {
  const fail = (reason: string): CliError => new CliError('configuration', `the CA file ${path} ${reason}`, { hints: ['--ca-file (or VOUCH_CA_FILE) names a file with PEM certificates'] });
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fail(`cannot be read (${readErrorCode(error) ?? String(error)})`);
  }
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw fail('holds no PEM certificate');
}

type GlobalProxy = (environment: Record<string, string>) => () => void;
/** It holds for the whole process: whoever is no longer meant to go through the proxies must leave them. */
let leaveProxies: (() => void) | undefined;

function useProxies({ http: plain, https: secure, none }: Proxies): void {
  if (plain === undefined && secure === undefined) return;
  for (const [name, proxy] of [['HTTP_PROXY', plain], ['HTTPS_PROXY', secure]] as const) refuseBadProxy(name, proxy);
  const { setGlobalProxyFromEnv } = process.getBuiltinModule('node:http') as Partial<typeof http> & { setGlobalProxyFromEnv?: GlobalProxy };
  if (setGlobalProxyFromEnv === undefined) throw createTooOld('HTTPS_PROXY', 'run vouch with a newer Node (24.14)');
  leaveProxies = setGlobalProxyFromEnv({
    ...(plain === undefined ? {} : { http_proxy: plain }),
    ...(secure === undefined ? {} : { https_proxy: secure }),
    no_proxy: none === undefined ? LOCAL : `${none},${LOCAL}`,
  });
}

function refuseBadProxy(name: string, proxy: string | undefined): void {
  if (proxy === undefined || (URL.canParse(proxy) && /^https?:$/.test(new URL(proxy).protocol))) return;
  throw new CliError('configuration', `${name} must be an address such as http://proxy.example:3128`, { hints: ['correct it, or unset it'] });
}

function createTooOld(what: string, remedy: string): CliError {
  return new CliError('configuration', `this Node (${process.version}) cannot use ${what}`, { hints: [remedy] });
}

/** Host and path alone: a query may hold a code, an address may hold a password. */
function describePlace(url: string | URL): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}
