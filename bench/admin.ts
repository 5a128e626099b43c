// An admin of the issuer that is measured, with a software passkey: what a load needs is set up by the ways that users have.
import { createBrowser, enrol } from '../test/support/browser.ts';
import { CLI, codeForm, exchangeForm, getCode, postToken, signIn } from '../test/support/oauth.ts';
import { createSoftwarePasskey } from '../test/support/software_passkey.ts';

export interface BenchAdmin {
  readonly accountId: string;
  /** Registers an audience of the algorithm; gives the form that asks for a token of it, good for ten minutes. */
  prepareExchange(algorithm: 'RS256' | 'ES256'): Promise<{ readonly body: string }>;
}

export async function enrolAdmin(issuer: string, invitation: string): Promise<BenchAdmin> {
  const person = { browser: createBrowser(issuer), passkey: createSoftwarePasskey({ origin: issuer }) };
  await enrol(person.browser, invitation, { email: 'ada@example.com', name: 'Ada' }, person.passkey);
  const { code, verifier } = await getCode(issuer, person, { resource: `${issuer}/admin`, scope: 'openid audiences:read audiences:write' });
  const { body: admin } = await postToken(issuer, { ...codeForm(code, verifier), client_id: CLI.id });
  const tokens = await signIn(issuer, person);
  let count = 0;
  return {
    accountId: readSubject(tokens.access_token),
    prepareExchange: async (algorithm) => {
      const name = `https://${algorithm.toLowerCase()}-${(count += 1)}.example`;
      const answer = await fetch(`${issuer}/admin/api/v1/audiences`, {
        method: 'POST', headers: { 'authorization': `Bearer ${admin.access_token as string}`, 'content-type': 'application/json' },
        body: JSON.stringify({ name, algorithm, allow: ['people'] }),
      });
      if (!answer.ok) throw new Error(`the audience could not be registered: ${await answer.text()}`);
      return { body: new URLSearchParams(exchangeForm(tokens.access_token, { audience: name })).toString() };
    },
  };
}

function readSubject(token: string): string {
  return (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string }).sub;
}
