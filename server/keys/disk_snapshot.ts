import { createHmac, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KekRing } from '../crypto/kek.ts';
import type { Secret } from '../lib/secret.ts';

/** A public document as it was last served: what an instance may still publish that boots while every store is away. */
export interface KeptDocument {
  readonly path: string;
  readonly body: string;
  readonly cacheControl: string;
}

export interface KeptSnapshot {
  readonly documents: readonly KeptDocument[];
  /** Since it was last known to be what is published. */
  readonly ageSeconds: number;
}

interface Kept {
  readonly issuer: string;
  readonly version: string;
  readonly writtenAt: string;
  readonly documents: readonly KeptDocument[];
}

export interface DiskSnapshot {
  /** Writes whole or not at all. */
  write(version: bigint, documents: readonly KeptDocument[], at: Date): void;
  /** The last good snapshot, or in a sentence why there is none that may be used. */
  read(now: Date): KeptSnapshot | string;
}

/** A week: longer than any outage that nobody ends, far shorter than a key's life. */
const OLDEST_SECONDS = 7 * 86_400;

/** A snapshot in `folder`, authenticated with a key that is derived from the KEKs, so that nobody can slip a key in. */
export function createDiskSnapshot(folder: string, issuer: string, keks: Secret<KekRing>): DiskSnapshot {
  const file = join(folder, 'published.json');
  const [first, ...others] = keks.reveal().map(({ key }) => deriveKey(key));
  if (first === undefined) throw new TypeError('there is no key-encryption key');
  return {
    write: (version, documents, at) => {
      const payload = JSON.stringify({ issuer, version: version.toString(), writtenAt: at.toISOString(), documents } satisfies Kept);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const draft = `${file}.${process.pid}.new`;
      try {
        writeFileSync(draft, JSON.stringify({ payload, mac: authenticate(payload, first).toString('base64url') }), { mode: 0o600, flush: true });
        renameSync(draft, file);
      } finally {
        rmSync(draft, { force: true });
      }
    },
    read: (now) => {
      const text = readText(file);
      if (typeof text !== 'string') return text.code === 'ENOENT' ? `there is none at ${file}` : `${file} cannot be read (${text.code ?? 'error'})`;
      const kept = open(text, [first, ...others]);
      if (kept === undefined) return `${file} was altered, is cut off, or was made under another key-encryption key`;
      if (kept.issuer !== issuer) return `${file} is of another issuer, ${kept.issuer}`;
      const ageSeconds = (now.getTime() - Date.parse(kept.writtenAt)) / 1000;
      return ageSeconds < OLDEST_SECONDS ? { documents: kept.documents, ageSeconds } : `${file} is older than ${OLDEST_SECONDS / 86_400} days`;
    },
  };
}

function deriveKey(kek: KeyObject): Buffer {
  return Buffer.from(hkdfSync('sha256', kek, '', 'vouch published documents', 32));
}

function authenticate(payload: string, key: Buffer): Buffer {
  return createHmac('sha256', key).update(payload).digest();
}

function readText(file: string): string | NodeJS.ErrnoException {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

function open(text: string, macs: readonly Buffer[]): Kept | undefined {
  try {
    const { payload, mac } = JSON.parse(text) as { payload: string; mac: string };
    const given = Buffer.from(mac, 'base64url');
    const isOurs = macs.some((key) => given.length === 32 && timingSafeEqual(given, authenticate(payload, key)));
    return isOurs ? (JSON.parse(payload) as Kept) : undefined;
  } catch {
    return undefined;
  }
}
