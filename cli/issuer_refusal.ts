// The issuer's refusals, told apart by their OAuth code; free of the protocol library, so that it loads at once.
import { CliError, type CliErrorOptions } from './errors.ts';

/** A refusal by the issuer that keeps its OAuth error code (RFC 6749 4.1.2.1, 5.2; RFC 8693 2.2.2). */
export class IssuerRefusal extends CliError {
  readonly code: string;

  constructor(code: string, message: string, options: CliErrorOptions) {
    super('refused', message, options);
    this.name = 'IssuerRefusal';
    this.code = code;
  }
}

/** A refresh token that the issuer no longer takes means that the session is over (RFC 6749 5.2). */
export function isSessionOver(thrown: unknown): boolean {
  return thrown instanceof IssuerRefusal && thrown.code === 'invalid_grant';
}

/** Whether the issuer refused the subject token itself: it may have ended the session before that token expired. */
export function isSubjectRefused(thrown: unknown): boolean {
  return thrown instanceof IssuerRefusal && ['invalid_request', 'invalid_grant', 'invalid_token'].includes(thrown.code);
}
