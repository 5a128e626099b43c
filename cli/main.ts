// The CLI's process: vouch.mjs loads this file once it has found a Node that can.
import { existsSync, readFileSync } from 'node:fs';
import { ignoreLostReaders } from './output.ts';
import { runVouch } from './run.ts';
import { installSignalHandlers } from './signals.ts';

/** The version in package.json: one folder up in a checkout, two in a built tree. */
function readVersion(): string {
  const candidates = ['../package.json', '../../package.json'].map((path) => new URL(path, import.meta.url));
  const manifest = candidates.find((url) => existsSync(url));
  if (manifest === undefined) return 'unknown';
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

installSignalHandlers();
ignoreLostReaders();
const status = await runVouch({ parameters: process.argv.slice(2), variables: process.env, clock: Date.now, readVersion });
// What is on its way to a pipe must arrive; but a proxy that drops every connection is asked again for ever by the
// runtime's client, which would keep this process alive after its work is done.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((resolve) => { stream.write('', resolve); })));
process.exit(status);
