/**
 * The few kinds of trouble that rooms tell each other about. What a stranger is told is decided at the edge
 * (issuer/failure.ts, login/failure.ts), by kind.
 */
export abstract class Trouble extends Error {
  abstract readonly kind: 'not_found' | 'conflict' | 'refused' | 'unavailable';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** What was named does not exist, or not any more. */
export class NotFound extends Trouble {
  readonly kind = 'not_found';
}

/** The write lost against another, or a unique value is taken. */
export class Conflict extends Trouble {
  readonly kind = 'conflict';
}

/** Understood and not allowed. `code` is stable and `message` is a sentence that may be shown to whoever asked. */
export class Refused extends Trouble {
  readonly kind = 'refused';
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A store or a peer cannot be reached just now. Never the asker's fault, and never "not found". */
export class Unavailable extends Trouble {
  readonly kind = 'unavailable';
}
