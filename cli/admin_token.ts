// admin.json: the access token for the issuer's admin API. It lives for minutes and cannot be refreshed.
import { asFields, Malformed, parseJson, takeInstant, takeString } from './fields.ts';
import { readPrivateFile, removePrivateFile, writePrivateFile, type Home } from './home.ts';

export interface KeptAdminToken {
  readonly issuer: string;
  readonly accessToken: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Reads admin.json; undefined if there is none, or one that cannot be used: another sign-in replaces it. */
export async function readAdminToken(home: Home): Promise<KeptAdminToken | undefined> {
  const text = await readPrivateFile(home.adminPath);
  if (text === undefined) return undefined;
  try {
    const fields = asFields(parseJson(text), 'the file');
    return { issuer: takeString(fields, 'issuer'), accessToken: takeString(fields, 'access_token'), expiresAt: takeInstant(fields, 'expires_at') };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return undefined;
  }
}

export async function writeAdminToken(home: Home, { issuer, accessToken, expiresAt }: KeptAdminToken): Promise<void> {
  const fields = { issuer, access_token: accessToken, expires_at: new Date(expiresAt).toISOString() };
  await writePrivateFile(home.adminPath, `${JSON.stringify(fields, null, 2)}\n`);
}

/** Removes admin.json; it need not exist. */
export async function removeAdminToken(home: Home): Promise<void> {
  await removePrivateFile(home.adminPath);
}
