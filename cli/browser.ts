// Opening an address in the person's browser.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

/**
 * Starts the browser and does not wait for it: the BROWSER command if set (a path, or a command with arguments
 * split at spaces; `%s` stands for the address), else the system's own. Returns whether something was started.
 */
export async function openBrowser(url: string, browser: string | undefined): Promise<boolean> {
  try {
    if (browser === undefined) await openDefault(url);
    else await startCommand(createCommand(browser, url));
    return true;
  } catch {
    // The address is on the screen as well; a machine without a browser is no failure.
    return false;
  }
}

async function openDefault(url: string): Promise<void> {
  const { default: open } = await import('open');
  const child = await open(url);
  child.on('error', () => undefined);
}

function createCommand(browser: string, url: string): readonly string[] {
  const words = existsSync(browser) ? [browser] : browser.trim().split(/\s+/);
  return words.includes('%s') ? words.map((word) => (word === '%s' ? url : word)) : [...words, url];
}

async function startCommand([command = '', ...parameters]: readonly string[]): Promise<void> {
  // Its own output must not land in ours, and it must outlive this process.
  const child = spawn(command, parameters, { stdio: 'ignore', detached: true });
  child.unref();
  await once(child, 'spawn');
}
