// Plays scripts as tests of Jest.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { readdirSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findSignInUrl } from '../support/vouch_process.ts';
import { createSandbox, runInThisProcess, type Outcome, type Sandbox } from './run_vouch.ts';
import { readCommand, readScriptFile, renderOutcome, rewrite, type Command, type Script, type ScriptFile } from './script_file.ts';
import { createNames, type Names } from './script_names.ts';
import type { Stage, World } from './script_worlds.ts';

const FOLDER = fileURLToPath(new URL('scripts', import.meta.url));
const UPDATES = process.env['UPDATE_SCRIPTS'] === '1';
const NOW = Date.parse('2026-11-24T12:00:00Z');

export const SCRIPT_FILES: readonly ScriptFile[] = readdirSync(FOLDER).filter((name) => name.endsWith('.txt')).toSorted().map((name) => readScriptFile(join(FOLDER, name)));

let world: World;
let sandbox: Sandbox;

/** Defines a test for each script of this world, which is started once. A world whose clock stands still must have its process for itself. */
export function playScripts(name: string, start: () => Promise<World>): void {
  beforeAll(async () => { world = await start(); });
  beforeEach(async () => { sandbox = await createSandbox(); });
  afterEach(async () => { await sandbox.remove(); });
  afterAll(async () => {
    jest.useRealTimers();
    await world.close();
  });
  describe.each(SCRIPT_FILES.filter((file) => file.world === name).map((file) => [file.path.slice(FOLDER.length + 1), file] as const))('%s', (_name, file) => {
    const outcomes = new Map<number, string>();
    if (UPDATES) afterAll(() => { writeFileSync(file.path, rewrite(file, outcomes)); });
    test.each(file.scripts.map((script) => [script.title, script] as const))('%s', async (_title, script) => {
      const isStill = world.isClockStill && !listTyped(script).some(({ text }) => isProcessAlways(text));
      // Only what Date says stands still: timers and sockets are as ever.
      if (isStill) jest.useFakeTimers({ now: NOW, doNotFake: ['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate', 'setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
      else jest.useRealTimers();
      await world.reset();
      await play(file, script, { names: createNames({ ...world.names, HOME: sandbox.home, FOLDER: join(sandbox.home, '..') }, !isStill), outcomes });
    });
  });
}

export function listTyped({ items }: Script): readonly Command[] {
  return items.filter((item) => item.kind === 'command');
}

interface Play {
  readonly names: Names;
  readonly outcomes: Map<number, string>;
}

async function play({ path }: ScriptFile, { items }: Script, { names, outcomes }: Play): Promise<void> {
  const stage: Stage = {
    sandbox, aheadSeconds: 0,
    prepare: async (parameters) => {
      const { status, stderr } = await runHere(stage, parameters, {}, '');
      if (status !== 0) throw new Error(`vouch ${parameters.join(' ')} ended with ${status}: ${stderr}`);
    },
  };
  for (const item of items) {
    const where = `${path}:${item.at + 1}`;
    const text = names.fill(item.text);
    switch (item.kind) {
      case 'step': {
        const [, name = '', rest = ''] = /^([^:]+)(?:: (.*))?$/.exec(text) ?? [];
        const step = world.steps[name];
        if (step === undefined) throw new TypeError(`${where}: there is no step "${name}"`);
        await step(stage, rest);
        break;
      }
      case 'check':
        expect(`${where} ? ${await describeFile(text)}`).toBe(`${where} ? ${text}`);
        break;
      case 'command': {
        const outcome = names.hide(renderOutcome(await run(stage, text, names.fill(item.stdin))));
        outcomes.set(item.at, outcome);
        if (!UPDATES) expect(`${where}\n$ ${item.text}\n${outcome}`).toBe(`${where}\n$ ${item.text}\n${item.expected}`);
      }
    }
  }
}

/** What the children of `vouch exec` print does not pass through this process. */
function isProcessAlways(text: string): boolean {
  const { parameters } = readCommand(text);
  return parameters[0] === 'exec' && /[^-]$/.test(text.split(' -- ')[1] ?? '-');
}

async function run(stage: Stage, text: string, stdin: string): Promise<Outcome> {
  const { variables, parameters } = readCommand(text);
  if (!isProcessAlways(text)) return runHere(stage, parameters, variables, stdin);
  return stage.sandbox.run(parameters, { ...world.variables, ...variables });
}

async function runHere({ aheadSeconds }: Stage, parameters: readonly string[], variables: Record<string, string>, stdin: string): Promise<Outcome> {
  const visits = new Map<string, Promise<unknown>>();
  const outcome = await runInThisProcess(parameters, { VOUCH_HOME: sandbox.home, ...world.variables, ...variables }, {
    stdin, clock: () => Date.now() + aheadSeconds * 1000,
    onStderr: (all) => {
      const url = findSignInUrl(all.split('\n').slice(-3).join('\n'));
      if (url !== undefined && !visits.has(url)) visits.set(url, world.visit(url));
    },
  });
  await Promise.all(visits.values());
  return outcome;
}

async function describeFile(check: string): Promise<string> {
  const [name = ''] = check.split(' ');
  const state = await stat(join(sandbox.home, name)).then(({ mode }) => (mode & 0o777).toString(8).padStart(4, '0'), () => 'gone');
  return `${name} ${state}`;
}
