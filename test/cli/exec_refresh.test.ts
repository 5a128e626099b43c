import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { decodeJwt } from 'jose';
import { readEnvironment } from '../../cli/environment.ts';
import { keepFresh } from '../../cli/exec/keeper.ts';
import { locateHome } from '../../cli/home.ts';
import { AWS } from '../../cli/providers/aws.ts';
import { createCredentialUse } from '../../cli/source_option.ts';
import { mergeVariables, obtainTypes, readTypes } from '../../cli/types.ts';
import { startStsEmulator } from '../support/aws_sts_emulator.ts';
import { EMAIL } from '../support/fake_issuer_for_cli.ts';
import { OPENAI_AUDIENCE, startProviderWorld, type ProviderWorld } from '../support/provider_world.ts';
import { SETUP_OPENAI } from './run_vouch.ts';
import { SERVICE, startSignedIn, writeServiceKey, type SignedIn } from './signed_in.ts';

const ROLE = 'arn:aws:iam::123456789012:role/nightly';

/* Commands that outlive their token, with Anthropic's own SDK against an emulator that takes each ID token once. */

let world: SignedIn;
let providers: ProviderWorld;
let offset: number;
beforeEach(async () => {
  offset = 0;
  world = await startSignedIn();
  providers = await startProviderWorld(world.fake.issuer, EMAIL, { clock: () => Math.floor((Date.now() + offset) / 1000) });
  world.fake.behaviour.audiences = [OPENAI_AUDIENCE];
  await world.sandbox.run(providers.setupAnthropic);
  await world.sandbox.run(providers.setupOpenAi);
});
afterEach(async () => {
  await providers.close();
  await world.close();
});

const SDK = new URL('../../node_modules/@anthropic-ai/sdk/index.mjs', import.meta.url).href;
/** Asks once for each line on its standard input, and says how each went. */
const PROGRAM = `
  import Anthropic from ${JSON.stringify(SDK)};
  const client = new Anthropic();
  const ask = () => client.messages.create({ model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'ping' }] }).then(() => 'ok', (error) => 'failed: ' + error.message);
  console.log(await ask());
  if (process.argv[2] === 'waits') for await (const _ of process.stdin) console.log(await ask());
`;

describe('exec --refresh', () => {
  async function writeProgram(): Promise<string> {
    const path = join(world.sandbox.home, '..', 'program.mjs');
    await writeFile(path, PROGRAM);
    return path;
  }

  it('gives many processes one token, which only their owner can read, and cleans up', async () => {
    const path = await writeProgram();
    const script = `for i in 1 2 3; do ${process.execPath} ${path} & done; wait; ls -l "$ANTHROPIC_CONFIG_DIR"/* | grep -c '^-rw-------' ; echo "\${ANTHROPIC_AUTH_TOKEN-none}"`;
    const { stdout, status, stderr } = await world.sandbox.run(['exec', '--refresh', '--type', 'anthropic', '--', 'sh', '-c', script], { ANTHROPIC_API_KEY: 'sk-ant-api03-static' });
    expect(stdout).toBe('ok\nok\nok\n3\nnone\n');
    expect({ status, exchanges: providers.anthropic.exchanges }).toEqual({ status: 0, exchanges: 1 });
    expect(stderr).toMatch(/^note: ANTHROPIC_API_KEY is set here and would win .*\nnote: ANTHROPIC_AUTH_TOKEN is not set with --refresh/);
    expect(await readdir(join(world.sandbox.home, 'run'))).toEqual([]);
    expect(providers.anthropic.history).toEqual([]);
  });

  it('has a new ID token ready whenever the SDK has used one, and passes the exit status', async () => {
    const path = await writeProgram();
    // A command that revokes, asks and waits in turn: each refused API call makes the SDK exchange for itself.
    const running = world.sandbox.start(['exec', '--refresh', '--type', 'anthropic', '--', 'sh', '-c',
      `(for i in 1 2; do sleep 2.5; echo turn $i >&2; sleep 0.5; echo; done) | ${process.execPath} ${path} waits; exit 9`]);
    for (const turn of [/turn 1/, /turn 2/]) {
      await running.waitForStderr(turn);
      providers.anthropic.revokeTokens();
    }
    expect(await running.outcome).toMatchObject({ status: 9, stdout: 'ok\nok\nok\n' });
    expect(providers.anthropic.history).toEqual([]);
    expect(providers.anthropic.exchanges).toBe(3);
  });
});

