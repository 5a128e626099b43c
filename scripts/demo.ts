// The whole way, from nothing to an answer of each provider's own SDK, with no browser and no account anywhere: the real
// issuer, the real command line, a passkey in software, and emulators that enforce the providers' published rules.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Anthropic from '@anthropic-ai/sdk';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import OpenAI from 'openai';
import { startAnthropicEmulator } from '../test/support/anthropic_emulator.ts';
import { authorize, createBrowser, enrol } from '../test/support/browser.ts';
import { startIssuerProcess } from '../test/support/issuer_process.ts';
import { startOpenAiEmulator } from '../test/support/openai_emulator.ts';
import { createSoftwarePasskey } from '../test/support/software_passkey.ts';

const EMAIL = 'ada@example.com';
const OPENAI_AUDIENCE = 'https://api.openai.com/v1';
const ANTHROPIC = { rule: 'fdrl_demo', organization: '00000000-0000-4000-8000-000000000000', serviceAccount: 'svac_demo', workspace: 'wrkspc_demo' };
const OPENAI = { provider: 'wip_demo', serviceAccount: 'sa_demo' };

/** What each claim of the federation token is there for. */
const MEANINGS: Readonly<Record<string, string>> = {
  iss: 'who says so; the provider compares it byte for byte',
  sub: 'who it is about, in the words that a provider’s rule is written in',
  aud: 'the one recipient it is for; any other must refuse it',
  iat: 'when it was made',
  nbf: 'not good before',
  exp: 'not good after: ten minutes, and never beyond the session',
  jti: 'its number; a provider takes it once',
  email: 'the e-mail address',
  email_verified: 'whether anybody has checked that mail arrives there',
  hd: 'the company’s own domain; a rule may trust all of it',
  auth_time: 'when the passkey was touched',
  amr: 'how: a key was proved, somebody was there, the authenticator knew them',
  vouch_uid: 'the account itself; an e-mail can change hands, this cannot',
};

const cleanups: (() => unknown)[] = [];
const startedAt = performance.now();
let step = 0;

function say(title: string): void {
  step += 1;
  console.log(`\n${step}. ${title}`);
}

function show(...lines: string[]): void {
  for (const line of lines) console.log(`   ${line}`);
}

const VOUCH = fileURLToPath(new URL('../cli/vouch.mjs', import.meta.url));

/** Runs this checkout's `vouch`, as a person would, and gives what it printed; `onStderr` sees the rest as it comes. */
function runVouch(args: readonly string[], env: Record<string, string>, onStderr?: (text: string) => void): Promise<string> {
  show(`$ vouch ${args.join(' ')}`);
  const child = spawn(process.execPath, [VOUCH, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    onStderr?.(text);
  });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`vouch ${args[0] ?? ''} ended with ${String(code)}: ${stderr}`));
    });
  });
}

