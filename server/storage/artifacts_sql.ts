import type { Clock } from '../lib/clock.ts';
import type { Artifact, DurableArtifactStore } from './artifacts.ts';
import { guardStore } from './failure.ts';
import type { OidcArtifact, Prisma, PrismaClient } from './generated/prisma/client.ts';
import type { JsonObject } from './json.ts';

/** What must not be lost and must be used once, in Postgres. */
export function createSqlArtifacts(prisma: PrismaClient, clock: Clock): DurableArtifactStore {
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
    find: (model, id) => findBy({ model, id }),
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
    accountId: artifact.accountId ?? null,
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
