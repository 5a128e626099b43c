// `vouch` as an admin runs it: real processes against an issuer in this process, which is asked for a passkey where it asks.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { authorize } from '../support/browser.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { findSignInUrl, runVouch, type VouchResult } from '../support/vouch_process.ts';

type Person = Awaited<ReturnType<TestIssuer['createPerson']>>;

export interface AdminCli {
  readonly issuer: TestIssuer;
  /** admin@example.com */
  readonly admin: Person;
  /** A folder of this issuer's tests, which is also VOUCH_HOME's parent. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs it to its end; signs in as the admin wherever it asks. */
  readonly run: (args: readonly string[], env?: Record<string, string>) => Promise<VouchResult & { signIns: number }>;
  /** The same, and what it printed as JSON; throws where it failed. */
  readonly runJson: (args: readonly string[]) => Promise<any>; // eslint-disable-line @typescript-eslint/no-explicit-any -- whatever the command says
  readonly close: () => Promise<void>;
}

export async function startAdminCli(env: Record<string, string> = {}): Promise<AdminCli> {
  const issuer = await startTestIssuer({ VOUCH_HOSTED_DOMAINS: 'example.com', ...env });
  const admin = await issuer.createPerson('admin@example.com');
  const folder = mkdtempSync(join(tmpdir(), 'vouch-admin-'));
  // So many processes: each after the first finds its code compiled.
  const compiled = mkdtempSync(join(tmpdir(), 'vouch-compiled-'));
  const own = { VOUCH_HOME: join(folder, 'home'), NO_COLOR: '1', VOUCH_ISSUER: issuer.url, BROWSER: 'false', NODE_COMPILE_CACHE: compiled };
  const run: AdminCli['run'] = async (args, more = {}) => {
    const visited = new Map<string, Promise<unknown>>();
    const result = await runVouch(args, { ...own, ...more }, (all) => {
      for (const line of all.split('\n')) {
        const url = findSignInUrl(`${line}\n`);
        if (url !== undefined && !visited.has(url)) visited.set(url, visit(url, admin));
      }
    });
    await Promise.all(visited.values());
    return { ...result, signIns: visited.size };
  };
  return {
    issuer, admin, folder, env: own, run,
    runJson: async (args) => {
      const { code, stdout, stderr } = await run([...args, '--json']);
      if (code !== 0) throw new Error(`vouch ${args.join(' ')} ended with ${code}: ${stderr}`);
      return JSON.parse(stdout) as unknown;
    },
    close: async () => {
      await issuer.close();
      for (const path of [folder, compiled]) rmSync(path, { recursive: true, force: true });
    },
  };
}

/** Goes through the sign-in behind an address that `vouch` printed, to its callback. */
export async function visit(url: string, { browser, passkey }: Person): Promise<void> {
  await fetch(await authorize(browser, url, passkey));
}
