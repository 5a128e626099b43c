// A sandbox in which somebody is signed in at a fake issuer, as `vouch login` leaves it; login.test.ts checks that it does.
import { mkdir, writeFile } from 'node:fs/promises';
import { generateKey, renderKeyFile } from '../../cli/service_accounts/key_file.ts';
import { EMAIL, startFakeIssuer, type FakeIssuer } from '../support/fake_issuer_for_cli.ts';
import { createSandbox, SETUP_ANTHROPIC, type Outcome, type Sandbox } from './run_vouch.ts';

export interface SignedIn {
  readonly sandbox: Sandbox;
  readonly fake: FakeIssuer;
  readonly setUpAnthropic: (...more: string[]) => Promise<Outcome>;
  readonly close: () => Promise<void>;
}

export async function startSignedIn(): Promise<SignedIn> {
  const [sandbox, fake] = [await createSandbox(), await startFakeIssuer()];
  await signIn(sandbox, fake);
  return {
    sandbox, fake,
    setUpAnthropic: (...more) => sandbox.runHere([...SETUP_ANTHROPIC, '--base-url', `${fake.issuer}/`, ...more]),
    close: async () => {
      await fake.close();
      await sandbox.remove();
    },
  };
}

export async function signIn(sandbox: Sandbox, fake: FakeIssuer, id = 'sign-in-1'): Promise<void> {
  const { access_token, refresh_token } = await fake.openSession();
  const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();
  const session = { version: 1, id, issuer: fake.issuer, email: EMAIL, access_token, refresh_token };
  await mkdir(sandbox.home, { mode: 0o700, recursive: true });
  await writeFile(sandbox.sessionPath, JSON.stringify({ ...session, access_token_expires_at: inSeconds(600), session_ends_at: inSeconds(8 * 3600) }), { mode: 0o600 });
}

export const SERVICE = 'nightly@jobs.example.com';

/** A service account at the fake issuer, and its key file at `path`. */
export async function writeServiceKey(fake: FakeIssuer, path: string): Promise<void> {
  const { kid, privateJwk, publicJwk } = generateKey();
  fake.addService('client-nightly', { subject: SERVICE, publicJwk });
  await writeFile(path, renderKeyFile({ issuer: fake.issuer, clientId: 'client-nightly', subject: SERVICE, kid, privateJwk }), { mode: 0o600 });
}
