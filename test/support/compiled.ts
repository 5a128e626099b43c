import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where the programs that tests start keep what Node makes of their source: each start costs half of the processor time. */
export const COMPILED = { NODE_COMPILE_CACHE: join(tmpdir(), `vouch-test-code-${process.getuid?.() ?? ''}`) };
