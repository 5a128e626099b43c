// vouch service-accounts add and rotate-key: a key pair is made here, its public half uploaded, and the rest kept in KEYFILE.
import { resolve } from 'node:path';
import type { AdminApi } from '../admin_api.ts';
import { CliError } from '../errors.ts';
import { printReport } from '../output.ts';
import { requireNoFile, stageSecretFile, type StagedFile } from '../secret_file.ts';
import { holdSignals } from '../signals.ts';
import { findKeyFile, generateKey, renderKeyFile, type NewKey } from './key_file.ts';
import { readRotation, readServiceAccount, type ServiceAccount } from './service_accounts.ts';

export interface AddOptions {
  readonly subject: string;
  readonly name: string;
  readonly audiences: readonly string[];
  /** Undefined: ./<subject>.vouch.json. */
  readonly keyFile: string | undefined;
  /** Where the account publishes keys of its own; no key is made then. */
  readonly jwksUri: string | undefined;
  /** Overwrites a key file that is there. */
  readonly isForced: boolean;
  readonly isJson: boolean;
}

/** Makes a service account and its key file. If the issuer refuses, no file is left. Throws `CliError`: usage (a file is there), and what the admin API throws. */
export async function addServiceAccount(api: AdminApi, { subject, name, audiences, keyFile, jwksUri, isForced, isJson }: AddOptions): Promise<void> {
  const request = { subject, name, audiences };
  if (jwksUri !== undefined) {
    const account = readServiceAccount((await api.post('/service-accounts', { ...request, jwks_uri: jwksUri }))['service']);
    await reportAdded(account, undefined, api.issuer, isJson);
    return;
  }
  const path = locate(keyFile, subject);
  if (!isForced) await requireNoFile(path, 'name another with --key-file, or add --force if its key is not needed any more');
  const account = await placeKey(api, { path, subject, mayReplace: isForced }, async (key) => {
    const answer = await api.post('/service-accounts', { ...request, jwks: { keys: [key.publicJwk] } });
    return { ...readServiceAccount(answer['service']), clientId: readServiceAccount(answer['service']).id };
  });
  await reportAdded(account, path, api.issuer, isJson);
}

export interface RotateOptions {
  readonly subject: string;
  readonly keyFile: string | undefined;
  /** The former key ends at once. */
  readonly isNow: boolean;
  readonly isForced: boolean;
  readonly isJson: boolean;
}

/** Puts another key in place and into the key file. If the issuer refuses, the file stays as it is. */
export async function rotateKey(api: AdminApi, { subject, keyFile, isNow, isForced, isJson }: RotateOptions): Promise<void> {
  const path = locate(keyFile, subject);
  if (!isForced) await refuseStrangeFile(path, subject, api.issuer);
  const { clientId, kid, kids } = await placeKey(api, { path, subject, mayReplace: true }, async (key) => {
    const { id, kids } = readRotation(await api.post('/service-accounts/rotate-key', { service: subject, jwks: { keys: [key.publicJwk] }, keeps_newest: !isNow }));
    return { clientId: id, kid: key.kid, kids };
  });
  const former = kids.filter((other) => other !== kid);
  if (isJson) {
    await printReport(JSON.stringify({ subject, client_id: clientId, kid, former_kids: former, key_file: path }, null, 2));
    return;
  }
  const end = former.length === 0
    ? 'No former key works any more.'
    : `The former key ${former.join(', ')} works until the next rotation, so that jobs can be given the file in their own time; had it been seen, --now would have ended it.`;
  await printReport(`${subject} has another key, ${kid}, in ${path}.\n${end}`);
}

function locate(keyFile: string | undefined, subject: string): string {
  return resolve(keyFile ?? `./${subject.replaceAll('/', '_')}.vouch.json`);
}

/** What would be replaced must be an earlier key file of the same account. Throws `CliError` (usage, configuration). */
async function refuseStrangeFile(path: string, subject: string, issuer: string): Promise<void> {
  const former = await findKeyFile(path);
  if (former === undefined || (former.subject === subject && former.issuer === issuer)) return;
  throw new CliError('usage', `${path} is the key file of ${former.subject} at ${former.issuer}, and is not overwritten`, { hints: ['name another with --key-file, or add --force if its key is not needed any more'] });
}

interface Place {
  readonly path: string;
  readonly subject: string;
  /** Whether a file that is there is replaced. */
  readonly mayReplace: boolean;
}

/** The file is on the disk, but for the client's id, before the issuer hears of the key: a key that nobody holds is of no use. */
async function placeKey<T extends { readonly clientId: string }>(api: AdminApi, { path, subject, mayReplace }: Place, upload: (key: NewKey) => Promise<T>): Promise<T> {
  const key = generateKey();
  const render = (clientId: string): string => renderKeyFile({ issuer: api.issuer, clientId, subject, kid: key.kid, privateJwk: key.privateJwk });
  const staged = await stageSecretFile(path, render(''.padEnd(36, '-')));
  return holdSignals(async () => {
    const given = await upload(key).catch(async (error: unknown) => {
      await staged.discard();
      throw describeUploadFailure(error, subject);
    });
    await finish(staged, render(given.clientId), mayReplace);
    return given;
  });
}

async function finish(staged: StagedFile, text: string, mayReplace: boolean): Promise<void> {
  await staged.rewrite(text);
  if (mayReplace) await staged.replace();
  else await staged.settle();
}

/** A request whose answer is missing may have been granted: its key is gone then, and another can be put in place. */
function describeUploadFailure(error: unknown, subject: string): unknown {
  if (!(error instanceof CliError) || error.kind !== 'network') return error;
  return new CliError('network', error.message, {
    hints: [...error.hints, `no key file was kept; if \`vouch service-accounts list\` shows ${subject} now, give it a key with \`vouch service-accounts rotate-key ${subject}\``],
    cause: error,
  });
}

async function reportAdded(account: ServiceAccount, keyFile: string | undefined, issuer: string, isJson: boolean): Promise<void> {
  const { id, subject, kids, jwksUri, audiences } = account;
  if (isJson) {
    await printReport(JSON.stringify({ issuer, client_id: id, subject, kids, jwks_uri: jwksUri ?? null, audiences, key_file: keyFile ?? null }, null, 2));
    return;
  }
  await printReport([
    `Made the service account ${subject} (client ${id}).`,
    keyFile === undefined ? `Its keys are read from ${jwksUri ?? ''}.` : `Its key is in ${keyFile}, and nowhere else: put it where the job runs, readable for the job alone.`,
    audiences.length === 0 ? `No audience lets it in yet: vouch audiences set AUDIENCE --add-allow service:${subject}` : `It may have: ${audiences.join(', ')}.`,
    ...(keyFile === undefined ? [] : [`Try it: vouch credential id-token --service-account ${keyFile}${audiences[0] === undefined ? '' : ` --audience ${audiences[0]}`}`]),
  ].join('\n'));
}
