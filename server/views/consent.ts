import { html } from './html.ts';
import type { Html } from './html.ts';
import { appIcon } from './icons.ts';
import { addressed, named } from './layout.ts';
import type { Page } from './layout.ts';
import { texts } from './texts.ts';

export interface ConsentOptions {
  /** The interaction's id. */
  readonly uid: string;
  readonly clientName: string;
  readonly email: string;
  readonly scopes: readonly string[];
  /** `host[:port]` of the redirect URI the browser is sent to, whatever the answer; empty for an app's own scheme. */
  readonly redirectHost: string;
}

export function consentPage({ uid, clientName, email, scopes, redirectHost }: ConsentOptions): Page {
  const { consent } = texts;
  const path = `/login/${encodeURIComponent(uid)}`;
  return {
    title: consent.title,
    main: html`<h1>${consent.title}</h1>
<div class="asker">${appIcon}<div>
<p>${consent.asks(named(clientName))}</p>
<p class="aside">${consent.account(addressed(email))}</p>
</div></div>
${scopes.length > 0 && scopeList(scopes)}
<p class="aside">${destination(redirectHost)}</p>
<div class="choices">
<form method="post" action="${path}/abort"><button class="button" type="submit">${consent.deny}</button></form>
<form method="post" action="${path}/consent"><button class="button primary" type="submit">${consent.allow}</button></form>
</div>`,
  };
}

function scopeList(scopes: readonly string[]): Html {
  return html`<p id="scopes">${texts.consent.scopes}</p>
<ul class="scopes" aria-labelledby="scopes">
${scopes.map((scope) => html`<li>${texts.consent.scope(scope)}</li>\n`)}</ul>`;
}

function destination(redirectHost: string): Html | string {
  const { consent } = texts;
  if (redirectHost === '') return consent.goesToApp;
  return isLoopback(redirectHost) ? consent.goesToLoopback(named(redirectHost)) : consent.goesTo(named(redirectHost));
}

// RFC 8252 section 7.3: the addresses a native app listens on.
function isLoopback(host: string): boolean {
  return /^(127\.0\.0\.1|\[::1\]|localhost)(:\d+)?$/.test(host);
}
