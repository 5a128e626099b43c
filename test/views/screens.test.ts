import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { applyBrowserHeaders } from '../../server/http/security_headers.ts';
import { openChromium, type ChromiumPage } from '../support/chromium.ts';
import { findSeriousFaults, SCREENS } from '../support/pages_on_screen.ts';
import { assets } from './every_page.ts';
import { REAL_PAGES } from './real_pages.ts';

/* Every page at a phone's and a desk's width, in light and dark, under its real headers; pictures go to test-output/. */

let server: Server;
let base: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? '/';
    const asset = assets.find(path);
    applyBrowserHeaders(response, { formAction: "'self'" });
    if (asset !== undefined) response.setHeader('content-type', asset.contentType).end(asset.body);
    else response.setHeader('content-type', 'text/html; charset=utf-8').end(REAL_PAGES[path.slice(1)]);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  base = `http://localhost:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe.each(SCREENS)('at $width', (screen) => {
  let chromium: ChromiumPage;
  beforeAll(async () => {
    chromium = await openChromium(screen);
  });
  afterAll(() => chromium.close());

  test('every page fits, breaks no policy, asks nobody else, and has no serious fault', async () => {
    const { page } = chromium;
    const asked = new Set<string>();
    page.on('request', (request) => asked.add(new URL(request.url()).origin));
    const faults: Record<string, readonly string[]> = {};
    for (const name of Object.keys(REAL_PAGES)) {
      await page.goto(`${base}/${name}`);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const width = Number(await page.evaluate('document.documentElement.scrollWidth'));
        // A desk's width changes no colour, label or order.
        const found = [...(screen.width === 390 ? await findSeriousFaults(page) : []), ...(width > screen.width ? [`it is ${width} wide`] : [])];
        if (found.length > 0) faults[`${name}, ${colorScheme}`] = found;
        await chromium.screenshot(`${name}-${screen.width}-${colorScheme}`);
      }
    }
    expect(faults).toEqual({});
    expect(chromium.complaints).toEqual([]);
    expect([...asked]).toEqual([base]);
  }, 180_000);

  test('every control is reached by the keyboard and shows that it is', async () => {
    const { page } = chromium;
    await page.goto(`${base}/account`);
    const controls = await page.locator('a[href]:visible, button:visible:not([disabled]), input:visible').count();
    for (let step = 0; step < controls; step += 1) {
      await page.keyboard.press('Tab');
      expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
    }
    expect(controls).toBeGreaterThan(5);
  });
});
