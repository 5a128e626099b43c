// The page that the browser shows at the end of a sign-in: one file, no script, nothing fetched.
import { createHash } from 'node:crypto';

export interface Page {
  readonly status: number;
  readonly title: string;
  readonly paragraphs: readonly string[];
  readonly isFailure: boolean;
}

const STYLE = `
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1a1d21; --soft: #4d555e; --good: #11703c; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --card: #1e2226; --text: #eceff2; --soft: #a9b2bb; --good: #6fcf97; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 28rem; padding: 2rem 1.5rem; border-radius: .75rem; background: var(--card); overflow-wrap: anywhere; }
h1 { margin: 0 0 .75rem; font-size: 1.375rem; line-height: 1.25; }
.good { color: var(--good); } .bad { color: var(--bad); }
p { margin: .5rem 0 0; color: var(--soft); }
`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** The page's address holds a code, so nothing may keep, frame or pass on anything of it. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  connection: 'close',
};

/** Renders the page; every text is escaped. */
export function renderPage({ title, paragraphs, isFailure }: Page): string {
  const body = paragraphs.map((text) => `<p>${escapeHtml(text)}</p>`).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} - Vouch</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1 class="${isFailure ? 'bad' : 'good'}">${escapeHtml(title)}</h1>
${body}
</main>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
