import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { authorize } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { ANTHROPIC_IDS, OPENAI_AUDIENCE, OPENAI_IDS, startProviderWorld, type ProviderWorld } from '../support/provider_world.ts';
import { findSignInUrl } from '../support/vouch_process.ts';

/*
 * The guide's commands as it prints them, in bash, with curl and both SDKs. Changed are only its placeholders (fdrl_...) and
 * the hosts, which are emulators here; OpenAI's token endpoint has no variable, so `setup openai` gets one option more.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PERSON = 'developer@example.com';
let issuer: TestIssuer;
let providers: ProviderWorld;
let folder: string;

/** What `python app.py` stands for: a program that asks Claude once, with Anthropic's SDK and no argument. */
const CLAUDE_APP = `
  import Anthropic from '${ROOT}node_modules/@anthropic-ai/sdk/index.mjs';
  const message = await new Anthropic().messages.create({ model: 'claude-sonnet-4-6', max_tokens: 16, messages: [{ role: 'user', content: 'Hello, Claude' }] });
  console.log(message.content[0].text, process.env.ANTHROPIC_API_KEY ?? 'no static key');
`;
const OPENAI_APP = `
  import OpenAI from '${ROOT}node_modules/openai/index.mjs';
  const response = await new OpenAI().responses.create({ model: 'gpt-5', input: 'hello' });
  console.log(response.output_text);
`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vouch-guide-'));
  issuer = await startTestIssuer({ VOUCH_AUDIENCES: OPENAI_AUDIENCE, VOUCH_HOSTED_DOMAINS: 'example.com' });
  providers = await startProviderWorld(issuer.url, PERSON, { isApiBetaRequired: false });
  const program = (name: string, text: string): void => {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), 0o755);
  };
  program('vouch', `#!/bin/sh\nexec ${process.execPath} ${ROOT}cli/vouch.mjs "$@"\n`);
  program('python', `#!/bin/sh\nexec ${process.execPath} ${join(folder, 'app.mjs')}\n`);
  program('app.mjs', CLAUDE_APP);
  program('openai_app.mjs', OPENAI_APP);
});
afterAll(async () => {
  await providers.close();
  await issuer.close();
  rmSync(folder, { recursive: true });
});

/** Runs the lines in bash, as a person would paste them. */
function paste(lines: string, variables: Record<string, string> = {}, onStderr?: (all: string) => void): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = {
    PATH: `${folder}:${process.env['PATH'] ?? ''}`, HOME: folder, VOUCH_ISSUER: issuer.url, ANTHROPIC_BASE_URL: providers.anthropic.url, OPENAI_BASE_URL: `${providers.openai.url}/v1`,
    BROWSER: '/bin/true', ...variables,
  };
  const child = spawn('bash', ['-c', lines], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    onStderr?.(stderr);
  });
  return new Promise((resolve) => { child.once('close', (code) => { resolve({ code, stdout, stderr }); }); });
}

test('Claude: set up, sign in, a token; then curl, env and exec', async () => {
  const person = await issuer.createPerson(PERSON);
  const { rule, organization, serviceAccount, workspace } = ANTHROPIC_IDS;
  let visited: Promise<unknown> | undefined;
  const begun = await paste(`
vouch setup anthropic \\
--federation-rule-id ${rule} \\
--organization-id ${organization} \\
--service-account-id ${serviceAccount} \\
--workspace-id ${workspace}
vouch login # once per session
vouch credential anthropic # prints a short-lived sk-ant-oat01-... token
`, {}, (all) => {
    const url = findSignInUrl(all);
    if (url !== undefined) visited ??= authorize(person.browser, url, person.passkey).then((callback) => fetch(callback));
  });
  expect(begun).toMatchObject({ code: 0, stdout: expect.stringMatching(/^sk-ant-oat01-[\w-]+$/) });
  expect(begun.stderr).toContain(`Signed in as ${PERSON} at ${issuer.url}`);

  const used = await paste(`
curl -sS ${providers.anthropic.url}/v1/messages \\
-H "authorization: Bearer $(vouch credential anthropic)" \\
-H "anthropic-version: 2023-06-01" \\
-H "content-type: application/json" \\
-d '{"model":"claude-sonnet-4-6","max_tokens":1024,"messages":[{"role":"user","content":"Hello, Claude"}]}'
echo
vouch exec --type anthropic -- python app.py # runs a command with ANTHROPIC_AUTH_TOKEN set
eval "$(vouch env --type anthropic)" # exports ANTHROPIC_AUTH_TOKEN in the current shell
python app.py
`, { ANTHROPIC_API_KEY: 'sk-ant-api03-left-in-a-profile' });
  const [message, ...lines] = used.stdout.trimEnd().split('\n');
  expect(JSON.parse(message!)).toMatchObject({ type: 'message', role: 'assistant' });
  expect(lines).toEqual(['pong no static key', 'pong no static key']);
  expect(used).toMatchObject({ code: 0, stderr: expect.stringMatching(/^(note: ANTHROPIC_API_KEY is set here and would win over the short-lived credential: it is unset\n){2}$/) });
  // Five commands, and the SDK twice: one exchange.
  expect(providers.anthropic.exchanges).toBe(1);
  expect(providers.anthropic.history).toEqual([]);
});

