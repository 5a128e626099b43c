import { html } from './html.ts';
import { alertIcon } from './icons.ts';
import type { Page } from './layout.ts';
import { texts } from './texts.ts';

export interface ErrorOptions {
  readonly title: string;
  /** A sentence that is safe to show to anyone. */
  readonly message: string;
  /** What the person can do next. */
  readonly hint?: string | undefined;
  /** What an administrator finds in the log, such as the request's id. */
  readonly reference?: string | undefined;
  /** Where to go on from here: the account page, or the sign-in that is under way. */
  readonly back?: 'account' | { readonly uid: string } | undefined;
}

export interface ContinueOptions {
  /** Where to go on: a path of this origin, or an http or https address. */
  readonly href: string;
}

export interface PostingOptions {
  /** Where the form goes: a path of this origin, or an http or https address. */
  readonly action: string;
  readonly fields: readonly { readonly name: string; readonly value: string }[];
}

export function errorPage({ title, message, hint, reference, back }: ErrorOptions): Page {
  return {
    title,
    main: html`<div class="mark">${alertIcon}</div>
<h1>${title}</h1>
<p>${message}</p>
${hint !== undefined && html`<p>${hint}</p>`}
${back !== undefined && (back === 'account'
      ? html`<p><a class="button" href="/login/account">${texts.error.toAccount}</a></p>`
      : html`<p><a class="button" href="/login/${encodeURIComponent(back.uid)}">${texts.error.toSignIn}</a></p>`)}
${reference !== undefined && html`<p class="aside">${texts.error.reference}: <code>${reference}</code></p>`}`,
  };
}

/**
 * The answer to a form (cancel, deny, allow) after which the browser ends at a client's redirect URI.
 * Chromium applies `form-action` to every redirect that follows a form, so that `form-action 'self'` blocks
 * a 303 which ends at a client; a page that moves on by itself is a new navigation and may go there.
 * A `TypeError` if the address is of another kind.
 */
export function continuePage({ href }: ContinueOptions): Page {
  checkAddress(href);
  const { goOn } = texts;
  return {
    title: goOn.title,
    refresh: href,
    main: html`<h1>${goOn.title}</h1>
<p>${goOn.message}</p>
<p><a class="button" href="${href}">${goOn.link}</a></p>`,
  };
}

/** A form that the browser sends on by itself, or by its button. A `TypeError` if the address is of another kind. */
export function postingPage({ action, fields }: PostingOptions): Page {
  checkAddress(action);
  const { goOn } = texts;
  return {
    title: goOn.title,
    scripts: ['submit.js'],
    main: html`<h1>${goOn.title}</h1>
<p>${goOn.message}</p>
<form method="post" action="${action}" data-go>
${fields.map(({ name, value }) => html`<input type="hidden" name="${name}" value="${value}">\n`)}<button class="button" type="submit">${goOn.link}</button>
</form>`,
  };
}

function checkAddress(href: string): void {
  if (!/^(https?:\/\/|\/(?![/\\]))/i.test(href)) throw new TypeError('The address to go on to must be a path or an http(s) URL');
}
