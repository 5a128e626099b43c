import { mkdtempSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { findFreePort } from '../support/free_port.ts';
import { spawnIssuer } from '../support/issuer_process.ts';
import { watchProcess, type Ended, type Watched } from '../support/process_output.ts';

export const createDataDir = () => join(mkdtempSync(join(tmpdir(), 'vouch-')), 'data');

export const run = (env: Record<string, string>, ...args: string[]): Promise<Ended> => watchProcess(spawnIssuer(env, args)).ended;

export interface RunningIssuer extends Watched {
  readonly port: number;
  readonly url: string;
  stop(signal?: NodeJS.Signals): Promise<Ended>;
}

/** Starts the issuer and waits until it says that it runs: by its banner, or in production in its log. */
export async function startIssuer(env: Record<string, string>): Promise<RunningIssuer> {
  const port = env.VOUCH_PORT === undefined ? await findFreePort() : Number(env.VOUCH_PORT);
  const watched = watchProcess(spawnIssuer({ VOUCH_PORT: String(port), ...env }));
  await watched.waitFor(/Stop with Ctrl-C\.\n|"msg":"listening"/);
  return {
    ...watched, port, url: `http://localhost:${port}`,
    stop: (signal = 'SIGTERM') => {
      watched.child.kill(signal);
      return watched.ended;
    },
  };
}

/** A GET by node:http, which says whom it asks in Host as it is told. */
export function get(port: number, path: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => {
        resolve({ status: response.statusCode!, body });
      });
    }).on('error', reject).end();
  });
}

/** The JWKS bytes, after a look that they are whole: four keys, two of each ring. */
export async function readJwks(port: number): Promise<string> {
  const { status, body } = await get(port, '/oauth/jwks');
  expect(status).toBe(200);
  const { keys } = JSON.parse(body) as { keys: { alg: string }[] };
  expect(keys.map(({ alg }) => alg).sort()).toEqual(['ES256', 'ES256', 'RS256', 'RS256']);
  return body;
}

export const findInvitations = (text: string): string[] => text.match(/http\S+\/login\/enrol\/[\w-]+/g) ?? [];
