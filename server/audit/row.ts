import { hash } from 'node:crypto';
import type { AuditRecord } from '../storage/storage.ts';

/** What stands before the first row of a chain. */
export const GENESIS = '0'.repeat(64);

/**
 * SHA-256 over the hash of the row before (64 lower-case hexadecimal digits) followed by the row as a JSON array: `1` for
 * this form, then chain, seq and every field in the order of the table; times in milliseconds, null for what is not there.
 *
 * The hash of the row before is also kept in the row itself. Without it, a row that was changed and hashed anew could not be
 * told from the one behind it, which no longer fits; with it, each row answers for itself.
 */
export function hashRow(row: Omit<AuditRecord, 'hash'>): string {
  return hash('sha256', row.previous + JSON.stringify([
    1, row.chain, row.seq, row.at.getTime(), row.kind, row.event, row.jti, row.kid, row.alg, row.tokenKind, row.accountId, row.subject,
    row.clientId, row.audience, row.subjectJti, row.act, row.ip, row.userAgent, row.expiresAt?.getTime(), row.clause, row.code, row.reason, row.detail,
  ]), 'hex');
}

/** The same of a text: of a checkpoint, for the next one to hold. */
export function hashText(text: string): string {
  return hash('sha256', text, 'hex');
}
