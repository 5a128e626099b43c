import { userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ConfigError, ensureEmbeddedSecrets, findEmbeddedKeks, loadConfig, type Config } from './config/config.ts';
import { parseKekRing, type KekRing } from './crypto/kek.ts';
import { findPolicyFaults, openOnHost, type HostKeys, type KeyAdministration, type KeysOverview, type Move, type RingOverview } from './keys/keys.ts';
import { systemClock } from './lib/clock.ts';
import { Refused, Trouble } from './lib/errors.ts';
import { Secret } from './lib/secret.ts';
import { isSigningAlgorithm, type SigningAlgorithm } from './oauth2/vocabulary.ts';
import { openStorage } from './storage/storage.ts';

/*
 * Break-glass on the host: signing keys with access to the database alone, when no admin can sign in. It follows the same
 * rules as the admin API, and its history names the user of this host. Redis may be down: instances then learn by polling.
 */

const USAGE = `Usage: npm run keys -- <command>

  list                                the rings, their keys and the instances
  rotate [--alg RS256|ES256]          let the standby take over as soon as its gate opens
  cancel [--alg RS256|ES256]          call that off
  revoke <kid> --reason <text>        drop a key at once, without asking, and wait until every instance has,
         [--wait <seconds>]           for 30 s unless said otherwise
  history [--limit <count>]           who changed what, when and why
  rewrap                              seal every private half again under the first key of VOUCH_KEK
  adopt <kid> --reason <text>         take a key that signs no more for this issuer's though no KEK shows it, as after
                                      the loss of one: compare the kid with the issuer's log before

  --json with each prints JSON. A kid that begins with - goes last, after --
  Run it on the host, with the environment of the issuer: other thresholds or algorithms would change the keys.
  When an admin can sign in, use \`vouch keys\` instead.`;

class UsageError extends Error {}

interface Parameters {
  readonly ring: SigningAlgorithm;
  readonly kid: string;
  readonly reason: string;
  readonly limit: number;
  readonly waitSeconds: number;
  readonly isJson: boolean;
}

interface Work extends Parameters {
  readonly keys: KeyAdministration;
  readonly actor: string;
  readonly config: Config;
}

/** Prints what it did; false when it did it and could not prove it. */
type Command = (work: Work) => Promise<boolean>;

const COMMANDS: Readonly<Record<string, Command>> = { list, rotate, cancel, revoke, history, rewrap, adopt };
const HISTORY_LIMIT = 500;
const LONGEST_WAIT_SECONDS = 600;
const PAUSE_MS = 500;
/** An instance that was silent for longer is taken to be gone. */
const REMEMBERED_MS = 86_400_000;

async function run(): Promise<boolean> {
  const [command, parameters] = readParameters();
  if (command === undefined) {
    print(USAGE);
    return true;
  }
  const config = readConfig();
  const { keys, close } = await open(config);
  try {
    if (keys.settled.length > 0) note(`Before that, what was due: ${describeMoves(keys.settled)}.`);
    return await command({ ...parameters, config, keys: keys.administration, actor: `host:${userInfo().username}` });
  } finally {
    await close();
  }
}

/** The command and what it is given; no command for --help. Throws a UsageError. */
function readParameters(): readonly [Command | undefined, Parameters] {
  const { values, positionals } = parse();
  const [name, kid, ...rest] = positionals;
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined && values.help !== true) throw new UsageError(name === undefined ? 'say what to do' : 'there is no such command');
  const isOfOneKey = command === revoke || command === adopt;
  if (isOfOneKey !== (kid !== undefined) || rest.length > 0) throw new UsageError(isOfOneKey ? `${name} takes one kid` : 'only revoke and adopt take a kid');
  const reason = values.reason?.trim() ?? '';
  if (isOfOneKey && (reason === '' || reason.length > 500)) throw new UsageError(`${name} takes --reason: a sentence of at most 500 characters, for the history`);
  if (!isSigningAlgorithm(values.alg)) throw new UsageError('--alg must be RS256 or ES256');
  const limit = /^\d{1,3}$/.test(values.limit) ? Number(values.limit) : 0;
  if (limit < 1 || limit > HISTORY_LIMIT) throw new UsageError(`--limit must be a whole number from 1 to ${HISTORY_LIMIT}`);
  const waitSeconds = /^\d{1,3}$/.test(values.wait) ? Number(values.wait) : 0;
  if (waitSeconds < 1 || waitSeconds > LONGEST_WAIT_SECONDS) throw new UsageError(`--wait must be a whole number of seconds from 1 to ${LONGEST_WAIT_SECONDS}`);
  return [values.help === true ? undefined : command, { ring: values.alg, kid: kid ?? '', reason, limit, waitSeconds, isJson: values.json === true }];
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        alg: { type: 'string', default: 'RS256' }, reason: { type: 'string' }, limit: { type: 'string', default: '20' }, wait: { type: 'string', default: '30' },
        json: { type: 'boolean' }, help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}

