import { html } from './html.ts';
import type { Html } from './html.ts';
import { passkeyIcon } from './icons.ts';
import { texts } from './texts.ts';
import type { ScriptTexts } from './texts.ts';

/** The assets a page with a passkey form needs, in order. */
export const CEREMONY_SCRIPTS = ['webauthn.js', 'passkey.js'] as const;

export interface Ceremony {
  /** Which of the two WebAuthn ceremonies passkey.js runs. */
  readonly kind: 'registration' | 'authentication';
  /** Path that `/options` and `/verify` hang under. */
  readonly path: string;
  readonly fields?: Html;
  readonly note: string;
  readonly button: string;
  readonly script: ScriptTexts;
}

/**
 * Renders the form that passkey.js drives. The button is disabled until the script has taken over:
 * without it the browser would send the fields to an address that speaks only JSON.
 */
export function ceremonyForm({ kind, path, fields, note, button, script }: Ceremony): Html {
  return html`<form class="ceremony" method="post" action="${path}/options" data-ceremony="${kind}" data-options="${path}/options" data-verify="${path}/verify"${dataTexts(script)}>
${fields}
<p class="note" role="status" data-note>${note}</p>
<noscript><p class="note" data-state="error">${texts.passkey.noScript}</p></noscript>
<button class="button primary" type="submit" disabled>${passkeyIcon}<span data-label>${button}</span></button>
<p class="stalled">${texts.passkey.stalled}</p>
</form>`;
}

// passkey.js reads them through `dataset`: data-text-wrong-address is dataset.textWrongAddress.
function dataTexts(script: ScriptTexts): Html[] {
  const sentences = Object.entries(script) as [string, string][];
  return sentences.map(([key, sentence]) => html` data-text-${kebabCase(key)}="${sentence}"`);
}

function kebabCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
