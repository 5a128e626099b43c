import { html } from './html.ts';
import type { Html } from './html.ts';

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  readonly missing: string;
  readonly malformed?: string;
  readonly value?: string;
  readonly attributes: Html;
}

// The hint and an error share one line, so that an error moves nothing on the page.
export function field({ name, label, hint, missing, malformed, value, attributes }: Field): Html {
  return html`<div class="field">
<label for="${name}">${label}</label>
<input id="${name}" name="${name}" ${attributes}${value !== undefined && html` value="${value}"`} required aria-describedby="${name}-hint" data-text-missing="${missing}" data-text-malformed="${malformed ?? missing}">
<p class="hint" id="${name}-hint" aria-live="polite">${hint}</p>
</div>`;
}
