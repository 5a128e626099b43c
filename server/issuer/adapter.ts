import { errors, type Adapter, type AdapterPayload } from 'oidc-provider';
import type { Clients } from '../clients/clients.ts';
import { hashValue } from '../crypto/digest.ts';
import { addSeconds, toUnixSeconds, type Clock } from '../lib/clock.ts';
import type { Artifact, ArtifactStore, DurableArtifactStore, JsonObject } from '../storage/storage.ts';
import { isInAnswerWindow } from './answer_window.ts';
import { createBrowserSessionAdapter, type BrowserSessionDependencies } from './browser_sessions.ts';
import { claimCode, DEVICE_CODE_MODEL, findStoredId, forgetAt, isHandle, isUserCode, toHandle, toStoredId } from './device_codes.ts';
import { guardProtocol } from './failure.ts';
import { createReplays } from './replays.ts';
import { createInteractionAdapter } from './sign_in_marks.ts';

export interface AdapterDependencies extends BrowserSessionDependencies {
  readonly durable: DurableArtifactStore;
  readonly volatile: ArtifactStore;
  readonly clients: Clients;
}

/** What must be used once, or must not be lost, lives in Postgres; the rest may vanish with Redis. */
const DURABLE = new Set(['Grant', 'AuthorizationCode', 'RefreshToken', DEVICE_CODE_MODEL]);

/** Gives oidc-provider its storage: a client is looked up in our records, everything else is an artifact. */
export function createAdapterFactory(dependencies: AdapterDependencies): (model: string) => Adapter {
  const { durable, volatile, clients, clock } = dependencies;
  return (model) => {
    if (model === 'Client') return createClientAdapter(clients, clock);
    if (model === 'ReplayDetection') return createReplayAdapter(createReplays({ volatile, durable }), clock);
    const adapter = createArtifactAdapter(model, DURABLE.has(model) ? durable : volatile, clock);
    if (model === 'Session') return { ...adapter, ...createBrowserSessionAdapter(adapter, dependencies) };
    if (model === 'Interaction') return { ...adapter, ...createInteractionAdapter(adapter, durable, clock) };
    return model === DEVICE_CODE_MODEL ? { ...adapter, ...createDeviceCodeAdapter(durable, clock) } : adapter;
  };
}

/** For so long a client's keys are believed that were fetched from its host. */
const FETCHED_KEYS_SECONDS = 300;

/**
 * The library keeps a client with its fetched keys for as long as its metadata stay the same, and asks for the keys again only
 * when an assertion does not verify: one that was taken away from the host would work for ever. So the metadata change.
 */
function addWindow(metadata: AdapterPayload | undefined, clock: Clock): AdapterPayload | undefined {
  return metadata?.['jwks_uri'] === undefined ? metadata : { ...metadata, fetched_keys_window: Math.floor(toUnixSeconds(clock.now()) / FETCHED_KEYS_SECONDS) };
}

function createClientAdapter(clients: Clients, clock: Clock): Adapter {
  const readOnly = async () => {
    throw new TypeError('clients are registered in clients/, not by the protocol');
  };
  return {
    find: (id) => guardProtocol(async () => addWindow(toMutable(await clients.find(id)), clock)),
    upsert: readOnly, consume: readOnly, destroy: readOnly, revokeByGrantId: readOnly, findByUid: readOnly, findByUserCode: readOnly,
  };
}

/** Seeing a replay is a compare-and-set: the library's own find-then-write lets parallel replays through. */
function createReplayAdapter(replays: Pick<ArtifactStore, 'add' | 'find'>, clock: Clock): Adapter {
  const unused = async () => {
    throw new TypeError('what was used is only noted and looked up');
  };
  return {
    find: (id) => guardProtocol(async () => ((await replays.find('ReplayDetection', hashValue(id))) === undefined ? undefined : { jti: id })),
    upsert: (id, _payload, expiresIn) =>
      guardProtocol(async () => {
        if (!(await replays.add('ReplayDetection', hashValue(id), { payload: {} }, addSeconds(clock.now(), Math.max(1, expiresIn ?? 3600))))) {
          throw new errors.InvalidClient('its client assertion or DPoP proof was used before');
        }
      }),
    consume: unused, destroy: unused, revokeByGrantId: unused, findByUid: unused, findByUserCode: unused,
  };
}

/**
 * The value that a client holds (a code, a refresh token, a session cookie) is never stored: its hash is the key, and
 * `jti`, which repeats it, is left out and put back.
 */
