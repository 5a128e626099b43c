import { createPages, loadAssets, type PasskeyRow } from '../../server/views/views.ts';

export const HOSTILE = `"><img src=x onerror=alert(1)><script>alert('2')</script><a style="x" href='javascript:1'>&\``;

export const assets = loadAssets();
export const pages = createPages({ assets, productName: 'Vouch' });

const passkey = (text: string): PasskeyRow =>
  ({ id: text, name: text, model: text, aaguid: text, keyStorage: 'software', isSyncable: true, isBackedUp: true, attestationFormat: 'none', createdAt: new Date(0), lastUsedAt: undefined });

const session = (text: string) => ({ kind: 'sessions' as const, isNear: true, isHere: false, key: text, client: text as string | undefined, device: text, ip: text, startedAt: new Date(0), usedAt: new Date(1), endsAt: new Date(2) });

/** Every page, filled from one pair of values, so that all are held to the same rules. */
export function everyPage(text: string, issuer = 'https://us.vouch.sh'): Record<string, string> {
  return {
    enrol: pages.renderEnrolPage({ token: text, issuer }),
    enrolNamed: pages.renderEnrolPage({ token: text, issuer, email: text }),
    enrolled: pages.renderEnrolledPage({ email: text, name: text, issuer }),
    invitationUsed: pages.renderInvitationUsedPage(),
    signInCli: pages.renderSignInPage({ uid: text, clientName: text, isCli: true, issuer }),
    signIn: pages.renderSignInPage({ uid: text, clientName: text, isCli: false, issuer, upstreams: [{ id: text, name: text }] }),
    signInOwn: pages.renderSignInPage({ uid: text, clientName: text, isCli: false, isOwn: true, issuer }),
    consent: pages.renderConsentPage({ uid: text, clientName: text, email: text, scopes: ['openid', text], redirectHost: text }),
    signInDevice: pages.renderSignInPage({ uid: text, clientName: text, isCli: true, device: { name: text, code: text }, issuer }),
    deviceCode: pages.renderDeviceCodePage({ action: '/device', xsrf: text }),
    deviceCodeWrong: pages.renderDeviceCodePage({ action: '/device', xsrf: text, code: text, problem: 'unknown' }),
    deviceCodeOver: pages.renderDeviceCodePage({ action: '/device', xsrf: undefined, problem: 'over' }),
    deviceConfirm: pages.renderDeviceConfirmPage({ action: '/device', xsrf: text, clientName: text, device: { name: text, os: text, address: text, distance: 'another_network', code: text, askedAt: new Date(0) } }),
    deviceDone: pages.renderDeviceDonePage({ name: text }),
    deviceDenied: pages.renderDeviceDeniedPage(),
    deviceRefused: pages.renderDeviceRefusedPage({ reason: text }),
    goOn: pages.renderContinuePage({ href: `/oauth/authorize/${text}` }),
    account: pages.renderAccountPage({
      name: text, email: text, isFresh: true, notice: 'passkey_added', issuer, passkeys: [passkey(text), { ...passkey(text), lastUsedAt: new Date(1), isBackedUp: false }],
      identities: [{ key: text, upstream: text, email: text, linkedAt: new Date(0), lastUsedAt: new Date(1) }], linkable: [{ id: text, name: text }],
      sessions: [{ ...session(text), kind: 'browsers', client: undefined, isHere: true }, { ...session(text), kind: 'browsers', client: undefined, device: undefined }, session(text), { ...session(text), device: undefined, ip: undefined }],
      ended: [{ client: text, device: text, endedAt: new Date(0), by: 'reuse' }, { client: text, device: undefined, endedAt: new Date(0), by: 'admin' }],
    }),
    accountStale: pages.renderAccountPage({ name: text, email: text, isFresh: false, issuer, passkeys: [], identities: [], sessions: [], ended: [], linkable: [{ id: text, name: text }] }),
    passkey: pages.renderPasskeyPage({ passkey: passkey(text), isFresh: true, issuer }),
    passkeyStale: pages.renderPasskeyPage({ passkey: { ...passkey(text), keyStorage: 'hardware', attestationFormat: text }, isFresh: false, issuer }),
    notSignedIn: pages.renderNotSignedInPage(),
    signOut: pages.renderSignOutPage({ action: '/oauth/logout/confirm', xsrf: text }),
    signedOut: pages.renderSignedOutPage(),
    posting: pages.renderPostingPage({ action: `/oauth/${text}`, fields: [{ name: text, value: text }] }),
    error: pages.renderErrorPage({ title: text, message: text, hint: text, reference: text }),
  };
}
