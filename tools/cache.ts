// The folder outside the work tree where what takes minutes to make is kept, by content.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MILLIS = 200;

/** `$JOURNAL_CACHE`, or `~/.cache/journal`. */
export const cacheFolder = (): string =>
  process.env.JOURNAL_CACHE || join(homedir(), '.cache', 'journal');

/** Sixteen hexadecimal digits that stand for these texts in this order. */
export function keyOf(...texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${Buffer.byteLength(text)}:${text}`);
  return hash.digest('hex').slice(0, 16);
}

export const isThere = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false }) !== undefined;

/**
 * Runs `make` for `path` unless it is there, one process at a time: who comes second waits, and
 * finds it made. `make` must put it there in one step (rename it into place).
 */
export async function once(path: string, make: () => Promise<void>): Promise<void> {
  if (isThere(path)) return;
  await alone(path, async () => {
    if (!isThere(path)) await make();
  });
}

/** Runs `work` while no other process of this machine runs any for the same path. */
export async function alone<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  mkdirSync(dirname(path), { recursive: true });
  while (!take(lock)) await sleep(POLL_MILLIS);
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** The lock file holds the pid of its owner, so that one left by a dead process is seen. */
function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    // A moment may pass between the making of the file and the writing of the pid.
    if (!ownerLives(lock) && age > 1_000) rmSync(lock, { force: true });
    return false;
  }
}

function ownerLives(lock: string): boolean {
  try {
    process.kill(Number(readFileSync(lock, 'utf8')) || 0x7fffffff, 0);
    return true;
  } catch {
    return false;
  }
}
