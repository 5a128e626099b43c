// What the options say of an audience, checked as far as no issuer is needed.
import { checkChoice, checkWholeNumber } from '../admin_command.ts';
import { CliError } from '../errors.ts';
import { checkAudience } from '../formats.ts';

export interface RecordOptions {
  readonly kind?: string;
  readonly preset?: string;
  readonly algorithm?: string;
  readonly lifetime?: string;
  readonly maxAuthAge?: string;
  readonly mode?: string;
  readonly enable?: boolean;
  readonly disable?: boolean;
  readonly scope?: readonly string[];
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly client?: readonly string[];
}

export interface ChangeOptions extends RecordOptions {
  readonly addAllow?: readonly string[];
  readonly removeAllow?: readonly string[];
  readonly addDeny?: readonly string[];
  readonly removeDeny?: readonly string[];
}

/** Clauses to put in and to take out of a list that is there. */
export interface Amendment {
  readonly list: 'allow' | 'deny';
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Members of the record as the admin API calls them; only those that were named. */
export type RecordFields = Readonly<Record<string, unknown>>;

/** The range of a federation token's life, and of a sign-in's age; a provider may take less, which the issuer knows. */
const LIFETIME = [60, 3600] as const;
const MAX_AUTH_AGE = [60, 86_400] as const;

/** Throws `CliError` (usage). */
export function checkAudienceName(name: string): string {
  const fault = checkAudience(name);
  if (fault !== undefined) throw new CliError('usage', `the audience ${fault}`);
  return name;
}

/** Throws `CliError` (usage) that says what is wrong with an option. */
export function readRecord(options: RecordOptions, canLift: boolean): RecordFields {
  if (options.enable === true && options.disable === true) throw new CliError('usage', '--enable and --disable say the opposite; give one of them');
  const fields = {
    kind: options.kind === undefined ? undefined : checkChoice('--kind', options.kind, ['federation', 'api']),
    // The issuer knows the presets, and says them.
    preset: options.preset,
    algorithm: options.algorithm === undefined ? undefined : checkChoice('--algorithm', options.algorithm, ['RS256', 'ES256']),
    lifetime_seconds: options.lifetime === undefined ? undefined : checkWholeNumber('--lifetime', options.lifetime, ...LIFETIME),
    max_auth_age_seconds: readMaxAuthAge(options.maxAuthAge, canLift),
    mode: options.mode === undefined ? undefined : checkChoice('--mode', options.mode, ['audit', 'enforce']),
    is_enabled: options.enable === true ? true : options.disable === true ? false : undefined,
    scopes: dropEmpty(options.scope),
    allow: checkClauses('--allow', options.allow),
    deny: checkClauses('--deny', options.deny),
    clients: dropEmpty(options.client),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Throws `CliError` (usage). */
export function readAmendments(options: ChangeOptions): readonly Amendment[] {
  const amendments = [
    { list: 'allow', added: checkClauses('--add-allow', options.addAllow) ?? [], removed: checkClauses('--remove-allow', options.removeAllow) ?? [] },
    { list: 'deny', added: checkClauses('--add-deny', options.addDeny) ?? [], removed: checkClauses('--remove-deny', options.removeDeny) ?? [] },
  ] as const;
  const wanted = amendments.filter(({ added, removed }) => added.length + removed.length > 0);
  const clash = wanted.find(({ list }) => options[list] !== undefined);
  if (clash !== undefined) throw new CliError('usage', `--${clash.list} replaces the list and --add-${clash.list} and --remove-${clash.list} change it; give one or the other`);
  return wanted;
}

/** 0 takes a limit away, where there may be one. */
function readMaxAuthAge(text: string | undefined, canLift: boolean): number | undefined {
  if (text === undefined) return undefined;
  return canLift && text === '0' ? 0 : checkWholeNumber('--max-auth-age', text, ...MAX_AUTH_AGE);
}

/** `--client ''` stands for an empty list. */
function dropEmpty(values: readonly string[] | undefined): readonly string[] | undefined {
  return values?.filter((value) => value !== '');
}

const KINDS = ['domain', 'group', 'account', 'service'];

function checkClauses(flag: string, clauses: readonly string[] | undefined): readonly string[] | undefined {
  const kinds = flag.endsWith('deny') ? [...KINDS, 'client'] : KINDS;
  return dropEmpty(clauses)?.map((clause) => {
    if (clause === 'people' || kinds.some((kind) => clause.startsWith(`${kind}:`) && clause.length > kind.length + 1 && clause.length <= 300)) return clause;
    const forms = ['people', 'domain:NAME', 'group:NAME', 'account:EMAIL', 'service:SUBJECT', ...(flag.endsWith('deny') ? ['client:ID'] : [])];
    throw new CliError('usage', `${flag} takes a clause: ${forms.slice(0, -1).join(', ')} or ${forms.at(-1) ?? ''}`);
  });
}
