import { errors, Provider, type AdapterPayload } from 'oidc-provider';
import { z } from 'zod';
import { hashValue } from '../crypto/digest.ts';
import { addSeconds } from '../lib/clock.ts';
import type { ArtifactStore } from '../storage/storage.ts';

/*
 * How device codes are kept (RFC 8628). The code itself only the device holds; the browser's side of the flow finds its row
 * by the user code, and goes on with a handle: the row's id behind a character that no code has.
 */

export const DEVICE_CODE_MODEL = 'DeviceCode';
const HANDLE_MARK = '#';
/** The routes on which oidc-provider works for the browser. Nowhere else does a handle stand for a code: whoever can read the database must not be able to redeem what is there. */
const BROWSER_ROUTES: ReadonlySet<string> = new Set(['code_verification', 'device_resume']);
/** For how long a code that has expired is still known as such, so that its device hears `expired_token` and not `invalid_grant`. */
const REMEMBERED_SECONDS = 600;

/** BCDFGHJKLMNPQRSTVWXZ: no vowel, so no word, and nothing that looks like a digit. 10 of 20 are 43 bits; the library draws without bias. */
export const USER_CODE = { charset: 'base-20', mask: '*****-*****' } as const;
const NORMALIZED = /^[BCDFGHJKLMNPQRSTVWXZ]{10}$/;

export function isUserCode(normalized: string): boolean {
  return NORMALIZED.test(normalized);
}

/** Another request has opened or decided the code meanwhile. */
export class CodeTaken extends errors.CustomOIDCProviderError {
  constructor() {
    super('invalid_request', 'the code was used already');
    Object.assign(this, { status: 400, statusCode: 400, expose: true });
  }
}

/** The id that a code or a handle is stored under; undefined for a handle where none may be used. */
export function findStoredId(codeOrHandle: string): string | undefined {
  if (!isHandle(codeOrHandle)) return hashValue(codeOrHandle);
  return BROWSER_ROUTES.has(Provider.ctx?.oidc.route ?? '') ? readHandle(codeOrHandle) : undefined;
}

export function isHandle(codeOrHandle: string): boolean {
  return codeOrHandle.startsWith(HANDLE_MARK);
}

function readHandle(handle: string): string {
  return handle.slice(HANDLE_MARK.length);
}

/** What the row keeps beside the library's payload, and what `findByUserCode` gives the library as its code. */
export function toStoredId(codeOrHandle: string): string {
  return isHandle(codeOrHandle) ? readHandle(codeOrHandle) : hashValue(codeOrHandle);
}

export function toHandle(storedId: unknown): string {
  return `${HANDLE_MARK}${String(storedId)}`;
}

export function forgetAt({ exp }: AdapterPayload): Date | undefined {
  return exp === undefined ? undefined : addSeconds(new Date(exp * 1000), REMEMBERED_SECONDS);
}

/**
 * A code is opened once, by one browser, and decided once, whatever runs at the same time: the library reads and then
 * writes. Throws CodeTaken when another was first.
 */
export async function claimCode(store: Pick<ArtifactStore, 'add'>, id: string, payload: AdapterPayload, until: Date): Promise<void> {
  const stage = payload.accountId !== undefined || payload.error !== undefined ? 'Decided' : payload.inFlight === true ? 'Opened' : undefined;
  if (stage === undefined) return;
  if (!(await store.add(`${DEVICE_CODE_MODEL}${stage}`, id, { payload: {} }, until))) throw new CodeTaken();
}

/** What is known of a device that asks: name and system as it says them itself, the address as we saw it. */
export interface DeviceFacts {
  readonly name?: string | undefined;
  readonly os?: string | undefined;
  readonly ip?: string | undefined;
}

const kept = z.object({
  userCode: z.string(), iat: z.number(),
  deviceInfo: z.object({ name: z.string().optional(), os: z.string().optional(), ip: z.string().optional() }).default({}),
});

export interface KeptDevice {
  /** As the device shows it: `XXXXX-XXXXX`. */
  readonly code: string;
  readonly askedAt: Date;
  readonly facts: DeviceFacts;
}

/** The device behind an interaction's handle, for the pages; undefined when its code is gone. Throws Unavailable. */
export async function findDevice(store: Pick<ArtifactStore, 'find'>, handle: string): Promise<KeptDevice | undefined> {
  const found = kept.safeParse((await store.find(DEVICE_CODE_MODEL, readHandle(handle)))?.payload);
  if (!found.success) return undefined;
  const { userCode, iat, deviceInfo } = found.data;
  return { code: `${userCode.slice(0, 5)}-${userCode.slice(5)}`, askedAt: new Date(iat * 1000), facts: deviceInfo };
}

/** A device as the record has it. */
export function toDetail({ name, os, ip }: DeviceFacts = {}): { readonly device: { readonly name: string | null; readonly os: string | null; readonly ip: string | null } } {
  return { device: { name: name ?? null, os: os ?? null, ip: ip ?? null } };
}
