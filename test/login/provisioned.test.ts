import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { createBrowser, enrol } from '../support/browser.ts';
import { findFreePort } from '../support/free_port.ts';
import { startTestIssuer, type TestIssuer } from '../support/issuer_in_process.ts';
import { codeForm, createCodeRequest, postToken } from '../support/oauth.ts';
import { createScimClient, patchOf, type ScimClient } from '../support/scim_client.ts';
import { query } from '../support/services.ts';
import { createSoftwarePasskey } from '../support/software_passkey.ts';
import { startUpstreamIssuer, UPSTREAM_CLIENT, type UpstreamIssuer } from '../support/upstream_issuer.ts';
import { follow, openSignIn, visitUpstream } from '../support/upstream_visit.ts';

/* An account that a directory made, and who gets it. */

let issuer: TestIssuer;
let okta: UpstreamIssuer;
/** States `hd`, as Google does, and is for another domain. */
let workspace: UpstreamIssuer;
let scim: ScimClient;

beforeAll(async () => {
  const port = await findFreePort();
  const callback = (id: string) => `http://localhost:${port}/login/upstream/${id}/callback`;
  okta = await startUpstreamIssuer({ redirectUri: callback('okta') });
  workspace = await startUpstreamIssuer({ redirectUri: callback('workspace') });
  issuer = await startTestIssuer({
    VOUCH_PORT: String(port), VOUCH_HOSTED_DOMAINS: 'example.com',
    VOUCH_UPSTREAMS: JSON.stringify([
      { id: 'okta', name: 'Okta', issuer: okta.url, ...UPSTREAM_CLIENT, domains: ['example.com'] },
      { id: 'workspace', name: 'Workspace', issuer: workspace.url, ...UPSTREAM_CLIENT, domains: ['corp.example'], statesHostedDomain: true },
    ]),
  });
  await issuer.createPerson('admin@example.com');
  const { token } = await issuer.app.scimTokens.add({ name: 'okta', domains: ['example.com'], scopes: ['users:read', 'users:write'], expiresInDays: 1, createdBy: (await issuer.app.accounts.lookUp('admin@example.com'))!.id });
  scim = createScimClient(issuer.url, token.reveal());
});
afterAll(async () => {
  await issuer.close();
  await okta.close();
  await workspace.close();
});

let serial = 0;
const provision = async (more: object = {}) => {
  serial += 1;
  const { body } = await scim('POST', '/Users', { userName: `person${serial}@example.com`, displayName: 'Ada Lovelace', ...more });
  return body as { id: string; userName: string };
};
const personOf = (email: string, claims: object = {}) => ({ sub: `subject-${(serial += 1)}`, email, email_verified: true, name: 'Another Name', ...claims });

/** A whole sign-in through an upstream: whose account it led to, or the page that it ended on. */
async function signInBy(id: 'okta' | 'workspace', person: ReturnType<typeof personOf>): Promise<{ sub?: string; claims?: Record<string, unknown>; page?: string }> {
  (id === 'okta' ? okta : workspace).person = person;
  const browser = createBrowser(issuer.url);
  const { url, verifier } = createCodeRequest(issuer.url);
  const back = await visitUpstream(browser, `${await openSignIn(browser, url)}/upstream/${id}`);
  const { at, response } = await follow(browser, back);
  if (response !== undefined) return { page: await response.text() };
  const { body } = await postToken(issuer.url, codeForm(new URL(at).searchParams.get('code')!, verifier));
  const claims = decodeJwt(body.id_token as string);
  return { sub: claims.sub!, claims };
}
const refused = { page: expect.stringContaining('belongs, or belonged, to another account') };

