import { Trouble } from '../lib/errors.ts';
import { TooManyAttempts } from './failed_sign_ins.ts';

/** What a browser is told of trouble: the one place where our kinds become a status and a sentence. */
export interface Told {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly field?: 'email' | 'name';
  readonly retryAfterSeconds?: number;
}

const FIELDS: Readonly<Record<string, 'email' | 'name'>> = { invalid_email: 'email', email_taken: 'email', invalid_name: 'name' };

/** Of refusals that are not simply 400. */
const STATUS: Readonly<Record<string, number>> = { cross_origin: 403, too_many_attempts: 429, upstream_unavailable: 503 };

export function describeFailure(error: unknown): Told {
  if (!(error instanceof Trouble)) return { status: 500, code: 'server_error', message: 'Something went wrong on our side. It was recorded; try again in a moment.' };
  switch (error.kind) {
    case 'refused': {
      const code = 'code' in error ? String(error.code) : 'refused';
      const field = FIELDS[code];
      return { status: STATUS[code] ?? 400, code, message: error.message, ...(field === undefined ? {} : { field }), ...(error instanceof TooManyAttempts ? { retryAfterSeconds: error.retryAfterSeconds } : {}) };
    }
    case 'not_found':
      return { status: 404, code: 'sign_in_over', message: 'This sign-in is over or was begun in another browser. Go back to where you came from and start again.' };
    case 'conflict':
      return { status: 409, code: 'conflict', message: 'Something changed in the meantime. Start again.' };
    case 'unavailable':
      return { status: 503, code: 'temporarily_unavailable', message: 'We cannot reach our storage just now. Try again in a moment.' };
  }
}
