import { guardStore } from './failure.ts';
import type { Passkey, Prisma, PrismaClient } from './generated/prisma/client.ts';

/** A WebAuthn credential of an account (WebAuthn Level 3 4, credential record). */
export interface PasskeyRecord {
  /** The credential id, base64url. */
  readonly id: string;
  readonly accountId: string;
  /** COSE_Key (RFC 9052 7). */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly counter: number;
  readonly transports: readonly string[];
  /** `multiDevice` where the passkey may be backed up; fixed when it is made. */
  readonly deviceType: string;
  readonly isBackedUp: boolean;
  readonly aaguid: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt?: Date | undefined;
  /** Where its private key is known to be kept. */
  readonly keyStorage: 'hardware' | 'software' | 'unknown';
  readonly attestationFormat: string;
}

/** What an authenticator stated of itself, and what it signed with it: kept, so that it can be verified again. */
export interface AttestationBytes {
  readonly object: Uint8Array<ArrayBuffer>;
  readonly clientData: Uint8Array<ArrayBuffer>;
}

/** `issuers`: the upstreams that can be used to sign in; an identity of any other is no way in. */
export interface WaysIn {
  readonly issuers: readonly string[];
}

export interface PasskeyStore {
  /** The passkeys of an account, the oldest first. */
  list(accountId: string): Promise<readonly PasskeyRecord[]>;
  /** False when the account has `most` already. Throws Conflict when the passkey is taken. */
  add(passkey: PasskeyRecord, attestation: AttestationBytes | undefined, most: number): Promise<boolean>;
  /** Whether the account has such a passkey. */
  rename(accountId: string, id: string, name: string): Promise<boolean>;
  /** Removes it unless the account would be left with no way in. Two at once cannot both take the last but one. */
  remove(accountId: string, id: string, ways: WaysIn): Promise<'removed' | 'last_way_in' | 'not_found'>;
}

export function createPasskeyStore(prisma: PrismaClient): PasskeyStore {
  return {
    list: (accountId) =>
      guardStore('list the passkeys of an account', async () => {
        const rows = await prisma.passkey.findMany({ where: { accountId }, orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] });
        return rows.map(toPasskey);
      }),
    add: (passkey, attestation, most) =>
      guardStore('add a passkey', () =>
        prisma.$transaction(async (tx) => {
          await lockAccount(tx, passkey.accountId);
          if ((await tx.passkey.count({ where: { accountId: passkey.accountId } })) >= most) return false;
          await tx.passkey.create({ data: toPasskeyRow(passkey, attestation) });
          return true;
        }),
      ),
    rename: (accountId, id, name) =>
      guardStore('rename a passkey', async () => {
        const { count } = await prisma.passkey.updateMany({ where: { id, accountId }, data: { name } });
        return count === 1;
      }),
    remove: (accountId, id, ways) =>
      guardStore('remove a passkey', () =>
        prisma.$transaction(async (tx) => {
          await lockAccount(tx, accountId);
          if ((await tx.passkey.count({ where: { id, accountId } })) === 0) return 'not_found';
          if ((await countWaysIn(tx, accountId, ways)) < 2) return 'last_way_in';
          await tx.passkey.delete({ where: { id } });
          return 'removed';
        }),
      ),
  };
}

/** Whoever counts an account's ways in and then changes them does so alone. */
export async function lockAccount(tx: Prisma.TransactionClient, accountId: string): Promise<void> {
  await tx.$queryRaw`SELECT id FROM accounts WHERE id = ${accountId}::uuid FOR UPDATE`;
}

export async function countWaysIn(tx: Prisma.TransactionClient, accountId: string, { issuers }: WaysIn): Promise<number> {
  const passkeys = await tx.passkey.count({ where: { accountId } });
  return passkeys + (await tx.identity.count({ where: { accountId, issuer: { in: [...issuers] } } }));
}

export function toPasskeyRow({ transports, lastUsedAt, ...passkey }: PasskeyRecord, attestation: AttestationBytes | undefined) {
  return {
    ...passkey,
    transports: [...transports],
    lastUsedAt: lastUsedAt ?? null,
    attestationObject: attestation?.object ?? null,
    attestationClientData: attestation?.clientData ?? null,
  };
}

export function toPasskey({ counter, lastUsedAt, keyStorage, attestationObject: _, attestationClientData: __, ...row }: Passkey): PasskeyRecord {
  return { ...row, counter: Number(counter), keyStorage: keyStorage as PasskeyRecord['keyStorage'], lastUsedAt: lastUsedAt ?? undefined };
}
