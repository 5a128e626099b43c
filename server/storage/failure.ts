import { Conflict, Trouble, Unavailable } from '../lib/errors.ts';

/**
 * Runs one piece of database or Redis work and says in our own words what went wrong. A unique value that is taken is a
 * Conflict; everything else that a store throws is Unavailable, so that "the database is gone" can never be read as
 * "not found" further up. Programmer mistakes (TypeError, Prisma's validation) pass as they are.
 */
export async function guardStore<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Trouble || error instanceof TypeError || isProgrammerMistake(error)) throw error;
    if (isUniqueViolation(error)) throw new Conflict(`${what}: a unique value is taken`, { cause: error });
    throw new Unavailable(`${what}: the store did not answer`, { cause: error });
  }
}

/** The adapters differ in what they put into `meta`; the code is the same in both. */
function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'P2002' || error.code === '23505');
}

function isProgrammerMistake(error: unknown): boolean {
  return error instanceof Error && error.name === 'PrismaClientValidationError';
}
