// Installs Debian packages for the tiers that need them.

import { spawn } from 'node:child_process';

/** Says what it installs, then installs it; rejects where apt-get fails. */
export async function aptInstall(
  packages: readonly string[],
  say: (line: string) => void,
): Promise<void> {
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
