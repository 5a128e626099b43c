import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { startHttpListener, type HttpListener } from '../support/http_listener.ts';
import { BIN, startVouch, type Outcome } from './run_vouch.ts';
import { startSignedIn, type SignedIn } from './signed_in.ts';

let world: SignedIn;
let elsewhere: HttpListener;
const visits: string[] = [];
beforeAll(async () => {
  world = await startSignedIn();
  elsewhere = await startHttpListener(async ({ path, body }) => {
    visits.push(`${path} ${String(body)}`);
    return { status: 200, body: {} };
  });
  await world.setUpAnthropic();
});
afterAll(async () => {
  await elsewhere.close();
  await world.close();
});
const run = (...parameters: string[]): Promise<Outcome> => world.sandbox.runHere(parameters);
const isInstalled = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
};

describe('an issuer that', () => {
  const HTML = { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>sign in to the Wi-Fi</html>' };
  // {ELSEWHERE} is known only when the tests run.
  const redirect = (status: number) => ({ status, headers: { location: '{ELSEWHERE}/' }, body: '' });
  const failure = (status: number, error: string, headers: Record<string, string> = {}) => ({ status, headers, body: JSON.stringify({ error, error_description: 'as the test asked' }) });
  const DISCOVERY = '/.well-known/openid-configuration';
  const TOKEN = '/oauth/token';
  it.each<[string, string, { status: number; headers?: Record<string, string>; body: string }, number, RegExp]>([
    ['is a portal', DISCOVERY, HTML, 5, /^error: the issuer \S+ did not answer with JSON\nhint: check the address/],
    ['is a portal when it is asked for a token', TOKEN, HTML, 5, /^error: the issuer \S+ did not answer with JSON\n/],
    ['leads elsewhere', DISCOVERY, redirect(302), 5, /^error: the issuer \S+ answered with a redirect \(302\), which is not followed/],
    ['leads elsewhere with a token', TOKEN, redirect(307), 5, /^error: the issuer \S+ answered with a redirect \(307\), which is not followed/],
    ['has had too much', TOKEN, failure(429, 'slow_down', { 'retry-after': '9' }), 8, /^error: the issuer \S+ cannot answer just now \(429\): slow_down: as the test asked\nhint: try again in 9 s\n$/],
    ['has trouble', TOKEN, failure(503, 'temporarily_unavailable'), 4, /^error: the issuer \S+ cannot answer just now \(503\)/],
    ['wants a fresh sign-in', TOKEN, failure(400, 'insufficient_user_authentication'), 7, /^error: the issuer \S+ asks for a fresh sign-in: .*\nhint: run `vouch login --fresh`, then this command again\n$/],
    ['says so in a challenge', TOKEN, failure(401, 'x', { 'www-authenticate': 'Bearer error="insufficient_user_authentication", error_description="too old", max_age="300"' }), 7, /^error: the issuer \S+ asks for a fresh sign-in: insufficient_user_authentication: too old\n/],
  ])('%s: a clear sentence, the right status, no token sent elsewhere', async (_name, path, answer, status, stderr) => {
    world.fake.behaviour.answers = { [path]: JSON.parse(JSON.stringify(answer).replace('{ELSEWHERE}', elsewhere.url)) };
    const outcome = await run('credential', 'anthropic', '--no-cache');
    world.fake.behaviour.answers = {};
    expect(outcome.stderr).toMatch(stderr);
    expect(outcome).toMatchObject({ status, stdout: '' });
    expect(outcome.stderr).not.toMatch(/eyJ/);
    expect(visits).toEqual([]);
    expect(await run('credential', 'anthropic', '--no-cache')).toMatchObject({ status: 0 });
  });
});

it('a provider that leads elsewhere gets no second request there', async () => {
  world.fake.behaviour.providerAnswer = { status: 307, headers: { location: `${elsewhere.url}/v1/oauth/token` }, body: '' };
  expect(await run('credential', 'anthropic', '--no-cache')).toMatchObject({ status: 5, stdout: '' });
  world.fake.behaviour.providerAnswer = undefined;
  expect(visits).toEqual([]);
});

describe('completions', () => {
  const COMPLETE: Readonly<Record<string, (script: string) => string>> = {
    bash: (script) => `${script}\nCOMP_WORDS=(vouch credential a); COMP_CWORD=2; _vouch; echo "\${COMPREPLY[@]}"; COMP_WORDS=(vouch --verbose env --type o); COMP_CWORD=4; _vouch; echo "\${COMPREPLY[@]}"`,
    zsh: (script) => `autoload -U compinit; compinit -u -D; compadd() { shift; print -r -- \${(M)@:#\${words[CURRENT]}*}; }\n${script}\nwords=(vouch credential a); CURRENT=3; _vouch; words=(vouch --verbose env --type o); CURRENT=5; _vouch`,
    fish: (script) => `${script}\necho (complete -C 'vouch credential a'); echo (complete -C 'vouch env --type o')`,
  };
  it.each(['bash', 'zsh', 'fish'].filter(isInstalled))('in %s', async (shell) => {
    const { stdout, status } = await run('completions', shell);
    expect(status).toBe(0);
    expect(execFileSync(shell, ['-c', COMPLETE[shell]!(stdout)]).toString()).toBe('anthropic aws\nopenai openrouter\n');
  });

  it('in PowerShell is a block that knows every command', async () => {
    const { stdout } = await run('completions', 'powershell');
    expect(stdout).toMatch(/^Register-ArgumentCompleter -Native -CommandName vouch/);
    expect(stdout).toMatch(/^ {4}'credential aws' = @\(.*'--audience', '--profile', .*'--no-cache', .*'--help'\)$/m);
  });

  it('of another shell is a usage error', async () => {
    expect(await run('completions', 'tcsh')).toMatchObject({ status: 2, stdout: '', stderr: 'error: the shell must be one of bash, zsh, fish, powershell\n' });
  });
});

if (isInstalled('script')) {
  describe('on a terminal', () => {
    const onTerminal = async (command: string, variables: Record<string, string>): Promise<string> =>
      (await startVouch('script', ['-qec', `${process.execPath} ${BIN} ${command}`, '/dev/null'], { VOUCH_HOME: world.sandbox.home, TERM: 'xterm', ...variables }).outcome).stdout;

    it('a token ends its line, a failure is coloured, and NO_COLOR is obeyed', async () => {
      expect(await onTerminal('credential token', {})).toMatch(/^eyJ[\w.-]+\r\n$/);
      expect(await onTerminal('credential openai', {})).toMatch(/^\u001B\[1;31merror:\u001B\[0m OpenAI is not set up\r\n\u001B\[36mhint:\u001B\[0m run /u); // eslint-disable-line no-control-regex
      expect(await onTerminal('credential openai', { NO_COLOR: '1' })).toMatch(/^error: OpenAI is not set up\r\nhint: run /);
    });

    it('env says that it only prints', async () => {
      expect(await onTerminal('env --type anthropic --shell fish', {})).toContain('to run them: vouch env --type anthropic --shell fish | source');
    });
  });
}
