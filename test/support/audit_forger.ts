import { createHash } from 'node:crypto';
import type { RecordDatabase } from './audit_instance.ts';

type Row = Record<string, unknown> & { seq: bigint; at: Date; previous: Uint8Array; hash: Uint8Array };

/**
 * What an attacker who knows how rows are hashed does: gives rows `from` to `to` of a chain hashes that fit what they now
 * hold. The form is written down here once more, from its description, so that it does not change unseen.
 */
export async function rehashFrom(database: RecordDatabase, chain: string, from: number, to: number, { jti, keepPrevious = false }: { jti?: string; keepPrevious?: boolean } = {}): Promise<void> {
  const rows = await database.read<Row>(`SELECT * FROM audit_rows WHERE chain = '${chain}' AND seq BETWEEN ${from} AND ${to} ${jti === undefined ? '' : `AND jti = '${jti}'`} ORDER BY seq`);
  let previous = Buffer.from(rows[0]!.previous).toString('hex');
  for (const row of rows) {
    if (keepPrevious) previous = Buffer.from(row.previous).toString('hex');
    const cells = [
      1, row.chain, Number(row.seq), row.at.getTime(), row.kind, row.event, row.jti, row.kid, row.alg, row.token_kind, row.account_id, row.subject, row.client_id, row.audience,
      row.subject_jti, row.act, row.ip, row.user_agent, (row.expires_at as Date | null)?.getTime() ?? null, row.clause, row.code, row.reason, row.detail,
    ];
    const hash = createHash('sha256').update(previous).update(JSON.stringify(cells)).digest('hex');
    await database.tamper(`UPDATE audit_rows SET previous = decode('${previous}', 'hex'), hash = decode('${hash}', 'hex') WHERE chain = '${chain}' AND seq = ${row.seq} AND at = $1`, row.at);
    previous = hash;
  }
}
