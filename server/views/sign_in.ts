import { CEREMONY_SCRIPTS, ceremonyForm } from './ceremony.ts';
import type { DeviceView } from './device.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { appIcon, terminalIcon } from './icons.ts';
import { hostOf, named } from './layout.ts';
import type { Page } from './layout.ts';
import { texts } from './texts.ts';

export interface SignInOptions {
  /** The interaction's id. */
  readonly uid: string;
  readonly clientName: string;
  /** Whether the client is a program on the person's own computer. */
  readonly isCli: boolean;
  /** Whether what the client gets may administer the issuer. */
  readonly asksToAdminister?: boolean;
  /** The machine that is to be signed in, where it is not this one (RFC 8628). */
  readonly device?: Pick<DeviceView, 'name' | 'code'> | undefined;
  /** Whether it is for the account page itself. */
  readonly isOwn?: boolean;
  /** Other issuers that the person may sign in with. */
  readonly upstreams?: readonly { readonly id: string; readonly name: string }[];
  readonly issuer: string;
}

export function signInPage({ uid, clientName, isCli, issuer, asksToAdminister = false, isOwn = false, device, upstreams = [] }: SignInOptions): Page {
  const { signIn, deviceSignIn } = texts;
  const host = hostOf(issuer);
  const path = `/login/${encodeURIComponent(uid)}`;
  const client = named(clientName);
  const asks = device !== undefined ? deviceSignIn.asks(client, device.name === undefined ? html`${deviceSignIn.unnamed}` : named(device.name))
    : isOwn ? signIn.asksOwn : asksToAdminister ? signIn.asksToAdminister(client) : isCli ? signIn.asksCli(client) : signIn.asks(client);
  const care = device !== undefined ? deviceSignIn.care(named(device.code)) : isOwn ? signIn.careOwn : isCli ? signIn.careCli : signIn.care;
  const abort = html`<form method="post" action="${path}/abort"><button class="button" type="submit">${device === undefined ? signIn.cancel : deviceSignIn.deny}</button></form>`;
  return {
    title: signIn.title,
    host,
    scripts: CEREMONY_SCRIPTS,
    main: html`<h1>${signIn.title}</h1>
<div class="asker">${isCli || device !== undefined ? terminalIcon : appIcon}<div>
<p>${asks}</p>
<p class="aside">${care}</p>
</div></div>
${ceremonyForm({ kind: 'authentication', path, note: signIn.note, ...(device === undefined ? { button: signIn.button, script: signIn.script(host) } : { button: deviceSignIn.button, script: deviceSignIn.script(host) }) })}
${device !== undefined && html`${abort}
`}${picker()}
${upstreams.map(({ id, name }) => html`<form class="upstream" method="post" action="${path}/upstream/${encodeURIComponent(id)}"><button class="button" type="submit">${signIn.upstream(name)}</button></form>
`)}${device === undefined && abort}
<p class="aside">${signIn.noPasskey}</p>`,
  };
}

/**
 * A field in which the browser offers its passkeys (conditional mediation). passkey.js shows it where the browser can do
 * that; nothing is typed or sent.
 */
function picker(): Html {
  const { signIn } = texts;
  return html`<div class="field pick" data-pick hidden>
<label for="pick">${signIn.choose}</label>
<input id="pick" type="text" autocomplete="username webauthn" autocapitalize="none" spellcheck="false" aria-describedby="pick-hint">
<p class="hint" id="pick-hint">${signIn.chooseHint}</p>
</div>`;
}
