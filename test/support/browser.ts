import type { SoftwarePasskey } from './software_passkey.ts';

/** A browser without a window: cookies, same-origin headers, redirects one at a time. Enough to go through our pages. */
export interface Browser {
  get(url: string, headers?: Record<string, string>): Promise<Response>;
  postJson(url: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  postForm(url: string, headers?: Record<string, string>, fields?: Record<string, string>): Promise<Response>;
  /** Puts a cookie there, as an attacker on a sister site or a former owner of the machine would. */
  setCookie(name: string, value: string): void;
  readonly cookies: ReadonlyMap<string, string>;
}

/** `via`: where the issuer listens, when that is not its public address. `own`: headers that it sends with each request. */
export function createBrowser(issuer: string, via = issuer, own: Record<string, string> = {}): Browser {
  const jar = new Map<string, { value: string; path: string }>();
  const send = async (url: string, init: RequestInit) => {
    const { pathname } = new URL(url);
    const cookie = [...jar].filter(([, { path }]) => pathname.startsWith(path)).map(([name, { value }]) => `${name}=${value}`).join('; ');
    const response = await fetch(url.startsWith(`${issuer}/`) ? via + url.slice(issuer.length) : url, { ...init, redirect: 'manual', headers: { ...own, ...(init.headers as Record<string, string>), ...(cookie === '' ? {} : { cookie }) } });
    for (const line of response.headers.getSetCookie()) keepCookie(jar, line);
    return response;
  };
  const sameOrigin = { 'sec-fetch-site': 'same-origin', origin: issuer };
  return {
    get: (url, headers = {}) => send(url, { headers: { accept: 'text/html', 'sec-fetch-site': 'none', ...headers } }),
    postJson: (url, body, headers = {}) => send(url, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...sameOrigin, ...headers } }),
    postForm: (url, headers = {}, fields = {}) => send(url, { method: 'POST', body: new URLSearchParams(fields).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html', ...sameOrigin, ...headers } }),
    setCookie: (name, value) => {
      jar.set(name, { value, path: '/' });
    },
    get cookies() {
      return new Map([...jar].map(([name, { value }]) => [name, value]));
    },
  };
}

function keepCookie(jar: Map<string, { value: string; path: string }>, line: string): void {
  const [pair, ...attributes] = line.split(/;\s*/);
  const [name, value] = [pair!.slice(0, pair!.indexOf('=')), pair!.slice(pair!.indexOf('=') + 1)];
  const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice(5) ?? '/';
  if (value === '' || attributes.some((attribute) => /^expires=Thu, 01 Jan 1970/i.test(attribute))) jar.delete(name);
  else jar.set(name, { value, path });
}

/** Goes through the enrolment pages as their script does. Gives the page at the end. */
export async function enrol(browser: Browser, link: string, who: { email: string; name: string }, passkey: SoftwarePasskey): Promise<string> {
  const { options } = await readJson(await browser.postJson(`${link}/options`, who));
  const { redirect } = await readJson(await browser.postJson(`${link}/verify`, { response: passkey.create(options) }));
  return (await browser.get(new URL(redirect, link).href)).text();
}

/** Opens an authorization request, signs in with the passkey, agrees if asked. Gives the redirect to the client. */
export async function authorize(browser: Browser, url: string, passkey: SoftwarePasskey): Promise<URL> {
  const issuer = new URL(url).origin;
  return follow(browser, url, passkey, ({ origin }) => origin !== issuer);
}

/** The same for a page of the issuer's own, at `end`. */
export async function authorizeWithin(browser: Browser, url: string, passkey: SoftwarePasskey, end: string): Promise<URL> {
  let isAway = false;
  return follow(browser, url, passkey, ({ pathname }) => {
    isAway ||= pathname !== end;
    return isAway && pathname === end;
  });
}

async function follow(browser: Browser, url: string, passkey: SoftwarePasskey, isThere: (at: URL) => boolean): Promise<URL> {
  let at = url;
  for (let step = 0; step < 12; step += 1) {
    if (isThere(new URL(at))) return new URL(at);
    const { pathname } = new URL(at);
    if (/^\/login\/(?!account$)[^/]+$/.test(pathname)) {
      at = await answerPage(browser, at, passkey);
      continue;
    }
    const response = await passOn(browser, await browser.get(at));
    const location = response.headers.get('location');
    if (location === null) throw new Error(`${at} answered ${response.status} and no redirect: ${(await response.text()).slice(0, 2000)}`);
    at = new URL(location, at).href;
  }
  throw new Error(`the sign-in went in circles, at ${at}`);
}

async function answerPage(browser: Browser, page: string, passkey: SoftwarePasskey): Promise<string> {
  const html = await (await browser.get(page)).text();
  if (html.includes('/consent"')) {
    return findContinuation(await browser.postForm(`${page}/consent`));
  }
  const { options } = await readJson(await browser.postJson(`${page}/options`, {}));
  const { redirect } = await readJson(await browser.postJson(`${page}/verify`, { response: passkey.get(options) }));
  return new URL(redirect, page).href;
}

/** Sends on the form of a page that only passes something on, as its script or its button would. */
async function passOn(browser: Browser, response: Response): Promise<Response> {
  const page = response.status === 200 ? await response.clone().text() : '';
  const action = /<form method="post" action="([^"]*)" data-go>/.exec(page)?.[1];
  if (action === undefined) return response;
  const fields = [...page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map(([, name, value]) => [name!, value!] as const);
  return browser.postForm(action, {}, Object.fromEntries(fields));
}

/** Where the page that answers a form goes on to. */
export async function findContinuation(answer: Response): Promise<string> {
  const href = /<a class="button" href="([^"]+)"/.exec(await answer.text())?.[1]?.replaceAll('&amp;', '&');
  if (href === undefined) throw new Error(`${answer.url} answered ${answer.status} and goes on to nowhere`);
  return new URL(href, answer.url).href;
}

async function readJson(response: Response): Promise<Record<string, any>> { // eslint-disable-line @typescript-eslint/no-explicit-any -- whatever the server says
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return JSON.parse(text) as Record<string, any>; // eslint-disable-line @typescript-eslint/no-explicit-any -- as above
}
