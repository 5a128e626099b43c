// vouch doctor: a table of checks, run in order, that stops at the first real cause of a refusal and says what to type.
import { readFile } from 'node:fs/promises';
import { readConfig, type Config } from '../config.ts';
import { CliError } from '../errors.ts';
import { Malformed } from '../fields.ts';
import { isLoopback } from '../formats.ts';
import { printReport } from '../output.ts';
import { mintAndExchange, type ProviderUse } from '../provider_credential.ts';
import type { Parameters } from '../providers/provider.ts';
import { findProvider } from '../providers/providers.ts';
import { makePrintable } from '../redact.ts';
import { formatDuration } from '../time.ts';
import { findProxy } from '../wire.ts';
import { findAddressFault, isPublicAddress } from './addresses.ts';
import type { CertificateFault } from './certificate.ts';
import { checkDiscovery, checkJwks, fetchDocument, Found, type Document } from './documents.ts';
import { compareUploadedKeys, evaluateRule, examineToken, type Cause } from './evaluate.ts';
import { EMPTY_RULE, readRule, type Rule } from './rule.ts';
import type { Target } from './targets.ts';

// Anthropic allows 30 s, OpenAI publishes nothing; what a server's Date says is a second off anyway.
const MOST_AHEAD_MS = 10_000;

export interface DoctorRequest {
  /** Undefined: the issuer and this machine only. */
  readonly target: Target | undefined;
  readonly profile: string | undefined;
  /** Path of the rule's JSON, or `-`; and what flags say, which win. */
  readonly rulePath: string | undefined;
  readonly flags: Partial<Rule>;
  /** Whom the ID token is for; undefined: the setup's, else the issuer's default. */
  readonly audience: string | undefined;
  readonly triesExchange: boolean;
  readonly isJson: boolean;
}

export interface DoctorTools {
  readonly use: ProviderUse;
  /** Whose tokens `use` gives. */
  readonly issuer: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** The addresses of a name, as this machine's DNS gives them. */
  readonly resolve: (host: string) => Promise<readonly string[]>;
  /** What providers will have against the certificate that a host shows. */
  readonly inspectCertificate: (hostname: string) => Promise<CertificateFault | undefined>;
  readonly readStdin: () => Promise<string>;
}

/** What the checks have found out so far. */
interface Patient extends DoctorTools, DoctorRequest {
  readonly config: Config;
  readonly parameters: Parameters | undefined;
  readonly rule: Rule | undefined;
  discovery?: Document;
  jwksUri?: string;
  kids?: readonly string[];
  token?: string;
}

interface Check {
  readonly name: string;
  /** Returns what is right, or undefined where there is nothing to check. Throws `Found` or `CliError` for a cause. */
  readonly run: (patient: Patient) => Promise<string | undefined>;
}

const CHECKS: readonly Check[] = [
  { name: 'setup', run: checkSetup },
  { name: 'issuer address', run: checkAddress },
  { name: 'certificate', run: checkCertificate },
  { name: 'discovery', run: checkDocument },
  { name: 'JWKS', run: checkKeys },
  { name: 'clock', run: checkClock },
  { name: 'environment', run: checkEnvironment },
  { name: 'sign-in', run: checkSession },
  { name: 'ID token', run: checkToken },
  { name: 'rule', run: checkRule },
  { name: 'exchange', run: tryExchange },
];

/** Prints the checks. Throws the `CliError` of the first cause: configuration, notSignedIn, network, refused, ... */
export async function examine(tools: DoctorTools, request: DoctorRequest): Promise<void> {
  const patient = await admit(tools, request);
  const done: Done[] = [];
  let failure: CliError | undefined;
  for (const { name, run } of CHECKS) {
    try {
      const detail = await run(patient);
      if (detail !== undefined) done.push({ name, outcome: 'ok', detail: makePrintable(detail) });
    } catch (error) {
      failure = toFailure(error);
      done.push({ name, outcome: 'failed', detail: failure.message });
      break;
    }
  }
  if (request.isJson) await printReport(JSON.stringify({ provider: request.target?.name ?? null, issuer: patient.issuer, checks: done, cause: failure === undefined ? null : { message: failure.message, hints: failure.hints } }, null, 2));
  else await printReport(done.map((check) => renderCheck(check)).join('\n'));
  if (failure !== undefined) throw failure;
}

interface Done {
  readonly name: string;
  readonly outcome: 'ok' | 'failed';
  readonly detail: string;
}

