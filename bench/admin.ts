// An admin of the issuer that is measured, with a software passkey: what a load needs is set up by the ways that users have.
import { createBrowser, enrol } from '../test/support/browser.ts';
import { CLI, codeForm, exchangeForm, getCode, postToken, signIn } from '../test/support/oauth.ts';
import { createSoftwarePasskey } from '../test/support/software_passkey.ts';

export interface BenchAdmin {
  readonly accountId: string;
  /** Registers an audience of the algorithm; gives the form that asks for a token of it, good for ten minutes. */
  prepareExchange(algorithm: 'RS256' | 'ES256'): Promise<{ readonly body: string }>;
  /** Revokes the key that waits for its turn: another one is made and published. */
  dropStandby(algorithm: 'RS256' | 'ES256'): Promise<void>;
  /** Looks into the record as `vouch audit find` does; gives how many rows came. */
  findRecords(query: Readonly<Record<string, string>>): Promise<number>;
}

export async function enrolAdmin(issuer: string, invitation: string): Promise<BenchAdmin> {
  const person = { browser: createBrowser(issuer), passkey: createSoftwarePasskey({ origin: issuer }) };
  await enrol(person.browser, invitation, { email: 'ada@example.com', name: 'Ada' }, person.passkey);
  const getAdminToken = async (scope: string) => {
    const { code, verifier } = await getCode(issuer, person, { resource: `${issuer}/admin`, scope });
    return (await postToken(issuer, { ...codeForm(code, verifier), client_id: CLI.id })).body.access_token as string;
  };
  const adminToken = await getAdminToken('openid audiences:read audiences:write keys:read keys:write');
  const tokens = await signIn(issuer, person);
  const ask = async (path: string, body?: object, token = adminToken): Promise<unknown> => {
    const answer = await fetch(`${issuer}/admin/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST', headers: { 'authorization': `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}: ${await answer.text()}`);
    return answer.json();
  };
  let count = 0;
  // Of its own, and late: what comes before it may last longer than a token.
  let auditToken: Promise<string> | undefined;
  return {
    accountId: readSubject(tokens.access_token),
    prepareExchange: async (algorithm) => {
      const name = `https://${algorithm.toLowerCase()}-${(count += 1)}.example`;
      await ask('/audiences', { name, algorithm, allow: ['people'] });
      return { body: new URLSearchParams(exchangeForm(tokens.access_token, { audience: name })).toString() };
    },
    dropStandby: async (algorithm) => {
      const { rings } = (await ask('/keys')) as { rings: { ring: string; keys: { kid: string; state: string }[] }[] };
      const standby = rings.find(({ ring }) => ring === algorithm)?.keys.find(({ state }) => state === 'pending');
      if (standby !== undefined) await ask(`/keys/${standby.kid}/revoke`, { reason: 'bench' });
    },
    findRecords: async (query) => {
      auditToken ??= getAdminToken('openid audit:read');
      const { rows } = (await ask(`/audit?${new URLSearchParams(query).toString()}`, undefined, await auditToken)) as { rows: readonly unknown[] };
      return rows.length;
    },
  };
}

function readSubject(token: string): string {
  return (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string }).sub;
}
