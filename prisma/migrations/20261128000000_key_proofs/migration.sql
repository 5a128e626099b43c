-- What shows that this issuer made a key: without it whoever may write here could put in a key of theirs and seal the record anew.
ALTER TABLE "signing_keys" ADD COLUMN "proof" BYTEA;