async function run(): Promise<void> {
  say('Start the issuer, on embedded storage, with nothing prepared');
  const issuer = await startIssuerProcess({ dataDir: mkdtempSync(join(tmpdir(), 'vouch-')), env: { VOUCH_AUDIENCES: OPENAI_AUDIENCE, VOUCH_HOSTED_DOMAINS: 'example.com' } });
  cleanups.push(() => issuer.stop(), () => { rmSync(issuer.dataDir, { recursive: true, force: true }); });
  show(`it listens on ${issuer.url}, has made and sealed its keys, and printed a link for the first admin`);

  say('Open the link and enrol a passkey (here one in software)');
  const browser = createBrowser(issuer.url);
  const passkey = createSoftwarePasskey({ origin: issuer.url });
  if (issuer.invitation === undefined) throw new Error('the issuer printed no link');
  await enrol(browser, issuer.invitation, { email: EMAIL, name: 'Ada' }, passkey);
  show(`${EMAIL} is enrolled; the link is spent`);

  say('Start the providers: emulators that enforce what Anthropic and OpenAI publish, fetching our keys over HTTP');
  const { anthropic, openai } = await startProviders(issuer.url);
  show(`Anthropic at ${anthropic.url}, OpenAI at ${openai.url}`);

  say('Sign in from the terminal: authorization code with PKCE, back to a loopback port');
  const home = mkdtempSync(join(tmpdir(), 'vouch-home-'));
  cleanups.push(() => { rmSync(home, { recursive: true, force: true }); });
  const env = { VOUCH_HOME: home, ANTHROPIC_BASE_URL: '', NO_COLOR: '1' };
  let touched = false;
  await runVouch(['login', '--issuer', issuer.url, '--no-browser'], env, (text) => {
    for (const line of text.trim().split('\n')) show(`  ${line.length > 110 ? `${line.slice(0, 110)}…` : line}`);
    const url = /http\S+\/oauth\/authorize\?\S+/.exec(text)?.[0];
    if (url === undefined || touched) return;
    touched = true;
    // What the browser and the finger do.
    void authorize(browser, url, passkey).then((callback) => fetch(callback));
  });

  say('Tell the command line what the admins of the providers gave us');
  await runVouch(['setup', 'anthropic', '--federation-rule-id', ANTHROPIC.rule, '--organization-id', ANTHROPIC.organization, '--service-account-id', ANTHROPIC.serviceAccount, '--workspace-id', ANTHROPIC.workspace, '--base-url', anthropic.url], env);
  await runVouch(['setup', 'openai', '--identity-provider-id', OPENAI.provider, '--service-account-id', OPENAI.serviceAccount, '--audience', OPENAI_AUDIENCE, '--token-endpoint', `${openai.url}/oauth/token`], env);

  say('Look at the ID token that a provider gets');
  explain(await runVouch(['credential', 'id-token'], env));

  say('Exchange it at Anthropic, and call the API with Anthropic’s own SDK');
  const anthropicToken = await runVouch(['credential', 'anthropic'], env);
  show(`a token of Anthropic’s: ${anthropicToken.slice(0, 16)}…`);
  const message = await new Anthropic({ authToken: anthropicToken, apiKey: null, baseURL: anthropic.url, defaultHeaders: { 'anthropic-beta': 'oauth-2025-04-20' } }).messages.create({ model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'ping' }] });
  show(`messages.create -> ${message.content.map((block) => (block.type === 'text' ? block.text : block.type)).join(' ')}`);

  say('Exchange one at OpenAI, and call the API with OpenAI’s own SDK');
  const openaiToken = await runVouch(['credential', 'openai'], env);
  show(`a token of OpenAI’s: ${openaiToken.slice(0, 16)}…`);
  const response = await new OpenAI({ apiKey: openaiToken, baseURL: `${openai.url}/v1` }).responses.create({ model: 'gpt-5', input: 'ping' });
  show(`responses.create -> ${response.output_text}`);

  console.log(`\nDone in ${((performance.now() - startedAt) / 1000).toFixed(1)} s. No static key was on disk at any time.`);
}

async function startProviders(issuerUrl: string) {
  const anthropic = await startAnthropicEmulator({
    issuers: [{ id: 'fdis_demo', organizationId: ANTHROPIC.organization, issuerUrl }],
    serviceAccounts: [{ id: ANTHROPIC.serviceAccount, organizationId: ANTHROPIC.organization, workspaceIds: [ANTHROPIC.workspace] }],
    rules: [{ id: ANTHROPIC.rule, organizationId: ANTHROPIC.organization, issuerId: 'fdis_demo', serviceAccountId: ANTHROPIC.serviceAccount, match: { audience: issuerUrl, claims: { hd: 'example.com' } }, workspaceIds: [ANTHROPIC.workspace], tokenLifetimeSeconds: 600 }],
  });
  const openai = await startOpenAiEmulator({
    identityProviders: [{ id: OPENAI.provider, issuerUrl, audience: OPENAI_AUDIENCE }],
    mappings: [{ identityProviderId: OPENAI.provider, serviceAccountId: OPENAI.serviceAccount, match: { sub: EMAIL } }],
  });
  cleanups.push(() => anthropic.close(), () => openai.close());
  return { anthropic, openai };
}

function explain(token: string): void {
  const { alg, kid, typ } = decodeProtectedHeader(token);
  show(`header  alg ${String(alg)}, kid ${String(kid)}, typ ${String(typ)}`);
  for (const [claim, value] of Object.entries(decodeJwt(token))) {
    const text = typeof value === 'number' ? `${value} (${new Date(value * 1000).toISOString().slice(11, 19)} UTC)` : JSON.stringify(value);
    show(`${claim.padEnd(15)} ${text.padEnd(44)} ${MEANINGS[claim] ?? ''}`);
  }
}

try {
  await run();
} catch (error) {
  console.error(`\nerror: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  for (const cleanup of cleanups) await cleanup();
}
process.exit();
