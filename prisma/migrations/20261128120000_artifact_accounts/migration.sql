-- Whose an artifact is: all of an account's end together, codes too that nobody has redeemed yet.
ALTER TABLE "oidc_artifacts" ADD COLUMN "account_id" UUID;

-- CreateIndex
CREATE INDEX "oidc_artifacts_account_id_idx" ON "oidc_artifacts"("account_id");

-- Those that are there already. As text: reading the payload as JSON fails where a client put U+0000 into it.
UPDATE "oidc_artifacts"
SET "account_id" = substring("payload"::text from '"accountId":\s*"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"')::uuid
WHERE "model" IN ('Grant', 'AuthorizationCode', 'RefreshToken', 'DeviceCode');
