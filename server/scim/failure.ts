import { Taken } from '../accounts/accounts.ts';
import { Trouble } from '../lib/errors.ts';

export const MEDIA_TYPE = 'application/scim+json';

export interface ToldError {
  readonly status: number;
  /** RFC 7644 3.12, table 9. */
  readonly scimType?: string | undefined;
  readonly detail: string;
}

const SCIM_TYPES = ['invalidFilter', 'invalidSyntax', 'invalidPath', 'invalidValue', 'noTarget', 'mutability'];

/** What a directory is told of trouble: the one place where our kinds become a status and a scimType. */
export function describeTrouble(error: unknown): ToldError {
  if (!(error instanceof Trouble)) return { status: 500, detail: 'The issuer made a mistake. It was recorded.' };
  switch (error.kind) {
    case 'refused':
      return { status: 400, scimType: findType('code' in error ? String(error.code) : ''), detail: error.message };
    case 'not_found':
      return { status: 404, detail: error.message };
    case 'conflict':
      return { status: 409, scimType: error instanceof Taken ? 'uniqueness' : undefined, detail: error.message };
    case 'unavailable':
      return { status: 503, detail: 'The issuer cannot reach its storage just now. Try again in a moment.' };
  }
}

/** The rooms below have codes of their own for values that will not do; a body that cannot be read has `invalid_request`. */
function findType(code: string): string {
  if (SCIM_TYPES.includes(code)) return code;
  return code === 'invalid_request' ? 'invalidSyntax' : 'invalidValue';
}

export function renderError({ status, scimType, detail }: ToldError): object {
  return { schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'], status: String(status), ...(scimType === undefined ? {} : { scimType }), detail };
}
