import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BIN, SETUP_OPENAI, startVouch, type Outcome } from './run_vouch.ts';
import { startSignedIn, type SignedIn } from './signed_in.ts';

let world: SignedIn;
beforeAll(async () => {
  world = await startSignedIn();
  await world.setUpAnthropic();
  await world.sandbox.runHere([...SETUP_OPENAI, '--token-endpoint', `${world.fake.issuer}/openai/token`]);
});
afterAll(async () => { await world.close(); });

const run = (parameters: readonly string[], variables?: Record<string, string>): Promise<Outcome> => world.sandbox.runHere(parameters, variables);
const shell = (script: string, variables: Record<string, string> = {}): Promise<Outcome> =>
  startVouch('/bin/bash', ['-c', `vouch() { "${process.execPath}" "${BIN}" "$@"; }\n${script}`], { VOUCH_HOME: world.sandbox.home, ...variables }).outcome;

describe('env', () => {
  it("sets Anthropic's bearer token in the shell, and takes the key that would shadow it away", async () => {
    const { stdout, stderr, status } = await shell('eval "$(vouch env --type anthropic)"; env | grep ^ANTHROPIC | sort', { ANTHROPIC_API_KEY: 'sk-ant-api03-static-key' });
    expect(stdout).toMatch(/^ANTHROPIC_AUTH_TOKEN=sk-ant-oat01-\S+\nANTHROPIC_BASE_URL=http:\/\/localhost:\d+\/\n$/);
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'note: ANTHROPIC_API_KEY is set here and would win over the short-lived credential: it is unset\n' });
  });

  it('sets OPENAI_API_KEY to the bearer token, with a word on why, and says what it replaced', async () => {
    const { stdout, stderr } = await run(['env', '--type', 'openai', '--shell', 'zsh'], { OPENAI_API_KEY: 'sk-static-key-of-old' });
    expect(stdout).toMatch(/^export OPENAI_API_KEY='openai-[\w-]+'\n$/);
    expect(stderr).toBe("note: OPENAI_API_KEY was set here already: it is replaced\nnote: OPENAI_API_KEY holds the short-lived token, not a static key: it is the one variable from which OpenAI's SDKs take a bearer token\n");
  });

  it('writes for each shell, and for several types at once', async () => {
    const types = ['--type', 'anthropic', '--type', 'openai'];
    expect((await run(['env', ...types], { SHELL: '/usr/bin/fish' })).stdout).toMatch(/^set -e ANTHROPIC_API_KEY\nset -gx ANTHROPIC_AUTH_TOKEN 'sk-ant-oat01-\S+'\nset -gx ANTHROPIC_BASE_URL '\S+'\nset -gx OPENAI_API_KEY 'openai-\S+'\n$/);
    expect((await run(['env', ...types, '--shell', 'powershell'])).stdout).toMatch(/^Remove-Item -ErrorAction SilentlyContinue Env:ANTHROPIC_API_KEY\n\$env:ANTHROPIC_AUTH_TOKEN = 'sk-ant-oat01-\S+'\n/);
    expect((await run(['env', ...types, '--shell', 'dotenv'])).stdout).toMatch(/^ANTHROPIC_API_KEY=\nANTHROPIC_AUTH_TOKEN=sk-ant-oat01-\S+\n/);
    expect(JSON.parse((await run(['env', ...types, '--shell', 'json'])).stdout)).toEqual({
      ANTHROPIC_API_KEY: null, ANTHROPIC_AUTH_TOKEN: expect.stringMatching(/^sk-ant-oat01-/), ANTHROPIC_BASE_URL: `${world.fake.issuer}/`, OPENAI_API_KEY: expect.stringMatching(/^openai-/),
    });
  });

  it.each([
    [['env'], /^error: --type is missing\nhint: name a provider/],
    [['env', '--type', 'antropic'], /^error: --type must be the name of a provider, or <provider>:<profile>\nhint: the providers are anthropic, openai, aws, openrouter, custom\n$/],
    [['env', '--type', 'anthropic', '--shell', 'tcsh'], /^error: --shell must be one of bash, zsh, fish, powershell, dotenv, json\n$/],
    [['exec', '--type', 'anthropic'], /^error: no command was given\nhint: put it after --: /],
  ])('`vouch %j` is a usage error', async (parameters, stderr) => {
    const outcome = await run(parameters);
    expect(outcome).toMatchObject({ status: 2, stdout: '' });
    expect(outcome.stderr).toMatch(stderr);
  });

  it('says which profile is not there', async () => {
    expect(await run(['env', '--type', 'anthropic:work'])).toMatchObject({ status: 6, stdout: '', stderr: 'error: Anthropic has no profile "work"\nhint: run `vouch setup anthropic --profile work`\n' });
  });
});