/** On a terminal the cause follows in the error: a report that goes elsewhere must hold it. */
function renderCheck({ name, outcome, detail }: Done): string {
  if (outcome === 'ok') return `ok      ${name.padEnd(14)}  ${detail}`;
  return process.stdout.isTTY ? `FAILED  ${name}` : `FAILED  ${name.padEnd(14)}  ${detail}`;
}

async function admit(tools: DoctorTools, request: DoctorRequest): Promise<Patient> {
  const { home } = tools.use;
  const config = await readConfig(home);
  const name = request.target?.name ?? '';
  const parameters = request.profile === undefined ? config.providers[name] : config.profiles[name]?.[request.profile];
  return { ...tools, ...request, config, parameters, rule: await readGivenRule(tools, request) };
}

async function readGivenRule({ readStdin }: DoctorTools, { rulePath, flags }: DoctorRequest): Promise<Rule | undefined> {
  if (rulePath === undefined) return Object.keys(flags).length === 0 ? undefined : { ...EMPTY_RULE, ...flags, isWhole: flags.condition !== undefined };
  const fail = (fault: string, cause?: unknown): CliError => new CliError('usage', `the rule ${rulePath === '-' ? 'on standard input' : rulePath} ${fault}`, { cause });
  try {
    const text = rulePath === '-' ? await readStdin() : await readFile(rulePath, 'utf8');
    return { ...readRule(text), ...flags };
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (error instanceof Malformed) throw fail(`cannot be evaluated: ${error.message}`, error);
    throw fail(`cannot be read (${String((error as NodeJS.ErrnoException).code)})`, error);
  }
}

function toFailure(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (!(error instanceof Found)) throw error;
  return new CliError(error.kind, makePrintable(error.cause.sentence), { hints: error.cause.hints.map(makePrintable), cause: error });
}

function raise(cause: Cause | undefined, kind: CliError['kind'] = 'refused'): void {
  if (cause !== undefined) throw new Found(kind, cause.sentence, cause.hints);
}

async function checkSetup({ target, parameters, profile }: Patient): Promise<string | undefined> {
  if (target === undefined || findProvider(target.name) === undefined) return undefined;
  if (parameters === undefined) throw new CliError('configuration', `${target.label} is not set up${profile === undefined ? '' : ` under the name "${profile}"`}`, { hints: [`run \`vouch setup ${target.name}\` (see --help for what it needs)`] });
  const { length } = Object.keys(parameters);
  return `${length} ${length === 1 ? 'value is' : 'values are'} recorded and well-formed`;
}

/** A provider on this machine (an emulator) may fetch from this machine. */
function isTestBed({ target, parameters, use }: Patient): boolean {
  const provider = target === undefined ? undefined : findProvider(target.name);
  return provider !== undefined && parameters !== undefined && isLoopback(new URL(provider.locate(parameters, use.places)));
}

async function checkAddress(patient: Patient): Promise<string> {
  const { issuer, resolve } = patient;
  if (isTestBed(patient)) return `${issuer} (not checked: the provider is on this machine, too)`;
  const fault = findAddressFault(issuer);
  if (fault !== undefined) throw new Found('configuration', `${issuer} ${fault}`, ['run the issuer at a public https name, without a port (README, "In production"), and register that name', `then: vouch login --issuer https://vouch.example.com`]);
  const { hostname } = new URL(issuer);
  const addresses = await resolve(hostname).catch(() => []);
  if (addresses.length === 0) throw new Found('network', `this machine's resolver does not know the name ${hostname}`, ['enter it in public DNS, or check the DNS of this machine']);
  const inner = addresses.find((address) => !isPublicAddress(address));
  if (inner !== undefined && patient.target?.isSelfHosted !== true) throw new Found('configuration', `this machine's resolver leads ${hostname} to ${inner}, which is not on the public internet`, ['providers refuse a name with such an address: take it out of public DNS', 'if only your own network resolves it so, ask from outside, too']);
  return `${issuer} leads to ${addresses.join(', ')}, as this machine's resolver has it${inner === undefined ? '' : `; ${patient.target?.label ?? ''} must be in the same network`}`;
}

async function checkCertificate(patient: Patient): Promise<string | undefined> {
  const { issuer, target, inspectCertificate } = patient;
  if (isTestBed(patient)) return undefined;
  const proxy = findProxy(issuer);
  // It may show another certificate than providers see.
  if (proxy !== undefined) return `not checked: this machine reaches the issuer through the proxy ${proxy}`;
  const fault = await inspectCertificate(new URL(issuer).hostname);
  if (fault?.isOfAuthority === true && target?.ownAuthority !== undefined) return `of an authority that ${target.label} must be told of (${target.ownAuthority}): it is not one of the public ones`;
  raise(fault, 'configuration');
  return 'nothing that providers would not trust';
}

