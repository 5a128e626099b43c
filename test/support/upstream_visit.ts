import { findContinuation, type Browser } from './browser.ts';

/** Opens a sign-in of the issuer's and gives the page that asks who it is. */
export async function openSignIn(browser: Browser, url: string): Promise<string> {
  let at = url;
  for (let step = 0; step < 6; step += 1) {
    if (/^\/login\/(?!account$)[^/]+$/.test(new URL(at).pathname)) return at;
    at = await redirectOf(browser, at);
  }
  throw new Error(`no sign-in page came, but ${at}`);
}

/** From a form that leads to an upstream to the address at which it sends the browser back; `bend` may change the request to it. */
export async function visitUpstream(browser: Browser, form: string, bend: (url: URL) => void = () => undefined): Promise<string> {
  const issuer = new URL(form).origin;
  const url = new URL(await findContinuation(await browser.postForm(form)));
  bend(url);
  let at = url.href;
  for (let step = 0; step < 8; step += 1) {
    at = await redirectOf(browser, at);
    if (new URL(at).origin === issuer) return at;
  }
  throw new Error(`the upstream goes in circles, at ${at}`);
}

/** Follows redirects within the issuer: the last answer, or the address elsewhere that it leads to. */
export async function follow(browser: Browser, from: string): Promise<{ at: string; response: Response | undefined }> {
  const issuer = new URL(from).origin;
  let at = from;
  for (let step = 0; step < 10; step += 1) {
    if (new URL(at).origin !== issuer) return { at, response: undefined };
    const response = await browser.get(at);
    const location = response.headers.get('location');
    if (location === null) return { at, response };
    at = new URL(location, at).href;
  }
  throw new Error(`redirects go in circles, at ${at}`);
}

async function redirectOf(browser: Browser, url: string): Promise<string> {
  const response = await browser.get(url);
  const location = response.headers.get('location');
  if (location === null) throw new Error(`${url} answered ${response.status} and no redirect: ${(await response.text()).slice(0, 1500)}`);
  return new URL(location, url).href;
}