describe('the keeper', () => {
  const use = (serviceAccount?: string) => createCredentialUse({ home: locateHome(world.sandbox.home), clock: () => Date.now() + offset, environment: readEnvironment({}) }, { serviceAccount });
  const until = async (isTrue: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; i < 100 && !(await isTrue()); i += 1) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await isTrue()).toBe(true);
  };

  it('renews before the token expires, in files of its owner', async () => {
    const keeper = await keepFresh(await use(), await obtainTypes(await use(), readTypes(['anthropic', 'openai']), undefined));
    const { set } = mergeVariables(keeper.types);
    const read = async (): Promise<{ access_token: string; expires_at: number }> => JSON.parse(await readFile(join(set['ANTHROPIC_CONFIG_DIR']!, 'credentials', 'vouch.json'), 'utf8')) as { access_token: string; expires_at: number };
    const bearer = (): Promise<string> => readFile(set['VOUCH_OPENAI_TOKEN_FILE']!, 'utf8');
    const idToken = (): Promise<string> => readFile(set['VOUCH_OPENAI_IDENTITY_TOKEN_FILE']!, 'utf8');
    const [first, firstBearer, firstIdToken] = [await read(), await bearer(), await idToken()];
    expect((await stat(set['VOUCH_OPENAI_TOKEN_FILE']!)).mode & 0o777).toBe(0o600);
    offset = 430_000;
    await until(async () => (await idToken()) !== firstIdToken);
    expect((await read()).access_token).toBe(first.access_token);
    offset = 455_000;
    await until(async () => (await read()).access_token !== first.access_token && (await bearer()) !== firstBearer);
    expect((await read()).expires_at).toBeGreaterThan(first.expires_at);
    await keeper.stop();
    expect(existsSync(set['ANTHROPIC_CONFIG_DIR']!)).toBe(false);
  });

  it('does so for a service account, whose key may be rotated meanwhile, and who never signs in', async () => {
    const keyFile = join(world.sandbox.home, '..', 'nightly.json');
    await world.sandbox.runHere(['logout']);
    await writeServiceKey(world.fake, keyFile);
    await world.sandbox.runHere([...SETUP_OPENAI, '--profile', 'job', '--token-endpoint', `${world.fake.issuer}/openai/token`]);
    const keeper = await keepFresh(await use(keyFile), await obtainTypes(await use(keyFile), readTypes(['openai:job']), undefined));
    const { set } = mergeVariables(keeper.types);
    const read = (name: string): Promise<string> => readFile(set[name]!, 'utf8');
    const first = await read('VOUCH_OPENAI_TOKEN_FILE');
    expect(decodeJwt(await read('VOUCH_OPENAI_IDENTITY_TOKEN_FILE'))).toMatchObject({ sub: SERVICE });
    await writeServiceKey(world.fake, keyFile);
    offset = 455_000;
    await until(async () => (await read('VOUCH_OPENAI_TOKEN_FILE')) !== first);
    await keeper.stop();
    expect(existsSync(world.sandbox.sessionPath)).toBe(false);
  });

  it("leaves AWS's SDKs to ask for the same, from wherever they run", async () => {
    const { sandbox, fake } = world;
    const sts = await startStsEmulator({ providers: [{ issuerUrl: fake.issuer, clientIds: [fake.issuer, 'sts.amazonaws.com'] }], roles: [{ arn: ROLE, issuerUrl: fake.issuer, subject: SERVICE }] });
    fake.behaviour.audiences = ['sts.amazonaws.com'];
    await writeServiceKey(fake, join(sandbox.home, '..', 'a job.json'));
    await sandbox.runHere(['setup', 'aws', '--role-arn', ROLE, '--sts-endpoint', sts.url]);
    const keyFile = relative(process.cwd(), join(sandbox.home, '..', 'a job.json'));
    const script = 'cd "$VOUCH_HOME"; eval "$(sed -n "s/^credential_process = //p" "$AWS_CONFIG_FILE")"';
    const outcome = await sandbox.run(['exec', '--refresh', '--type', 'aws', '--audience', 'sts.amazonaws.com', '--service-account', keyFile, '--', 'sh', '-c', script]);
    await sts.close();
    expect(outcome).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^\{"Version":1,"AccessKeyId":"ASIA/) });
    // The same for the process that vouch began and for the one that the SDK began: one exchange.
    expect(sts.requests.map((form) => decodeJwt(form.get('WebIdentityToken')!))).toMatchObject([{ sub: SERVICE, aud: 'sts.amazonaws.com' }]);
  });

  it('writes no path into a file of AWS that its readers would take apart', async () => {
    const keyFile = join(world.sandbox.home, '..', 'a "$job".json');
    await writeServiceKey(world.fake, keyFile);
    const types = (await obtainTypes(await use(), readTypes(['openai']), undefined)).map((type) => ({ ...type, provider: AWS, name: 'aws' }));
    await expect(keepFresh(await use(keyFile), types)).rejects.toMatchObject({ kind: 'usage', message: expect.stringContaining("cannot stand in AWS's configuration") });
    expect(await readdir(join(world.sandbox.home, 'run'))).toEqual([]);
  });

  it('clears away what a killed vouch left', async () => {
    const abandoned = join(world.sandbox.home, 'run', '999999999-abc');
    await mkdir(abandoned, { recursive: true });
    await (await keepFresh(await use(), await obtainTypes(await use(), readTypes(['openai']), undefined))).stop();
    expect(existsSync(abandoned)).toBe(false);
  });
});
