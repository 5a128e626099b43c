import { html } from './html.ts';
import type { Html } from './html.ts';

// Every sentence of the pages themselves, passkey.js included: the script finds its own on the form, in data attributes.
// Why something was refused is said by who refuses it, beside its code (login/failure.ts and its like), and shown as it is.

/** The sentences passkey.js shows; the keys become `data-text-...` attributes of the form. */
export interface ScriptTexts {
  readonly starting: string;
  readonly waiting: string;
  readonly finishing: string;
  readonly prompt: string;
  readonly done: string;
  readonly cancelled: string;
  readonly wrongAddress: string;
  readonly notSupported: string;
  readonly unreachable: string;
  readonly unexpected: string;
  readonly noWebauthn: string;
  readonly insecure: string;
  readonly incomplete: string;
  readonly alreadyRegistered?: string;
}

const shared = (host: string) => ({
  starting: 'Getting ready…',
  waiting: 'Waiting…',
  finishing: 'Checking…',
  prompt: 'Follow the prompt that your browser or device shows.',
  wrongAddress: `Passkeys work only at the address ${host}. Open this page there and try again.`,
  unreachable: 'The server did not answer. Check your connection and try again.',
  unexpected: 'Something went wrong on our side. Try again in a moment.',
  noWebauthn: 'This browser cannot use passkeys. Open this page in a current version of Chrome, Edge, Firefox or Safari.',
  insecure: 'Passkeys need a secure connection. Open this page at an address that starts with https.',
  incomplete: 'This page did not load completely. Reload it to try again.',
});

const SCOPES: Readonly<Record<string, string>> = {
  openid: 'Confirm who you are',
  email: 'See your e-mail address',
  profile: 'See your name',
  offline_access: 'Keep access while you are away, until it is revoked',
};

interface EndedSession {
  readonly client: Html;
  readonly device: Html | undefined;
  readonly at: Html;
}

