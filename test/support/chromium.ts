import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core';

export interface ChromiumPage {
  readonly page: Page;
  readonly devtools: CDPSession;
  readonly authenticatorId: string;
  /** What the page wrote to the console as an error or a violation of its policy. */
  readonly complaints: readonly string[];
  /** Takes back those that a test has provoked; a pattern that fits none is an error. */
  forgive(pattern: RegExp): void;
  /** Kept under test-output/, out of git. */
  screenshot(name: string): Promise<void>;
  close(): Promise<void>;
}

const OUTPUT = fileURLToPath(new URL('../../test-output/', import.meta.url));

let launched: Promise<Browser> | undefined;
afterAll(async () => (await launched)?.close());

/** A profile of its own in a real Chromium, with a virtual authenticator (a passkey on the device, its user verified, always touched). */
export async function openChromium(view: { width?: number; height?: number; colorScheme?: 'dark' | 'light' } = {}): Promise<ChromiumPage> {
  launched ??= chromium.launch({
    executablePath: process.env.TEST_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const context = await (await launched).newContext({ viewport: { width: view.width ?? 1200, height: view.height ?? 800 }, colorScheme: view.colorScheme ?? 'light' });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable', { enableUI: false });
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  return {
    page, devtools, authenticatorId, complaints,
    forgive: (pattern) => {
      const kept = complaints.filter((line) => !pattern.test(line));
      if (kept.length === complaints.length) throw new Error(`nothing complained of ${String(pattern)}`);
      complaints.splice(0, complaints.length, ...kept);
    },
    screenshot: async (name) => {
      mkdirSync(OUTPUT, { recursive: true });
      await page.screenshot({ path: `${OUTPUT}${name}.png`, fullPage: true });
    },
    close: () => context.close(),
  };
}
