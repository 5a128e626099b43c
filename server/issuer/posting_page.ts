import type { KoaContextWithOIDC } from 'oidc-provider';
import { applyBrowserHeaders } from '../http/security_headers.ts';

/** A form that a browser is to send on by itself. */
export interface Posting {
  readonly action: string;
  readonly fields: readonly { readonly name: string; readonly value: string }[];
}

/**
 * Where the library lets a browser post something (`response_mode=form_post`, the end of somebody else's session) its page
 * does so by an inline script, for which it widens the policy. Ours takes its place: no inline script, and a button
 * where scripts are off.
 */
export function replacePostingPage(render: (posting: Posting) => string) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<unknown>) => {
    await next();
    const { body } = ctx;
    const posting = typeof body === 'string' && ctx.response.is('html') !== false ? readPosting(body) : undefined;
    if (posting === undefined) return;
    applyBrowserHeaders(ctx.res, { formAction: undefined });
    ctx.body = render(posting);
  };
}

function readPosting(page: string): Posting | undefined {
  if (!page.includes('<title>Submitting Callback</title>')) return undefined;
  const action = /<form method="post" action="([^"]*)">/.exec(page)?.[1];
  if (action === undefined) return undefined;
  const fields = [...page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"\/>/g)].map(([, name = '', value = '']) => ({ name: unescape(name), value: unescape(value) }));
  return { action: unescape(action), fields };
}

const ENTITIES: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" };

function unescape(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity] ?? entity);
}
