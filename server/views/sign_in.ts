import { CEREMONY_SCRIPTS, ceremonyForm } from './ceremony.ts';
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
  /** Whether the client is a program on the person's own computer; false for a device-code sign-in. */
  readonly isCli: boolean;
  /** Whether what the client gets may administer the issuer. */
  readonly asksToAdminister?: boolean;
  /** Whether it is for the account page itself. */
  readonly isOwn?: boolean;
  /** Other issuers that the person may sign in with. */
  readonly upstreams?: readonly { readonly id: string; readonly name: string }[];
  readonly issuer: string;
}

export function signInPage({ uid, clientName, isCli, issuer, asksToAdminister = false, isOwn = false, upstreams = [] }: SignInOptions): Page {
  const { signIn } = texts;
  const host = hostOf(issuer);
  const path = `/login/${encodeURIComponent(uid)}`;
  const client = named(clientName);
  return {
    title: signIn.title,
    host,
    scripts: CEREMONY_SCRIPTS,
    main: html`<h1>${signIn.title}</h1>
<div class="asker">${isCli ? terminalIcon : appIcon}<div>
<p>${isOwn ? signIn.asksOwn : asksToAdminister ? signIn.asksToAdminister(client) : isCli ? signIn.asksCli(client) : signIn.asks(client)}</p>
<p class="aside">${isOwn ? signIn.careOwn : isCli ? signIn.careCli : signIn.care}</p>
</div></div>
${ceremonyForm({ kind: 'authentication', path, note: signIn.note, button: signIn.button, script: signIn.script(host) })}
${picker()}
${upstreams.map(({ id, name }) => html`<form class="upstream" method="post" action="${path}/upstream/${encodeURIComponent(id)}"><button class="button" type="submit">${signIn.upstream(name)}</button></form>
`)}<form method="post" action="${path}/abort"><button class="button" type="submit">${signIn.cancel}</button></form>
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
