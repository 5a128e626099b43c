// The issuer's refusals, told apart by their OAuth code; free of the protocol library, so that it loads at once.
import { CliError, type CliErrorOptions } from './errors.ts';

/** A refusal by the issuer that keeps its OAuth error code (RFC 6749 4.1.2.1, 5.2; RFC 8693 2.2.2). */
export class IssuerRefusal extends CliError {
  readonly code: string;
  /** `error_description`, safe to print. */
  readonly description: string | undefined;

  constructor(code: string, message: string, options: CliErrorOptions & { readonly description?: string | undefined }) {
    super('refused', message, options);
    this.name = 'IssuerRefusal';
    this.code = code;
    this.description = options.description;
  }
}

/** The session lives, but its sign-in is too old for this (RFC 9470). */
export class FreshSignInNeeded extends CliError {
  /** How old a sign-in may be; nought, a new one, where the issuer does not say. */
  readonly maxAgeSeconds: number;
  readonly #again: string;

  constructor(issuer: string, reason: string, maxAgeSeconds: number | undefined, { cause, hints }: CliErrorOptions = {}) {
    const again = `then this command again${maxAgeSeconds === undefined ? '' : ` within ${maxAgeSeconds} s`}`;
    // Without --fresh a company's own issuer may answer with a sign-in of hours ago, and this would be refused again.
    super('freshSignIn', `the issuer ${issuer} asks for a fresh sign-in: ${reason}`, { hints: hints ?? [`run \`vouch login --fresh\`, ${again}`], cause });
    this.name = 'FreshSignInNeeded';
    this.maxAgeSeconds = maxAgeSeconds ?? 0;
    this.#again = again;
  }

  /** What to type where there is no browser. */
  get deviceHint(): string {
    return `run \`vouch login --device\`, ${this.#again}`;
  }
}

/** `max_age` of a challenge or of a refusal's JSON (RFC 9470 3). */
export function readMaxAge(value: unknown): number | undefined {
  const text = String(value);
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** The same, out of the header WWW-Authenticate. */
export function findMaxAge(headers: Headers): number | undefined {
  return readMaxAge(/\bmax_age="?(\d+)/.exec(headers.get('www-authenticate') ?? '')?.[1]);
}

/** A refresh token that the issuer no longer takes means that the session is over (RFC 6749 5.2). */
export function isSessionOver(thrown: unknown): boolean {
  return thrown instanceof IssuerRefusal && thrown.code === 'invalid_grant';
}

/** Why a session is over, where a person must hear of it: somebody else may have a copy of its refresh token. */
export function findAlarm(thrown: unknown): string | undefined {
  const description = thrown instanceof IssuerRefusal ? thrown.description : undefined;
  return description !== undefined && /\bwas used before\b/.test(description) ? description : undefined;
}

/** Whether the issuer refused the subject token itself: it may have ended the session before that token expired. */
export function isSubjectRefused(thrown: unknown): boolean {
  return thrown instanceof IssuerRefusal && ['invalid_request', 'invalid_grant', 'invalid_token'].includes(thrown.code);
}
