import { type Browser } from './browser.ts';
import { postToken, type Answer } from './oauth.ts';
import type { SoftwarePasskey } from './software_passkey.ts';

export interface BegunDevice {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete: string;
  readonly expires_in: number;
  readonly interval: number;
}

export const DEVICE_REQUEST = { client_id: 'vouch-cli', scope: 'openid email', device_name: 'build-42', device_os: 'Linux (x86_64)' };

/** A device asks for a code (RFC 8628 3.1); a list of pairs may repeat a parameter. */
export async function askForDevice(issuer: string, form: Record<string, string> | [string, string][] = DEVICE_REQUEST, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${issuer}/oauth/device`, { method: 'POST', headers, body: new URLSearchParams(form) });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
}

export async function beginDevice(issuer: string, more: Record<string, string> = {}, headers: Record<string, string> = {}): Promise<BegunDevice> {
  const { status, body } = await askForDevice(issuer, { ...DEVICE_REQUEST, ...more }, headers);
  if (status !== 200) throw new Error(`no device code: ${JSON.stringify(body)}`);
  return body as unknown as BegunDevice;
}

export function pollDevice(issuer: string, deviceCode: string, clientId = 'vouch-cli'): Promise<Answer> {
  return postToken(issuer, { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: clientId, device_code: deviceCode });
}

export function readXsrf(page: string): string {
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(page)?.[1];
  if (xsrf === undefined) throw new Error(`the page has no form: ${page.slice(0, 3000)}`);
  return xsrf;
}

/** Opens the page for the code, types one, and gives what comes of it. */
export async function enterCode(browser: Browser, issuer: string, code: string, headers: Record<string, string> = {}): Promise<{ response: Response; page: string }> {
  const xsrf = readXsrf(await (await browser.get(`${issuer}/device`, headers)).text());
  const response = await browser.postForm(`${issuer}/device`, headers, { xsrf, user_code: code });
  return { response, page: (await response.text()).replaceAll('<wbr>', '') };
}

/** The same, and says that the machine is one's own, or not. Gives the answer: of yes, a redirect to the sign-in page. */
export async function decideDevice(browser: Browser, issuer: string, code: string, field: 'confirm' | 'abort', headers: Record<string, string> = {}): Promise<Response> {
  const { page } = await enterCode(browser, issuer, code, headers);
  return browser.postForm(`${issuer}/device`, headers, { xsrf: readXsrf(page), user_code: code, [field]: 'yes' });
}

/** From the typed code to the sign-in page that asks for the touch. */
export async function openDeviceSignIn(browser: Browser, issuer: string, code: string): Promise<string> {
  const location = (await decideDevice(browser, issuer, code, 'confirm')).headers.get('location');
  if (location === null) throw new Error('the confirmed code leads nowhere');
  return new URL(location, issuer).href;
}

/** Touches the passkey there. Gives where the browser goes on. */
export async function touchForDevice(browser: Browser, signInPage: string, passkey: SoftwarePasskey): Promise<string> {
  const { options } = (await (await browser.postJson(`${signInPage}/options`, {})).json()) as { options: never };
  const answer = await browser.postJson(`${signInPage}/verify`, { response: passkey.get(options) });
  const { redirect } = (await answer.json()) as { redirect?: string };
  if (redirect === undefined) throw new Error(`the touch was refused with ${answer.status}`);
  return new URL(redirect, signInPage).href;
}

/** The whole of it. Gives the last page. */
export async function approveDevice({ browser, passkey }: { browser: Browser; passkey: SoftwarePasskey }, issuer: string, code: string): Promise<string> {
  const end = await touchForDevice(browser, await openDeviceSignIn(browser, issuer, code), passkey);
  return (await browser.get(end)).text();
}
