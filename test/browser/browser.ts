// The browser of the tests: Debian's headless Chromium, driven by playwright-core.

import { type Browser, chromium } from 'playwright-core';
import { installWhereAllowed, isFile } from '../apt.ts';

const PACKAGE = 'chromium-headless-shell';
const PATHS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];

const found = (): string | undefined => PATHS.find(isFile);

/** Why there is no browser here, or undefined where there is one. */
export function obstacle(): string | undefined {
  if (found() !== undefined) return undefined;
  return `needs ${PATHS.join(' or ')}: as root, test/browser/prepare.ts installs it by apt-get`;
}

/** Installs Chromium where it lacks and may be installed, and says so before. */
export async function installBrowser(say: (line: string) => void): Promise<void> {
  if (found() === undefined) await installWhereAllowed([PACKAGE], say);
}

export async function launch(): Promise<Browser> {
  const executablePath = found();
  if (executablePath === undefined) throw new Error(obstacle());
  // Root has no sandbox of Chromium's; it shows pages of this machine only.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return await chromium.launch({ executablePath, args });
}
