import type { Adapter, AdapterPayload } from 'oidc-provider';
import { hashValue } from '../crypto/digest.ts';
import { addSeconds, type Clock } from '../lib/clock.ts';
import type { ArtifactStore } from '../storage/storage.ts';
import { guardProtocol } from './failure.ts';

/*
 * oidc-provider keeps an interaction in Redis, from the touch of a passkey to the moment when its browser fetches what came
 * of it. Whose it is lies in Postgres beside it, with all else of the account: so that a sign-in that has not been fetched
 * ends with the account's sessions, and does not begin one afterwards.
 */

const MODEL = 'SignInMark';
/** That there is a mark: what an instance of an earlier version kept has none, and ends by itself within the hour. */
const IS_MARKED = 'isMarked';

/** The part of the library's storage by which a sign-in counts only while its mark does. */
export function createInteractionAdapter(kept: Adapter, marks: Pick<ArtifactStore, 'add' | 'find'>, clock: Clock): Pick<Adapter, 'upsert' | 'find'> {
  const accountOf = ({ result }: AdapterPayload) => (result as { login?: { accountId?: string } } | undefined)?.login?.accountId;
  return {
    upsert: (id, payload, expiresIn) =>
      guardProtocol(async () => {
        const accountId = accountOf(payload);
        if (accountId === undefined) return kept.upsert(id, payload, expiresIn);
        await marks.add(MODEL, hashValue(id), { payload: {}, accountId }, addSeconds(clock.now(), expiresIn ?? 0));
        return kept.upsert(id, { ...payload, [IS_MARKED]: true }, expiresIn);
      }),
    find: (id) =>
      guardProtocol(async () => {
        const payload = (await kept.find(id)) ?? undefined;
        if (payload?.[IS_MARKED] !== true) return payload;
        return (await marks.find(MODEL, hashValue(id))) === undefined ? undefined : payload;
      }),
  };
}
