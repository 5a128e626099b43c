import { createBatch } from '../lib/batch.ts';
import type { Clock } from '../lib/clock.ts';
import type { Artifact, ArtifactStore, DurableArtifactStore } from './artifacts.ts';
import type { Database, Query } from './database.ts';
import { guardStore } from './failure.ts';
import type { OidcArtifact, Prisma, PrismaClient } from './generated/prisma/client.ts';
import type { JsonObject } from './json.ts';

/** What must not be lost and must be used once, in Postgres. */
export function createSqlArtifacts({ prisma, query }: Pick<Database, 'prisma' | 'query'>, clock: Clock): DurableArtifactStore {
  const alive = (): Prisma.OidcArtifactWhereInput => ({ OR: [{ expiresAt: null }, { expiresAt: { gt: clock.now() } }] });
  const findBy = (where: Prisma.OidcArtifactWhereInput) =>
    guardStore('find an artifact', async () => {
      const row = await prisma.oidcArtifact.findFirst({ where: { ...where, ...alive() } });
      return row === null ? undefined : toArtifact(row);
    });

  // What has expired is not there any more: neither does it hold a name, nor was it consumed.
  const dropExpired = (model: string, id: string, { uid, userCode }: Artifact) =>
    prisma.oidcArtifact.deleteMany({
      where: {
        model, expiresAt: { lte: clock.now() },
        OR: [{ id }, ...(uid === undefined ? [] : [{ uid }]), ...(userCode === undefined ? [] : [{ userCode }])],
      },
    });

  return {
    put: (model, id, artifact, expiresAt) =>
      guardStore('write an artifact', async () => {
        const data = toRow(artifact, expiresAt);
        await dropExpired(model, id, artifact);
        await prisma.oidcArtifact.upsert({ where: { model_id: { model, id } }, create: { model, id, ...data }, update: data });
      }),
    add: (model, id, artifact, expiresAt) =>
      guardStore('add an artifact', async () => {
        await dropExpired(model, id, artifact);
        const { count } = await prisma.oidcArtifact.createMany({ data: [{ model, id, ...toRow(artifact, expiresAt) }], skipDuplicates: true });
        return count === 1;
      }),
    find: createFind(query, clock),
    findByUid: (model, uid) => findBy({ model, uid }),
    findByUserCode: (model, userCode) => findBy({ model, userCode }),
    consume: (model, id) =>
      guardStore('consume an artifact', async () => {
        const { count } = await prisma.oidcArtifact.updateMany({
          where: { model, id, consumedAt: null, ...alive() },
          data: { consumedAt: clock.now() },
        });
        return count === 1;
      }),
    release: (model, id, consumedAt) =>
      guardStore('release an artifact', async () => {
        const { count } = await prisma.oidcArtifact.updateMany({ where: { model, id, consumedAt, ...alive() }, data: { consumedAt: null } });
        return count === 1;
      }),
    remove: (model, id) =>
      guardStore('remove an artifact', async () => {
        await prisma.oidcArtifact.deleteMany({ where: { model, id } });
      }),
    revokeByGrantId: (model, grantId) =>
      guardStore('revoke a grant', async () => {
        await prisma.oidcArtifact.deleteMany({ where: { model, grantId } });
      }),
  };
}

/** Asked with every exchange, for its session: past Prisma, and one question for all who wait. */
function createFind(query: Query, clock: Clock): ArtifactStore['find'] {
  interface Row {
    model: string; id: string; payload: JsonObject; grant_id: string | null; uid: string | null; user_code: string | null; consumed_at: Date | null; expires_at: Date | null;
  }
  // A model is a word, an id a hash: neither holds a space.
  const keyOf = (model: string, id: string) => `${model} ${id}`;
  const find = createBatch<string, Row>(
    async (keys) => {
      const [models, ids] = [keys.map((key) => key.slice(0, key.indexOf(' '))), keys.map((key) => key.slice(key.indexOf(' ') + 1))];
      const { rows } = await query(
        `SELECT model, id, payload, grant_id, uid, user_code, consumed_at, expires_at FROM oidc_artifacts
        WHERE (model, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))`,
        [models, ids],
      );
      return new Map((rows as Row[]).map((row) => [keyOf(row.model, row.id), row]));
    },
    { largest: 500 },
  );
  return (model, id) =>
    guardStore('find an artifact', async () => {
      const row = await find(keyOf(model, id));
      if (row === undefined || (row.expires_at !== null && row.expires_at <= clock.now())) return undefined;
      return { payload: row.payload, grantId: row.grant_id ?? undefined, uid: row.uid ?? undefined, userCode: row.user_code ?? undefined, consumedAt: row.consumed_at ?? undefined };
    });
}

/** Drops up to `limit` rows whose time is over; gives how many. They were not found any more: this is housekeeping. */
export function purgeExpiredArtifacts(prisma: PrismaClient, now: Date, limit: number): Promise<number> {
  return guardStore('purge artifacts', () =>
    prisma.$executeRaw`DELETE FROM oidc_artifacts WHERE (model, id) IN (
      SELECT model, id FROM oidc_artifacts WHERE expires_at <= ${now} ORDER BY expires_at LIMIT ${limit})`,
  );
}

function toRow(artifact: Artifact, expiresAt: Date | undefined) {
  return {
    payload: artifact.payload as Prisma.InputJsonObject,
    grantId: artifact.grantId ?? null,
    uid: artifact.uid ?? null,
    userCode: artifact.userCode ?? null,
    expiresAt: expiresAt ?? null,
  };
}

function toArtifact(row: OidcArtifact): Artifact {
  return {
    payload: row.payload as JsonObject,
    grantId: row.grantId ?? undefined,
    uid: row.uid ?? undefined,
    userCode: row.userCode ?? undefined,
    consumedAt: row.consumedAt ?? undefined,
  };
}
