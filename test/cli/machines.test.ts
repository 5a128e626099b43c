import { describe, expect, it } from '@jest/globals';
import path from 'node:path';
import { CliError } from '../../cli/errors.ts';
import { arrange, type Machine } from '../../cli/exec/arrangements.ts';
import { locateHome } from '../../cli/home.ts';
import { findProvider } from '../../cli/providers/providers.ts';

/* Windows and macOS, as far as paths and quoting go: what this machine is does not matter. */

const WINDOWS = { rules: path.win32, homeFolder: 'C:\\Users\\Ada Lovelace' };
const MAC = { rules: path.posix, homeFolder: '/Users/ada' };

describe('the folder of vouch', () => {
  it.each([
    ['Windows', WINDOWS, undefined, 'C:\\Users\\Ada Lovelace\\.vouch', '\\'],
    ['Windows, on another drive', WINDOWS, 'D:\\work\\..\\vouch\\', 'D:\\vouch', '\\'],
    ['Windows, on a share', WINDOWS, '\\\\files\\ada\\vouch', '\\\\files\\ada\\vouch', '\\'],
    ['Windows, with slashes', WINDOWS, 'D:/work/vouch', 'D:\\work\\vouch', '\\'],
    ['macOS', MAC, undefined, '/Users/ada/.vouch', '/'],
    ['macOS, elsewhere', MAC, '/Volumes/My Disk/vouch/', '/Volumes/My Disk/vouch', '/'],
  ] as const)('on %s', (_where, rules, vouchHome, folder, separator) => {
    const at = (name: string): string => `${folder}${separator}${name}`;
    expect(locateHome(vouchHome, rules)).toEqual({ path: folder, configPath: at('config.json'), sessionPath: at('session.json'), adminPath: at('admin.json'), cachePath: at('cache') });
  });
});

const MACHINES = {
  Windows: { platform: 'win32', rules: path.win32, nodePath: 'C:\\Program Files\\nodejs\\node.exe', launcherPath: 'C:\\Users\\Ada Lovelace\\vouch\\cli\\vouch.mjs' },
  macOS: { platform: 'darwin', rules: path.posix, nodePath: '/opt/homebrew/bin/node', launcherPath: '/Users/ada/Library/Application Support/vouch/cli/vouch.mjs' },
} satisfies Record<string, Machine>;
const FOLDERS = { Windows: 'C:\\Users\\Ada Lovelace\\.vouch\\run\\1-x', macOS: '/Users/ada/.vouch/run/1-x' };

function arrangeOn(where: keyof typeof MACHINES, name: string, changes: Partial<Machine> = {}, commandOptions: readonly string[] = []): ReturnType<typeof arrange> {
  const provider = findProvider(name)!;
  const type = { provider, profile: undefined, name, credential: { secrets: { token: 't' }, expiresAt: undefined }, parameters: {}, audience: undefined, variables: { set: {}, unset: [], remarks: [] } };
  const source = { commandOptions } as unknown as Parameters<typeof arrange>[2]['source'];
  return arrange(type, FOLDERS[where], { places: { anthropicBaseUrl: undefined }, source }, { ...MACHINES[where], ...changes });
}

function catchHints(work: () => unknown): readonly string[] | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof CliError) return error.hints;
    throw error;
  }
  return undefined;
}

describe('what a command reads while it runs', () => {
  it.each(['Windows', 'macOS'] as const)('on %s, of Anthropic and OpenAI', (where) => {
    const at = (...names: readonly string[]): string => [FOLDERS[where], ...names].join(where === 'Windows' ? '\\' : '/');
    const anthropic = arrangeOn(where, 'anthropic');
    expect(anthropic).toMatchObject({ credential: { path: at('credentials', 'vouch.json') }, idToken: { path: at('identity_token') }, variables: { set: { ANTHROPIC_CONFIG_DIR: FOLDERS[where] } } });
    expect(JSON.parse(anthropic.files[at('configs', 'vouch.json')]!)).toMatchObject({ authentication: { identity_token: { path: at('identity_token') } } });
    expect(arrangeOn(where, 'openai').variables.set).toEqual({ VOUCH_OPENAI_IDENTITY_TOKEN_FILE: at('identity_token'), VOUCH_OPENAI_TOKEN_FILE: at('token') });
  });

  it.each([
    ['Windows', '"C:\\Program Files\\nodejs\\node.exe" "C:\\Users\\Ada Lovelace\\vouch\\cli\\vouch.mjs" credential aws --service-account "D:\\job $1\\a`b.json"', 'D:\\job $1\\a`b.json'],
    ['macOS', '"/opt/homebrew/bin/node" "/Users/ada/Library/Application Support/vouch/cli/vouch.mjs" credential aws --service-account "/Users/ada/100%/job.json"', '/Users/ada/100%/job.json'],
  ] as const)("on %s, of AWS: the command for its SDKs", (where, command, keyFile) => {
    const { files, variables } = arrangeOn(where, 'aws', {}, ['--service-account', keyFile]);
    const config = variables.set['AWS_CONFIG_FILE']!;
    expect(files[config]).toBe(`[default]\ncredential_process = ${command}\n`);
    expect(config).toBe(where === 'Windows' ? `${FOLDERS.Windows}\\config` : `${FOLDERS.macOS}/config`);
  });

  it.each([
    ['Windows', 'C:\\50%\\node.exe', 'quotes and %'], ['Windows', 'C:\\a "b"\\node.exe', 'quotes and %'], ['Windows', 'C:\\a ;b\\node.exe', 'quotes and %'],
    ['macOS', '/a$b/node', 'quotes, $, ` and \\'], ['macOS', '/a`b/node', 'quotes, $, ` and \\'], ['macOS', '/a\\b/node', 'quotes, $, ` and \\'],
  ] as const)('on %s, of AWS: %s is refused', (where, nodePath, without) => {
    expect(() => arrangeOn(where, 'aws', { nodePath })).toThrow(new CliError('usage', `${JSON.stringify(nodePath)} cannot stand in AWS's configuration`));
    expect(catchHints(() => arrangeOn(where, 'aws', { nodePath }))).toEqual([`choose a path without ${without}, or leave out --refresh`]);
  });
});
