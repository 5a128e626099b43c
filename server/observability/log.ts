import { pino, type Logger } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Names under which a secret could travel in a logged object. None is logged on purpose; this is the net below. */
const SECRET_NAMES = [
  'token', 'access_token', 'refresh_token', 'id_token', 'subject_token', 'client_secret', 'client_assertion', 'code', 'code_verifier',
  'password', 'authorization', 'cookie', 'sealed', 'd',
];

/** JSON lines on standard error, one an event; standard output is for people. */
export function createLog(level: string): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' } },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** The chain of messages of an error, without the values that a driver may have put into a stack or a `meta`. */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  for (let at: unknown = error; at instanceof Error && messages.length < 5; at = at.cause) {
    messages.push(`${at.name}: ${at.message.split('\n').map((line) => line.trim()).filter(Boolean).join(' ').slice(0, 300)}`);
  }
  return messages.join(' <- ') || String(error);
}
