import { z } from 'zod';
import type { Audit } from '../audit/audit.ts';
import type { KeyAdministration } from '../keys/keys.ts';
import type { Clock } from '../lib/clock.ts';
import { NotFound } from '../lib/errors.ts';
import { SIGNING_ALGORITHMS } from '../oauth2/vocabulary.ts';
import type { Demand } from './authorize.ts';
import { presentKey, presentMoves, presentOverview, presentVerifier } from './present.ts';
import { route, type Route } from './route.ts';

const READ: Demand = { scope: 'keys:read' };
/** A rotation or a revocation is not done by whoever finds an unlocked laptop. */
const WRITE: Demand = { scope: 'keys:write', maxAgeSeconds: 300 };

const ringBody = z.strictObject({ ring: z.enum(SIGNING_ALGORITHMS, { error: 'ring is required: RS256 or ES256' }) });
const reasonBody = z.strictObject({ reason: z.string({ error: 'reason is required: a sentence of at most 500 characters, for the history' }).trim().min(1, { error: 'reason is required: a sentence of at most 500 characters, for the history' }).max(500, { error: 'reason has at most 500 characters' }) });

export function createKeyRoutes({ keys, audit, clock }: { keys: KeyAdministration; audit: Audit; clock: Clock }): Route[] {
  return [
    route({ method: 'get', path: '/keys', name: 'key.list', summary: 'The rings, their keys, what happens next, and the instances', demand: READ, handle: async () => presentOverview(await keys.overview()) }),
    route({
      method: 'get', path: '/keys/verifiers', name: 'key.verifiers', summary: 'Who fetches the keys, how often, and which they cannot have yet', demand: READ,
      handle: async () => ({ verifiers: (await keys.verifiers()).map(presentVerifier) }),
    }),
    route({
      method: 'get', path: '/keys/events', name: 'key.events', summary: 'What happened to keys, newest first', demand: READ,
      handle: async () => ({ events: (await keys.history(500)).map(({ at, version, ...event }) => ({ at: at.toISOString(), version: version.toString(), ...event })) }),
    }),
    route({
      method: 'get', path: '/keys/live-tokens', name: 'key.live_tokens', summary: 'How many tokens still live, by key and audience', demand: READ,
      handle: async () => ({ live: await audit.countLive(clock.now()) }),
    }),
    route({
      method: 'get', path: '/keys/:kid', name: 'key.get', summary: 'One key', demand: READ,
      handle: async ({ params }) => {
        const { rings } = await keys.overview();
        const key = rings.flatMap((ring) => ring.keys).find(({ kid }) => kid === params.kid);
        if (key === undefined) throw new NotFound(`there is no signing key ${params.kid ?? ''}`);
        return presentKey(key);
      },
    }),
    route({
      method: 'post', path: '/keys/rotate', name: 'key.rotate', summary: 'Let the standby take over as soon as its gate opens', demand: WRITE, body: ringBody,
      handle: async ({ body, admin }) => ({ moves: presentMoves(await keys.rotate(body.ring, admin.accountId)) }),
    }),
    route({
      method: 'post', path: '/keys/cancel', name: 'key.cancel', summary: 'Call off a rotation that has not happened', demand: WRITE, body: ringBody,
      handle: async ({ body, admin }) => {
        await keys.cancel(body.ring, admin.accountId);
        return { cancelled: true };
      },
    }),
    route({
      method: 'post', path: '/keys/rewrap', name: 'key.rewrap', summary: 'Seal every private half again under the first key-encryption key', demand: WRITE,
      handle: async ({ admin }) => {
        const { sealed, unproved } = await keys.rewrap(admin.accountId, () => undefined);
        return { rewrapped: sealed, unproved };
      },
    }),
    route({
      method: 'post', path: '/keys/:kid/revoke', name: 'key.revoke', summary: 'Drop a key at once, everywhere', demand: WRITE, body: reasonBody,
      handle: async ({ params, body, admin }) => {
        const { revoked, moves } = await keys.revoke(params.kid ?? '', admin.accountId, body.reason);
        return { revoked: presentKey(revoked), moves: presentMoves(moves) };
      },
    }),
  ];
}