export const texts = {
  passkey: {
    noScript: 'Passkeys need JavaScript. Turn it on for this site, then reload the page.',
    stalled: 'Still loading? Reload the page to try again.',
  },

  enrol: {
    title: 'Create your passkey',
    lead: (host: string): Html => html`You are invited to <strong>${host}</strong>. A passkey takes the place of a password: you sign in with your fingerprint, face, PIN or security key.`,
    email: 'E-mail',
    emailHint: 'Your work address.',
    emailFixed: 'The invitation is for this address.',
    emailMissing: 'Enter your e-mail address.',
    emailMalformed: 'Enter a full e-mail address, like ada@example.com.',
    name: 'Name',
    nameHint: 'As your colleagues know you.',
    nameMissing: 'Enter your name.',
    button: 'Create passkey',
    note: 'Your browser asks where to keep the passkey. It never leaves your device or password manager.',
    script: (host: string): ScriptTexts => ({
      ...shared(host),
      done: 'Your passkey is ready. One moment…',
      cancelled: 'No passkey was created: the prompt was closed or timed out. You can try again.',
      alreadyRegistered: 'This device already holds a passkey for this account. Sign in with it, or choose another device.',
      notSupported: 'This device cannot create the kind of passkey that is needed. Try your phone or a security key.',
    }),
  },

  enrolled: {
    title: 'Your passkey is ready',
    lead: (name: Html, email: Html): Html => html`Welcome, ${name}. You are enrolled as ${email}.`,
    next: 'Next, sign in from your terminal:',
    command: 'npx vouch login',
    close: 'You can close this page.',
  },

  signIn: {
    title: 'Sign in',
    asksCli: (client: Html): Html => html`The ${client} command line on your computer is asking to sign in.`,
    asksToAdminister: (client: Html): Html => html`The ${client} command line on your computer is asking to <strong>administer this issuer</strong> for ten minutes, with your rights.`,
    asks: (client: Html): Html => html`${client} is asking to sign you in.`,
    careCli: 'Continue only if you just started this in your terminal.',
    care: 'Continue only if you just came from there.',
    button: 'Continue with passkey',
    cancel: 'Cancel',
    note: 'Your browser asks for your fingerprint, face, PIN or security key.',
    asksOwn: 'To see and change your account.',
    careOwn: 'Continue only if you just opened your account page.',
    choose: 'Or pick a passkey',
    chooseHint: 'Your browser lists your passkeys here. Nothing needs to be typed.',
    upstream: (name: string): string => `Continue with ${name}`,
    noPasskey: 'No passkey yet? Ask your administrator for an invitation.',
    script: (host: string): ScriptTexts => ({
      ...shared(host),
      done: 'You are signed in. One moment…',
      cancelled: 'You are not signed in: the prompt was closed, timed out or found no passkey. You can try again.',
      notSupported: 'This device cannot use your passkey. Try the device that holds it, or your security key.',
    }),
  },

  deviceSignIn: {
    asks: (client: Html, device: Html): Html => html`The ${client} command line on ${device} is asking to sign in as you.`,
    unnamed: 'another machine',
    care: (code: Html): Html => html`Your passkey signs it in at once. Go on only if your own terminal shows ${code}.`,
    button: 'Sign it in with passkey',
    deny: 'Deny',
    script: (host: string): ScriptTexts => ({
      ...shared(host),
      done: 'Confirmed. One moment…',
      cancelled: 'Nothing is signed in: the prompt was closed, timed out or found no passkey. You can try again.',
      notSupported: 'This device cannot use your passkey. Try the device that holds it, or your security key.',
    }),
  },

  deviceCode: {
    title: 'Sign in another machine',
    lead: html`Enter the code that <code class="whole">vouch login --device</code> shows in your terminal.`,
    label: 'Code',
    hint: 'Ten letters. Dashes and small letters do not matter.',
    button: 'Continue',
    care: 'Enter only a code that you see in your own terminal. Whoever sends you one wants to sign in as you.',
    again: 'Enter a code',
    problems: {
      missing: 'Enter the code that your terminal shows.',
      unknown: 'Nobody has this code. Compare it with your terminal.',
      expired: 'This code has expired. Start again in your terminal, and enter the new code.',
      used: 'This code was used already. Start again in your terminal, and enter the new code.',
      stale: 'This page was open for too long, or your browser keeps no cookies. Enter the code again.',
      tooMany: 'Too many codes that do not exist were entered from here. Wait ten minutes, then enter the code that your terminal shows.',
      over: 'This sign-in is over or was begun in another browser. Start again in your terminal.',
    },
  },

  deviceConfirm: {
    title: 'Is this your machine?',
    asks: (client: Html): Html => html`The ${client} command line on another machine is asking to sign in <strong>as you</strong>.`,
    compare: 'Its terminal must show this code:',
    name: 'Calls itself',
    os: 'Says it runs',
    unsaid: 'It does not say',
    address: 'Asks from',
    addressUnknown: 'An address that is not known',
    asked: 'Asked at',
    distances: {
      same_address: 'That is the address of this browser too.',
      same_network: 'That is in the same network as this browser.',
      another_network: 'That is not the network of this browser. It is right for a machine that is elsewhere, and wrong for one beside you.',
      unknown: 'How far that is from this browser cannot be said.',
    },
    care: html`If you did not just type <code class="whole">vouch login --device</code> on this machine yourself, deny.`,
    deny: 'Deny',
    goOn: 'It is mine',
  },

  deviceDone: {
    title: 'It is signed in',
    message: 'The other machine is signed in as you. Go back to your terminal.',
    messageOn: (name: Html): Html => html`${name} is signed in as you. Go back to your terminal.`,
    close: 'You can close this page.',
  },

  deviceDenied: {
    title: 'Denied',
    message: 'Nothing was signed in, and the machine that asked was told so.',
    care: 'If somebody sent you that code, tell your administrator. You can close this page.',
  },

  deviceRefused: {
    title: 'Nothing was signed in',
    reason: (reason: string): string => `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}.`,
    hint: html`Sign in with <code>vouch login</code> on a machine with a browser, or ask your administrator.`,
  },

  consent: {
    title: 'Allow access?',
    asks: (client: Html): Html => html`${client} asks for access to your account.`,
    account: (email: Html): Html => html`You are signed in as ${email}.`,
    scopes: 'It will be able to:',
    scope: (scope: string): Html => {
      const sentence = Object.hasOwn(SCOPES, scope) ? SCOPES[scope] : undefined;
      return sentence === undefined ? html`Use the permission <code>${scope}</code>` : html`${sentence}`;
    },
    goesTo: (host: Html): Html => html`Either way, you go on to ${host}.`,
    goesToLoopback: (host: Html): Html => html`Either way, you go back to the program on your computer (${host}).`,
    goesToApp: 'Either way, you go back to the application that asks.',
    allow: 'Allow',
    deny: 'Deny',
  },

  invitationUsed: {
    title: 'This invitation does not work',
    message: 'The link was already used, has expired, or was not copied completely.',
    enrolled: 'If you already created your passkey, there is nothing left to do here. Sign in from your terminal:',
    ask: 'If not, ask your administrator for a new invitation.',
  },

  goOn: {
    title: 'One moment…',
    message: 'You are being taken back to where you came from.',
    link: 'Continue',
  },

  account: {
    title: 'Your account',
    notices: {
      passkey_added: 'The passkey was added.',
      passkey_renamed: 'The passkey has its new name.',
      passkey_removed: 'The passkey was removed. It no longer signs you in here; your device may still list it.',
      identity_linked: 'The sign-in was linked.',
      identity_unlinked: 'The sign-in was unlinked.',
      session_ended: 'The session was ended.',
      sessions_ended: 'All others were ended. Command lines, applications and other browsers have to sign in again.',
    },
    confirm: 'You signed in a while ago. To change how you sign in, first confirm that it is you.',
    confirmButton: 'Confirm it is you',
    passkeys: 'Passkeys',
    noPasskeys: 'You have no passkey yet.',
    added: (at: Html): Html => html`Added ${at}`,
    used: (at: Html): Html => html`Last used ${at}`,
    neverUsed: 'Not used yet',
    manage: 'Manage',
    add: 'Add a passkey',
    identities: 'Other ways to sign in',
    linked: (at: Html): Html => html`Linked ${at}`,
    unlink: 'Unlink',
    link: (name: string): string => `Link ${name}`,
    sessions: 'Where you are signed in',
    noSessions: 'No command line or application is signed in.',
    since: (at: Html): Html => html`Since ${at}`,
    lastUsed: (at: Html, ip: string | undefined, isNear: boolean): Html => html`Last used ${at}${ip !== undefined && html`, from <code>${ip}</code>${isNear && ', the network you are in now'}`}`,
    here: 'This browser',
    unknownBrowser: 'A browser',
    until: (at: Html): Html => html`Ends ${at}`,
    end: 'End',
    endAll: 'End all but this browser',
    endAllNote: 'To end all also takes back what you allowed a device or an application that has not used it yet.',
    ended: {
      reuse: ({ client, device, at }: EndedSession): Html => html`A session of ${client}${device !== undefined && html` on ${device}`} was ended on ${at}, because its token came twice: somebody may have had a copy. If you cannot explain it, have that machine looked at.`,
      admin: ({ client, device, at }: EndedSession): Html => html`A session of ${client}${device !== undefined && html` on ${device}`} was ended by an administrator on ${at}.`,
    },
    signOut: 'Sign out here',
    signOutNote: 'Signs you out in this browser. Command lines, applications and other browsers stay signed in; end them above.',
    signOutButton: 'Sign out',
  },

  passkeyDetails: {
    title: 'Passkey',
    back: 'Your account',
    model: 'Model',
    modelUnknown: 'Not known',
    key: 'Private key',
    keys: { hardware: 'Kept in hardware', software: 'Kept by software', unknown: 'Not known where it is kept' },
    attestation: 'Attestation',
    attestationNone: 'None given',
    attestationTrusted: (format: string): string => `Verified up to its maker (${format})`,
    attestationStated: (format: string): string => `Given, its maker not known here (${format})`,
    backup: 'Backup',
    backedUp: 'Backed up, and on your other devices',
    syncable: 'Can be backed up; is not at present',
    bound: 'On this one device only',
    addedAt: 'Added',
    usedAt: 'Last used',
    rename: 'Rename',
    name: 'Name',
    nameHint: 'So that you can tell it from the others.',
    nameMissing: 'Enter a name.',
    renameButton: 'Save name',
    remove: 'Remove',
    removeNote: 'It will no longer sign you in here. Remove it from your device or password manager too.',
    removeButton: 'Remove this passkey',
  },

  notSignedIn: {
    title: 'You are not signed in',
    message: 'The sign-in was cancelled or did not succeed.',
    button: 'Sign in',
  },

  signOut: {
    title: 'Sign out?',
    message: 'You will be signed out in this browser.',
    note: 'Command lines and applications that are signed in stay so until their session ends.',
    stay: 'Stay signed in',
    button: 'Sign out',
  },

  signedOut: {
    title: 'You are signed out',
    message: 'Nobody is signed in here in this browser any more.',
    button: 'Sign in again',
  },

  error: {
    reference: 'Reference',
    toAccount: 'Your account',
    toSignIn: 'Back to the sign-in',
  },
} as const;
