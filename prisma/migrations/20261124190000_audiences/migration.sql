-- AlterTable
ALTER TABLE "accounts" ADD COLUMN     "owner_id" UUID;

-- CreateTable
CREATE TABLE "groups" (
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "groups_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "group_members" (
    "group_name" TEXT NOT NULL,
    "account_id" UUID NOT NULL,

    CONSTRAINT "group_members_pkey" PRIMARY KEY ("group_name","account_id")
);

-- CreateTable
CREATE TABLE "audiences" (
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "preset" TEXT NOT NULL,
    "algorithm" TEXT NOT NULL,
    "lifetime_seconds" INTEGER NOT NULL,
    "max_auth_age_seconds" INTEGER,
    "mode" TEXT NOT NULL,
    "is_enabled" BOOLEAN NOT NULL,
    "scopes" TEXT[],
    "allow" TEXT[],
    "deny" TEXT[],
    "clients" TEXT[],
    "revision" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "audiences_pkey" PRIMARY KEY ("name")
);

-- CreateIndex
CREATE INDEX "group_members_account_id_idx" ON "group_members"("account_id");

-- CreateIndex
CREATE INDEX "accounts_kind_idx" ON "accounts"("kind");

-- AddForeignKey
ALTER TABLE "group_members" ADD CONSTRAINT "group_members_group_name_fkey" FOREIGN KEY ("group_name") REFERENCES "groups"("name") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "group_members" ADD CONSTRAINT "group_members_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "accounts"("id") ON DELETE CASCADE ON UPDATE CASCADE;


