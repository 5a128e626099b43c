-- The issuance record: what was issued, refused and administered. Partitioned by month, and a month is made by the
-- running product (server/storage/audit_sql.ts), ahead of need and on demand; it is let go by dropping its partition.
-- Text that is looked up is compared byte by byte ("C"): an index is then cheap to add to, and this table is written
-- once a token.

-- CreateTable
CREATE TABLE "audit_rows" (
    "chain" UUID NOT NULL,
    "seq" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "kind" TEXT NOT NULL,
    "event" TEXT NOT NULL,
    "jti" TEXT COLLATE "C",
    "kid" TEXT COLLATE "C",
    "alg" TEXT,
    "token_kind" TEXT,
    "account_id" TEXT COLLATE "C",
    "subject" TEXT,
    "client_id" TEXT COLLATE "C",
    "audience" TEXT COLLATE "C",
    "subject_jti" TEXT,
    "act" TEXT,
    "ip" TEXT,
    "user_agent" TEXT,
    "expires_at" TIMESTAMPTZ(3),
    "clause" TEXT,
    "code" TEXT,
    "reason" TEXT,
    "detail" TEXT,
    "previous" BYTEA NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_rows_pkey" PRIMARY KEY ("chain","seq","at")
) PARTITION BY RANGE ("at");

-- CreateTable
CREATE TABLE "audit_chains" (
    "chain" UUID NOT NULL,
    "host" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "seq" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,
    "written_at" TIMESTAMPTZ(3) NOT NULL,
    "checkpointed_seq" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "audit_chains_pkey" PRIMARY KEY ("chain")
);

-- CreateTable
CREATE TABLE "audit_checkpoints" (
    "number" BIGINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "jws" TEXT NOT NULL,

    CONSTRAINT "audit_checkpoints_pkey" PRIMARY KEY ("number")
);

-- Partial, so that a row costs only the indexes of what it has. The planner takes them for "jti" = $1, which implies NOT NULL.
CREATE INDEX "audit_rows_jti" ON "audit_rows"("jti") WHERE "jti" IS NOT NULL;
CREATE INDEX "audit_rows_kid_at" ON "audit_rows"("kid", "at") WHERE "kid" IS NOT NULL;
CREATE INDEX "audit_rows_account_at" ON "audit_rows"("account_id", "at") WHERE "account_id" IS NOT NULL;
CREATE INDEX "audit_rows_audience_at" ON "audit_rows"("audience", "at") WHERE "audience" IS NOT NULL;
-- The order of time, for who asks by time alone. Always true, and said only by those queries: the planner, who takes a key's
-- rows for spread evenly over time, would else look for those of an old key by walking back through all newer rows.
CREATE INDEX "audit_rows_time" ON "audit_rows"("at") WHERE octet_length("hash") >= 0;
-- Which tokens live, by key and audience.
CREATE INDEX "audit_rows_expires_at" ON "audit_rows"("expires_at") WHERE "kid" IS NOT NULL;
-- What is rare among tokens is found without reading the tokens.
CREATE INDEX "audit_rows_rare_at" ON "audit_rows"("kind", "at") WHERE "kind" <> 'token';

-- Updated with every batch and never indexed beyond its key: room on the page keeps the updates there (HOT).
ALTER TABLE "audit_chains" SET (fillfactor = 50);

-- Adds a batch to a chain: false, and nothing is added, when the chain's head is not the one that the batch follows. A
-- function, since its plans are kept for the session: planned anew with each batch, this insert costs twice as much. The
-- rows come as one text (records end in U+001E, fields in U+001F, U+001D is NULL), which is taken apart for half of what
-- JSON costs.
CREATE FUNCTION "audit_append"(the_chain UUID, the_host TEXT, start_at TIMESTAMPTZ, from_seq BIGINT, from_hash TEXT, to_seq BIGINT, to_hash TEXT, lines TEXT)
RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
  IF from_seq = 0 THEN
    INSERT INTO "audit_chains" ("chain", "host", "started_at", "seq", "hash", "written_at")
    VALUES (the_chain, the_host, start_at, to_seq, decode(to_hash, 'hex'), clock_timestamp())
    ON CONFLICT ("chain") DO NOTHING;
  ELSE
    UPDATE "audit_chains" SET "seq" = to_seq, "hash" = decode(to_hash, 'hex'), "written_at" = clock_timestamp()
    WHERE "chain" = the_chain AND "seq" = from_seq AND "hash" = decode(from_hash, 'hex');
  END IF;
  IF NOT FOUND THEN
    RETURN FALSE;
  END IF;
  INSERT INTO "audit_rows" (
    "chain", "seq", "at", "kind", "event", "jti", "kid", "alg", "token_kind", "account_id", "subject", "client_id", "audience",
    "subject_jti", "act", "ip", "user_agent", "expires_at", "clause", "code", "reason", "detail", "previous", "hash")
  SELECT the_chain, f[1]::bigint, to_timestamp(f[2]::float8), f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11], f[12],
    f[13], f[14], f[15], f[16], to_timestamp(f[17]::float8), f[18], f[19], f[20], f[21], decode(f[22], 'hex'), decode(f[23], 'hex')
  FROM unnest(string_to_array(lines, E'\x1e')) AS line, string_to_array(line, E'\x1f', E'\x1d') AS f;
  RETURN TRUE;
END
$$;
