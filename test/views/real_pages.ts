import type { PasskeyRow } from '../../server/views/views.ts';
import { pages } from './every_page.ts';

const issuer = 'https://vouch.example.com';
const at = (day: number) => new Date(Date.UTC(2026, 10, day, 9, 41));

const passkeys: readonly PasskeyRow[] = [
  { id: 'one', name: 'iCloud Keychain', model: 'Apple Passwords', aaguid: 'fbfc3007-154e-4ecc-8c0b-6e020557d7bd', keyStorage: 'unknown', isSyncable: true, isBackedUp: true, attestationFormat: 'none', createdAt: at(2), lastUsedAt: at(24) },
  { id: 'two', name: 'Blue YubiKey', model: 'YubiKey 5 Series with NFC', aaguid: '2fc0579f-8113-47ea-b116-bb5a8db9202a', keyStorage: 'hardware', isSyncable: false, isBackedUp: false, attestationFormat: 'packed', createdAt: at(20) },
];
const identities = [{ key: 'k', upstream: 'Google', email: 'ada.lovelace@example.com', linkedAt: at(3), lastUsedAt: at(21) }];
const device = { name: 'build-42.corp.example.com', os: 'Linux (x86_64)', address: '203.0.113.7', distance: 'another_network', code: 'BCDFG-HJKLM', askedAt: at(24) } as const;
const bare = { ...device, name: undefined, os: undefined, address: '2001:db8:1234:5678:9abc:def0:1234:5678', distance: 'same_network' } as const;
const upstreams = [{ id: 'google', name: 'Google' }, { id: 'entra', name: 'Microsoft' }];
const sessions = [
  { kind: 'browsers' as const, key: 'b1', client: undefined, device: 'Firefox on Linux', ip: '203.0.113.7', isNear: true, isHere: true, startedAt: at(24), usedAt: at(24), endsAt: at(25) },
  { kind: 'browsers' as const, key: 'b2', client: undefined, device: 'Safari on iPhone', ip: '2001:db8:85a3::8a2e:370:7334', isNear: false, isHere: false, startedAt: at(24), usedAt: at(24), endsAt: at(25) },
  { kind: 'sessions' as const, isNear: true, isHere: false, key: 's1', client: 'vouch', device: 'ada-laptop (darwin)', ip: '203.0.113.7', startedAt: at(24), usedAt: at(24), endsAt: at(25) },
  { kind: 'sessions' as const, isNear: false, isHere: false, key: 's2', client: 'Payroll', device: undefined, ip: '2001:db8:85a3::8a2e:370:7334', startedAt: at(23), usedAt: at(24), endsAt: at(25) },
];
const ended = [{ client: 'vouch', device: 'build-host-17.internal.example.com (linux)', endedAt: at(24), by: 'reuse' as const }];
const none = { sessions: [], ended: [] };
const ada = { name: 'Ada Lovelace', email: 'ada.lovelace@example.com', issuer };

/** Every page as somebody would see it. */
export const REAL_PAGES: Readonly<Record<string, string>> = {
  enrol: pages.renderEnrolPage({ token: 't', issuer }),
  'enrol-named': pages.renderEnrolPage({ token: 't', issuer, email: ada.email }),
  enrolled: pages.renderEnrolledPage(ada),
  'invitation-used': pages.renderInvitationUsedPage(),
  'sign-in': pages.renderSignInPage({ uid: 'u', clientName: 'vouch', isCli: true, issuer }),
  'sign-in-admin': pages.renderSignInPage({ uid: 'u', clientName: 'vouch', isCli: true, asksToAdminister: true, issuer, upstreams }),
  'sign-in-app': pages.renderSignInPage({ uid: 'u', clientName: 'Payroll', isCli: false, issuer, upstreams }),
  'sign-in-account': pages.renderSignInPage({ uid: 'u', clientName: 'Vouch', isCli: false, isOwn: true, issuer, upstreams }),
  'sign-in-device': pages.renderSignInPage({ uid: 'u', clientName: 'vouch', isCli: true, device, issuer, upstreams }),
  'device-code': pages.renderDeviceCodePage({ action: '/device', xsrf: 'x' }),
  'device-code-wrong': pages.renderDeviceCodePage({ action: '/device', xsrf: 'x', code: 'BCDFG-HJKLN', problem: 'unknown' }),
  'device-code-over': pages.renderDeviceCodePage({ action: '/device', xsrf: undefined, problem: 'over' }),
  'device-confirm': pages.renderDeviceConfirmPage({ action: '/device', xsrf: 'x', clientName: 'vouch', device }),
  'device-confirm-bare': pages.renderDeviceConfirmPage({ action: '/device', xsrf: 'x', clientName: 'vouch', device: bare }),
  'device-done': pages.renderDeviceDonePage({ name: device.name }),
  'device-denied': pages.renderDeviceDeniedPage(),
  'device-refused': pages.renderDeviceRefusedPage({ reason: 'device login is not allowed for accounts of example.com' }),
  consent: pages.renderConsentPage({ uid: 'u', clientName: 'Payroll', email: ada.email, scopes: ['openid', 'email'], redirectHost: 'payroll.example.com' }),
  account: pages.renderAccountPage({ ...ada, isFresh: true, passkeys, identities, sessions, ended, linkable: [upstreams[1]!], notice: 'passkey_added' }),
  'account-stale': pages.renderAccountPage({ ...ada, isFresh: false, passkeys, identities, ...none, sessions, linkable: [] }),
  'account-bare': pages.renderAccountPage({ ...ada, isFresh: true, passkeys: [], identities: [], ...none, sessions: sessions.slice(0, 1), linkable: [] }),
  passkey: pages.renderPasskeyPage({ passkey: passkeys[1]!, isFresh: true, issuer }),
  'passkey-stale': pages.renderPasskeyPage({ passkey: passkeys[0]!, isFresh: false, issuer }),
  'not-signed-in': pages.renderNotSignedInPage(),
  // Without what would take it on at once, as the next.
  'go-on': pages.renderContinuePage({ href: '/stay' }).replace(/<meta http-equiv="refresh" [^>]*>/, ''),
  // Without its script, which would send it on at once: as it is seen where scripts are off.
  posting: pages.renderPostingPage({ action: '/stay', fields: [{ name: 'xsrf', value: 'x' }] }).replace(/<script [^>]*><\/script>/, ''),
  'sign-out': pages.renderSignOutPage({ action: '/oauth/logout/confirm', xsrf: 'x' }),
  'signed-out': pages.renderSignedOutPage(),
  error: pages.renderErrorPage({ title: 'That did not work', message: 'Your Google account is not of a company that may sign in here. Choose your work account, or ask an admin.', reference: 'upstream_not_allowed', back: { uid: 'u' } }),
};