function readConfig(): Config {
  const config = loadConfig(undefined, { needsDatabaseOnly: true });
  const faults = findPolicyFaults({ ...config.keys, longestTokenSeconds: config.longestTokenSeconds }, config);
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

/** Storage and the keys, and never the loops: this process is no instance that anyone should wait for. */
async function open(config: Config): Promise<{ keys: HostKeys; close: () => Promise<void> }> {
  const storage = await openStorage({ ...config, clock: systemClock, onRedisError: createRedisNote() });
  try {
    const policy = { ...config.keys, longestTokenSeconds: config.longestTokenSeconds };
    const keys = await openOnHost({ store: storage.keys, hints: storage.hints, keks: findKeks(config), policy });
    if (!keys.hasKek) note('Without a key-encryption key (VOUCH_KEK) that opens the keys none is made here: the instances, which have one, make the next standby.');
    return { keys, close: () => storage.close() };
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** Of a database elsewhere none is made up: it would open nothing. That of an embedded one lies beside it. */
function findKeks(config: Config): Secret<KekRing> | undefined {
  // Only now, with the storage open: a data folder that is in use must not be touched.
  const keks = config.keks ?? (config.databaseUrl === undefined ? ensureEmbeddedSecrets(config).keks : findEmbeddedKeks(config));
  return keks === undefined ? undefined : new Secret(parseKekRing(keks.reveal()));
}

function createRedisNote(): () => void {
  let isSaid = false;
  return () => {
    if (!isSaid) note('Redis does not answer: instances learn of a change by polling (VOUCH_KEY_POLL_SECONDS).');
    isSaid = true;
  };
}

async function list({ keys, isJson, config }: Work): Promise<boolean> {
  const overview = await keys.overview();
  if (isJson) printJson(describeAsJson(overview));
  else print([`Version ${overview.version} of ${config.issuer}`, ...overview.rings.map(describeRing), describeInstances(overview)].join('\n\n'));
  return true;
}

async function rotate({ keys, ring, actor, isJson }: Work): Promise<boolean> {
  const moves = await keys.rotate(ring, actor);
  const after = (await keys.overview()).rings.find((candidate) => candidate.ring === ring);
  if (isJson) printJson({ ring, moves: moves.map(toPlainMove), lead_ends_at: after?.gate?.leadEndsAt.toISOString() ?? null });
  else print(moves.length > 0 ? `The rotation of ${ring} happened: ${describeMoves(moves)}.` : `A rotation of ${ring} is asked for. ${after === undefined ? '' : describeGate(after)}`);
  return true;
}

async function cancel({ keys, ring, actor, isJson }: Work): Promise<boolean> {
  await keys.cancel(ring, actor);
  if (isJson) printJson({ ring, cancelled: true });
  else print(`The rotation of ${ring} is called off.`);
  return true;
}

async function revoke({ keys, kid, reason, actor, waitSeconds, isJson, config }: Work): Promise<boolean> {
  const { revoked, moves } = await keys.revoke(kid, actor, reason);
  const { version } = await keys.overview();
  const say = isJson ? note : print;
  say(`Revoked ${kid} of ${revoked.ring}, which was ${revoked.state}: ${describeMoves(moves)}.`);
  const { late, silent } = await waitForInstances(keys, version, waitSeconds);
  const unproved = [...late, ...silent];
  if (isJson) printJson({ revoked: { kid, ring: revoked.ring, was: revoked.state }, version: String(version), moves: moves.map(toPlainMove), is_proved: unproved.length === 0, late_instances: late, silent_instances: silent, out_of_reach: listOutOfReach(config) });
  else print([...(late.length === 0 ? [`Every live instance serves version ${version} or a later one.`] : []), 'Out of reach from here:', ...listOutOfReach(config).map((line) => `  - ${line}`)].join('\n'));
  for (const line of unproved) note(`not proved: ${line}`);
  if (unproved.length > 0) note(`The key is revoked. An instance that is left out of touch stops signing after VOUCH_KEY_STALE_SECONDS (${config.keys.staleSeconds}), and goes on publishing what it knows until it is stopped: stop it.`);
  return unproved.length === 0;
}

interface Unproved {
  /** Live instances that do not serve the version. */
  readonly late: readonly string[];
  /** Those that were heard of within a day and are silent now, so that nobody can say what they publish. */
  readonly silent: readonly string[];
}

/** Waits so long for the live instances to serve `version`; returns as soon as all of them do. */
async function waitForInstances(keys: KeyAdministration, version: bigint, waitSeconds: number): Promise<Unproved> {
  const end = performance.now() + waitSeconds * 1000;
  for (;;) {
    const { instances, now } = await keys.overview();
    const behind = instances.filter(({ servedVersion }) => servedVersion < version);
    const late = behind.filter(({ isLive }) => isLive);
    if (late.length === 0 || performance.now() >= end) {
      const silent = behind.filter(({ isLive, seenAt }) => !isLive && now.getTime() - seenAt.getTime() <= REMEMBERED_MS);
      return {
        late: late.map((instance) => `${nameInstance(instance)} serves version ${instance.servedVersion}, heard of at ${instance.seenAt.toISOString()}`),
        silent: silent.map((instance) => `${nameInstance(instance)} was last heard of at ${instance.seenAt.toISOString()}: if it still runs, it publishes the key; stop it`),
      };
    }
    await sleep(PAUSE_MS);
  }
}

function nameInstance({ host, id }: KeysOverview['instances'][number]): string {
  return `instance ${host} ${id.slice(0, 8)}`;
}

function listOutOfReach({ issuer, longestTokenSeconds, keys }: Config): string[] {
  return [
    `tokens that it signed, at verifiers that hold it: ${longestTokenSeconds} s at most until they expire`,
    `caches of ${issuer}/oauth/jwks: ${keys.jwksMaxAgeSeconds} s where max-age is kept, and some keep it longer`,
    'go-oidc (Vault, OpenBao, Kubernetes API server): until it meets an unknown kid; restart it',
    'uploaded sets, by hand: Anthropic inline keys, OpenAI uploaded JWKS, Google jwksJson, Cloudflare API Shield',
    `the public address itself was not asked: curl -s ${issuer}/oauth/jwks must no longer show the kid`,
  ];
}

async function history({ keys, limit, isJson }: Work): Promise<boolean> {
  const events = await keys.history(limit);
  if (isJson) printJson({ events: events.map(({ at, version, ...event }) => ({ at: at.toISOString(), version: String(version), ...event })) });
  else print(events.map(({ at, version, ring, kind, kid, actor, reason }) => escape(`${at.toISOString()}  ${version}  ${ring}  ${kind}  ${kid}  ${actor}  ${reason}`)).join('\n'));
  return true;
}

/** One transaction a key: Ctrl-C takes effect between two of them, and the next run does all of them again. */
async function rewrap({ keys, actor, isJson }: Work): Promise<boolean> {
  let isStopping = false;
  const stop = () => {
    isStopping = true;
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const { sealed: count, unproved } = await keys.rewrap(actor, (done, of) => {
    note(`${done} of ${of} private halves sealed again`);
    if (isStopping && done < of) throw new Refused('interrupted', `stopped after ${done} of ${of}; each key is whole, and running it again finishes the work`);
  });
  process.off('SIGINT', stop).off('SIGTERM', stop);
  if (isJson) printJson({ rewrapped: count, unproved });
  else print(`${count} private halves are sealed again under the first key of VOUCH_KEK.`);
  for (const kid of unproved) note(`no key of VOUCH_KEK shows that ${kid} is this issuer's: what it sealed in the record is not believed. If the issuer's log knows it: adopt ${kid} --reason <text>`);
  return true;
}

async function adopt({ keys, kid, reason, actor, isJson }: Work): Promise<boolean> {
  await keys.adopt(kid, actor, reason);
  if (isJson) printJson({ adopted: kid });
  else print(`${kid} counts as this issuer's: what it sealed in the record is believed.`);
  return true;
}

function describeRing(ring: RingOverview): string {
  const rows = ring.keys
    .filter(({ state }) => state !== 'retired' && state !== 'revoked')
    .map(({ kid, state, createdAt }) => `  ${kid}  ${state.padEnd(8)}  published ${createdAt.toISOString()}`);
  return [ring.ring, ...rows, `  ${describeGate(ring)}`].join('\n');
}

function describeGate({ dueAt, isRequested, gate }: RingOverview): string {
  if (gate === undefined) return 'No standby: the ring is drained.';
  const waits = [...gate.lateInstances.map((id) => `instance ${id.slice(0, 8)}`), ...gate.lateVerifiers];
  return [
    `The standby is due ${isRequested ? 'at once, as asked for' : (dueAt?.toISOString() ?? 'at once')}`,
    `its lead ends ${gate.leadEndsAt.toISOString()}`,
    `${waits.length === 0 ? 'nobody is waited for' : `it waits for ${waits.join(', ')}`}.`,
  ].join('; ');
}

function describeInstances({ instances }: KeysOverview): string {
  const rows = instances.map(({ host, id, servedVersion, skewMs, seenAt, isLive }) =>
    `  ${host} ${id.slice(0, 8)}  version ${servedVersion}  clock ${skewMs} ms  heard of ${seenAt.toISOString()}  ${isLive ? 'live' : 'silent'}`);
  return ['Instances', ...(rows.length === 0 ? ['  none'] : rows)].join('\n');
}

function describeAsJson({ version, now, rings, instances }: KeysOverview) {
  return {
    version: String(version), now,
    rings: rings.map(({ ring, keys, dueAt, isRequested, gate }) => ({
      ring, keys: keys.map(({ kid, state, createdAt, activatedAt, retiringAt, endedAt }) => ({ kid, state, published_at: createdAt, activated_at: activatedAt, retiring_at: retiringAt, ended_at: endedAt })),
      due_at: dueAt, is_requested: isRequested, lead_ends_at: gate?.leadEndsAt, late_instances: gate?.lateInstances, late_verifiers: gate?.lateVerifiers,
    })),
    instances: instances.map(({ id, host, servedVersion, seenAt, skewMs, isLive }) => ({ id, host, served_version: String(servedVersion), seen_at: seenAt, skew_ms: skewMs, is_live: isLive })),
  };
}

function toPlainMove(move: Move) {
  return { kind: move.kind, ring: move.ring, kid: 'kid' in move ? move.kid : null };
}

function describeMoves(moves: readonly Move[]): string {
  if (moves.length === 0) return 'nothing else changed';
  return moves.map((move) => `${MOVES[move.kind]} ${move.kid ?? `(${move.ring})`}`).join(', ');
}

const MOVES: Readonly<Record<Move['kind'], string>> = {
  generate: 'made a new key', activate: 'signs now:', retire: 'signs no more:', end: 'left the JWKS:', drop: 'dropped the standby',
};

/** A reason was typed by somebody: what could rewrite the screen is left out. */
function escape(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printJson(value: object): void {
  print(JSON.stringify(value, null, 2));
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** One `error` line, and what to do about it. */
function explain(error: unknown): readonly [number, string, ...string[]] {
  if (error instanceof UsageError) return [2, error.message, 'see: npm run keys -- --help'];
  if (error instanceof ConfigError) return [2, error.message];
  if (error instanceof Refused && error.code === 'in_use') return [1, error.message, 'while the issuer runs on this folder, use `vouch keys`, or stop it first'];
  if (error instanceof Trouble) return [1, error.message];
  return [1, error instanceof Error ? error.message : String(error)];
}

async function end(): Promise<number> {
  try {
    return (await run()) ? 0 : 1;
  } catch (error) {
    const [code, message, ...hints] = explain(error);
    note([`error: ${message}`, ...hints.map((hint) => `hint: ${hint}`)].join('\n'));
    return code;
  }
}

// At once: a client of a Redis that is away keeps a timer for two seconds after it was closed.
process.exit(await end());
