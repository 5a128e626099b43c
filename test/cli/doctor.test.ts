import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { inspectCertificate, type Place } from '../../cli/doctor/certificate.ts';
import { examine, type DoctorRequest, type DoctorTools } from '../../cli/doctor/doctor.ts';
import { findTarget } from '../../cli/doctor/targets.ts';
import { readEnvironment } from '../../cli/environment.ts';
import { locateHome } from '../../cli/home.ts';
import { createCredentialUse } from '../../cli/source_option.ts';
import { configureWire } from '../../cli/wire.ts';
import { EMAIL } from '../support/fake_issuer_for_cli.ts';
import { makeCertificates, startTlsFront } from '../support/tls_world.ts';
import { BIN, quietly, startVouch, type Outcome } from './run_vouch.ts';
import { startSignedIn, type SignedIn } from './signed_in.ts';

let world: SignedIn;
beforeEach(async () => {
  world = await startSignedIn();
  await world.setUpAnthropic();
});
afterEach(async () => { await world.close(); });
const doctor = (parameters: readonly string[] = [], variables?: Record<string, string>): Promise<Outcome> => world.sandbox.runHere(['doctor', 'anthropic', ...parameters], variables);

describe('doctor', () => {
  it('goes through every check in order when all is well, and prints no token', async () => {
    const { status, stdout, stderr } = await doctor(['--audience', world.fake.issuer, '--subject', 'dev@*']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n').map((line) => line.slice(0, 22).trim())).toEqual([
      'ok      setup', 'ok      issuer address', 'ok      discovery', 'ok      JWKS', 'ok      clock', 'ok      environment', 'ok      sign-in', 'ok      ID token', 'ok      rule', 'ok      exchange', '',
    ]);
    expect(stdout).not.toMatch(/eyJ|sk-ant/);
    expect(world.fake.providerRequests).toHaveLength(1);
  });

  const HTML = { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>sign in</html>' };
  const KEY = { kty: 'RSA', use: 'sig', alg: 'RS256', kid: 'fake-1', e: 'AQAB', n: Buffer.alloc(256, 7).toString('base64url') };
  const keys = (...all: Record<string, unknown>[]) => ({ status: 200, body: JSON.stringify({ keys: all }) });
  const DISCOVERY = '/.well-known/openid-configuration';
  const JWKS = '/oauth/jwks';
  const CASES: readonly [string, Record<string, { status: number; headers?: Record<string, string>; body: string }>, number, RegExp][] = [
    ['a portal', { [DISCOVERY]: HTML }, 5, /openid-configuration does not answer with a JSON object \(content type text\/html\)\nhint: a page of a proxy/],
    ['a redirect', { [DISCOVERY]: { status: 301, headers: { location: 'https://elsewhere.example/' }, body: '' } }, 5, /answers with a redirect \(301\)\nhint: providers follow none/],
    ['a firewall', { [JWKS]: { status: 403, body: '{}' } }, 5, /jwks answers with status 403/],
    ['no keys', { [JWKS]: keys() }, 5, /the JWKS has no key/],
    ['a private half', { [JWKS]: keys({ ...KEY, d: 'x' }) }, 5, /the key fake-1 shows its private half \("d"\)\nhint: revoke it at once/],
    ['key_ops', { [JWKS]: keys({ ...KEY, key_ops: ['verify'] }) }, 5, /the key fake-1 has the member key_ops\nhint: AWS refuses the key/],
    ['a key twice', { [JWKS]: keys(KEY, KEY) }, 5, /two keys have the kid fake-1/],
    ['a short key', { [JWKS]: keys({ ...KEY, n: 'AQAB' }) }, 5, /less than 2048 bits/],
    ['a key that does not sign', { [JWKS]: keys({ ...KEY, use: 'enc' }) }, 5, /has use "enc"/],
    ['no kid', { [JWKS]: keys({ ...KEY, kid: '' }) }, 5, /key 1 of the JWKS has no kid/],
    ['another key', { [JWKS]: keys({ ...KEY, kid: 'other' }) }, 5, /the key "fake-1" is not in the issuer's JWKS/],
    ['a clock an hour off', { [DISCOVERY]: { status: 200, headers: { date: new Date(Date.now() - 3_600_000).toUTCString() }, body: '' } }, 6, /the clock of this machine is (59 min|1 h) ahead of the issuer's/],
  ];
  it.each(CASES)('finds %s', async (_name, answers, status, stderr) => {
    for (const [path, answer] of Object.entries(answers)) {
      const own = answer.body === '' && answer.status === 200 ? await (await fetch(`${world.fake.issuer}${path}`)).text() : answer.body;
      world.fake.behaviour.answers[path] = { ...answer, body: own };
    }
    const outcome = await doctor();
    expect(outcome.stderr).toMatch(stderr);
    expect(outcome.status).toBe(status);
    expect(outcome.stdout).toMatch(/\nFAILED {2}[^\n]+\n$/);
    expect(world.fake.providerRequests).toEqual([]);
  });

  it('finds another issuer in the discovery document, by byte', async () => {
    world.fake.behaviour.discoveredIssuer = `${world.fake.issuer}/`;
    expect(await doctor()).toMatchObject({ status: 5, stderr: expect.stringMatching(/names the issuer "\S+\/", not "\S+": they differ from byte 23 on: the end is expected, "\/" 0x2f is there \(a slash at the end\)\n/) });
  });

  it('finds what shadows the credential, and no more than the first cause', async () => {
    const { status, stdout, stderr } = await doctor([], { ANTHROPIC_API_KEY: 'sk-ant-api03-shadow-shadow' });
    expect(status).toBe(6);
    expect(stderr).toMatch(/^error: ANTHROPIC_API_KEY is set, and wins over the short-lived credential\nhint: unset ANTHROPIC_API_KEY/);
    expect(stdout + stderr).not.toContain('shadow-shadow');
    expect(await doctor([], { ANTHROPIC_AUTH_TOKEN: 'sk-ant-oat01-of-vouch-env', ANTHROPIC_BASE_URL: 'https://other.example' })).toMatchObject({ status: 6, stderr: expect.stringMatching(/^error: ANTHROPIC_BASE_URL is https:\/\/other\.example, and the setup's base URL is/) });
  });

  it('says what is not set up, who is not signed in, and what the provider said', async () => {
    expect(await world.sandbox.runHere(['doctor', 'openai'])).toMatchObject({ status: 6, stderr: expect.stringMatching(/^error: OpenAI is not set up\nhint: run `vouch setup openai`/) });
    expect(await world.sandbox.runHere(['doctor', 'antropic'])).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/^error: there is no such provider\nhint: the providers are anthropic/) });
    world.fake.behaviour.expectedAudience = 'https://other.example';
    expect(await doctor()).toMatchObject({ status: 5, stderr: expect.stringMatching(/^error: Anthropic refused the exchange \(401\)/) });
    expect(await doctor(['--no-exchange'])).toMatchObject({ status: 0 });
    await world.sandbox.runHere(['logout']);
    expect(await doctor([], { VOUCH_ISSUER: world.fake.issuer })).toMatchObject({ status: 3, stderr: 'error: not signed in\nhint: run `vouch login`\n', stdout: expect.stringMatching(/FAILED {2}sign-in {9}not signed in\n$/) });
  });

  it('evaluates a rule from a file or from standard input, and reports as JSON', async () => {
    const path = join(world.sandbox.home, 'rule.json');
    await writeFile(path, JSON.stringify({ match: { audience: world.fake.issuer, claims: { email_verified: 'true' } } }));
    const { status, stdout, stderr } = await doctor(['--rule', path, '--json']);
    expect(status).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({ provider: 'anthropic', issuer: world.fake.issuer, checks: expect.arrayContaining([{ name: 'rule', outcome: 'failed', detail: expect.stringContaining('email_verified is the boolean true') }]), cause: { message: expect.any(String), hints: expect.any(Array) } });
    expect(stderr).toMatch(/^error: the claim email_verified is the boolean true/);
    expect(await doctor(['--rule', join(world.sandbox.home, 'none.json')])).toMatchObject({ status: 2, stderr: expect.stringMatching(/^error: the rule \S+ cannot be read \(ENOENT\)\n$/) });
    expect(await doctor(['--claim', 'hd'])).toMatchObject({ status: 2, stderr: 'error: --claim must be name=value\n' });
    const piped = await startVouch('/bin/sh', ['-c', 'echo "{\\"match\\":{\\"subject_prefix\\":\\"*@example.com\\",\\"audience\\":\\"$3\\"}}" | "$1" "$2" doctor anthropic --rule -', 'sh', process.execPath, BIN, world.fake.issuer], { VOUCH_HOME: world.sandbox.home }).outcome;
    expect(piped).toMatchObject({ status: 5, stderr: expect.stringMatching(/only a \* at the end stands for anything, so this is not "ends with"/) });
  });

  it('does not let a token write on the terminal', async () => {
    world.fake.behaviour.claims = { sub: 'dev\u001B[2J\u202Emoc.elpmaxe' };
    const { stdout, stderr } = await doctor(['--audience', world.fake.issuer, '--subject', EMAIL, '--no-exchange']);
    expect(stderr).toMatch(/^error: the rule expects the subject/);
    // eslint-disable-next-line no-control-regex -- a control character is what it looks for
    expect(stdout + stderr).not.toMatch(/\u001B|\u202E/);
  });
});

const REQUEST: DoctorRequest = { target: findTarget('google'), profile: undefined, rulePath: undefined, flags: {}, audience: undefined, triesExchange: true, isJson: true };
async function askDoctor(issuer: string, addresses: readonly string[] | Error, place: Partial<Place> = {}, inspect: DoctorTools['inspectCertificate'] = (hostname) => inspectCertificate({ hostname, ...place }), target?: string): Promise<unknown> {
  await world.sandbox.editSession({ issuer });
  const tools: DoctorTools = {
    use: await createCredentialUse({ home: locateHome(world.sandbox.home), clock: Date.now, environment: readEnvironment({}) }, {}),
    issuer, variables: {}, readStdin: async () => '',
    inspectCertificate: inspect,
    resolve: async () => { if (addresses instanceof Error) throw addresses; return addresses; },
  };
  return quietly(() => examine(tools, { ...REQUEST, target: target === undefined ? REQUEST.target : findTarget(target) }).then(() => 'healthy', (error: unknown) => error));
}

describe('the address of the issuer', () => {
  it.each<[string, readonly string[] | Error, string, RegExp]>([
    ['http://localhost:3000', [], 'configuration', /can be reached from this machine only/],
    ['https://vouch.example.com:8443', [], 'configuration', /has a port, and providers take 443 only/],
    ['https://vouch.invalid', new Error('ENOTFOUND'), 'network', /this machine's resolver does not know the name vouch\.invalid/],
    ['https://vouch.example.com', ['8.8.8.8', 'fd00::1'], 'configuration', /^this machine's resolver leads vouch\.example\.com to fd00::1, which is not on the public internet/],
  ])('%s at %j', async (issuer, addresses, kind, message) => {
    expect(await askDoctor(issuer, addresses)).toMatchObject({ kind, message: expect.stringMatching(message) });
  });
});

it.each([['kubernetes', 'network'], ['vault', 'network'], ['google', 'configuration']])('an address of one’s own network for %s ends with: %s', async (target, kind) => {
  expect(await askDoctor('https://vouch.invalid', ['10.0.0.7'], {}, async () => undefined, target)).toMatchObject({ kind });
});

describe('the certificate of the issuer', () => {
  it.each([['that only this machine trusts', 30, /is not trusted$/], ['that has expired', -1, /(is not trusted|has expired)$/]])('one %s is what it ends with', async (_what, daysLeft, reason) => {
    const certificates = await makeCertificates('vouch.example.com', daysLeft);
    const front = await startTlsFront(certificates, world.fake.issuer);
    const trusted = getCACertificates('default');
    // As --ca-file does.
    setDefaultCACertificates([...trusted, certificates.ca]);
    try {
      const cause = await askDoctor('https://vouch.example.com', ['8.8.8.8'], { address: '127.0.0.1', port: front.port });
      expect(cause).toMatchObject({ kind: 'configuration', message: expect.stringMatching(/^providers will not trust the TLS certificate of vouch\.example\.com: /), hints: expect.arrayContaining([expect.stringContaining('have a public authority certify that name')]) });
      expect(cause).toMatchObject({ message: expect.stringMatching(reason) });
    } finally {
      setDefaultCACertificates(trusted);
      await front.close();
    }
  });

  it.each<[string, boolean, string]>([['SELF_SIGNED_CERT_IN_CHAIN', true, 'kubernetes'], ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', true, 'anthropic'], ['SELF_SIGNED_CERT_IN_CHAIN', false, 'google'], ['CERT_HAS_EXPIRED', false, 'kubernetes']])('%s does not end it: %s, where it is %s', async (code, goesOn, target) => {
    const isOfAuthority = code !== 'CERT_HAS_EXPIRED';
    const found = await askDoctor('https://vouch.invalid', ['8.8.8.8'], {}, async () => ({ isOfAuthority, sentence: `the certificate: ${code}`, hints: [] }), target);
    expect(found).toMatchObject(goesOn ? { kind: 'network', message: expect.stringContaining('vouch.invalid') } : { kind: 'configuration', message: `the certificate: ${code}` });
  });

  it('is not looked at through a proxy, nor where nobody answers', async () => {
    expect(await inspectCertificate({ hostname: 'vouch.example.com', address: '127.0.0.1', port: 9 })).toBeUndefined();
    configureWire({ caFile: undefined, proxies: { http: undefined, https: 'http://127.0.0.1:9', none: undefined }, log: undefined });
    const printed = await askDoctor('https://vouch.example.com', ['8.8.8.8'], { address: '127.0.0.1', port: 9 }, (hostname) => { throw new TypeError(`looked at ${hostname}`); });
    expect(printed).toMatchObject({ kind: 'network', message: expect.stringContaining('through the proxy') });
    configureWire({ caFile: undefined, proxies: { http: undefined, https: undefined, none: undefined }, log: undefined });
  });
});

describe('explain', () => {
  it('says what a fresh ID token holds, with the state of its key', async () => {
    const { status, stdout, stderr } = await world.sandbox.runHere(['explain']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^Kind +ID token for federation\nSigned +RS256 with key fake-1\nKey +in the JWKS now\nSignature +valid\nIssuer +http:\S+\nAudience +http:\S+ \(one text\)\nSubject +dev@example\.com\nAccount +e-mail dev@example\.com, verified\nIssued +\d{4}-.*, \d s ago\nExpires +\d{4}-.*, in 9 min\nLives +600 s/);
  });

  it('never believes it: a foreign issuer is not asked, a wrong signature and an unknown key are said', async () => {
    const token = (await world.sandbox.runHere(['credential', 'id-token'])).stdout;
    const [header, payload, signature] = token.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    const edit = (changes: object): string => `${header}.${Buffer.from(JSON.stringify({ ...claims, ...changes })).toString('base64url')}.${signature}`;
    const explain = (text: string): Promise<Outcome> => world.sandbox.runHere(['explain', text]);
    const wrong = (await explain(edit({ sub: 'root@example.com' }))).stdout;
    expect(wrong).toMatch(/Signature +wrong\n/);
    // Where to look it up is said of the issuer's own tokens alone, and never so that a shell runs what a token says.
    const looked = /`vouch audit find --jti [\w-]+`\n/;
    expect((await explain(token)).stdout).toMatch(looked);
    for (const text of [wrong, ...(await Promise.all([{ iss: 'https://evil.example' }, { jti: '$(id)' }].map((changes) => startVouch(process.execPath, [BIN, 'explain', '--offline', edit(changes)], { VOUCH_HOME: world.sandbox.home }).outcome))).map(({ stdout }) => stdout)]) {
      expect(text).toMatch(/^Kind /);
      expect(text).not.toContain('vouch audit find');
    }
    expect((await explain(edit({ iss: 'https://evil.example' }))).stdout).toMatch(/Key +not looked up: its issuer is not yours \(http:\S+\), and what a token names is not fetched\nSignature +not checked\n/);
    expect((await explain(edit({ exp: Math.floor(Date.now() / 1000) - 100 }))).stdout).toMatch(/Expires +.*, 1 min ago\n[^]*\n\nNote: it has expired: every provider refuses it\n$/);
    expect((await explain(edit({ iat: Math.floor(Date.now() / 1000) + 3600 }))).stdout).toMatch(/Note: it was issued (3599|3600) s in the future by this machine's clock/);
    world.fake.behaviour.answers['/oauth/jwks'] = { status: 200, body: '{"keys":[{"kid":"other"}]}' };
    expect((await explain(token)).stdout).toMatch(/Key +none of the 1 published keys has this kid: it was rotated out, revoked, or never the issuer's\nSignature +not checked\n/);
    await world.fake.close();
    expect(await explain(token)).toMatchObject({ status: 0, stdout: expect.stringMatching(/Key +not looked up: could not reach localhost:\d+: the connection was refused\n/) });
    expect(JSON.parse((await world.sandbox.runHere(['explain', '--offline', '--json', token])).stdout)).toMatchObject({ header: { kid: 'fake-1' }, claims: { sub: EMAIL }, key: { state: 'not fetched', signature: 'not checked' }, times: { exp: { seconds_from_now: expect.any(Number) } } });
    expect((await explain(edit({}))).stdout).not.toContain(signature);
  });

  it('takes a token from standard input, and says what is no JWT', async () => {
    const shell = (script: string): Promise<Outcome> => startVouch('/bin/sh', ['-c', script, 'sh', process.execPath, BIN], { VOUCH_HOME: world.sandbox.home }).outcome;
    expect(await shell('"$1" "$2" credential id-token | "$1" "$2" explain -')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Kind +ID token/), stderr: '' });
    expect(await shell('"$1" "$2" credential token | "$1" "$2" explain -')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Kind +access token \(RFC 9068\)/) });
    expect(await shell('echo sk-ant-oat01-secret-secret | "$1" "$2" explain -')).toEqual({ status: 2, signal: null, stdout: '', stderr: "error: this is no JWT: it is a short-lived access token of Anthropic's, which only Anthropic can read\nhint: try `vouch credential id-token | vouch explain -`\n" });
    expect(await world.sandbox.runHere(['explain', 'a.b.c'])).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/^error: this is no JWT\n/) });
  });
});
