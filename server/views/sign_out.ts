import { html } from './html.ts';
import { doneIcon } from './icons.ts';
import type { Page } from './layout.ts';
import { texts } from './texts.ts';

export interface SignOutOptions {
  /** Where the form goes. */
  readonly action: string;
  /** The secret that shows that the form is ours. */
  readonly xsrf: string;
}

/** RP-Initiated Logout 2: the person is asked, since anybody can send a browser here. */
export function signOutPage({ action, xsrf }: SignOutOptions): Page {
  const { signOut } = texts;
  return {
    title: signOut.title,
    main: html`<h1>${signOut.title}</h1>
<p>${signOut.message}</p>
<p class="aside">${signOut.note}</p>
<form class="choices" method="post" action="${action}">
<input type="hidden" name="xsrf" value="${xsrf}">
<button class="button" type="submit">${signOut.stay}</button>
<button class="button primary" type="submit" name="logout" value="yes">${signOut.button}</button>
</form>`,
  };
}

export function signedOutPage(): Page {
  const { signedOut } = texts;
  return {
    title: signedOut.title,
    main: html`<div class="mark good">${doneIcon}</div>
<h1>${signedOut.title}</h1>
<p>${signedOut.message}</p>
<p><a class="button" href="/login/account">${signedOut.button}</a></p>`,
  };
}
