import { v7 } from 'uuid';

/** A UUIDv7 (RFC 9562 5.7) of the instant `at`: sorts by time, 74 random bits. */
export function createUuid(at: Date): string {
  return v7({ msecs: at.getTime() });
}
