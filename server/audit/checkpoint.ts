import { z } from 'zod';
import { parseJws } from '../crypto/jws.ts';
import type { AuditTransaction, ChainHead, StoredCheckpoint } from '../storage/storage.ts';
import { GENESIS, hashText } from './row.ts';

/** A `typ` of its own, and no `iss`, `sub`, `aud` or `exp`: nobody who checks a token takes a checkpoint for one (RFC 8725 3.11). */
export const CHECKPOINT_TYPE = 'vouch-checkpoint+jwt';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().positive();
const heads = z.array(z.object({ chain: z.string(), seq: count, hash }));
const common = { number: count, previous: hash, at: z.string(), heads };

const payload = z.discriminatedUnion('kind', [
  /** These chains have come so far. */
  z.object({ ...common, kind: z.literal('heads') }),
  /**
   * Of these chains, the rows up to these places are gone, as retention asks. Holds all such places of chains that still
   * have a head, also those that earlier ones said, so that the earlier ones may go.
   */
  z.object({
    ...common, kind: z.literal('prune'),
    /** Rows from before this instant were dropped. */
    until: z.string(),
    /** Checkpoints up to this number are gone too, and this is the hash of the last of them. */
    forgotten: z.object({ number: count, hash }).optional(),
  }),
]);

export type Checkpoint = z.infer<typeof payload>;
export type PruneCheckpoint = Extract<Checkpoint, { kind: 'prune' }>;

type Draft = { readonly kind: 'heads'; readonly heads: readonly ChainHead[] } | ({ readonly kind: 'prune'; readonly heads: readonly ChainHead[] } & Pick<PruneCheckpoint, 'until' | 'forgotten'>);

/** Signs with the issuer's active key under `CHECKPOINT_TYPE`. */
export type SignCheckpoint = (payload: object) => Promise<string>;
/** What a key that this issuer ever had has signed; undefined for anything else. */
export type VerifySignature = (jws: string) => Promise<object | undefined>;

/** A checkpoint of about 60 KB. With more chains than this, there are several. */
export const MOST_HEADS = 300;

export interface Made {
  readonly number: number;
  readonly hash: string;
}

/** Heads of all chains that have moved since a checkpoint last held them; gives the last checkpoint made. */
export async function makeCheckpoints(tx: AuditTransaction, sign: SignCheckpoint, at: Date): Promise<Made | undefined> {
  let made: Made | undefined;
  for (;;) {
    const advanced = await tx.listAdvanced(MOST_HEADS);
    if (advanced.length === 0) return made;
    made = await addCheckpoint(tx, sign, at, { kind: 'heads', heads: advanced });
    // Last in the transaction: from here on the writers of these chains wait.
    await tx.markCheckpointed(advanced);
  }
}

export async function addCheckpoint(tx: AuditTransaction, sign: SignCheckpoint, at: Date, draft: Draft): Promise<Made> {
  const newest = await tx.findNewestCheckpoint();
  const number = (newest?.number ?? 0) + 1;
  const previous = newest === undefined ? GENESIS : hashText(newest.jws);
  const jws = await sign({ ...draft, number, previous, at: at.toISOString() });
  await tx.addCheckpoint({ number, at, jws });
  return { number, hash: hashText(jws) };
}

/** What a stored checkpoint says, its signature not looked at. */
export function readCheckpoint(jws: string): Checkpoint | undefined {
  const parsed = parseJws(jws);
  return parsed?.header.typ === CHECKPOINT_TYPE ? payload.safeParse(parsed.claims).data : undefined;
}

/** What a stored checkpoint says if it is ours and stands where it was put; else a sentence on what is wrong with it. */
export async function openCheckpoint({ number, jws }: StoredCheckpoint, verifySignature: VerifySignature): Promise<Checkpoint | string> {
  const signed = await verifySignature(jws);
  if (signed === undefined) return `checkpoint ${number} is not signed by a key that this issuer ever had`;
  const checkpoint = readCheckpoint(jws);
  if (checkpoint === undefined) return `checkpoint ${number} is signed by this issuer and is no checkpoint`;
  return checkpoint.number === number ? checkpoint : `checkpoint ${number} is the one that was written as ${checkpoint.number}`;
}
