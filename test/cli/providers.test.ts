import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EMAIL } from '../support/fake_issuer_for_cli.ts';
import { startOpenRouterEmulator, type OpenRouterEmulator } from '../support/openrouter_emulator.ts';
import { startStsEmulator, type StsEmulator } from '../support/aws_sts_emulator.ts';
import { SETUP_ANTHROPIC, type Outcome } from './run_vouch.ts';
import { startSignedIn, type SignedIn } from './signed_in.ts';

const ROLE = 'arn:aws:iam::123456789012:role/developer';
const POLICY = '11111111-2222-4333-8444-555555555555';

let world: SignedIn;
let sts: StsEmulator;
let openrouter: OpenRouterEmulator;
beforeAll(async () => {
  world = await startSignedIn();
  const { issuer: issuerUrl } = world.fake;
  world.fake.behaviour.audiences = ['sts.amazonaws.com', 'openrouter', 'unwanted', 'databricks'];
  sts = await startStsEmulator({
    providers: [{ issuerUrl, clientIds: ['sts.amazonaws.com'] }],
    roles: [{ arn: ROLE, issuerUrl, subject: '*' }, { arn: `${ROLE}-other`, issuerUrl, subject: 'somebody@example.com' }],
  });
  openrouter = await startOpenRouterEmulator({ policies: [{ id: POLICY, issuerUrl, subject: EMAIL, audience: 'openrouter' }] });
});
afterAll(async () => {
  await Promise.all([sts.close(), openrouter.close(), world.close()]);
});
const run = (parameters: readonly string[], variables?: Record<string, string>): Promise<Outcome> =>
  (parameters[0] === 'exec' ? world.sandbox.run : world.sandbox.runHere)(parameters, variables);
const setUpAws = (...more: string[]): Promise<Outcome> => run(['setup', 'aws', '--role-arn', ROLE, '--audience', 'sts.amazonaws.com', '--sts-endpoint', sts.url, '--region', 'eu-central-1', ...more]);
const setUpOpenrouter = (...more: string[]): Promise<Outcome> =>
  run(['setup', 'openrouter', '--federation-policy-id', POLICY, '--audience', 'openrouter', '--token-endpoint', `${openrouter.url}/api/v1/oauth/token`, ...more]);

