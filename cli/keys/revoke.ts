// vouch keys revoke: drops a key at once everywhere, and proves that it is gone.
import type { AdminApi } from '../admin_api.ts';
import { confirmByTyping, requireSomebodyToAsk } from '../confirm.ts';
import { CliError } from '../errors.ts';
import { printNote, printReport } from '../output.ts';
import { formatDuration } from '../time.ts';
import { isPublished, readLiveTokens, readMoves, readOverview, readVerifiers, type Key, type LiveTokens, type Move, type Overview, type Ring, type Verifier } from './answers.ts';
import { countTokens, describeLiveTokens } from './live_tokens.ts';
import { MANUAL_STEPS, renderManualSteps } from './manual_steps.ts';
import { proveInstances, proveJwks, type Proof } from './prove.ts';
import { joinSome } from '../table.ts';

export interface RevokeOptions {
  readonly kid: string;
  readonly reason: string;
  /** Does not ask. */
  readonly isSure: boolean;
  /** How long each proof may take. */
  readonly waitSeconds: number;
  readonly isJson: boolean;
}

const KID = /^[A-Za-z0-9_-]{1,128}$/;
const MAX_REASON_LENGTH = 500;

/** Revokes and proves. Throws `CliError`: usage, refused, and other when it could not be proved in time. */
export async function revokeKey(api: AdminApi, options: RevokeOptions): Promise<void> {
  refuseBadInput(options);
  const overview = readOverview(await api.get('/keys'));
  const { key, ring } = findKey(overview, options.kid);
  const live = readLiveTokens(await api.get('/keys/live-tokens'));
  printNote(describeBlast({ key, ring, overview, live, verifiers: readVerifiers(await api.get('/keys/verifiers')), issuer: api.issuer }));
  if (!options.isSure) await confirmByTyping({ question: 'Type the kid to revoke it: ', expected: key.kid, refusal: 'that is not the kid: nothing was revoked' });
  const moves = readMoves(await api.post(`/keys/${key.kid}/revoke`, { reason: options.reason.trim() }));
  const [proofs, failure] = await prove(api, key, { moves, waitSeconds: options.waitSeconds, print: options.isJson ? () => Promise.resolve() : printReport });
  const isProved = failure === undefined && proofs.every((proof) => proof.isProved);
  if (options.isJson) await printReport(JSON.stringify(describeAsJson({ key, moves, proofs, isProved, liveTokens: countTokens(live, key.kid) }), null, 2));
  if (!isProved) throw createUnproved(key, proofs, failure);
}

function refuseBadInput({ kid, reason, isSure }: RevokeOptions): void {
  if (!KID.test(kid)) throw new CliError('usage', 'the kid must be letters, digits, _ and -, as `vouch keys list` shows it');
  if (reason.trim() === '' || reason.length > MAX_REASON_LENGTH) throw new CliError('usage', `--reason must be a sentence of at most ${MAX_REASON_LENGTH} characters`);
  requireSomebodyToAsk(isSure);
}

function findKey({ rings }: Overview, kid: string): { key: Key; ring: Ring } {
  for (const ring of rings) {
    const key = ring.keys.find((candidate) => candidate.kid === kid);
    if (key === undefined) continue;
    if (isPublished(key)) return { key, ring };
    throw new CliError('refused', `signing key ${kid} is ${key.state} already`, { hints: ['see `vouch keys history`'] });
  }
  throw new CliError('refused', `there is no signing key ${kid}`, { hints: ['see `vouch keys list`'] });
}

interface Blast {
  readonly key: Key;
  readonly ring: Ring;
  readonly overview: Overview;
  readonly live: readonly LiveTokens[];
  readonly verifiers: readonly Verifier[];
  readonly issuer: string;
}

