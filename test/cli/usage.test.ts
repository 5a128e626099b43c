import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEnvironment } from '../../cli/environment.ts';
import { locateHome } from '../../cli/home.ts';
import { createProgram } from '../../cli/program.ts';
import { createSandbox, SETUP_ANTHROPIC, SETUP_OPENAI, type Sandbox } from './run_vouch.ts';

let sandbox: Sandbox;
beforeEach(async () => { sandbox = await createSandbox(); });
afterEach(async () => { await sandbox.remove(); });

const FAULTS: readonly [string, string, string][] = [
  ['--federation-rule-id', 'fdrl_...', 'still holds the placeholder'],
  ['--federation-rule-id', 'svac_01', 'must be fdrl_ followed by letters and digits'],
  ['--organization-id', '0000', 'must be a UUID'],
  ['--service-account-id', 'svac_', 'must be svac_ followed by letters and digits'],
  ['--workspace-id', 'space', 'must be wrkspc_ followed by letters and digits, or the word default'],
  ['--audience', '', 'must be 1 to 256 visible ASCII'],
  ['--base-url', 'http://api.example', 'must begin with https://'],
  ['--base-url', 'https://api.example/?a=b', 'must not hold a query'],
  ['--base-url', 'ftp://api.example', 'must be an address that begins with https://'],
];

it.each(FAULTS)('setup anthropic refuses %s %s and writes nothing', async (flag, value, sentence) => {
  const { status, stderr } = await sandbox.runHere([...SETUP_ANTHROPIC, flag, value]);
  expect(status).toBe(2);
  expect(stderr).toContain(`error: ${flag} ${sentence}`);
  expect(existsSync(sandbox.configPath)).toBe(false);
});

it.each([
  ['--identity-provider-id', 'wip_...', 'still holds the placeholder'],
  ['--service-account-id', 'a b', 'must be 1 to 255 letters'],
  ['--token-endpoint', 'http://10.0.0.1/token', 'must begin with https://'],
])('setup openai refuses %s %s', async (flag, value, sentence) => {
  const { status, stderr } = await sandbox.runHere([...SETUP_OPENAI, flag, value]);
  expect(status).toBe(2);
  expect(stderr).toContain(`error: ${flag} ${sentence}`);
});

/** Every `vouch …` of the guides, with its options; continued lines are joined. */
function listDocumented(): string[] {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const guides = readdirSync(join(root, 'docs/providers')).map((name) => join(root, 'docs/providers', name));
  return [join(root, 'README.md'), ...guides].flatMap((path) => readFileSync(path, 'utf8').replaceAll('\\\n', ' ').match(/\bvouch (?:login|logout|status|setup|credential|env|exec|doctor|explain|completions)\b[^\n`|)"]*/g) ?? []);
}

it('knows every command and option that the guides print', () => {
  const program = createProgram({ version: '0', environment: readEnvironment({}), home: locateHome('/nonexistent'), clock: Date.now }, () => undefined);
  const documented = listDocumented();
  expect(documented.length).toBeGreaterThan(50);
  const unknown = documented.filter((line) => {
    const [own = ''] = line.split(/ -- |' /);
    const words = own.trim().split(/\s+/).slice(1);
    const command = words.reduce<Command>((at, word) => at.commands.find((child) => child.name() === word) ?? at, program);
    const flags = own.match(/(?<=\s)--[a-z-]+/g) ?? [];
    return command === program || !flags.every((flag) => flag === '--help' || command.options.some(({ long }) => long === flag));
  });
  expect(unknown).toEqual([]);
});

it('takes the set-ups that the guides print', async () => {
  for (const line of listDocumented().filter((one) => /^vouch setup \w+ .*(--token-endpoint|--role-arn|--federation-policy-id)/.test(one))) {
    const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '').slice(1);
    expect({ line, ...(await sandbox.runHere(words)) }).toMatchObject({ line, status: 0 });
  }
});
