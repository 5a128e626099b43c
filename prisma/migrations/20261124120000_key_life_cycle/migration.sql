-- AlterTable
ALTER TABLE "signing_keys" ADD COLUMN     "published_version" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "requested_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "key_events" (
    "id" BIGSERIAL NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "kind" TEXT NOT NULL,
    "ring" TEXT NOT NULL,
    "kid" TEXT NOT NULL,
    "actor" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "version" BIGINT NOT NULL,

    CONSTRAINT "key_events_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "instances" (
    "id" UUID NOT NULL,
    "host" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,
    "served_version" BIGINT NOT NULL,
    "rings" TEXT[],
    "skew_ms" INTEGER NOT NULL,

    CONSTRAINT "instances_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "verifiers" (
    "id" TEXT NOT NULL,
    "family" TEXT NOT NULL,
    "network" TEXT NOT NULL,
    "first_fetch_at" TIMESTAMPTZ(3) NOT NULL,
    "last_fetch_at" TIMESTAMPTZ(3) NOT NULL,
    "last_version" BIGINT NOT NULL,
    "fetches" BIGINT NOT NULL,
    "not_modified" BIGINT NOT NULL,

    CONSTRAINT "verifiers_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "key_events_kid_idx" ON "key_events"("kid");

-- CreateIndex
CREATE INDEX "verifiers_last_fetch_at_idx" ON "verifiers"("last_fetch_at");


