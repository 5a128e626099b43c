import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCertificates, startTestProxy, startTlsFront, type TestProxy, type TlsFront } from '../support/tls_world.ts';
import { SETUP_ANTHROPIC, type Outcome } from './run_vouch.ts';
import { startSignedIn, type SignedIn } from './signed_in.ts';

/* The provider is at https://api.company.test, a name that only the proxy knows; the issuer is on this machine. */

let world: SignedIn;
let front: TlsFront;
let expired: TlsFront;
let proxy: TestProxy;
let lapsed: TestProxy;
let caFile: string;
beforeAll(async () => {
  world = await startSignedIn();
  const certificates = await makeCertificates('api.company.test');
  front = await startTlsFront(certificates, world.fake.issuer);
  expired = await startTlsFront({ ...(await makeCertificates('api.company.test', -1)) }, world.fake.issuer);
  [proxy, lapsed] = [await startTestProxy(front.port), await startTestProxy(expired.port)];
  caFile = join(world.sandbox.home, 'ca.pem');
  await writeFile(caFile, certificates.ca);
  await world.sandbox.runHere([...SETUP_ANTHROPIC, '--base-url', 'https://api.company.test']);
});
beforeEach(() => {
  proxy.behaviour = 'lead';
  (proxy.asked as string[]).length = 0;
});
afterAll(async () => {
  await Promise.all([proxy.close(), lapsed.close(), front.close(), expired.close(), world.close()]);
});

const run = (more: readonly string[], variables: Record<string, string>): Promise<Outcome> => world.sandbox.run(['credential', 'anthropic', '--no-cache', ...more], { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, ...variables });

it.each<[string, (file: string) => [readonly string[], Record<string, string>]]>([
  ['--ca-file', (file) => [['--ca-file', file], {}]],
  ['VOUCH_CA_FILE', (file) => [[], { VOUCH_CA_FILE: file }]],
  ['NODE_EXTRA_CA_CERTS', (file) => [[], { NODE_EXTRA_CA_CERTS: file }]],
])('a proxy and a private CA (%s) work; what is on this machine never goes through the proxy', async (_name, choose) => {
  const outcome = await run(...choose(caFile));
  expect(outcome).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^sk-ant-oat01-/) });
  expect(proxy.asked).toEqual(['CONNECT api.company.test:443']);
});

it('--verbose says which requests are made, and nothing secret', async () => {
  const { stdout, stderr } = await run(['--verbose', '--ca-file', caFile], { HTTPS_PROXY: proxy.url.replace('//', '//user:hunter2@') });
  const { issuer } = world.fake;
  expect(stderr.replace(/\d+ ms/g, 'N ms')).toBe([`GET ${issuer}/.well-known/openid-configuration: 200 (N ms)`, `POST ${issuer}/oauth/token: 200 (N ms)`, 'POST https://api.company.test/v1/oauth/token: 200 (N ms)', ''].join('\n'));
  expect(stderr).not.toContain(stdout);
});

it.each<[string, () => [readonly string[], Record<string, string>], number, RegExp]>([
  ['a certificate that nobody named', () => [[], {}], 4, /^error: could not reach Anthropic \(api\.company\.test\) through the proxy: its TLS certificate is not trusted\nhint: if your company inspects TLS, name its certificate with --ca-file .*\nhint: the request went through the proxy http:\/\/127\.0\.0\.1:\d+/],
  ['an expired certificate', () => [['--ca-file', caFile], { HTTPS_PROXY: lapsed.url }], 4, /^error: could not reach Anthropic .*: its TLS certificate (is not trusted|has expired)\n/],
  ['a proxy that refuses', () => { proxy.behaviour = 'refuse'; return [['--ca-file', caFile], {}]; }, 4, /^error: could not reach Anthropic \(api\.company\.test\) through the proxy: /],
  ['a proxy that lies', () => { proxy.behaviour = 'lie'; return [['--ca-file', caFile], {}]; }, 4, /^error: could not reach Anthropic \(api\.company\.test\) through the proxy: /],
  ['a proxy that is not there', () => [['--ca-file', caFile], { HTTPS_PROXY: 'http://127.0.0.1:9' }], 4, /through the proxy: the connection was refused\nhint: the request went through the proxy http:\/\/127\.0\.0\.1:9: check it/],
  ['a host that needs no proxy and is not there', () => [['--ca-file', caFile], { NO_PROXY: '.company.test' }], 4, /^error: could not reach Anthropic \(api\.company\.test\): its name cannot be resolved/],
  ['a proxy that is no address', () => [[], { HTTPS_PROXY: 'proxy.example:3128' }], 6, /^error: HTTPS_PROXY must be an address such as http:\/\/proxy\.example:3128\n/],
  ['a CA file that is not there', () => [['--ca-file', '/nonexistent/ca.pem'], {}], 6, /^error: the CA file \/nonexistent\/ca\.pem cannot be read \(ENOENT\)\nhint: --ca-file/],
  ['a CA file without a certificate', () => [['--ca-file', '/etc/passwd'], {}], 6, /^error: the CA file \/etc\/passwd holds no PEM certificate\n/],
])('%s: a clear sentence, and no token sent', async (_name, prepare, status, stderr) => {
  const before = world.fake.providerRequests.length;
  const outcome = await run(...prepare());
  expect(outcome.stderr).toMatch(stderr);
  expect(outcome).toMatchObject({ status, stdout: '' });
  expect(outcome.stderr).not.toMatch(/eyJ|hunter2/);
  expect(world.fake.providerRequests).toHaveLength(before);
});