function createArtifactAdapter(model: string, store: ArtifactStore, clock: Clock): Adapter {
  // Within the window the library does not see that it was used: it would end the session. It cannot use it again all the same.
  const mayRepeat = (consumedAt: Date) => model === 'RefreshToken' && isInAnswerWindow(consumedAt, clock);
  const restore = (artifact: Artifact | undefined, jti?: string) => toPayload(artifact, jti, mayRepeat);
  return {
    upsert: (id, { jti: _jti, consumed: _consumed, ...payload }, expiresIn) =>
      guardProtocol(async () => {
        const expiresAt = expiresIn !== undefined && expiresIn > 0 ? addSeconds(clock.now(), expiresIn) : undefined;
        const artifact: Artifact = {
          payload: toJson(payload),
          grantId: model === 'Grant' ? undefined : payload.grantId,
          uid: model === 'Session' ? payload.uid : undefined,
          userCode: payload.userCode,
          ...(DURABLE.has(model) ? { accountId: payload.accountId } : {}),
        };
        await store.put(model, hashValue(id), artifact, expiresAt);
      }),
    find: (id) => guardProtocol(async () => restore(await store.find(model, hashValue(id)), id)),
    findByUid: (uid) => guardProtocol(async () => restore(await store.findByUid(model, uid))),
    findByUserCode: (userCode) => guardProtocol(async () => restore(await store.findByUserCode(model, userCode))),
    consume: (id) =>
      guardProtocol(async () => {
        if (!(await store.consume(model, hashValue(id)))) throw new errors.InvalidGrant('it was used before');
      }),
    destroy: (id) => guardProtocol(() => store.remove(model, hashValue(id))),
    revokeByGrantId: (grantId) => guardProtocol(() => store.revokeByGrantId(model, grantId)),
  };
}

/** The same for device codes, which a device finds by the code and a browser by the user code (device_codes.ts). */
function createDeviceCodeAdapter(store: ArtifactStore, clock: Clock): Pick<Adapter, 'upsert' | 'find' | 'findByUserCode'> {
  return {
    upsert: (code, { jti: _jti, consumed: _consumed, ...payload }) =>
      guardProtocol(async () => {
        const [id, until] = [toStoredId(code), forgetAt(payload)];
        if (until === undefined) throw new TypeError('a device code expires');
        await claimCode(store, id, payload, until);
        await store.put(DEVICE_CODE_MODEL, id, { payload: { ...toJson(payload), storedId: id }, grantId: payload.grantId, userCode: payload.userCode, accountId: payload.accountId }, until);
      }),
    find: (code) =>
      guardProtocol(async () => {
        const id = findStoredId(code);
        // For the device that shows the code itself the window is as for a refresh token; its person sees that it was used.
        const mayRepeat = (consumedAt: Date) => !isHandle(code) && isInAnswerWindow(consumedAt, clock);
        return id === undefined ? undefined : toPayload(await store.find(DEVICE_CODE_MODEL, id), code, mayRepeat);
      }),
    findByUserCode: (userCode) =>
      guardProtocol(async () => {
        // Most of what is typed wrong is not asked of the database.
        const artifact = isUserCode(userCode) ? await store.findByUserCode(DEVICE_CODE_MODEL, userCode) : undefined;
        return toPayload(artifact, toHandle(artifact?.payload.storedId));
      }),
  };
}

function toPayload(artifact: Artifact | undefined, jti?: string, mayRepeat: (consumedAt: Date) => boolean = () => false): AdapterPayload | undefined {
  if (artifact === undefined) return undefined;
  const { payload, consumedAt } = artifact;
  return {
    ...copyJson(payload),
    ...(jti === undefined ? {} : { jti }),
    ...(consumedAt === undefined || mayRepeat(consumedAt) ? {} : { consumed: toUnixSeconds(consumedAt) }),
  };
}

/** Drops what JSON cannot carry, as `undefined` members, and the browser's session cookie, which the library does not read back. */
function toJson({ session, ...payload }: AdapterPayload): JsonObject {
  const kept = session === undefined ? payload : { ...payload, session: { ...session, cookie: undefined } };
  return copyJson(kept as JsonObject);
}

/** The library changes what it is given. */
function copyJson(value: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

function toMutable(metadata: JsonObject | undefined): AdapterPayload | undefined {
  return metadata === undefined ? undefined : copyJson(metadata);
}