describe('exec', () => {
  const run = (parameters: readonly string[], variables?: Record<string, string>): Promise<Outcome> => world.sandbox.run(parameters, variables);
  const EXEC = ['exec', '--type', 'anthropic', '--'];

  it('gives the command its variables and its input, and takes the shadowing key away', async () => {
    const { stdout, stderr, status } = await shell('echo input | vouch exec --type anthropic -- sh -c \'cat; echo "$ANTHROPIC_AUTH_TOKEN $OTHER ${ANTHROPIC_API_KEY-none}" "$@"\' sh --verbose -- x', { ANTHROPIC_API_KEY: 'sk-ant-api03-static', OTHER: 'kept' });
    expect(stdout).toMatch(/^input\nsk-ant-oat01-\S+ kept none --verbose -- x\n$/);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/^note: ANTHROPIC_API_KEY is set here/) });
  });

  it.each([['exit 0', 0], ['exit 255', 255], ['kill -TERM $$', 143], ['kill -KILL $$', 137]])('of sh -c "%s" ends with %d', async (script, status) => {
    expect(await run([...EXEC, 'sh', '-c', script])).toEqual({ status, signal: null, stdout: '', stderr: '' });
  });

  it.each([[['/no/such/command'], 127, 'error: the command /no/such/command was not found\n'], [['/etc/passwd'], 126, 'error: the command /etc/passwd cannot be run (EACCES)\n']])('of %j says that it cannot be run', async (command, status, stderr) => {
    expect(await run([...EXEC, ...command])).toEqual({ status, signal: null, stdout: '', stderr });
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGUSR1'] as const)('passes %s on, and waits for what the command makes of it', async (signal) => {
    const name = signal.slice(3);
    const running = world.sandbox.start([...EXEC, 'bash', '-c', `trap 'echo got ${name}; exit 42' ${name}; echo ready >&2; while :; do sleep 0.05; done`]);
    await running.waitForStderr(/ready/);
    running.child.kill(signal);
    expect(await running.outcome).toMatchObject({ status: 42, stdout: `got ${name}\n` });
  });

  it('loses no signal that comes while the command starts', async () => {
    const script = `
      import { installSignalHandlers, passSignalsTo } from ${JSON.stringify(new URL('../../cli/signals.ts', import.meta.url).href)};
      installSignalHandlers();
      process.kill(process.pid, 'SIGTERM');
      passSignalsTo((signal) => { console.log('passed ' + signal); });
      setTimeout(() => {}, 200);`;
    expect(await startVouch(process.execPath, ['--input-type=module', '-e', script], {}).outcome).toMatchObject({ status: 0, stdout: 'passed SIGTERM\n' });
  });

  it('leaves the options of the command alone, with and without --', async () => {
    expect(await run(['exec', '--type', 'anthropic', process.execPath, '--version'])).toMatchObject({ status: 0, stdout: `${process.version}\n` });
  });

  it('runs nothing without a credential', async () => {
    const outcome = await run([...EXEC, 'echo', 'ran'], { ANTHROPIC_BASE_URL: 'x', VOUCH_ISSUER: 'https://other.example' });
    expect(outcome).toMatchObject({ status: 3, stdout: '' });
  });
});
