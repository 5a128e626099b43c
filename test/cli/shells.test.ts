import { describe, expect, it, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { parseEnv } from 'node:util';
import * as fc from 'fast-check';
import { guessShell, quoteForFish, quoteForPosix, quoteForPowershell, SHELLS } from '../../cli/shells.ts';

/** Anything but NUL, which no environment can hold. */
const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.array(fc.constantFrom("'", '"', '\\', '$', '`', '\n', '\r', ' ', '!', '#', '~', '*', '(', ';', '&', '%', '\u2018', '\u2019', '\u201A', '\u201B', 'é', '\u{1F511}', 'a', '-', '='), { maxLength: 30 }).map((parts) => parts.join('')),
).filter((text) => !text.includes('\0'));

/** What a shell's own parser makes of the lines: one process for many values. */
function readBack(shell: string, name: 'bash' | 'zsh' | 'fish', values: readonly string[]): string[] {
  const set = Object.fromEntries(values.map((text, index) => [`V${index}`, text]));
  const lines = SHELLS[name].render({ set, unset: ['GONE'] });
  const script = name === 'fish' ? `${lines}\nset -q GONE; and exit 9\nenv -0` : `eval ${quoteForPosix(lines)}\n[ -z "\${GONE+x}" ] || exit 9\nenv -0`;
  const output = execFileSync(shell, ['-c', script], { env: { PATH: process.env['PATH'], HOME: '/nonexistent', GONE: 'here' }, maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'ignore'] });
  const found = new Map(output.toString('utf8').split('\0').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  return values.map((_, index) => found.get(`V${index}`)!);
}

function isInstalled(shell: string): boolean {
  try {
    execFileSync(shell, ['-c', ':'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('any value survives', () => {
  const INSTALLED = ([['bash', 'bash'], ['dash', 'bash'], ['zsh', 'zsh'], ['fish', 'fish']] as const).filter(([shell]) => isInstalled(shell));
  test.each(INSTALLED)('eval in %s', (shell, name) => {
    fc.assert(fc.property(fc.array(value.filter((text) => Buffer.from(text).toString() === text), { minLength: 60, maxLength: 60 }), (values) => {
      expect(readBack(shell, name, values)).toEqual(values);
    }), { numRuns: 3 });
  });

  test("PowerShell's rules for a text in single quotes", () => {
    fc.assert(fc.property(value, (text) => {
      const quoted = quoteForPowershell(text);
      // about_Quoting_Rules: it ends at the first single quote, of any kind, that is not doubled.
      expect(quoted).toMatch(/^'(?:[^'\u2018\u2019\u201A\u201B]|['\u2018\u2019\u201A\u201B]{2})*'$/u);
      expect(quoted.slice(1, -1).replace(/(['\u2018\u2019\u201A\u201B])\1/g, '$1')).toBe(text);
    }));
  });

  test("fish's rules for a text in single quotes", () => {
    fc.assert(fc.property(value, (text) => {
      const quoted = quoteForFish(text);
      expect(quoted).toMatch(/^'(?:[^'\\]|\\['\\])*'$/u);
      expect(quoted.slice(1, -1).replace(/\\(['\\])/g, '$1')).toBe(text);
    }));
  });

  test('a dotenv file, or is refused', () => {
    fc.assert(fc.property(value, (text) => {
      let line: string;
      try {
        line = SHELLS.dotenv.render({ set: { V: text }, unset: [] });
      } catch (error) {
        expect((error as Error).message).toBe('the value of V cannot be written into such a file');
        return;
      }
      expect(parseEnv(line)).toEqual({ V: text });
    }));
    expect(SHELLS.dotenv.render({ set: { A: 'sk-ant-oat01-a_b.c' }, unset: ['B'] })).toBe('B=\nA=sk-ant-oat01-a_b.c');
  });

  test('JSON', () => {
    expect(JSON.parse(SHELLS.json.render({ set: { A: '"\n\u2028' }, unset: ['B'] }))).toEqual({ A: '"\n\u2028', B: null });
  });
});

it.each([
  ['/bin/zsh', 'linux', 'zsh'], ['/usr/local/bin/fish', 'darwin', 'fish'], ['/bin/bash', 'linux', 'bash'], ['/bin/sh', 'linux', 'bash'], [undefined, 'linux', 'bash'],
  [undefined, 'win32', 'powershell'], ['C:\\Program Files\\Git\\usr\\bin\\bash.exe', 'win32', 'bash'], ['/usr/bin/pwsh', 'linux', 'powershell'],
] as const)('SHELL=%s on %s means %s', (variable, platform, shell) => {
  expect(guessShell(variable, platform)).toBe(shell);
});
