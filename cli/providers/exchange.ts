// One exchange at a provider, in five phases; a provider fills in the request and the hints and cannot skip a phase.
import { CliError } from '../errors.ts';
import { checkEndpoint, isBearerToken } from '../formats.ts';
import { describeNetworkFailure, isPassing, REQUEST_TIMEOUT_SECONDS, suggestRetry } from '../network.ts';
import { quoteSafely } from '../redact.ts';
import type { AssertionClaims, Provider, ProviderRequest, RequestInput } from './provider.ts';

const MAX_ANSWER_BYTES = 1024 * 1024;

export interface ExchangeInput extends RequestInput {
  readonly provider: Provider;
  readonly claims: AssertionClaims;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * Exchanges the assertion for the provider's access token. Throws `CliError`: network (unreachable, 30 s, 429, 5xx),
 * refused (any other answer without a usable token), configuration (the place to send to is not acceptable).
 */
export async function exchangeAssertion(input: ExchangeInput): Promise<string> {
  // 1. What is sent, and where to.
  const request = input.provider.buildRequest(input);
  refuseUnsafeEndpoint(request);
  // 2. Send it; 3. read at most 1 MiB of the answer.
  const answer = await send(input.provider, request);
  // 4. Was it accepted?
  if (answer.status !== 200) throw createRefusal(input, answer);
  // 5. Does it hold a token that can be used?
  return takeAccessToken(input.provider, answer);
}

function refuseUnsafeEndpoint({ url }: ProviderRequest): void {
  const fault = checkEndpoint(url);
  if (fault !== undefined) throw new CliError('configuration', `the provider's token endpoint ${fault}`);
}

async function send(provider: Provider, request: ProviderRequest): Promise<Answer> {
  try {
    const response = await fetch(request.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', ...request.headers },
      body: JSON.stringify(request.body),
      // A redirect would carry the assertion to a place that nobody configured.
      redirect: 'manual',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_SECONDS * 1000),
    });
    return { status: response.status, headers: response.headers, text: await readLimited(provider, response) };
  } catch (error) {
    throw describeNetworkFailure(error, `${provider.label} (${new URL(request.url).host})`) ?? error;
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

function createRefusal({ provider, parameters, claims, assertion }: ExchangeInput, { status, headers, text }: Answer): CliError {
  if (status >= 300 && status < 400) {
    return new CliError('refused', `${provider.label} answered with a redirect (${status}), which is not followed`, {
      hints: [`check the address recorded by \`vouch setup ${provider.name}\``],
    });
  }
  const { code, message } = readFailure(text);
  const said = quoteSafely([code, message].filter((part) => part !== '').join(': '), [assertion]);
  const sentence = said === '' ? '' : `: ${said}`;
  if (isPassing(status)) {
    return new CliError('network', `${provider.label} cannot answer just now (${status})${sentence}`, { hints: suggestRetry(headers) });
  }
  return new CliError('refused', `${provider.label} refused the exchange (${status})${sentence}`, {
    hints: provider.suggestChecks({ status, code, parameters, claims }),
  });
}

/** Reads OAuth's `{ error, error_description }` and the APIs' `{ error: { type or code, message } }`. */
function readFailure(text: string): { code: string; message: string } {
  const { error, error_description: description } = asObject(parseLeniently(text));
  if (typeof error === 'string') return { code: error, message: asText(description) };
  const { type, code, message } = asObject(error);
  return { code: asText(type) || asText(code), message: asText(message) };
}

function takeAccessToken(provider: Provider, { text }: Answer): string {
  const { access_token: token, token_type: type } = asObject(parseLeniently(text));
  if (typeof token !== 'string' || !isBearerToken(token)) throw createUnusable(provider, 'holds no access token');
  if (type !== undefined && asText(type).toLowerCase() !== 'bearer') throw createUnusable(provider, 'holds a token that is not a bearer token');
  return token;
}

function createUnusable(provider: Provider, fault: string): CliError {
  return new CliError('refused', `the answer of ${provider.label} ${fault}`, {
    hints: [`check the address recorded by \`vouch setup ${provider.name}\``],
  });
}

function parseLeniently(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
