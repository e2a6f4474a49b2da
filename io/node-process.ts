// What every process of the house does around its own work: the Node.js that it needs, its version,
// and how it ends when a rule was broken or nobody reads any more.

import { readFileSync } from 'node:fs';
import process from 'node:process';

/** Oldest Node.js that runs this code, as package.json has it. */
const NODE_MIN = [24, 0] as const;
const EXIT_FAILURE = 1;

/** Why this Node.js cannot run the code; null where it can. */
export function tooOld(given: string): string | null {
  const [major = 0, minor = 0] = given.split('.').map(Number);
  const [leastMajor, leastMinor] = NODE_MIN;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return null;
  return `Node.js is ${given}, allowed is ${NODE_MIN.join('.')} or newer`;
}

/** The version in package.json; `unknown` where there is none. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const manifest: unknown = JSON.parse(text);
  const named = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return named && typeof manifest.version === 'string' ? manifest.version : 'unknown';
}

/** Who reads the output has left, as `head` does: there is nobody to tell more, nor a fault. */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT_FAILURE);
  });
}

/** A broken rule or a lost promise ends the process: going on could write what is wrong. */
export function crashOn(
  logger: { fatal(fields: object, message: string): void },
  who: string,
): void {
  const crash = (error: unknown): void => {
    const stack = error instanceof Error ? error.stack : String(error);
    logger.fatal({ stack }, `${who} crashes`);
    process.exit(EXIT_FAILURE);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
}
