// One exchange at a provider, in five phases; a provider fills in the request and the hints and cannot skip a phase.
import { CliError, type FailureKind } from '../errors.ts';
import { checkEndpoint } from '../formats.ts';
import { classifyPassing, describeNetworkFailure, isPassing, suggestRetry } from '../network.ts';
import { quoteSafely } from '../redact.ts';
import type { Clock } from '../time.ts';
import { findProxy, request } from '../wire.ts';
import { DIALECTS, type Dialect, type Failure } from './dialects.ts';
import type { Credential, Provider, RequestInput } from './provider.ts';

const MAX_ANSWER_BYTES = 1024 * 1024;

export interface ExchangeInput extends RequestInput {
  readonly provider: Provider;
  /** What the provider's `locate` gave. */
  readonly url: string;
  readonly clock: Clock;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * Exchanges the assertion for the provider's credential. Throws `CliError`: network (unreachable, 30 s, 5xx), rateLimited
 * (429), refused (any other answer without a usable credential), configuration (the place to send to is not acceptable).
 */
export async function exchangeAssertion(input: ExchangeInput): Promise<Credential> {
  const { provider, parameters, url, clock } = input;
  // 1. What is sent, and where to.
  refuseUnsafeEndpoint(url);
  const dialect = DIALECTS[provider.chooseDialect(parameters)];
  const askedAt = clock();
  // 2. Send it; 3. read at most 1 MiB of the answer.
  const answer = await send(input, dialect);
  // 4. Was it accepted?
  if (answer.status !== 200) throw createRefusal(input, answer, await dialect.readFailure(answer.text));
  // 5. Does it hold a credential that can be used?
  const credential = await dialect.readCredential(answer.text, askedAt);
  if (typeof credential === 'string') throw createUnusable(provider, credential);
  return credential;
}

function refuseUnsafeEndpoint(url: string): void {
  const fault = checkEndpoint(url);
  if (fault !== undefined) throw new CliError('configuration', `the provider's token endpoint ${fault}`);
}

async function send({ provider, url, ...input }: ExchangeInput, dialect: Dialect): Promise<Answer> {
  const { headers, fields } = provider.buildRequest(input);
  try {
    const response = await request(url, {
      method: 'POST',
      headers: { 'content-type': dialect.contentType, accept: dialect.accept, ...headers },
      body: dialect.write(fields),
    });
    return { status: response.status, headers: response.headers, text: await readLimited(provider, response) };
  } catch (error) {
    const failure = describeNetworkFailure(error, `${provider.label} (${new URL(url).host})`, findProxy(url));
    if (failure === undefined) throw error;
    const hints = [...failure.hints, `check the network of this machine, and the address recorded by \`vouch setup ${provider.name}\``];
    throw new CliError('network', failure.message, { hints, cause: failure.cause });
  }
}

async function readLimited(provider: Provider, response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) throw createUnusable(provider, 'is larger than 1 MiB');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function createRefusal({ provider, parameters, claims, assertion }: ExchangeInput, { status, headers }: Answer, { code, message }: Failure): CliError {
  if (status >= 300 && status < 400) {
    return new CliError('refused', `${provider.label} answered with a redirect (${status}), which is not followed`, { hints: suggestAddress(provider) });
  }
  const said = quoteSafely([code, message].filter((part) => part !== '').join(': '), [assertion]);
  const sentence = said === '' ? '' : `: ${said}`;
  const passing: FailureKind | undefined = provider.passingCodes[code] ?? (isPassing(status) ? classifyPassing(status) : undefined);
  if (passing !== undefined) {
    return new CliError(passing, `${provider.label} cannot answer just now (${status})${sentence}`, { hints: suggestRetry(headers) });
  }
  return new CliError('refused', `${provider.label} refused the exchange (${status})${sentence}`, {
    hints: provider.suggestChecks({ status, code, parameters, claims }),
  });
}

function createUnusable(provider: Provider, fault: string): CliError {
  return new CliError('refused', `the answer of ${provider.label} ${fault}`, { hints: suggestAddress(provider) });
}

/** An answer that no provider gives comes from something else: a wrong address, or a proxy or portal in between. */
function suggestAddress(provider: Provider): readonly string[] {
  return [`check the address recorded by \`vouch setup ${provider.name}\`, and whether a proxy or a sign-in page of the network answers in its place`];
}
