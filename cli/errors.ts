// What can go wrong, as the caller of the CLI sees it: one sentence, what to do about it, and an exit status.

/** Exit statuses of every command; scripts may rely on them. */
export const EXIT = {
  /** The product, if the command has one, is on standard output. */
  ok: 0,
  /** Anything that has no status of its own below. */
  other: 1,
  /** The command line is wrong: unknown command or option, missing or malformed value. */
  usage: 2,
  /** There is no session, or it has ended: `vouch login` helps. */
  notSignedIn: 3,
  /** Issuer or provider was unreachable, too slow, or failing itself (5xx): trying again later may help. */
  network: 4,
  /** Issuer or provider said no, or gave an answer that cannot be used: trying again does not help. */
  refused: 5,
  /** A file in ~/.vouch or an environment variable is broken, or a provider is not set up. */
  configuration: 6,
  /** The session lives, but the issuer wants a sign-in from just now for this (RFC 9470): `vouch login --fresh` helps. */
  freshSignIn: 7,
  /** Issuer or provider has had too many requests (429): the hint says when to try again. */
  rateLimited: 8,
  /** Ctrl-C: 128 + SIGINT, as a shell reports it. */
  interrupted: 130,
} as const;

export type FailureKind = Exclude<keyof typeof EXIT, 'ok' | 'interrupted'>;

export interface CliErrorOptions {
  /** Sentences that say what to check or type, most useful first. */
  readonly hints?: readonly string[];
  readonly cause?: unknown;
}

/** A failure that the person at the terminal can understand; its message and hints never hold a token. */
export class CliError extends Error {
  readonly kind: FailureKind;
  readonly hints: readonly string[];

  constructor(kind: FailureKind, message: string, options: CliErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'CliError';
    this.kind = kind;
    this.hints = options.hints ?? [];
  }

  get exitCode(): number {
    return EXIT[this.kind];
  }
}

/** Says that there is no usable session, and why where that is known; exit status 3. */
export function createNotSignedIn(reason?: string, moreHints: readonly string[] = []): CliError {
  const message = reason === undefined ? 'not signed in' : `not signed in: ${reason}`;
  return new CliError('notSignedIn', message, { hints: ['run `vouch login`', ...moreHints] });
}

/** Reads the `code` that Node puts on its system errors. */
export function readErrorCode(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
