// Installs Debian packages for the tiers that need them.

import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';

type Say = (line: string) => void;

export const isFile = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/**
 * Installs what is missing where that can be done, and says so before; where it cannot, it says
 * that, and the tests which need it say that they are skipped.
 */
export async function installWhereAllowed(packages: readonly string[], say: Say): Promise<void> {
  if (packages.length === 0) return;
  if (process.getuid?.() === 0 && isFile('/usr/bin/apt-get')) {
    await aptInstall(packages, say);
    return;
  }
  const are = packages.length === 1 ? 'is' : 'are';
  say(`${packages.join(', ')} ${are} not installed, and installing needs root and apt-get`);
}

/** Says what it installs, then installs it; rejects where apt-get fails. */
export async function aptInstall(packages: readonly string[], say: Say): Promise<void> {
  say(`installing by apt-get: ${packages.join(', ')}`);
  await apt('update');
  await apt('install', '--yes', '--no-install-recommends', ...packages);
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
