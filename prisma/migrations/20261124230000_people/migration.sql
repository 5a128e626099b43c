-- AlterTable
ALTER TABLE "accounts" ADD COLUMN     "awaits_owner" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "external_id" TEXT,
ADD COLUMN     "suspended_by" TEXT;

-- AlterTable
ALTER TABLE "groups" ADD COLUMN     "display_name" TEXT,
ADD COLUMN     "domains" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "external_id" TEXT,
ADD COLUMN     "id" UUID NOT NULL DEFAULT gen_random_uuid();

-- AlterTable
ALTER TABLE "invitations" ADD COLUMN     "email" TEXT;

-- CreateTable
CREATE TABLE "scim_tokens" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "token_hash" TEXT NOT NULL,
    "domains" TEXT[],
    "scopes" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "created_by" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "scim_tokens_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "accounts_external_id_idx" ON "accounts"("external_id");

-- CreateIndex
CREATE UNIQUE INDEX "groups_id_key" ON "groups"("id");

-- CreateIndex
CREATE INDEX "invitations_email_idx" ON "invitations"("email");

-- CreateIndex
CREATE UNIQUE INDEX "scim_tokens_name_key" ON "scim_tokens"("name");
