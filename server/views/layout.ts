import type { Assets } from './assets.ts';
import { html, render } from './html.ts';
import type { Html } from './html.ts';
import { logo } from './icons.ts';

/** What every page shares. */
export interface Shell {
  readonly assets: Assets;
  readonly productName: string;
}

/** One page before it becomes a document. `scripts` are names of assets, in the order they run. */
export interface Page {
  readonly title: string;
  readonly main: Html;
  readonly scripts?: readonly string[];
  /** Where the browser goes on to by itself, at once. */
  readonly refresh?: string;
  /** Shown at the foot, so that a person can compare it with the address bar. */
  readonly host?: string;
}

/** Puts a page into the one document frame and returns the whole HTML document. */
export function renderDocument({ assets, productName }: Shell, page: Page): string {
  const scripts = page.scripts ?? [];
  // Referrers stay inside this origin, because invitation links carry a secret. The stricter
  // `no-referrer` would make browsers send `Origin: null` with our own forms and fail the CSRF check.
  return render(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="same-origin">
<meta name="robots" content="noindex">
${page.refresh !== undefined && html`<meta http-equiv="refresh" content="0;url=${page.refresh}">\n`}<title>${page.title} · ${productName}</title>
<link rel="icon" type="image/svg+xml" href="${assets.path('icon.svg')}">
<link rel="stylesheet" href="${assets.path('style.css')}">
${scripts.map((name) => html`<script src="${assets.path(name)}" defer></script>\n`)}</head>
<body>
<div class="page">
<header class="brand">${logo}<span>${productName}</span></header>
<main class="card">
${page.main}
</main>
<footer class="foot">${page.host}</footer>
</div>
</body>
</html>
`);
}

/** Returns `host[:port]` of an issuer URL; a `TypeError` if it is no URL. */
export function hostOf(issuer: string): string {
  return new URL(issuer).host;
}

/**
 * A name from outside: set apart in weight and in writing direction from the sentence around it.
 * Control characters are dropped, and those that reverse the writing direction, because with them a name
 * can be made to read as another one.
 */
export function named(name: string): Html {
  return html`<strong><bdi>${name.replace(UNSEEN, '')}</bdi></strong>`;
}

/** An e-mail address, as a name; where it does not fit on a line it breaks after the at sign. */
export function addressed(email: string): Html {
  const [local = '', ...rest] = email.replace(UNSEEN, '').split('@');
  return html`<strong><bdi>${local}${rest.map((part) => html`@<wbr>${part}`)}</bdi></strong>`;
}

/** A day, in UTC. */
export function dayOf(at: Date): Html {
  return html`<time datetime="${at.toISOString()}">${DAY.format(at)}</time>`;
}

/** An instant, in UTC, since the page does not know where its reader is. */
export function momentOf(at: Date): Html {
  return html`<time datetime="${at.toISOString()}">${MOMENT.format(at)} UTC</time>`;
}

const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });

const MOMENT = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', timeZone: 'UTC' });

const UNSEEN = /[\p{Cc}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;
