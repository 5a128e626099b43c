import { posix } from 'node:path';
import { readSource, type SourceFacts } from './source_facts.ts';

/** DESIGN 6: a room may import rooms of lower floors only. `process` is main.ts and what it prints. */
export const FLOORS: Readonly<Record<string, number>> = {
  process: 8, app: 7, login: 6, admin: 6, scim: 6, issuer: 5, keys: 4, accounts: 4, clients: 4, audiences: 4, audit: 3,
  storage: 2, http: 2, crypto: 1, config: 1, observability: 1, views: 1, lib: 0, oauth2: 0,
};

/** The files that lie in no folder, by the room that they are. */
const LOOSE: Readonly<Record<string, string>> = { 'server/main.ts': 'process', 'server/banner.ts': 'process', 'server/keys_command.ts': 'process', 'server/app.ts': 'app' };

/**
 * Tool boxes: their files are small and independent (a digest, an envelope, a log), so each is a door of its own. One file
 * that re-exports the others would be a barrel, and would hide who uses what.
 */
const TOOL_BOXES = new Set(['lib', 'oauth2', 'crypto', 'http', 'observability']);

/** Where a thing that the whole house must not touch may be touched, as a prefix of the path. */
const PLACES = {
  /** The CLI's process hands its environment and clock to what it calls. */
  environment: ['server/config/', 'cli/main.ts'],
  clock: ['server/lib/clock.ts', 'cli/main.ts'],
  'oidc-provider': ['server/issuer/'],
  database: ['server/storage/'],
} as const;

const isIn = (path: string, place: keyof typeof PLACES) => PLACES[place].some((prefix) => path.startsWith(prefix));

/** Whatever breaks the rules of the house in these files (path from the root, text): one sentence each, sorted. */
export function findViolations(files: ReadonlyMap<string, string>): string[] {
  const sources = new Map([...files].map(([path, text]) => [path, readSource(path, text)]));
  const violations = [...sources].flatMap(([path, facts]) => [
    ...checkName(path), ...checkDoorComment(path, facts), ...checkPlaces(path, facts),
    ...facts.imports.flatMap((one) => checkImport(path, one.specifier, one.isTypeOnly)),
  ].map((sentence) => `${path}: ${sentence}`));
  return [...violations, ...findCycles(sources)].sort();
}

function checkName(path: string): string[] {
  const names = path.split('/').slice(1).map((name) => name.replace(/\.ts$/, ''));
  return names.flatMap((name) => {
    if (/^(index|utils?|helpers?|common|misc)$/.test(name)) return [`"${name}" says nothing of what is in it`];
    return /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) ? [] : [`"${name}" is neither one word nor snake_case`];
  });
}

/** The room of a file under server/; undefined for what is no part of the house. */
function roomOf(path: string): string | undefined {
  if (LOOSE[path] !== undefined) return LOOSE[path];
  const [top, room, file] = path.split('/');
  return top === 'server' && file !== undefined ? room : undefined;
}

function checkDoorComment(path: string, { firstComment }: SourceFacts): string[] {
  if (!path.startsWith('server/')) return [];
  const room = roomOf(path);
  if (room === undefined || FLOORS[room] === undefined) return ['it is in no room that has a floor'];
  if (TOOL_BOXES.has(room) || (path !== 'server/app.ts' && path !== `server/${room}/${room}.ts`)) return [];
  const lines = [/^[ */]*Owns: \S/m, /^[ */]*Never(?: does)?: \S/m, /^[ */]*Keeps true: \S/m];
  return lines.every((line) => line.test(firstComment)) ? [] : ['this door does not begin with "Owns:", "Never:" and "Keeps true:"'];
}

function checkPlaces(path: string, { readsEnvironment, readsClock }: SourceFacts): string[] {
  return [
    ...(readsEnvironment && !isIn(path, 'environment') ? ['it reads process.env'] : []),
    ...(readsClock && !isIn(path, 'clock') ? ['it reads the clock'] : []),
  ];
}

function checkImport(path: string, specifier: string, isTypeOnly: boolean): string[] {
  if (specifier.startsWith('oidc-provider/')) return [`it imports ${specifier}, the inside of oidc-provider`];
  if (specifier === 'oidc-provider') return isIn(path, 'oidc-provider') ? [] : ['it imports oidc-provider'];
  if (/^@prisma\/client/.test(specifier) || specifier.includes('/generated/')) return isIn(path, 'database') ? [] : ['it imports the Prisma client'];
  if (!specifier.startsWith('.')) return [];
  const target = posix.join(posix.dirname(path), specifier);
  if (path.startsWith('cli/')) return target.startsWith('server/') && !isTypeOnly ? [`it imports ${target}; the CLI takes only types of the server`] : [];
  if (target.startsWith('cli/')) return [`it imports ${target} of the CLI`];
  return checkFloor(path, target);
}

function checkFloor(path: string, target: string): string[] {
  const [from, to] = [roomOf(path), roomOf(target)];
  if (to === undefined) return [`it imports ${target}, which is in no room`];
  if (from === undefined || from === to) return [];
  const [above, below] = [FLOORS[from], FLOORS[to]];
  if (above === undefined || below === undefined) return [`it imports ${target}, and one of the two rooms has no floor`];
  if (above === below) return [`it imports ${target}: ${from} and ${to} are of one floor`];
  if (above < below) return [`it imports ${target}: ${from} (floor ${above}) lies below ${to} (floor ${below})`];
  if (TOOL_BOXES.has(to) || target === `server/${to}.ts` || target === `server/${to}/${to}.ts`) return [];
  return [`it imports ${target}, which is not the door of ${to}`];
}

/** Cycles of what is there at run time: an import of types alone makes none. */
function findCycles(sources: ReadonlyMap<string, SourceFacts>): string[] {
  const edges = new Map([...sources].map(([path, { imports }]) => [path, imports
    .filter(({ specifier, isTypeOnly }) => specifier.startsWith('.') && !isTypeOnly)
    .map(({ specifier }) => posix.join(posix.dirname(path), specifier))]));
  const cycles = new Set<string>();
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at !== -1) cycles.add(describeCycle(trail.slice(at)));
    if (at !== -1 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  return [...cycles];
}

/** The same words wherever the walk came in. */
function describeCycle(files: readonly string[]): string {
  const start = files.indexOf([...files].sort()[0]!);
  const turned = [...files.slice(start), ...files.slice(0, start)];
  return `import cycle: ${[...turned, turned[0]].join(' -> ')}`;
}
