// The surroundings that a script may ask for: a small issuer with the providers' emulators on a clock that stands still, or
// the real issuer with an admin.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getAdminToken } from '../support/admin_token.ts';
import { startStsEmulator } from '../support/aws_sts_emulator.ts';
import { EMAIL, startFakeIssuer, type FakeIssuer } from '../support/fake_issuer_for_cli.ts';
import { startTestIssuer } from '../support/issuer_in_process.ts';
import { startOpenRouterEmulator } from '../support/openrouter_emulator.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';
import { visit } from './admin_cli.ts';
import { SETUP_ANTHROPIC, SETUP_OPENAI, type Sandbox } from './run_vouch.ts';
import { splitWords } from './script_file.ts';
import { signIn, writeServiceKey } from './signed_in.ts';

/** Where one script runs. */
export interface Stage {
  readonly sandbox: Sandbox;
  /** Runs vouch without a word; throws if it fails. */
  readonly prepare: (parameters: readonly string[]) => Promise<void>;
  /** How far the clock of vouch is ahead. */
  aheadSeconds: number;
}

export type Step = (stage: Stage, rest: string) => Promise<void> | void;

export interface World {
  readonly isClockStill: boolean;
  /** What the scripts call by name. */
  readonly names: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  /** By what stands before the colon. */
  readonly steps: Readonly<Record<string, Step>>;
  /** Goes through the sign-in behind an address that vouch printed. */
  readonly visit: (url: string) => Promise<void>;
  /** As it was before the first script. */
  readonly reset: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const COMMON_STEPS: Readonly<Record<string, Step>> = {
  'file': async ({ sandbox }, rest) => {
    const [, name = '', text = ''] = /^(\S+) ?([^]*)$/.exec(rest) ?? [];
    const path = join(sandbox.home, name);
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
    await writeFile(path, text, { mode: 0o600 });
  },
  'folder': async ({ sandbox }, rest) => { await mkdir(join(sandbox.home, rest), { recursive: true }); },
  'the clock of vouch is ahead by': (stage, rest) => { stage.aheadSeconds = Number(rest); },
  'run': async ({ prepare }, rest) => { await prepare(splitWords(rest)); },
};

const ROLE = 'arn:aws:iam::123456789012:role/developer';
const POLICY = '11111111-2222-4333-8444-555555555555';

const ADMIN_PATHS = ['keys', 'keys/verifiers', 'keys/rewrap', 'keys/events', 'audiences', 'service-accounts', 'groups', 'accounts', 'disputes', 'scim-tokens', 'audit'];

export async function startFakeWorld(): Promise<World> {
  const fake = await startFakeIssuer();
  const usual = structuredClone(fake.behaviour);
  let isDown = false;
  const { issuer: issuerUrl } = fake;
  const sts = await startStsEmulator({ providers: [{ issuerUrl, clientIds: ['sts.amazonaws.com'] }], roles: [{ arn: ROLE, issuerUrl }, { arn: 'arn:aws:iam::123456789012:role/other', issuerUrl, subject: 'somebody@example.com' }] });
  const openrouter = await startOpenRouterEmulator({ policies: [{ id: POLICY, issuerUrl, subject: EMAIL, audience: 'openrouter' }] });
  const setups: Readonly<Record<string, readonly string[]>> = {
    anthropic: [...SETUP_ANTHROPIC, '--base-url', issuerUrl],
    openai: [...SETUP_OPENAI, '--token-endpoint', `${issuerUrl}/openai/token`],
    aws: ['setup', 'aws', '--role-arn', ROLE, '--audience', 'sts.amazonaws.com', '--sts-endpoint', sts.url, '--region', 'eu-central-1'],
    openrouter: ['setup', 'openrouter', '--federation-policy-id', POLICY, '--audience', 'openrouter', '--token-endpoint', `${openrouter.url}/api/v1/oauth/token`],
    custom: ['setup', 'custom', '--token-endpoint', `${openrouter.url}/api/v1/oauth/token`, '--audience', 'openrouter', '--fields', `federation_policy_id=${POLICY}`, '--scope', 'inference', '--variable', 'ROUTER_TOKEN'],
  };
  const steps: Readonly<Record<string, Step>> = {
    ...COMMON_STEPS,
    'signed in': ({ sandbox }) => signIn(sandbox, fake),
    'the session says': async ({ sandbox }, rest) => sandbox.editSession(JSON.parse(rest) as Record<string, unknown>),
    'the issuer has ended the session': () => { fake.revokeAll(); },
    'set up': async ({ prepare }, rest) => { for (const name of splitWords(rest)) await prepare(setups[name]!); },
    'a key file': ({ sandbox }, rest) => writeServiceKey(fake, join(sandbox.home, '..', rest)),
    'break the cache': async ({ sandbox }) => {
      const cache = join(sandbox.home, 'cache');
      for (const name of await readdir(cache)) await writeFile(join(cache, name), '{"version":1,"secrets":{"tok');
    },
    'the issuer is down': async () => {
      isDown = true;
      await fake.goDown();
    },
    'the issuer answers': (_stage, rest) => { fake.behaviour.answers = { ...fake.behaviour.answers, ...readAnswers(rest) }; },
    'the store of the issuer is away': () => {
      const away = { status: 503, body: '{"error":"temporarily_unavailable","error_description":"the store is away"}' };
      fake.behaviour.answers = Object.fromEntries(ADMIN_PATHS.map((path) => [`/admin/api/v1/${path}`, away]));
    },
    'the issuer is itself again': () => { fake.behaviour.answers = {}; },
    'the provider answers': (_stage, rest) => { fake.behaviour.providerAnswer = Object.values(readAnswers(`/ ${rest}`))[0]; },
    'behaviour': (_stage, rest) => { Object.assign(fake.behaviour, JSON.parse(rest)); },
  };
  return {
    isClockStill: true,
    names: { ISSUER: issuerUrl, STS: sts.url, OPENROUTER: openrouter.url, PLACE: new URL(issuerUrl).host, 'A MIB': 'x'.repeat(1024 * 1024 + 1) },
    variables: {},
    steps,
    visit: async (url) => { await fetch(url); },
    reset: async () => {
      if (isDown) await fake.comeBack();
      isDown = false;
      Object.assign(fake.behaviour, structuredClone(usual), { audiences: ['sts.amazonaws.com', 'openrouter', 'https://api.example.com'] });
    },
    close: async () => { await Promise.all([isDown ? undefined : fake.close(), sts.close(), openrouter.close()]); },
  };
}

/** `/path 503 name=value {"error":"x"}`: a status, headers, and the rest is the body, which may end with `\n`. */
function readAnswers(text: string): FakeIssuer['behaviour']['answers'] {
  const [, path = '', status = '', headers = '', body = ''] = /^(\S+) (\d{3})((?: [a-z-]+=\S+)*) ?([^]*)$/.exec(text) ?? [];
  if (path === '') throw new TypeError(`an answer is: /path 503 name=value body; not: ${text}`);
  const pairs = headers.split(' ').filter((pair) => pair !== '').map((pair) => pair.split(/=(.*)/s).slice(0, 2));
  return { [path]: { status: Number(status), headers: Object.fromEntries(pairs) as Record<string, string>, body: body.replace(/\\n$/, '\n') } };
}

const ADD_PASSKEY = `INSERT INTO passkeys (id, account_id, public_key, counter, transports, device_type, is_backed_up, aaguid, name, created_at)
  SELECT $1, account_id, public_key, 0, transports, device_type, is_backed_up, aaguid, $2, now() FROM passkeys WHERE id = $3`;
const ADMIN_SCOPE = 'openid keys:read keys:write audiences:read audiences:write accounts:read accounts:write audit:read';

export async function startRealWorld(): Promise<World> {
  const issuer = await startTestIssuer({ VOUCH_HOSTED_DOMAINS: 'example.com' });
  const admin = await issuer.createPerson('admin@example.com');
  let kept: { readonly token: string; readonly at: number } | undefined;
  const steps: Readonly<Record<string, Step>> = {
    ...COMMON_STEPS,
    // What a sign-in leaves; a change takes one of the last 300 s.
    'an admin': async ({ sandbox }) => {
      if (kept === undefined || Date.now() - kept.at > 120_000) kept = { token: await getAdminToken(issuer.url, admin, ADMIN_SCOPE), at: Date.now() };
      await mkdir(sandbox.home, { recursive: true, mode: 0o700 });
      await writeFile(join(sandbox.home, 'admin.json'), JSON.stringify({ issuer: issuer.url, access_token: kept.token, expires_at: new Date(kept.at + 600_000).toISOString() }), { mode: 0o600 });
    },
    'signed in': async ({ prepare }) => { await prepare(['login', '--no-browser']); },
    'a person': async (_stage, rest) => { await issuer.createPerson(rest); },
    'a dispute': async (_stage, rest) => {
      const [subject = '', email = 'admin@example.com'] = splitWords(rest);
      const claim = { issuer: 'https://upstream.example', subject, email, isEmailVerified: true, name: 'N', hostedDomain: undefined, isEmailOfUpstream: true };
      await issuer.app.identities.signIn(claim).then(() => { throw new TypeError(`${email} is nobody's`); }, () => undefined);
    },
    'a spare passkey': async (_stage, rest) => {
      const { id } = createSoftwarePasskey({ origin: issuer.url });
      await query(issuer.databaseUrl, ADD_PASSKEY, [id, rest, admin.passkey.id]);
    },
  };
  return {
    isClockStill: false,
    names: { ISSUER: issuer.url },
    variables: { VOUCH_ISSUER: issuer.url },
    steps,
    visit: (url) => visit(url, admin),
    reset: async () => undefined,
    close: () => issuer.close(),
  };
}
