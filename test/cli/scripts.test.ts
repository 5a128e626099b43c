import { describe, expect, test } from '@jest/globals';
import { EXIT } from '../../cli/errors.ts';
import { listTyped, playScripts, SCRIPT_FILES } from './play_scripts.ts';
import { findPath, listCommands, listSentences } from './script_coverage.ts';
import { startFakeWorld } from './script_worlds.ts';

/* Every command and every failure, as text files: script_file.ts says how to read them. */

/** Sentences that no script meets, by why. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'somebody types at a terminal': ['admin/disputes.ts: there is no dispute ${id}, or it is resolved'],
  'takes minutes, or a race': [
    'callback.ts: nobody signed in within ${Math.round(timeoutMs / 60_000)} minutes',
    'doctor/documents.ts: ${url} took ${tookMs} ms',
    'home.ts: another vouch process is still using ${path}',
    'secret_file.ts: somebody has put a file at ${path} meanwhile',
  ],
  'asks a name server (doctor.test.ts)': [
    "doctor/doctor.ts: this machine's resolver leads ${hostname} to ${inner}, which is not on the public internet",
    "doctor/doctor.ts: this machine's resolver does not know the name ${hostname}",
  ],
  'needs another issuer, file or output (keys_cli.test.ts, exec_refresh.test.ts, files.test.ts)': [
    "exec/arrangements.ts: ${JSON.stringify(word)} cannot stand in AWS's configuration",
    "keys/revoke.ts: ${kid} is revoked, and it is not proved that it is gone: ${[...left, ...unasked].join('; ')}",
    'output.ts: could not write to standard output: ${reason}',
  ],
  'a second lock, or another Node': [
    'output.ts: unexpected: ${message}',
    "providers/exchange.ts: the provider's token endpoint ${fault}",
    'sign_in.ts: the issuer ${issuer} sends the browser to an address that is not a web page',
    'wire.ts: this Node (${process.version}) cannot use ${what}',
  ],
};

playScripts('fake', startFakeWorld);

describe('the scripts', () => {
  const typed = SCRIPT_FILES.flatMap(({ scripts }) => scripts.flatMap(listTyped)).map((command) => ({ ...command, path: findPath(command.text), status: Number(/^= (\d+)$/m.exec(command.expected)?.[1]) }));
  const isHelp = (text: string): boolean => text.endsWith(' --help');

  test('show the help of every command', () => {
    const shown = typed.filter(({ text, status }) => isHelp(text) && status === 0).map(({ path }) => path);
    expect(listCommands().map(({ path }) => path).filter((path) => !shown.includes(path))).toEqual([]);
    for (const { text, expected } of typed.filter((command) => isHelp(command.text))) expect({ text, hasExample: /^> {3}\$ /m.test(expected) }).toEqual({ text, hasExample: true });
    // What admins' commands say can be read by a program.
    const readable = new Map(typed.filter(({ text }) => isHelp(text)).map(({ path, expected }) => [path, expected.includes('--json')]));
    const ofAdmins = listCommands().filter(({ path, isFamily }) => !isFamily && /^(?:keys|audiences|service-accounts|groups|admin|audit|passkeys)\b/.test(path));
    expect(ofAdmins.filter(({ path }) => readable.get(path) !== true)).toEqual([]);
  });

  test.each([['succeed', (status: number) => status === 0], ['fail', (status: number) => status !== 0]])('see every command %s', (_outcome, isSo) => {
    const seen = typed.filter(({ text, status }) => !isHelp(text) && isSo(status)).map(({ path }) => path);
    expect(listCommands().filter(({ path, isFamily }) => !isFamily && !seen.includes(path))).toEqual([]);
  });

  test('see every exit status', () => {
    const seen = new Set(typed.map(({ status }) => status));
    expect(Object.entries(EXIT).filter(([name, status]) => name !== 'interrupted' && !seen.has(status))).toEqual([]);
  });

  test('meet every sentence with which vouch fails, but for these', () => {
    const said = typed.flatMap(({ expected }) => expected.split('\n').filter((line) => /^(! error:|> FAILED)/.test(line)));
    const missed = listSentences().filter(({ pattern }) => !said.some((line) => pattern.test(line))).map(({ source }) => source);
    expect(missed.toSorted()).toEqual(Object.values(ELSEWHERE).flat().toSorted());
  });

  test('show no token that was not asked for, and no line of an error without an end', () => {
    for (const { text, expected } of typed) {
      const lines = expected.split('\n').filter((line) => line.startsWith('!'));
      expect({ text, secrets: lines.filter((line) => /\[(?:JWT|[A-Z]+ TOKEN|AWS [A-Z]+) \d+\]|eyJ[\w-]{5}|\bsk-[\w-]{8}|hunter2/.test(line)) }).toEqual({ text, secrets: [] });
      expect({ text, hasEnd: !/^!.*\n\\ no newline/m.test(expected) }).toEqual({ text, hasEnd: true });
    }
  });
});
