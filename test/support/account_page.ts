import { authorizeWithin, type Browser } from './browser.ts';
import type { SoftwarePasskey } from './software_passkey.ts';

/** Signs in on the account page by a passkey; `again` also where the browser is signed in already. */
export async function signInToAccount(browser: Browser, issuer: string, passkey: SoftwarePasskey, again = false): Promise<void> {
  await openAccount(browser, `${issuer}/login/account${again ? '/again' : ''}`, passkey);
}

export async function openAccount(browser: Browser, url: string, passkey: SoftwarePasskey): Promise<void> {
  await authorizeWithin(browser, url, passkey, '/login/account');
}

/** What the account page shows. */
export async function readAccountPage(browser: Browser, issuer: string): Promise<{ text: string; passkeys: { id: string; name: string }[] }> {
  const response = await browser.get(`${issuer}/login/account`);
  if (response.status !== 200) throw new Error(`the account page answered ${response.status}`);
  const text = (await response.text()).replaceAll('<wbr>', '');
  const rows = [...text.matchAll(/<li><div><p><strong><bdi>([^<]*)<\/bdi><\/strong><\/p>[^]*?<\/li>/g)];
  const passkeys = rows.flatMap(([row, name]) => {
    const id = /href="\/login\/account\/passkeys\/([^"]+)"/.exec(row)?.[1];
    return id === undefined ? [] : [{ id, name: name! }];
  });
  return { text, passkeys };
}
