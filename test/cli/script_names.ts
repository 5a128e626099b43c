// What differs from run to run, under names that a script can hold: [ISSUER], [JWT 1]. The same value has the same name.

/** Numbered in the order in which they appear. Each is as narrow as the thing itself, so that nothing else hides behind it. */
const NUMBERED: readonly (readonly [string, RegExp])[] = [
  ['JWT', /\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g],
  ['ANTHROPIC TOKEN', /\bsk-ant-oat01-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])/g],
  ['OPENAI TOKEN', /\bopenai-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])/g],
  ['OPENROUTER TOKEN', /\bor-fed-[\w-]{20,}/g],
  ['AWS KEY', /\bASIA[A-Z0-9]{16}\b/g],
  ['AWS SECRET', /(?<=(?:SecretAccessKey|SECRET_ACCESS_KEY)(?:": ?"|='))[\w+/]{40}(?=["'])/g],
  ['AWS SESSION', /(?<=(?:SessionToken|SESSION_TOKEN)(?:": ?"|='))[\w+/=]{16,}(?=["'])/g],
  ['SCIM TOKEN', /\bvouch_scim_[0-9a-f]{32}_[\w-]{43}(?![\w-])/g],
  ['ENROLMENT', /(?<=\/login\/enrol\/)[\w-]{43}(?![\w-])/g],
  ['SIGN-IN', /(?<=\/oauth\/authorize\?)\S+/g],
  ['KID', /(?<![\w-])[\w-]{43}(?![\w-])/g],
  ['UUID', /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g],
];
/** Not worth a number. */
const PLAIN: readonly (readonly [string, RegExp])[] = [
  ['N', /(?<![\w.])[+-]?\d+(?= ms\b)/g],
  // In the time zone of whoever reads it.
  ['TIME', /\b\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?\b/g],
];
/** Where the clock of Postgres is the true one, and what other scripts did is counted. */
const TRUE_TIME: readonly (readonly [string, RegExp])[] = [
  ['AGE', /(?<=(?:active|pending) {2,})\d+ (?:s|min)(?= )|(?<=published since \[TIME\] \()\d+ (?:s|min)(?=\))/g],
  ['TOKENS', /(?<=^> {3}\[KID \d\] {2})(?:none|\d+: \[ISSUER\]\/admin \d+(?:, vouch-cli \d+)?)$/gm],
  ['INSTANCE', /(?<=^> {3}|instance )\S+ +[0-9a-f]{8}(?= )/gm],
  ['ID', /(?<=\b(?:no|yes) +\[TIME\] +(?:\[TIME\]|never) +)[\w-]{8}$|(?<= works {2,})[\w-]{8}(?= )/gm],
  ['COUNT', /\b\d+(?= rows\b)|(?<=1 of )\d+(?= accounts\b)|\b\d+(?= signed checkpoints?\b)/g],
  ['TIME', /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g],
  ['AGO', /\b\d+ (?:s|min|h|d)(?: \d+ (?:s|min|h))? ago\b/g],
];

export interface Names {
  /** Values to names, in what was printed. */
  readonly hide: (text: string) => string;
  /** Names to values, in what is typed. */
  readonly fill: (text: string) => string;
}

/** @param fixed values that have a name from the start; the longest is looked for first. */
export function createNames(fixed: Readonly<Record<string, string>>, isTrueTime: boolean): Names {
  const valueOf = new Map(Object.entries(fixed));
  const nameOf = new Map<string, string>();
  const number = (kind: string, value: string): string => {
    const known = nameOf.get(`${kind} ${value}`);
    if (known !== undefined) return `[${known}]`;
    const name = `${kind} ${[...nameOf.keys()].filter((key) => key.startsWith(`${kind} `)).length + 1}`;
    nameOf.set(`${kind} ${value}`, name);
    valueOf.set(name, value);
    return `[${name}]`;
  };
  const literals = Object.entries(fixed).toSorted(([, a], [, b]) => b.length - a.length);
  return {
    hide: (text) => {
      const known = literals.reduce((rest, [name, value]) => rest.replaceAll(value, `[${name}]`), text);
      const numbered = NUMBERED.reduce((rest, [kind, pattern]) => rest.replace(pattern, (value) => number(kind, value)), known);
      const named = [...PLAIN, ...(isTrueTime ? TRUE_TIME : [])].reduce((rest, [name, pattern]) => rest.replace(pattern, `[${name}]`), numbered);
      // Columns are as wide as what stood in them.
      return isTrueTime ? named.replace(/(?<=^. .*\S) {3,}/gm, '  ') : named;
    },
    fill: (text) => text.replace(/\[([A-Z][A-Z-]*(?: [A-Z]+)*(?: \d+)?)\]/g, (whole, name: string) => valueOf.get(name) ?? whole),
  };
}
