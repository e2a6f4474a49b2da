// The browser of the tests: Debian's headless Chromium, driven by playwright-core.

import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PACKAGE = 'chromium-headless-shell';
const PATHS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'];

const isFile = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

const found = (): string | undefined => PATHS.find(isFile);

/** Why there is no browser here, or undefined where there is one. */
export function obstacle(): string | undefined {
  if (found() !== undefined) return undefined;
  return `needs ${PATHS.join(' or ')}: as root, test/browser/prepare.ts installs it by apt-get`;
}

/** Installs Chromium where it lacks and may be installed, and says so before. */
export async function installBrowser(say: (line: string) => void): Promise<void> {
  if (found() !== undefined) return;
  if (process.getuid?.() !== 0 || !isFile('/usr/bin/apt-get')) {
    say(`${PACKAGE} is not installed, and installing it needs root and apt-get`);
    return;
  }
  say(`installing by apt-get: ${PACKAGE}`);
  await apt('update');
  await apt('install', '--yes', '--no-install-recommends', PACKAGE);
}

function apt(...args: readonly string[]): Promise<void> {
  const child = spawn('apt-get', ['-qq', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`apt-get ${args[0]} ended with code ${code}`));
    });
  });
}

export async function launch(): Promise<Browser> {
  const executablePath = found();
  if (executablePath === undefined) throw new Error(obstacle());
  // Root has no sandbox of Chromium's; it shows pages of this machine only.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return await chromium.launch({ executablePath, args });
}
