import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { BIN, createSandbox, SETUP_ANTHROPIC, SETUP_OPENAI, startVouch, type Outcome, type Sandbox } from './run_vouch.ts';

let sandbox: Sandbox;
beforeEach(async () => { sandbox = await createSandbox(); });
afterEach(async () => { await sandbox.remove(); });

const HOUR = 3_600_000;

async function writeSessionFile(changes: Record<string, unknown> = {}): Promise<void> {
  await mkdir(sandbox.home, { recursive: true });
  await writeFile(sandbox.sessionPath, JSON.stringify({
    version: 1,
    issuer: 'https://issuer.example',
    email: 'dev@example.com',
    access_token: 'the-access-token',
    access_token_expires_at: new Date(Date.now() + HOUR).toISOString(),
    refresh_token: 'the-refresh-token',
    session_ends_at: new Date(Date.now() + 8 * HOUR).toISOString(),
    ...changes,
  }), { mode: 0o600 });
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

it('setup writes config.json for its owner only, and no token', async () => {
  const { status, stdout } = await sandbox.runHere([...SETUP_ANTHROPIC, '--audience', 'https://api.anthropic.com', '--base-url', 'https://gateway.example']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  expect(await sandbox.readJson(sandbox.configPath)).toEqual({
    providers: {
      anthropic: {
        federation_rule_id: 'fdrl_01Rule',
        organization_id: '11111111-2222-4333-8444-555555555555',
        service_account_id: 'svac_01Account',
        workspace_id: 'wrkspc_01Space',
        audience: 'https://api.anthropic.com',
        base_url: 'https://gateway.example',
      },
    },
  });
  expect(await modeOf(sandbox.configPath)).toBe(0o600);
  expect(await modeOf(sandbox.home)).toBe(0o700);
  expect(await readdir(sandbox.home)).toEqual(['config.json']);
});

it('setup replaces one provider and keeps everything else, known or not', async () => {
  await mkdir(sandbox.home);
  await writeFile(sandbox.configPath, JSON.stringify({ issuer: 'https://issuer.example', later: 1, providers: { newer: { a: 'b' } } }));
  await sandbox.runHere([...SETUP_OPENAI, '--audience', 'https://api.openai.com/v1']);
  const changed = await sandbox.runHere(SETUP_OPENAI);
  expect(changed).toMatchObject({ status: 6, stdout: '' });
  expect(changed.stderr).toBe('error: OpenAI is set up already, with another audience\nhint: add --force to replace it\nhint: or keep both: `vouch setup openai --profile <name> ...`\n');
  expect(await sandbox.runHere([...SETUP_OPENAI, '--force'])).toMatchObject({ status: 0 });
  expect(await sandbox.runHere(SETUP_OPENAI)).toMatchObject({ status: 0 });
  expect(await sandbox.readJson(sandbox.configPath)).toEqual({
    issuer: 'https://issuer.example',
    later: 1,
    providers: { newer: { a: 'b' }, openai: { identity_provider_id: 'wip_01', service_account_id: 'sa_01' } },
  });
});

it('parallel setups lose nothing', async () => {
  await Promise.all([sandbox.run(SETUP_OPENAI), sandbox.run(SETUP_ANTHROPIC)]);
  const { providers } = await sandbox.readJson(sandbox.configPath);
  expect(Object.keys(providers as object).sort()).toEqual(['anthropic', 'openai']);
});

it('status reports the session for people and for programs, without a token', async () => {
  await writeSessionFile();
  await sandbox.runHere(SETUP_ANTHROPIC);
  const human = await sandbox.runHere(['status']);
  expect(human).toMatchObject({ status: 0, stderr: '' });
  expect(human.stdout).toMatch(/dev@example\.com[^]*https:\/\/issuer\.example[^]*in 7 h 59 min[^]*anthropic/);
  const json = await sandbox.runHere(['status', '--json']);
  expect(JSON.parse(json.stdout)).toMatchObject({ signed_in: true, email: 'dev@example.com', issuer: 'https://issuer.example', providers: ['anthropic'] });
  expect(human.stdout + json.stdout).not.toMatch(/the-(access|refresh)-token/);
});

it('a fresh access token is printed bare, with no network and no newline', async () => {
  await writeSessionFile();
  expect(await sandbox.runHere(['credential', 'token'])).toEqual({ status: 0, signal: null, stdout: 'the-access-token', stderr: '' });
});

it.each([['credential token'], ['status']])('`vouch %s` of a session that has ended says so and removes it', async (command) => {
  await writeSessionFile({ session_ends_at: new Date(Date.now() - 1000).toISOString() });
  const { status, stdout, stderr } = await sandbox.runHere(command.split(' '));
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
  expect(stderr).toMatch(/^error: not signed in: the session .*ended.*\nhint: run `vouch login`\n$/);
  expect(existsSync(sandbox.sessionPath)).toBe(false);
});

it('VOUCH_ISSUER that names another issuer than the session is not ignored', async () => {
  await writeSessionFile();
  expect(await sandbox.runHere(['credential', 'token'], { VOUCH_ISSUER: 'https://issuer.example/' })).toMatchObject({ status: 0 });
  const { status, stderr } = await sandbox.runHere(['credential', 'token'], { VOUCH_ISSUER: 'https://other.example' });
  expect(status).toBe(3);
  expect(stderr).toContain('the session is with https://issuer.example');
});

it('a session file that others can read is closed again', async () => {
  await writeSessionFile();
  await chmod(sandbox.sessionPath, 0o644);
  await sandbox.runHere(['status']);
  expect(await modeOf(sandbox.sessionPath)).toBe(0o600);
});

it('a reader that has gone, or a full disk, is a failure without a stack trace', async () => {
  await writeSessionFile();
  const shell = (command: string): Promise<Outcome> =>
    startVouch('/bin/sh', ['-c', command, 'sh', process.execPath, BIN], { VOUCH_HOME: sandbox.home }).outcome;
  const full = await shell('"$1" "$2" credential token > /dev/full');
  expect(full).toMatchObject({ status: 1, stderr: 'error: could not write to standard output: ENOSPC\n' });
  const gone = await shell('{ sleep 0.2; "$1" "$2" credential token; echo "status $?" >&2; "$1" "$2" --help; } | true');
  expect(gone.stderr).toBe('error: could not write to standard output: its reader has gone\nstatus 1\n');
});