describe('a first sign-in by the upstream of the domain', () => {
  test('gets the account that the directory made, with its name; from then on it is found by issuer and subject', async () => {
    const { id, userName } = await provision();
    expect((await issuer.app.accounts.find(id))!.awaitsOwner).toBe(true);
    const person = personOf(userName);
    expect(await signInBy('okta', person)).toMatchObject({ sub: id, claims: { email: userName, email_verified: true, hd: 'example.com' } });
    expect(await issuer.app.accounts.find(id)).toMatchObject({ name: 'Ada Lovelace', awaitsOwner: undefined, isEmailVerified: true });
    expect(await signInBy('okta', { ...person, email: `moved${userName}` })).toMatchObject({ sub: id });
  });

  test('is good once: who comes after with that e-mail is a dispute', async () => {
    const { id, userName } = await provision();
    expect(await signInBy('okta', personOf(userName))).toMatchObject({ sub: id });
    expect(await signInBy('okta', personOf(userName))).toMatchObject(refused);
    // Not even when all that its owner came in by is gone again.
    await query(issuer.databaseUrl, 'DELETE FROM identities WHERE account_id = $1', [id]);
    expect(await signInBy('okta', personOf(userName))).toMatchObject(refused);
  });

  test('of two at once, one gets it', async () => {
    const { id, userName } = await provision();
    const people = [personOf(userName), personOf(userName)];
    const outcomes = await Promise.all(people.map(async (person) => issuer.app.identities.signIn({ issuer: okta.url, subject: person.sub, email: userName, isEmailVerified: true, name: 'N', hostedDomain: undefined, isEmailOfUpstream: true }).then(({ account }) => account.id, (error: unknown) => (error as { code: string }).code)));
    expect(outcomes.sort()).toEqual([id, 'email_held'].sort());
  });

  test.each<[string, 'okta' | 'workspace', object, object]>([
    ['an e-mail that is not verified', 'okta', { email_verified: false }, { page: expect.stringContaining('has not verified your e-mail') }],
    ['the upstream of another domain, which states hd of its own', 'workspace', { hd: 'corp.example' }, refused],
  ])('%s leads nowhere', async (_what, upstream, claims, outcome) => {
    const { id, userName } = await provision();
    expect(await signInBy(upstream, personOf(userName, claims))).toMatchObject(outcome);
    expect((await issuer.app.accounts.find(id))!.awaitsOwner).toBe(true);
    expect(await issuer.app.identities.list(id)).toEqual([]);
  });

  test('one that the directory has ended before its owner came is nobody’s', async () => {
    const { id, userName } = await provision();
    await scim('PATCH', `/Users/${id}`, patchOf({ op: 'replace', path: 'active', value: false }));
    expect(await signInBy('okta', personOf(userName))).toMatchObject(refused);
    await scim('PATCH', `/Users/${id}`, patchOf({ op: 'replace', path: 'active', value: true }));
    expect(await signInBy('okta', personOf(userName))).toMatchObject({ sub: id });
  });

  test('one that somebody uses already is never claimed, whatever the directory says of it', async () => {
    const passkey = createSoftwarePasskey({ origin: issuer.url });
    const email = `enrolled${(serial += 1)}@example.com`;
    await enrol(createBrowser(issuer.url), `${issuer.url}/login/enrol/${(await issuer.app.accounts.invite('member')).token.reveal()}`, { email, name: 'N' }, passkey);
    const { id } = (await issuer.app.accounts.lookUp(email))!;
    await scim('PATCH', `/Users/${id}`, patchOf({ op: 'replace', path: 'displayName', value: 'Provisioned' }));
    expect(await signInBy('okta', personOf(email))).toMatchObject(refused);
  });
});

describe('an invitation', () => {
  const come = async (token: string, email: string) => {
    const passkey = createSoftwarePasskey({ origin: issuer.url });
    await enrol(createBrowser(issuer.url), `${issuer.url}/login/enrol/${token}`, { email, name: 'Ada King' }, passkey);
  };

  test('for its address gives the account to its owner, once', async () => {
    const { id, userName } = await provision();
    const first = await issuer.app.accounts.invite('member', { email: userName });
    await come(first.token.reveal(), userName);
    expect(await issuer.app.accounts.find(id)).toMatchObject({ awaitsOwner: undefined, name: 'Ada King', email: userName });
    expect(await signInBy('okta', personOf(userName))).toMatchObject(refused);
    await expect(issuer.app.accounts.invite('member', { email: userName })).rejects.toThrow('has an account already');
  });

  test('for nobody in particular, or for another, does not', async () => {
    const { id, userName } = await provision();
    await expect(come((await issuer.app.accounts.invite('member')).token.reveal(), userName)).rejects.toThrow('email_taken');
    const other = `other${(serial += 1)}@example.com`;
    await come((await issuer.app.accounts.invite('member', { email: other })).token.reveal(), userName);
    expect((await issuer.app.accounts.lookUp(other))!.id).not.toBe(id);
    expect((await issuer.app.accounts.find(id))!.awaitsOwner).toBe(true);
  });
});
