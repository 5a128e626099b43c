-- AlterTable
ALTER TABLE "accounts" ADD COLUMN     "hosted_domain" TEXT;

-- AlterTable
ALTER TABLE "passkeys" ADD COLUMN     "attestation_client_data" BYTEA,
ADD COLUMN     "attestation_format" TEXT NOT NULL DEFAULT 'none',
ADD COLUMN     "attestation_object" BYTEA,
ADD COLUMN     "key_storage" TEXT NOT NULL DEFAULT 'unknown';

-- CreateTable
CREATE TABLE "identities" (
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "account_id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "linked_at" TIMESTAMPTZ(3) NOT NULL,
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "identities_pkey" PRIMARY KEY ("issuer","subject")
);

-- CreateTable
CREATE TABLE "email_tombstones" (
    "email" TEXT NOT NULL,
    "account_id" UUID NOT NULL,
    "buried_at" TIMESTAMPTZ(3) NOT NULL,
    "released_at" TIMESTAMPTZ(3),
    "released_by" TEXT,

    CONSTRAINT "email_tombstones_pkey" PRIMARY KEY ("email")
);

-- CreateTable
CREATE TABLE "email_disputes" (
    "id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "account_id" UUID NOT NULL,
    "first_at" TIMESTAMPTZ(3) NOT NULL,
    "last_at" TIMESTAMPTZ(3) NOT NULL,
    "tries" INTEGER NOT NULL,
    "resolved_at" TIMESTAMPTZ(3),
    "resolved_by" TEXT,
    "resolution" TEXT,

    CONSTRAINT "email_disputes_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "identities_account_id_idx" ON "identities"("account_id");

-- CreateIndex
CREATE INDEX "email_disputes_resolved_at_idx" ON "email_disputes"("resolved_at");

-- CreateIndex
CREATE UNIQUE INDEX "email_disputes_issuer_subject_email_key" ON "email_disputes"("issuer", "subject", "email");

-- AddForeignKey
ALTER TABLE "identities" ADD CONSTRAINT "identities_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "accounts"("id") ON DELETE CASCADE ON UPDATE CASCADE;



-- An e-mail that an account gives up, or that goes with it, is buried: by the database, so that no path forgets it.
CREATE FUNCTION bury_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.kind = 'person' AND (TG_OP = 'DELETE' OR NEW.email <> OLD.email) THEN
    INSERT INTO email_tombstones (email, account_id, buried_at) VALUES (OLD.email, OLD.id, now())
    ON CONFLICT (email) DO UPDATE SET account_id = EXCLUDED.account_id, buried_at = EXCLUDED.buried_at, released_at = NULL, released_by = NULL;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER accounts_bury_email AFTER DELETE OR UPDATE OF email ON accounts FOR EACH ROW EXECUTE FUNCTION bury_email();

-- A buried e-mail is nobody's but the account's that had it, until an admin releases it: it counts as taken.
CREATE FUNCTION refuse_buried_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM email_tombstones WHERE email = NEW.email AND released_at IS NULL AND account_id <> NEW.id) THEN
    RAISE EXCEPTION 'the e-mail was another account''s' USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER accounts_refuse_buried_email BEFORE INSERT OR UPDATE OF email ON accounts FOR EACH ROW EXECUTE FUNCTION refuse_buried_email();