test('OpenAI: set up with its audience, a token; then curl and the SDK', async () => {
  const { code, stdout, stderr } = await paste(`
vouch setup openai \\
--identity-provider-id ${OPENAI_IDS.provider} \\
--service-account-id ${OPENAI_IDS.serviceAccount} \\
--token-endpoint ${providers.openai.url}/oauth/token \\
--audience https://api.openai.com/v1 # set to whatever audience OpenAI configured
curl -sS ${providers.openai.url}/v1/responses \\
-H "authorization: Bearer $(vouch credential openai)" \\
-H "content-type: application/json" \\
-d '{"model":"gpt-5","input":"hello"}'
echo
vouch exec --type openai -- ${process.execPath} ${join(folder, 'openai_app.mjs')}
`);
  expect({ code, stdout: stdout.split('\n').slice(1) }).toEqual({ code: 0, stdout: ['pong', ''] });
  expect(JSON.parse(stdout.split('\n')[0]!)).toMatchObject({ object: 'response' });
  expect(stderr).toMatch(/OPENAI_API_KEY holds the short-lived token, not a static key/);
  expect(providers.openai.exchanges).toBe(1);
});

test('what the guide says of troubles: the access token has another subject, and the doctor finds no cause', async () => {
  const { code, stdout } = await paste('vouch credential token | vouch explain - | grep -E "^(Kind|Subject)"; vouch explain | grep ^Subject; vouch doctor anthropic | tail -1');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Kind +access token \(RFC 9068\).*\nSubject +[0-9a-f-]{36}\nSubject +developer@example\.com\nok +exchange +Anthropic gave a credential/);
});

test('the way of older versions: the SDK makes the exchange itself, from a file with an ID token', async () => {
  const { rule, organization, serviceAccount, workspace } = ANTHROPIC_IDS;
  const before = providers.anthropic.exchanges;
  const variables = {
    ANTHROPIC_FEDERATION_RULE_ID: rule, ANTHROPIC_ORGANIZATION_ID: organization, ANTHROPIC_SERVICE_ACCOUNT_ID: serviceAccount, ANTHROPIC_WORKSPACE_ID: workspace,
    ANTHROPIC_IDENTITY_TOKEN_FILE: join(folder, 'identity_token'),
  };
  const { code, stdout, stderr } = await paste(`
umask 077
curl -sS -H "authorization: Bearer $(vouch credential token)" ${issuer.url}/v1/credentials/aws/token | sed 's/.*"id_token":"\\([^"]*\\)".*/\\1/' > "$ANTHROPIC_IDENTITY_TOKEN_FILE"
python app.py
`, variables);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'pong no static key\n', stderr: '' });
  expect(providers.anthropic.exchanges).toBe(before + 1);
  // What vouch itself keeps fresh (README) does as well, and each token is good for one exchange.
  const kept = await paste('vouch credential id-token --output-file "$ANTHROPIC_IDENTITY_TOKEN_FILE" && python app.py', variables);
  expect(kept).toMatchObject({ code: 0, stdout: 'pong no static key\n' });
  expect(providers.anthropic.history).toEqual([]);
});