describe('aws', () => {
  it('prints what credential_process asks for, from one AssumeRoleWithWebIdentity', async () => {
    await setUpAws();
    const outcome = await run(['credential', 'aws']);
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    const credentials = JSON.parse(outcome.stdout) as Record<string, unknown>;
    expect(credentials).toEqual({
      Version: 1, AccessKeyId: expect.stringMatching(/^ASIA/), SecretAccessKey: expect.any(String), SessionToken: expect.any(String), Expiration: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    expect(Object.fromEntries(sts.requests[0]!)).toEqual({
      Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15', RoleArn: ROLE, RoleSessionName: EMAIL, DurationSeconds: '3600', WebIdentityToken: expect.stringMatching(/^eyJ/),
    });
    expect(await run(['credential', 'aws'])).toEqual(outcome);
    const env = await run(['env', '--type', 'aws'], { AWS_PROFILE: 'old' });
    expect(env.stdout).toBe([
      'unset AWS_PROFILE', 'unset AWS_DEFAULT_PROFILE', 'unset AWS_SECURITY_TOKEN',
      `export AWS_ACCESS_KEY_ID='${String(credentials['AccessKeyId'])}'`, `export AWS_SECRET_ACCESS_KEY='${String(credentials['SecretAccessKey'])}'`,
      `export AWS_SESSION_TOKEN='${String(credentials['SessionToken'])}'`, `export AWS_CREDENTIAL_EXPIRATION='${String(credentials['Expiration'])}'`, "export AWS_REGION='eu-central-1'", '',
    ].join('\n'));
    expect(env.stderr).toBe('note: AWS_PROFILE is set here and would win over the short-lived credential: it is unset\n');
    expect(sts.requests).toHaveLength(1);
  });

  it('--refresh leaves the renewing to the SDKs, by credential_process', async () => {
    await setUpAws();
    const script = 'command=$(sed -n "s/^credential_process = //p" "$AWS_CONFIG_FILE"); eval "$command"; echo; cat "$AWS_CONFIG_FILE"; echo "${AWS_ACCESS_KEY_ID-none}"';
    const { stdout, status } = await run(['exec', '--refresh', '--type', 'aws', '--', 'sh', '-c', script], { AWS_ACCESS_KEY_ID: 'AKIASTATIC' });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\{"Version":1,"AccessKeyId":"ASIA[^\n]*\n\[default\]\ncredential_process = ".*" ".*vouch\.mjs" credential aws\nregion = eu-central-1\nnone\n$/);
  });

  it.each([
    [['--audience', 'unwanted'], 'InvalidIdentityToken: Incorrect token audience', /check that IAM has an identity provider for exactly "http:\/\/localhost:\d+" with the audience \(client ID\) "unwanted"/],
    [['--role-arn', `${ROLE}-other`], 'AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity', /check the trust policy of .*-other: .* = "sts\.amazonaws\.com" and .*:sub = "dev@example\.com"\nhint: evaluate it here: `vouch doctor aws --rule/],
    [['--duration-seconds', '43200'], 'ValidationError: The requested DurationSeconds exceeds', /maximum session duration/],
  ])('setup %j --check tells what STS says and what to check, and records nothing', async (change, message, hint) => {
    const { status, stdout, stderr } = await setUpAws(...change, '--check');
    expect({ status, stdout }).toEqual({ status: 5, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toMatch(hint);
    expect(JSON.stringify(await world.sandbox.readJson(world.sandbox.configPath))).not.toMatch(/unwanted|-other|43200/);
  });
});

describe('openrouter', () => {
  it('gives its token for a form, and is told apart by policy', async () => {
    await setUpOpenrouter();
    const outcome = await run(['credential', 'openrouter']);
    expect(outcome).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^or-fed-/) });
    expect(Object.fromEntries(openrouter.requests[0]!)).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: expect.any(String), subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope: 'inference', federation_policy_id: POLICY,
    });
    expect((await run(['exec', '--type', 'openrouter', '--', 'printenv', 'OPENROUTER_API_KEY'])).stdout).toBe(`${outcome.stdout}\n`);
  });

  it('that refuses is explained', async () => {
    const outcome = await run(['credential', 'openrouter', '--audience', 'unwanted']);
    expect(outcome).toMatchObject({ status: 5, stdout: '' });
    expect(outcome.stderr).toMatch(/^error: OpenRouter refused the exchange \(400\): invalid_grant: the subject token was not accepted\nhint: check that policy 1111.* has exactly the issuer "http.*", the subject "dev@example.com" and the audience "unwanted"/);
  });
});

describe('custom, and profiles', () => {
  it('is any token endpoint, under a name', async () => {
    const setup = ['setup', 'custom', '--profile', 'router', '--token-endpoint', `${openrouter.url}/api/v1/oauth/token`, '--audience', 'openrouter', '--fields', `federation_policy_id=${POLICY}`, '--scope', 'inference', '--variable', 'ROUTER_TOKEN'];
    expect(await run(setup)).toMatchObject({ status: 0, stderr: expect.stringContaining('The profile "router" of the custom provider is set up') });
    const { stdout } = await run(['credential', 'custom', '--profile', 'router']);
    expect(stdout).toMatch(/^or-fed-/);
    expect((await run(['env', '--type', 'custom:router', '--shell', 'bash'])).stdout).toBe(`export ROUTER_TOKEN='${stdout}'\n`);
    expect(await run(['credential', 'custom'])).toMatchObject({ status: 6, stderr: expect.stringContaining('is not set up') });
    expect(await run(['credential', 'custom', '--profile', 'nope'])).toMatchObject({ status: 6, stderr: 'error: the custom provider has no profile "nope"\nhint: set up are: router\n' });
    expect(JSON.parse((await run(['status', '--json'])).stdout)).toMatchObject({ providers: expect.arrayContaining(['custom:router']) });
  });

  it('speaks jwt-bearer and JSON too', async () => {
    await run(['setup', 'custom', '--token-endpoint', `${world.fake.issuer}/v1/oauth/token`, '--grant', 'jwt-bearer', '--encoding', 'json']);
    expect((await run(['credential', 'custom'])).stdout).toMatch(/^sk-ant-oat01-/);
    expect(await run(['env', '--type', 'custom'])).toMatchObject({ status: 6, stdout: '', stderr: expect.stringMatching(/^error: no variable is recorded/) });
  });

  it.each([
    [['setup', 'custom', '--token-endpoint', 'https://x.example', '--fields', 'grant_type=x'], '--fields must not hold grant_type, which the exchange fills in'],
    [['setup', 'custom', '--token-endpoint', 'https://x.example', '--grant', 'password'], '--grant must be token-exchange or jwt-bearer'],
    [['setup', 'custom', '--token-endpoint', 'http://x.example'], '--token-endpoint must begin with https://'],
    [['setup', 'aws', '--role-arn', 'arn:aws:iam::1:role/x'], '--role-arn must be arn:aws:iam::<12 digits>:role/<name>'],
    [['setup', 'aws', '--role-arn', ROLE, '--duration-seconds', '60', '--sts-endpoint', 'http://10.0.0.1/'], '--duration-seconds must be a whole number from 900 to 43200; --sts-endpoint must begin with https://'],
    [['setup', 'openrouter', '--federation-policy-id', 'x'], '--federation-policy-id must be a UUID'],
    [[...SETUP_ANTHROPIC, '--profile', 'My Work'], '--profile must be 1 to 32 small letters, digits, - or _'],
  ])('%j is refused', async (parameters, sentence) => {
    const { status, stdout, stderr } = await run(parameters);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(`error: ${sentence}`);
  });
});

it('setup --check of what is recorded makes one exchange and prints no token', async () => {
  await setUpOpenrouter('--force');
  const before = openrouter.requests.length;
  const { status, stdout, stderr } = await run(['setup', 'openrouter', '--check']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  expect(stderr).toMatch(/^The values are well-formed\. Trying one exchange at http:\S+ \.\.\.\nIt works: OpenRouter gave a credential for \d+ (min|s)\.\n$/);
  expect(openrouter.requests).toHaveLength(before + 1);
});