async function checkDocument(patient: Patient): Promise<string> {
  const url = `${patient.issuer}/.well-known/openid-configuration`;
  const document = await fetchDocument(url, patient.use.clock);
  patient.discovery = document;
  patient.jwksUri = checkDiscovery(document.fields, patient.issuer);
  return `names exactly this issuer; ${document.tookMs} ms`;
}

async function checkKeys(patient: Patient): Promise<string> {
  const { fields, tookMs } = await fetchDocument(patient.jwksUri ?? '', patient.use.clock);
  patient.kids = checkJwks(fields, patient.target?.mostKeys ?? 100);
  return `${patient.kids.length} ${patient.kids.length === 1 ? 'key' : 'keys'}, public members only; ${tookMs} ms`;
}

async function checkClock({ discovery }: Patient): Promise<string | undefined> {
  const ahead = discovery?.aheadMs;
  if (ahead === undefined) return undefined;
  const by = formatDuration(Math.abs(ahead));
  if (Math.abs(ahead) > MOST_AHEAD_MS) throw new Found('configuration', `the clock of this machine is ${by} ${ahead > 0 ? 'ahead of' : 'behind'} the issuer's`, ['set it by NTP (timedatectl set-ntp true); if it is right, tell the people who run the issuer']);
  return `within ${Math.max(1, Math.round(Math.abs(ahead) / 1000))} s of the issuer's`;
}

async function checkEnvironment({ target, variables, parameters }: Patient): Promise<string | undefined> {
  const shadow = Object.entries(target?.shadows ?? {}).find(([name, pattern]) => variables[name] !== undefined && variables[name] !== '' && pattern.test(variables[name]));
  if (shadow !== undefined) throw new Found('configuration', `${shadow[0]} is set, and wins over the short-lived credential`, [`unset ${shadow[0]} (and take it out of your shell profile, .env files and CI secrets)`, `or run commands through \`vouch exec --type ${target?.name ?? ''}\`, which unsets it`]);
  const [recorded, set] = [parameters?.['base_url'], variables['ANTHROPIC_BASE_URL']];
  if (target?.name === 'anthropic' && recorded !== undefined && set !== undefined && set !== '' && recorded.replace(/\/+$/, '') !== set.replace(/\/+$/, '')) {
    throw new Found('configuration', `ANTHROPIC_BASE_URL is ${set}, and the setup's base URL is ${recorded}: the exchange goes to one, the API calls to the other`, ['unset ANTHROPIC_BASE_URL, or record it with `vouch setup anthropic --base-url ... --force` (with the other values)']);
  }
  return target === undefined ? undefined : 'nothing shadows the credential';
}

async function checkSession({ use: { source } }: Patient): Promise<string> {
  await source.accessToken();
  const who = await source.identify();
  return who.kind === 'session' ? `${who.email} at ${who.issuer}` : `${who.subject} at ${who.issuer}, by its key file`;
}

async function checkToken(patient: Patient): Promise<string | undefined> {
  const { use, target, parameters, audience, kids } = patient;
  if (target === undefined) return undefined;
  const token = await use.source.idToken(audience ?? parameters?.['audience']);
  patient.token = token;
  raise(examineToken({ token, target, now: use.clock(), kids }));
  return `${target.label} takes its form, key and times`;
}

async function checkRule({ token, target, rule, kids }: Patient): Promise<string | undefined> {
  if (token === undefined || target === undefined || rule === undefined) return undefined;
  raise(evaluateRule({ token, target, rule }));
  const keys = compareUploadedKeys(rule, kids ?? []);
  return ['every clause matches', ...(rule.condition === undefined ? [] : ['the condition is not evaluated here']), ...(keys === undefined ? [] : [keys])].join('; ');
}

async function tryExchange({ use, target, parameters, audience, triesExchange }: Patient): Promise<string | undefined> {
  const provider = target === undefined ? undefined : findProvider(target.name);
  if (provider === undefined || parameters === undefined || !triesExchange) return undefined;
  const { expiresAt } = await mintAndExchange(use, { provider, parameters, url: provider.locate(parameters, use.places), audience: audience ?? parameters['audience'] });
  return `${provider.label} gave a credential${expiresAt === undefined ? '' : ` for ${formatDuration(expiresAt - use.clock())}`}`;
}