function describeBlast({ key, ring, overview: { now }, live, verifiers, issuer }: Blast): string {
  const standby = ring.keys.find(({ state }) => state === 'pending');
  const caches = verifiers.filter(({ lastVersion }) => lastVersion >= key.publishedVersion);
  const cacheLine = caches.length === 0 ? 'no verifier is known to have fetched it' : `fetched by ${joinSome(caches.map(({ family, network, lastFetchAt }) => `${family} ${network} (${formatDuration(now - lastFetchAt)} ago)`), 5)}: they may hold it until they fetch again`;
  return [
    `Revoking ${key.kid} of ${key.ring}: ${key.state}, published ${formatDuration(now - key.publishedAt)} ago. It cannot be undone.`,
    `  - ${CONSEQUENCES[key.state]?.(standby) ?? 'it leaves the JWKS at once'}`,
    `  - tokens of it that are still alive: ${describeLiveTokens(live, key.kid)}`,
    ...(key.state === 'pending' ? [] : [
      '  - tokens that it signed stop verifying here at once, and at verifiers as they fetch; sessions go on by their refresh tokens',
      '  - this command\'s own sign-in may be signed by it: the proof then asks for the passkey once more',
    ]),
    `  - ${cacheLine}`,
    renderManualSteps(issuer),
    '',
  ].join('\n');
}

const CONSEQUENCES: Readonly<Record<string, (standby: Key | undefined) => string>> = {
  active: (standby) => (standby === undefined ? 'nothing takes over until a standby is made' : `its standby ${standby.kid} signs at once, and a new standby is published`),
  pending: () => 'nothing that signs changes; a new standby is published, whose lead begins anew',
  retiring: () => 'nothing that signs changes',
};

type Print = (text: string) => Promise<void>;

/** The public address first: the instances may take another sign-in. */
async function prove(api: AdminApi, key: Key, { print, moves, waitSeconds }: { print: Print; moves: readonly Move[]; waitSeconds: number }): Promise<readonly [readonly Proof[], unknown]> {
  await print([`Revoked ${key.kid}.`, ...moves.flatMap(({ kind, kid }) => MOVES[kind]?.(kid ?? '') ?? [])].join('\n'));
  const jwks = await proveJwks(api.issuer, key.kid, waitSeconds);
  await print(renderProof(jwks));
  try {
    const instances = await proveInstances(api, waitSeconds);
    for (const proof of instances) await print(renderProof(proof));
    return [[jwks, ...instances], undefined];
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return [[jwks], error];
  }
}

const MOVES: Readonly<Record<string, (kid: string) => string>> = {
  activate: (kid) => `Its standby ${kid} signs now.`,
  generate: () => 'A new standby is published.',
};

const renderProof = ({ isProved, sentence }: Proof): string => `${isProved ? 'proved' : 'not proved'}: ${sentence}`;

interface Outcome {
  readonly key: Key;
  readonly moves: readonly Move[];
  readonly proofs: readonly Proof[];
  readonly isProved: boolean;
  readonly liveTokens: number;
}

function describeAsJson({ key, moves, proofs, isProved, liveTokens }: Outcome): unknown {
  return {
    revoked: { kid: key.kid, ring: key.ring, was: key.state, live_tokens: liveTokens },
    moves: moves.map(({ kind, ring, kid }) => ({ kind, ring, kid: kid ?? null })),
    is_proved: isProved,
    proofs: proofs.map(({ what, subject, isProved: isThisProved, sentence }) => ({ what, subject, is_proved: isThisProved, sentence })),
    manual_steps: MANUAL_STEPS,
  };
}

function createUnproved({ kid }: Key, proofs: readonly Proof[], failure: unknown): CliError {
  const left = proofs.filter(({ isProved }) => !isProved).map(({ sentence }) => sentence);
  const unasked = failure instanceof CliError ? [`the instances could not be asked: ${failure.message}`] : [];
  return new CliError('other', `${kid} is revoked, and it is not proved that it is gone: ${[...left, ...unasked].join('; ')}`, {
    hints: ['see `vouch keys list` for what each instance serves; do not revoke again'],
    cause: failure,
  });
}
