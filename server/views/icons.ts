import { html } from './html.ts';
import type { Html } from './html.ts';

// Drawn with presentation attributes and currentColor: a style attribute would break the page's CSP.

const icon = (shapes: Html): Html =>
  html`<svg class="icon" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">${shapes}</svg>`;

/** The seal: a ring that a check mark closes. The same drawing is assets/icon.svg. */
export const logo = html`<svg class="logo" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false"><circle class="logo-disc" cx="16" cy="16" r="16"/><path class="logo-mark" d="M9.5 16.2l4.6 5.3 8.4-11" fill="none" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`;

export const terminalIcon = icon(html`<rect x="2.5" y="4" width="19" height="16" rx="2.5"/><path d="M6.5 9l3 3-3 3M12 15h5"/>`);

export const appIcon = icon(html`<rect x="2.5" y="4" width="19" height="16" rx="2.5"/><path d="M2.5 9h19M6 6.5h.01M9 6.5h.01"/>`);

export const passkeyIcon = icon(html`<circle cx="8" cy="8" r="4.5"/><path d="M11.2 11.2L20 20M16.2 16.2l2.6-2.6"/>`);

export const personIcon = icon(html`<circle cx="12" cy="8" r="4.2"/><path d="M3.8 20.5c1-4 4.3-5.8 8.2-5.8s7.2 1.8 8.2 5.8"/>`);

export const doneIcon = icon(html`<circle cx="12" cy="12" r="9.5"/><path d="M7.8 12.3l2.9 3.1 5.6-6.6"/>`);

export const alertIcon = icon(html`<circle cx="12" cy="12" r="9.5"/><path d="M12 7.2v5.6M12 16.6h.01"/>`);
