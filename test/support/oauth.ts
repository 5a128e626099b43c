import { createHash, randomBytes } from 'node:crypto';
import { authorize, type Browser } from './browser.ts';
import type { SoftwarePasskey } from './software_passkey.ts';

export const CLI = { id: 'vouch-cli', redirectUri: 'http://127.0.0.1:7777/callback' };

export interface Tokens {
  access_token: string;
  refresh_token: string;
  id_token: string;
  expires_in: number;
  refresh_token_expires_in: number;
  scope: string;
}

export interface CodeRequest {
  readonly url: string;
  readonly verifier: string;
}

export function createCodeRequest(issuer: string, overrides: Record<string, string | undefined> = {}): CodeRequest {
  const verifier = randomBytes(32).toString('base64url');
  const parameters: Record<string, string | undefined> = {
    client_id: CLI.id, response_type: 'code', redirect_uri: CLI.redirectUri, scope: 'openid email', state: 'state-1', nonce: 'nonce-1',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', ...overrides,
  };
  const url = new URL('/oauth/authorize', issuer);
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value);
  return { url: url.href, verifier };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, any>; // eslint-disable-line @typescript-eslint/no-explicit-any -- whatever the server says
}

/** Posts a form to the token endpoint; a list of pairs may repeat a parameter. */
export async function postToken(issuer: string, form: Record<string, string> | [string, string][], headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${issuer}/oauth/token`, { method: 'POST', headers, body: new URLSearchParams(form) });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
}

export async function getCode(issuer: string, { browser, passkey }: { browser: Browser; passkey: SoftwarePasskey }, overrides: Record<string, string | undefined> = {}): Promise<{ code: string; verifier: string; callback: URL }> {
  const { url, verifier } = createCodeRequest(issuer, overrides);
  const callback = await authorize(browser, url, passkey);
  return { code: callback.searchParams.get('code') ?? '', verifier, callback };
}

export function codeForm(code: string, verifier: string): Record<string, string> {
  return { grant_type: 'authorization_code', client_id: CLI.id, redirect_uri: CLI.redirectUri, code, code_verifier: verifier };
}

/** A whole sign-in of the command line's client. */
export async function signIn(issuer: string, person: { browser: Browser; passkey: SoftwarePasskey }): Promise<Tokens> {
  const { code, verifier } = await getCode(issuer, person);
  const { status, body } = await postToken(issuer, codeForm(code, verifier));
  if (status !== 200) throw new Error(`no tokens: ${JSON.stringify(body)}`);
  return body as Tokens;
}

export const exchangeForm = (subjectToken: string, more: Record<string, string> = {}): Record<string, string> => ({
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  client_id: CLI.id,
  subject_token: subjectToken,
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  requested_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  ...more,
});
